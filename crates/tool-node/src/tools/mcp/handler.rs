//! What a server says without being asked: progress, logs, and that something has changed.

#![expect(deprecated, reason = "servers of today log so, and the next protocol still lets them")]

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use rmcp::model::{
    ClientCapabilities, ClientConfig, Implementation, LoggingMessageNotificationParam,
    ProgressNotificationParam, ProgressToken, ProtocolVersion, ResourceUpdatedNotificationParam,
};
use rmcp::service::NotificationContext;
use rmcp::{ClientHandler, RoleClient};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::limits;

/// What the server of one session has said.
pub(super) struct News {
    /// How often its lists have changed.
    lists: watch::Sender<u64>,
    /// The watched resources by address.
    updates: watch::Sender<HashMap<String, Watched>>,
    /// The next version of a resource.
    versions: AtomicU64,
    /// Who shows the progress of a call.
    calls: Mutex<HashMap<ProgressToken, mpsc::Sender<String>>>,
}

impl Default for News {
    fn default() -> Self {
        Self {
            lists: watch::Sender::new(0),
            updates: watch::Sender::new(HashMap::new()),
            versions: AtomicU64::new(since_1970()),
            calls: Mutex::default(),
        }
    }
}

/// A resource that is watched, or was and may be again: changes between two calls count.
pub(super) struct Watched {
    /// Differs after each change.
    pub(super) version: u64,
    /// Calls that wait for a change.
    watchers: usize,
    /// Ends the subscription at the server when dropped.
    #[expect(dead_code, reason = "it does its work when dropped")]
    subscription: DropGuard,
}

/// Makes room by ending the subscription that no call waits for and that changed longest ago. Whether
/// there is one: a call that comes back to it later is told that there may have been a change.
fn forget_one(updates: &mut HashMap<String, Watched>) -> bool {
    let idle = updates.iter().filter(|(_, watched)| watched.watchers == 0);
    let oldest = idle.min_by_key(|(_, watched)| watched.version).map(|(uri, _)| uri.clone());
    oldest.is_some_and(|uri| updates.remove(&uri).is_some())
}

/// A call that waits for a change of a resource.
pub(super) struct Watching {
    news: Arc<News>,
    uri: String,
    /// Of the first call: tells when the subscription is to end, which the call is to begin.
    pub(super) began: Option<CancellationToken>,
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.news.updates.send_if_modified(|updates| {
            updates.entry(self.uri.clone()).and_modify(|watched| watched.watchers -= 1);
            false
        });
    }
}

/// Milliseconds since 1970.
fn since_1970() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or_default()
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

    /// Watches a resource until what comes back is dropped. `None`: as many others are being watched as
    /// may be.
    pub(super) fn watch(self: &Arc<Self>, uri: &str) -> Option<Watching> {
        let mut began = None;
        let mut room = true;
        self.updates.send_if_modified(|updates| {
            if !updates.contains_key(uri) {
                room = updates.len() < limits::MCP_WATCHED || forget_one(updates);
                if !room {
                    return false;
                }
                let ended = CancellationToken::new();
                began = Some(ended.clone());
                let version = self.next_version();
                let subscription = ended.drop_guard();
                updates.insert(uri.to_owned(), Watched { version, watchers: 0, subscription });
            }
            updates.entry(uri.to_owned()).and_modify(|watched| watched.watchers += 1);
            false
        });
        room.then(|| Watching { news: Arc::clone(self), uri: uri.to_owned(), began })
    }

    /// Versions differ from those before, also from those of an earlier session.
    fn next_version(&self) -> u64 {
        self.versions.fetch_add(1, Ordering::Relaxed)
    }

    /// No longer counts the changes of a resource.
    pub(super) fn unwatch(&self, uri: &str) {
        self.updates.send_if_modified(|updates| updates.remove(uri).is_some());
    }

    /// The version of each watched resource.
    pub(super) fn updates(&self) -> watch::Receiver<HashMap<String, Watched>> {
        self.updates.subscribe()
    }

    pub(super) fn updated(&self, uri: &str) {
        self.updates.send_if_modified(|updates| {
            let Some(watched) = updates.get_mut(uri) else { return false };
            watched.version = self.next_version();
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
