//! A transport that a server cannot flood this node through.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use rmcp::RoleClient;
use rmcp::model::{CustomNotification, JsonRpcMessage, JsonRpcNotification, ServerNotification};
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use tokio::time::{Instant, sleep};

use crate::limits;

/// What a server did wrong, for which its connection ends. The first counts.
#[derive(Clone, Default)]
pub(super) struct Fault(Arc<OnceLock<String>>);

impl Fault {
    pub(super) fn set(&self, why: String) {
        let _first = self.0.set(why);
    }

    pub(super) fn get(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }
}

/// A message that says nothing.
pub(super) fn nothing() -> RxJsonRpcMessage<RoleClient> {
    let nothing = CustomNotification::new("notifications/none", None);
    JsonRpcMessage::notification(ServerNotification::CustomNotification(nothing))
}

/// A transport with a bound on messages a second, beyond which nothing is read for a while, and one
/// on requests of the server that were not answered yet.
pub(super) struct Bounded<T> {
    inner: T,
    /// Messages that may be read at once.
    free: f64,
    counted: Instant,
    unanswered: Arc<AtomicUsize>,
    fault: Fault,
}

impl<T> Bounded<T> {
    pub(super) fn new(inner: T, fault: Fault) -> Self {
        let free = limits::MCP_BURST;
        Self { inner, free, counted: Instant::now(), unanswered: Arc::default(), fault }
    }

    /// Waits until a message may be read. May be dropped and called again.
    async fn may_read(&mut self) {
        let now = Instant::now();
        let passed = now.duration_since(self.counted).as_secs_f64();
        self.counted = now;
        self.free = (passed.mul_add(limits::MCP_RATE, self.free)).min(limits::MCP_BURST);
        if self.free < 1.0 {
            sleep(limits::MCP_PAUSE).await;
        }
    }
}

impl<T: Transport<RoleClient>> Transport<RoleClient> for Bounded<T> {
    type Error = T::Error;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = Result<(), T::Error>> + Send + 'static {
        let answers = matches!(message, JsonRpcMessage::Response(_) | JsonRpcMessage::Error(_));
        let unanswered = Arc::clone(&self.unanswered);
        let sent = self.inner.send(message);
        async move {
            let sent = sent.await;
            if answers {
                unanswered.fetch_sub(1, Ordering::Relaxed);
            }
            sent
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        loop {
            self.may_read().await;
            let message = self.inner.receive().await?;
            self.free -= 1.0;
            if matches!(message, JsonRpcMessage::Request(_)) {
                let before = self.unanswered.fetch_add(1, Ordering::Relaxed);
                if before >= limits::MCP_UNANSWERED {
                    self.fault.set("it asks more than it takes answers to".into());
                    return None;
                }
            }
            match &message {
                JsonRpcMessage::Notification(JsonRpcNotification {
                    notification: ServerNotification::CustomNotification(_),
                    ..
                }) => {}
                _ => return Some(message),
            }
        }
    }

    fn close(&mut self) -> impl Future<Output = Result<(), T::Error>> + Send {
        self.inner.close()
    }
}
