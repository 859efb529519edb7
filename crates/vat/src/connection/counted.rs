//! A reader that counts the bytes of each message while it is read, and pauses in the middle of a
//! message while its identity holds too much.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures::io::AsyncRead;

use super::load::Load;

/// Counts the bytes that are read through it.
pub(super) struct Counted<R> {
    inner: R,
    load: Rc<Load>,
    pause: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

impl<R> Counted<R> {
    pub(super) const fn new(inner: R, load: Rc<Load>) -> Self {
        Self { inner, load, pause: None }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Counted<R> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.pause.is_none() && this.load.is_full_for_message() {
            let load = Rc::clone(&this.load);
            this.pause = Some(Box::pin(async move { load.room_for_message().await }));
        }
        if let Some(pause) = &mut this.pause {
            std::task::ready!(pause.as_mut().poll(cx));
            this.pause = None;
        }
        let polled = Pin::new(&mut this.inner).poll_read(cx, buffer);
        if let Poll::Ready(Ok(read)) = &polled {
            this.load.read(*read);
        }
        polled
    }
}
