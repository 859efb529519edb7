//! One request to a server, on behalf of a call: shown, cancelled, bounded in time, and settled.

use std::rc::Rc;

use remit_core::{Code, Failure};
use rmcp::RoleClient;
use rmcp::model::{
    CancelledNotification, CancelledNotificationParam, ClientRequest, ErrorCode, ErrorData,
    PingRequest, RequestId, ServerResult,
};
use rmcp::service::{Peer, PeerRequestOptions, RequestHandle, ServiceError};
use tokio::time::{Instant, timeout, timeout_at};

use super::server::{Server, Session};
use crate::kit::{CallContext, fail};
use crate::limits;

/// What a request may do at the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing that matters twice.
    Repeatable,
    /// Something that must not be done twice.
    Effect,
}

/// How a request ended without an answer.
enum Lost {
    /// The server did not get it.
    NotSent,
    /// The server ended, or its connection did.
    Ended(String),
    /// There was no answer in time.
    Late,
    /// The caller gave up.
    Cancelled,
    /// The server refused it.
    Refused(Failure),
}

impl Server {
    /// Sends a request and waits for its answer. If the server ends meanwhile, what may be repeated is
    /// sent to the next one; of any other the outcome is unknown.
    pub(super) async fn ask(
        &self,
        request: ClientRequest,
        kind: Kind,
        call: &CallContext,
    ) -> Result<ServerResult, Failure> {
        let until = Instant::now() + self.timeout;
        let place = tokio::select! {
            biased;
            () = call.cancelled() => return Err(cancelled()),
            place = timeout_at(until, self.places.take(call.key())) => place,
        };
        let Ok(Some(_place)) = place else { return Err(self.busy()) };
        let mut tries = 0;
        loop {
            let session = tokio::select! {
                biased;
                () = call.cancelled() => return Err(cancelled()),
                session = timeout_at(until, self.session()) => session.ok().flatten(),
            };
            let Some(session) = session else { return Err(self.away()) };
            if kind == Kind::Effect {
                call.point_of_no_return().await?;
            }
            tries += 1;
            let lost = match session.ask(request.clone(), call, until, &self.secrets).await {
                Ok(answer) => return Ok(answer),
                Err(lost) => lost,
            };
            let again = tries < limits::MCP_TRIES && Instant::now() < until;
            match (lost, kind) {
                (Lost::NotSent, _) | (Lost::Ended(_), Kind::Repeatable) if again => {}
                (Lost::NotSent, _) => return Err(self.away()),
                (Lost::Cancelled, _) => return Err(cancelled()),
                (Lost::Refused(failure), _) => return Err(self.without_secrets(failure)),
                (lost, kind) => return Err(self.settled(lost, kind)),
            }
        }
    }

    /// What a request without an answer comes to.
    fn settled(&self, lost: Lost, kind: Kind) -> Failure {
        let name = &self.name;
        let why = match &lost {
            Lost::Ended(why) => format!("the MCP server `{name}` ended before it answered ({why})"),
            _ => format!(
                "the MCP server `{name}` did not answer within {} ms",
                self.timeout.as_millis()
            ),
        };
        let why = self.secrets.hide(&why);
        match (kind, lost) {
            (Kind::Effect, _) => fail::unknown(format!("{why}: it may have done its work")),
            (Kind::Repeatable, Lost::Ended(_)) => fail::unavailable(why),
            (Kind::Repeatable, _) => fail::timed_out(why),
        }
    }

    /// An answer that is none to what was asked.
    pub(super) fn nonsense(&self) -> Failure {
        let name = &self.name;
        fail::failed(format!("the MCP server `{name}` answered with something else than was asked"))
    }

    /// The same failure without the secrets, and not longer than is recorded.
    pub(super) fn without_secrets(&self, mut failure: Failure) -> Failure {
        failure.message = self.secrets.hide(&failure.message);
        let end = failure.message.floor_char_boundary(limits::MCP_WORDS_BYTES);
        failure.message.truncate(end);
        failure
    }

    fn away(&self) -> Failure {
        let name = &self.name;
        fail::unavailable(format!(
            "the MCP server `{name}` is not there: the log of its tool node says why. Try again later"
        ))
    }

    fn busy(&self) -> Failure {
        let (name, most, share) = (&self.name, limits::MCP_CALLS, limits::MCP_CALLS_OF_TASK);
        fail::unavailable(format!(
            "the MCP server `{name}` has {most} calls in flight, or {share} of this task: try again later"
        ))
    }
}

fn cancelled() -> Failure {
    fail::cancelled("the caller gave up, which the MCP server was told")
}

impl Session {
    async fn ask(
        self: &Rc<Self>,
        request: ClientRequest,
        call: &CallContext,
        until: Instant,
        secrets: &super::secrets::Secrets,
    ) -> Result<ServerResult, Lost> {
        let sent = self.peer.send_cancellable_request(request, PeerRequestOptions::no_options());
        let RequestHandle { mut rx, id, progress_token, .. } =
            sent.await.map_err(|_| Lost::NotSent)?;
        let mut pending = Pending(Some((self.peer.clone(), id)));
        let mut shown = self.news.show(progress_token);
        let answered = loop {
            tokio::select! {
                biased;
                answered = &mut rx => break answered,
                () = call.cancelled() => return Err(Lost::Cancelled),
                Some(line) = shown.lines.recv() => call.emit(&secrets.hide(&line)),
                () = tokio::time::sleep_until(until) => {
                    tokio::task::spawn_local(Rc::clone(self).look());
                    return Err(Lost::Late);
                }
            }
        };
        pending.0 = None;
        // What the server said before it answered is shown by tasks of their own.
        tokio::task::yield_now().await;
        while let Ok(line) = shown.lines.try_recv() {
            call.emit(&secrets.hide(&line));
        }
        match answered {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(ServiceError::McpError(error))) => Err(Lost::Refused(refusal(&error))),
            Ok(Err(error)) => Err(Lost::Ended(error.to_string())),
            Err(_) => Err(Lost::Ended("its connection ended".into())),
        }
    }

    /// Ends a server that does not even answer a ping. A stateless one has none.
    async fn look(self: Rc<Self>) {
        if self.is_stateless() {
            return;
        }
        let ping = ClientRequest::PingRequest(PingRequest::default());
        if timeout(limits::MCP_PING, self.peer.send_request(ping)).await.is_err() {
            self.end("it does not answer any more");
        }
    }
}

/// A request that is cancelled at the server unless it was answered.
struct Pending(Option<(Peer<RoleClient>, RequestId)>);

impl Drop for Pending {
    fn drop(&mut self) {
        let (Some((peer, id)), Ok(runtime)) =
            (self.0.take(), tokio::runtime::Handle::try_current())
        else {
            return;
        };
        let params = CancelledNotificationParam::new(Some(id), None);
        let told = CancelledNotification::new(params);
        runtime.spawn(async move { peer.send_notification(told.into()).await });
    }
}

/// An error of the server as a failure. Its words are the server's, and so of the tool.
fn refusal(error: &ErrorData) -> Failure {
    let code = match error.code {
        ErrorCode::INVALID_PARAMS => Code::InvalidArgument,
        ErrorCode::METHOD_NOT_FOUND | ErrorCode::RESOURCE_NOT_FOUND => Code::NotFound,
        _ => Code::Failed,
    };
    Failure::new(code, error.message.clone())
}
