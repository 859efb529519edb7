//! A relay between two ends of a TCP connection, with a delay that can be set and a cut.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// A relay to one target, with a delay.
pub struct Link {
    /// The address to dial instead of the target.
    pub address: String,
    each_way: watch::Sender<Duration>,
    cuts: watch::Sender<u64>,
    carried: Arc<AtomicU64>,
}

/// The settings that all connections of a link share.
#[derive(Clone)]
struct Rule {
    each_way: watch::Receiver<Duration>,
    cuts: watch::Receiver<u64>,
    carried: Arc<AtomicU64>,
}

impl Link {
    /// Listens on a free port of loopback and relays to `target`. The relay ends with the runtime
    /// on which it was started.
    pub async fn start(target: String, each_way: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (each_way, slow) = watch::channel(each_way);
        let (cuts, cut) = watch::channel(0);
        let carried = Arc::<AtomicU64>::default();
        let rule = Rule { each_way: slow, cuts: cut, carried: Arc::clone(&carried) };
        tokio::spawn(serve(listener, target, rule));
        Self { address, each_way, cuts, carried }
    }

    /// The number of bytes relayed so far, in both directions together.
    pub fn carried(&self) -> u64 {
        self.carried.load(Ordering::Relaxed)
    }

    /// Delays every byte by `each_way` from now on.
    pub fn slow(&self, each_way: Duration) {
        self.each_way.send_replace(each_way);
    }

    /// Closes every connection of the link. New connections are accepted.
    pub fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

/// Listens on a free port of loopback and relays to `target` with the delay `each_way`. The relay
/// ends with the runtime on which it was started.
pub async fn start(target: String, each_way: Duration) -> String {
    Link::start(target, each_way).await.address
}

async fn serve(listener: TcpListener, target: String, rule: Rule) {
    while let Ok((near, _)) = listener.accept().await {
        let Ok(far) = TcpStream::connect(&target).await else { continue };
        near.set_nodelay(true).unwrap();
        far.set_nodelay(true).unwrap();
        let (near_read, near_write) = near.into_split();
        let (far_read, far_write) = far.into_split();
        tokio::spawn(delay(near_read, far_write, rule.clone()));
        tokio::spawn(delay(far_read, near_write, rule.clone()));
    }
}

async fn delay(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut rule: Rule) {
    let (sender, mut pieces) = mpsc::channel::<(Instant, Vec<u8>)>(4096);
    // Cuts before this connection do not concern it.
    rule.cuts.mark_unchanged();
    let mut cuts = rule.cuts.clone();
    tokio::spawn(async move {
        let write = async {
            while let Some((due, piece)) = pieces.recv().await {
                tokio::time::sleep_until(due).await;
                if to.write_all(&piece).await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            () = write => {}
            () = cut(&mut cuts) => {}
        }
    });
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = tokio::select! {
            read = from.read(&mut buffer) => read,
            () = cut(&mut rule.cuts) => return,
        };
        let Ok(read) = read else { return };
        rule.carried.fetch_add(u64::try_from(read).unwrap(), Ordering::Relaxed);
        // Due by the time of arrival, so that pieces overlap: the delay adds latency and does not
        // limit the throughput.
        let due = Instant::now() + *rule.each_way.borrow();
        if read == 0 || sender.send((due, buffer[..read].to_vec())).await.is_err() {
            return;
        }
    }
}

/// Resolves at the next cut. If the link was dropped, it never resolves.
async fn cut(cuts: &mut watch::Receiver<u64>) {
    if cuts.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}
