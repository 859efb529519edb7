//! A reader that learns the size of each message from its segment table, and passes the table on only
//! when the identity of the peer has room for the message. The parser behind it allocates the whole
//! message as soon as it has the table.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use futures::io::AsyncRead;

use super::load::Load;

/// Counts the messages that are read through it.
pub(super) struct Counted<R> {
    inner: R,
    load: Rc<Load>,
    /// The segment table of the message.
    table: Vec<u8>,
    /// How much of the table was passed on.
    passed: usize,
    /// Bytes of the message that follow the table and were not read.
    left: usize,
    admission: Option<Pin<Box<dyn Future<Output = ()>>>>,
    admitted: bool,
}

impl<R: AsyncRead + Unpin> Counted<R> {
    pub(super) const fn new(inner: R, load: Rc<Load>) -> Self {
        let table = Vec::new();
        Self { inner, load, table, passed: 0, left: 0, admission: None, admitted: false }
    }

    /// Reads the segment table. Returns whether the stream goes on.
    fn poll_table(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        while self.table.len() < table_bytes(&self.table) {
            let mut piece = [0; 64];
            let wanted = (table_bytes(&self.table) - self.table.len()).min(piece.len());
            let read = ready!(Pin::new(&mut self.inner).poll_read(cx, &mut piece[..wanted]))?;
            if read == 0 && self.table.is_empty() {
                return Poll::Ready(Ok(false));
            }
            if read == 0 {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            self.table.extend(&piece[..read]);
        }
        Poll::Ready(Ok(true))
    }

    /// Waits until there is room for the message of the table.
    fn poll_admission(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let bytes = message_bytes(&self.table);
        let admission = self.admission.get_or_insert_with(|| {
            let load = Rc::clone(&self.load);
            Box::pin(async move { load.admit(bytes).await })
        });
        ready!(admission.as_mut().poll(cx));
        self.admission = None;
        self.admitted = true;
        self.left = bytes;
        Poll::Ready(())
    }

    fn pass_table_on(&mut self, buffer: &mut [u8]) -> usize {
        let rest = &self.table[self.passed..];
        let passed = rest.len().min(buffer.len());
        buffer[..passed].copy_from_slice(&rest[..passed]);
        self.passed += passed;
        passed
    }

    fn next_message_if_over(&mut self) {
        if self.left == 0 && self.passed == self.table.len() {
            self.table.clear();
            self.passed = 0;
            self.admitted = false;
        }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Counted<R> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if !this.admitted {
            if !ready!(this.poll_table(cx))? {
                return Poll::Ready(Ok(0));
            }
            ready!(this.poll_admission(cx));
        }
        let read = if this.passed < this.table.len() {
            this.pass_table_on(buffer)
        } else {
            let most = buffer.len().min(this.left);
            let read = ready!(Pin::new(&mut this.inner).poll_read(cx, &mut buffer[..most]))?;
            this.left -= read;
            read
        };
        this.next_message_if_over();
        Poll::Ready(Ok(read))
    }
}

fn number(table: &[u8], at: usize) -> usize {
    let bytes = table.get(4 * at..4 * at + 4).and_then(|bytes| bytes.try_into().ok());
    bytes.map_or(0, |bytes| u32::from_le_bytes(bytes) as usize)
}

/// The length of the segment table, as far as its beginning tells it: the number of segments less
/// one, the length of each, and padding to a whole word. The parser refuses 512 segments and more
/// after the first word.
fn table_bytes(table: &[u8]) -> usize {
    match number(table, 0) {
        more @ 1..511 if table.len() >= 8 => (4 * (more + 2)).next_multiple_of(8),
        _ => 8,
    }
}

/// The bytes of all segments.
fn message_bytes(table: &[u8]) -> usize {
    (1..table.len() / 4).map(|at| number(table, at).saturating_mul(8)).sum()
}

#[cfg(test)]
mod tests {
    use futures::AsyncReadExt as _;

    use super::*;
    use crate::connection::HeldBytes;
    use crate::limits::ConnectionLimits;

    fn written(segments: &[usize]) -> Vec<u8> {
        let numbers = std::iter::once(segments.len() - 1).chain(segments.iter().copied());
        let mut table: Vec<u32> = numbers.map(|number| number.try_into().unwrap()).collect();
        if table.len() % 2 == 1 {
            table.push(0);
        }
        let mut bytes: Vec<u8> = table.iter().flat_map(|number| number.to_le_bytes()).collect();
        bytes.extend(vec![7; segments.iter().sum::<usize>() * 8]);
        bytes
    }

    #[tokio::test]
    async fn messages_of_any_number_of_segments_pass_unchanged_and_are_counted() {
        let all: Vec<_> = [1, 2, 3, 4, 5, 130, 511].map(|count| written(&vec![2; count])).concat();
        let held = HeldBytes::new();
        let load = Load::new(&ConnectionLimits::default(), Rc::default(), Rc::clone(&held));
        let mut counted = Counted::new(&all[..], load);
        let mut read: Vec<u8> = Vec::new();
        let mut piece = [0; 5];
        loop {
            match counted.read(&mut piece).await.unwrap() {
                0 => break,
                some => read.extend(&piece[..some]),
            }
        }
        assert!(read == all);
        assert_eq!(held.bytes(), (1 + 2 + 3 + 4 + 5 + 130 + 511) * 16, "nobody took them");
    }

    #[tokio::test]
    async fn a_table_that_ends_early_is_an_error_and_one_that_lies_passes() {
        let load = || Load::new(&ConnectionLimits::default(), Rc::default(), HeldBytes::new());
        let mut read = Vec::new();
        let error = Counted::new(&[1, 0, 0][..], load()).read_to_end(&mut read).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        let lies = [0xff; 16];
        let mut counted = Counted::new(&lies[..], load());
        counted.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, lies, "the parser refuses it");
    }
}
