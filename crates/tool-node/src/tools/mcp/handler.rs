//! What a server says without being asked: progress, logs, and that something has changed.

#![expect(deprecated, reason = "servers of today log so, and the next protocol still lets them")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rmcp::model::{
    ClientCapabilities, ClientConfig, Implementation, LoggingMessageNotificationParam,
    ProgressNotificationParam, ProgressToken, ProtocolVersion, ResourceUpdatedNotificationParam,
};
use rmcp::service::NotificationContext;
use rmcp::{ClientHandler, RoleClient};
use tokio::sync::{mpsc, watch};

use crate::limits;

/// What the server of one session has said.
pub(super) struct News {
    /// How often its lists have changed.
    lists: watch::Sender<u64>,
    /// Number of changes of each watched resource.
    updates: watch::Sender<HashMap<String, u64>>,
    /// Who shows the progress of a call.
    calls: Mutex<HashMap<ProgressToken, mpsc::Sender<String>>>,
}

impl Default for News {
    fn default() -> Self {
        Self {
            lists: watch::Sender::new(0),
            updates: watch::Sender::new(HashMap::new()),
            calls: Mutex::default(),
        }
    }
}

/// A call whose progress is shown for as long as this lives.
pub(super) struct Shown {
    news: Arc<News>,
    token: ProgressToken,
    pub(super) lines: mpsc::Receiver<String>,
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.news.calls().remove(&self.token);
    }
}

impl News {
    fn calls(&self) -> MutexGuard<'_, HashMap<ProgressToken, mpsc::Sender<String>>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows what is said of the call with this token.
    pub(super) fn show(self: &Arc<Self>, token: ProgressToken) -> Shown {
        let (sender, lines) = mpsc::channel(limits::MCP_LINES);
        self.calls().insert(token.clone(), sender);
        Shown { news: Arc::clone(self), token, lines }
    }

    /// Tells when the lists have changed.
    pub(super) fn lists(&self) -> watch::Receiver<u64> {
        self.lists.subscribe()
    }

    pub(super) fn lists_changed(&self) {
        self.lists.send_modify(|times| *times += 1);
    }

    /// Begins to count the changes of a resource. Whether it was not counted before; `None`: too many
    /// are.
    pub(super) fn watch(&self, uri: &str) -> Option<bool> {
        let mut first = Some(false);
        self.updates.send_if_modified(|updates| {
            if !updates.contains_key(uri) {
                let room = updates.len() < limits::MCP_WATCHED;
                first = room.then_some(true);
                if room {
                    updates.insert(uri.to_owned(), 0);
                }
            }
            false
        });
        first
    }

    /// No longer counts the changes of a resource.
    pub(super) fn unwatch(&self, uri: &str) {
        self.updates.send_if_modified(|updates| updates.remove(uri).is_some());
    }

    /// How often each watched resource has changed.
    pub(super) fn updates(&self) -> watch::Receiver<HashMap<String, u64>> {
        self.updates.subscribe()
    }

    pub(super) fn updated(&self, uri: &str) {
        self.updates.send_if_modified(|updates| {
            let Some(times) = updates.get_mut(uri) else { return false };
            *times += 1;
            true
        });
    }
}

/// The client's side of a session. It offers a server nothing: sampling and elicitation are refused.
pub(super) struct Handler(pub(super) Arc<News>);

impl ClientHandler for Handler {
    fn get_info(&self) -> ClientConfig {
        let us = Implementation::new("remit", env!("CARGO_PKG_VERSION"));
        ClientConfig::new(ClientCapabilities::default(), us)
            .with_protocol_version(ProtocolVersion::LATEST_WITH_INITIALIZE)
    }

    async fn on_progress(
        &self,
        said: ProgressNotificationParam,
        _: NotificationContext<RoleClient>,
    ) {
        let calls = self.0.calls();
        let Some(call) = calls.get(&said.progress_token) else { return };
        let done = match said.total {
            Some(total) => format!("{}/{total}", said.progress),
            None => said.progress.to_string(),
        };
        let line = said.message.map_or_else(|| done.clone(), |text| format!("{text} ({done})"));
        let _dropped_if_full = call.try_send(cut(line));
    }

    async fn on_logging_message(
        &self,
        said: LoggingMessageNotificationParam,
        _: NotificationContext<RoleClient>,
    ) {
        // A line of a log names no call: with several in flight it could be another task's.
        let calls = self.0.calls();
        let (Some(call), 1) = (calls.values().next(), calls.len()) else { return };
        let text = said.data.as_str().map_or_else(|| said.data.to_string(), str::to_owned);
        let _dropped_if_full = call.try_send(cut(text));
    }

    async fn on_resource_updated(
        &self,
        said: ResourceUpdatedNotificationParam,
        _: NotificationContext<RoleClient>,
    ) {
        self.0.updated(&said.uri);
    }

    async fn on_tool_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.0.lists_changed();
    }

    async fn on_prompt_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.0.lists_changed();
    }
}

/// A line of output, not longer than is shown.
fn cut(mut line: String) -> String {
    line.truncate(line.floor_char_boundary(limits::MCP_LINE_BYTES));
    line.push('\n');
    line
}
