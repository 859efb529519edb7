//! One server, kept alive: started, asked what it offers, started again when it ends.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use remit_vat::backoff::Backoff;
use rmcp::RoleClient;
use rmcp::model::SubscriptionFilter;
use rmcp::service::Peer;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::handler::News;
use super::launch::{Launch, Running, told};
use super::listing::Listing;
use super::secrets::Secrets;
use super::{Annotations, Config, describe};
use crate::kit::OpenTool;
use crate::limits;
use crate::tools::confiner::Confiner;
use crate::tools::places::Places;

/// A server, and what its operator says of it.
pub(super) struct Server {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) description: Option<String>,
    pub(super) timeout: Duration,
    pub(super) allow: Option<BTreeSet<String>>,
    pub(super) overrides: BTreeMap<String, Annotations>,
    pub(super) secrets: Secrets,
    /// Calls that may be in flight.
    pub(super) places: Places,
    launch: Launch,
    session: watch::Sender<Option<Rc<Session>>>,
}

/// What tools that change are told by.
pub(super) type Published = watch::Sender<Option<Rc<OpenTool>>>;

/// One life of a server.
pub(super) struct Session {
    pub(super) peer: Peer<RoleClient>,
    pub(super) news: Arc<News>,
    /// Ends this life, for a reason that is logged.
    stop: CancellationToken,
    why: std::cell::OnceCell<String>,
}

impl Session {
    /// Ends this life of the server; the next begins after a while.
    pub(super) fn end(&self, why: &str) {
        let _first = self.why.set(why.to_owned());
        self.stop.cancel();
    }

    /// Whether the server spoke its protocol of 2026 or later, in which nothing comes unasked.
    pub(super) fn is_stateless(&self) -> bool {
        self.peer.peer_info().is_some_and(|info| !info.protocol_version.has_initialize())
    }
}

impl Server {
    pub(super) fn new(
        config: &Config,
        base: &Path,
        homes: &Path,
        confiner: Option<&Rc<Confiner>>,
    ) -> Result<Self, String> {
        let (secrets, env, headers) = Secrets::read(config, base)?;
        Ok(Self {
            name: config.name.clone(),
            version: config.version.clone(),
            description: config.description.clone(),
            timeout: Duration::from_millis(config.timeout_ms),
            allow: config.allow.clone(),
            overrides: config.method.clone(),
            secrets,
            places: Places::new(limits::MCP_CALLS, limits::MCP_CALLS_OF_TASK),
            launch: Launch::new(config, (base, homes), confiner, (env, headers))?,
            session: watch::Sender::new(None),
        })
    }

    /// The server as it lives now, waited for if it is just being started.
    pub(super) async fn session(&self) -> Option<Rc<Session>> {
        let mut sessions = self.session.subscribe();
        let lives = |session: &Option<Rc<Session>>| {
            session.as_ref().is_some_and(|session| !session.peer.is_transport_closed())
        };
        let there = sessions.wait_for(lives);
        timeout(limits::MCP_RESTARTS, there).await.ok()?.ok()?.clone()
    }

    /// Keeps the server alive for as long as its tool is held.
    pub(super) async fn run(self: Rc<Self>, tool: Published) {
        let mut backoff = Backoff::new(limits::MCP_RETRY_FIRST, limits::MCP_RETRY_MOST);
        loop {
            let began = Instant::now();
            let why = tokio::select! {
                biased;
                () = tool.closed() => return,
                why = self.live(&tool) => self.secrets.hide(&why),
            };
            self.session.send_replace(None);
            if began.elapsed() > limits::MCP_WELL {
                backoff.reset();
            }
            let wait = backoff.next_wait();
            tracing::warn!(server = %self.name, %why, wait_s = wait.as_secs_f32(), "the MCP server ended; it is started again");
            tokio::select! {
                biased;
                () = tool.closed() => return,
                () = sleep(wait) => {}
            }
        }
    }

    /// One life of the server. Why it ended.
    async fn live(self: &Rc<Self>, tool: &Published) -> String {
        let news = Arc::new(News::default());
        let Running { service, mut child, fault, last_words } =
            match timeout(limits::MCP_START, self.launch.start(&news)).await {
                Ok(Ok(running)) => running,
                Ok(Err(why)) => return why,
                Err(_) => return format!("no answer within {} s", limits::MCP_START.as_secs()),
            };
        let (stop, why) = (CancellationToken::new(), std::cell::OnceCell::new());
        let session = Rc::new(Session { peer: service.peer().clone(), news, stop, why });
        let cancel = service.cancellation_token();
        let exited = async {
            match &mut child {
                Some(child) => told(child.ended().await),
                None => std::future::pending().await,
            }
        };
        let mut why = tokio::select! {
            biased;
            ended = service.waiting() => match ended {
                Ok(_) => "its connection ended".to_owned(),
                Err(error) => format!("its connection ended: {error}"),
            },
            why = exited => why,
            why = self.follow(&session, tool) => why,
            () = session.stop.cancelled() => session.why.get().cloned().unwrap_or_default(),
        };
        self.session.send_replace(None);
        cancel.cancel();
        if let Some(mut child) = child {
            let _late = child.end().await;
        }
        if let Some(fault) = fault.get() {
            why = fault.to_owned();
        }
        match last_words.get() {
            words if words.is_empty() => why,
            words => format!("{why}. It had written: {words}"),
        }
    }

    /// Publishes what the server offers, now and whenever it says that it has changed. Comes back with
    /// what is wrong with it.
    async fn follow(self: &Rc<Self>, session: &Rc<Session>, tool: &Published) -> String {
        let mut lists = session.news.lists();
        let mut listening = std::pin::pin!(listen(session));
        loop {
            lists.borrow_and_update();
            let listed = match timeout(limits::MCP_START, Listing::fetch(&session.peer)).await {
                Ok(listed) => listed.and_then(|listing| describe::tool(self, &listing)),
                Err(_) => Err("it does not say what it offers".into()),
            };
            let open = match listed {
                Ok(open) => open,
                Err(why) => return why,
            };
            tool.send_if_modified(|now| {
                let differs = now.as_ref().is_none_or(|now| now.manifest() != open.manifest());
                if differs {
                    *now = Some(open);
                }
                differs
            });
            self.session.send_replace(Some(Rc::clone(session)));
            let changed = async {
                if lists.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                () = changed => {}
                () = &mut listening => return "it ended what it was to tell of changes".into(),
            }
            // A server that says so all the time is not asked all the time.
            sleep(limits::MCP_RELIST).await;
        }
    }
}

/// Has a stateless server tell when its lists change. Ends only with the subscription.
async fn listen(session: &Session) {
    if session.is_stateless() {
        let filter =
            SubscriptionFilter::builder().tools_list_changed().prompts_list_changed().build();
        if let Ok(mut changes) = session.peer.listen(filter).await {
            while let Ok(Some(_)) = changes.next().await {
                session.news.lists_changed();
            }
            return;
        }
    }
    std::future::pending::<()>().await;
}
