//! The host of the orchestrator: the real one, except for its disk, its clock and TLS.

use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use remit_authority::Authority;
use remit_core::Role;
use remit_identity::tls::Acceptor;
use remit_journal::audit::Audit;
use remit_journal::meta::MemoryMeta;
use remit_orchestrator::admission::listener::Listener;
use remit_orchestrator::admission::pins::Pins;
use remit_orchestrator::config::Config;
use remit_orchestrator::node::{Backends, build_on};
use turmoil::net::{TcpListener, TcpStream};

use crate::disk::SimJournal;
use crate::network::{PORT, Purpose, greet, identity};
use crate::world::TOOLS;
use crate::{past, tool};

/// The validity of certificates: longer than any world lasts.
const CERTIFIED: Duration = Duration::from_secs(86_400);

/// The beginning of a world's time, in milliseconds since 1970.
pub(crate) const BEGINNING_MS: u64 = 1_800_000_000_000;

/// Parts of an orchestrator that these worlds do not test: invites, the keys of the authority, and
/// the accepted interface of the tool. All worlds share them, since none writes to them.
fn unused() -> &'static (tempfile::TempDir, Arc<MemoryMeta>) {
    static UNUSED: OnceLock<(tempfile::TempDir, Arc<MemoryMeta>)> = OnceLock::new();
    UNUSED.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let meta = Arc::new(MemoryMeta::new());
        Authority::load_or_create(&dir.path().join("authority"), "home").unwrap();
        let accepting = Arc::clone(&meta);
        std::thread::spawn(move || accept(accepting)).join().unwrap();
        (dir, meta)
    })
}

fn accept(meta: Arc<MemoryMeta>) {
    let pins = Pins::new(meta, Audit::in_memory(Box::new(|| BEGINNING_MS)));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (node, offered) = (identity(Role::ToolNode, TOOLS), tool::manifest());
    assert_eq!(runtime.block_on(pins.judge(&node, &offered)), Ok(None));
}

fn authority(dir: &Path) -> Authority {
    Authority::load_or_create(&dir.join("authority"), "home").unwrap()
}

fn now_ms() -> u64 {
    BEGINNING_MS + past::now_ms()
}

/// Runs one life of the host.
pub(crate) async fn run(journal: Arc<SimJournal>) -> turmoil::Result {
    let (dir, meta) = unused();
    let backends = Backends {
        meta: Arc::<MemoryMeta>::clone(meta),
        authority: authority(dir.path()),
        journal,
        audit: Audit::in_memory(Box::new(now_ms)),
        now_ms,
    };
    let config = Config {
        certificate_seconds: CERTIFIED.as_secs(),
        tool_grace_ms: 20_000,
        idle_grace_ms: 2_000,
        ..Config::default()
    };
    let (site, own) = build_on(backends, &config, "orchestrator:7474".into()).await?;
    let listener = Listener::new(site, Acceptor::new(&own, &[])?);
    let tcp = TcpListener::bind(("0.0.0.0", PORT)).await?;
    loop {
        let (stream, _) = tcp.accept().await?;
        let listener = Rc::clone(&listener);
        tokio::task::spawn_local(async move { let_in(&listener, stream).await });
    }
}

async fn let_in(listener: &Rc<Listener>, mut stream: TcpStream) {
    let Some((who, purpose)) = greet(&mut stream).await else { return };
    let until = SystemTime::now() + CERTIFIED;
    match purpose {
        Purpose::Peer => drop(listener.serve_peer(stream, &who, until).unwrap()),
        // The attempt may have ended before its worker connects.
        Purpose::Attempt => drop(listener.serve_attempt(stream, &who, until).await),
    }
}
