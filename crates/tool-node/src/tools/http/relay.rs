//! Bodies on their way through a proxy, piece by piece.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use futures::stream::try_unfold;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Body, Bytes, Frame, Incoming};
use reqwest::Response;
use tokio::sync::watch;
use url::Url;

use super::Web;
use super::exchange::explain;
use crate::kit::{Failure, fail};

/// A body as a program reads it.
pub(super) type Relayed = Pin<Box<dyn Body<Data = Bytes, Error = io::Error>>>;

/// A body that is at hand.
pub(super) fn text(text: &str) -> Relayed {
    Box::pin(Full::from(text.to_owned()).map_err(|never| match never {}))
}

/// The body of an answer without the secrets of `web`. It fails when nothing of it comes for as long as
/// a request may take.
pub(super) fn answer(web: Rc<Web>, url: Url, response: Response) -> Relayed {
    let answer = Answer { web, url, response, held: Vec::new(), has_ended: false };
    let parts = try_unfold(answer, async |mut answer: Answer| {
        Ok(answer.next().await?.map(|part| (Frame::data(part), answer)))
    });
    Box::pin(StreamBody::new(parts))
}

struct Answer {
    web: Rc<Web>,
    url: Url,
    response: Response,
    /// What came and may be the beginning of a secret.
    held: Vec<u8>,
    has_ended: bool,
}

impl Answer {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        while !self.has_ended {
            let next = tokio::time::timeout(self.web.timeout, self.response.chunk()).await;
            let next = next.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?;
            let next = next.map_err(|error| explain(&self.web, &self.url, &error).message);
            match next.map_err(io::Error::other)? {
                Some(part) => self.held.extend_from_slice(&part),
                None => self.has_ended = true,
            }
            let shown = self.web.secrets.sift(&mut self.held, self.has_ended);
            if !shown.is_empty() {
                return Ok(Some(shown.into()));
            }
        }
        Ok(None)
    }
}

/// Says when a part of a body was read.
pub(super) type Progress = watch::Receiver<()>;

/// The body of a request, and word of each part that is read of it.
pub(super) fn watched(body: Incoming) -> (reqwest::Body, Progress) {
    let (read, progress) = watch::channel(());
    let body = body.map_frame(move |frame| {
        read.send_replace(());
        frame
    });
    (reqwest::Body::wrap(body), progress)
}

/// What `sending` gives.
///
/// # Errors
/// `timed-out` if for this long there is neither progress nor an answer.
pub(super) async fn unless_idle<T>(
    longest: Duration,
    sending: impl Future<Output = T>,
    mut progress: Option<Progress>,
) -> Result<T, Failure> {
    let mut sending = std::pin::pin!(sending);
    loop {
        let moved = async {
            let read = async { progress.as_mut()?.changed().await.ok() }.await;
            if read.is_none() {
                // It was read to its end: now the answer is awaited.
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            sent = &mut sending => return Ok(sent),
            () = moved => {}
            () = tokio::time::sleep(longest) => {
                return Err(fail::timed_out("the server neither took more nor answered in time"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::Code;

    #[tokio::test(start_paused = true)]
    async fn a_request_may_take_long_as_long_as_it_is_read() {
        let (read, progress) = watch::channel(());
        let second = Duration::from_secs(1);
        let sending = async {
            for _ in 0..100 {
                tokio::time::sleep(second / 2).await;
                read.send_replace(());
            }
            "sent"
        };
        assert_eq!(unless_idle(second, sending, Some(progress)).await.unwrap(), "sent");
        let refused = unless_idle(second, std::future::pending::<()>(), None).await.unwrap_err();
        assert_eq!(refused.code, Code::TimedOut);
    }
}
