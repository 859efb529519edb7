//! Where agent nodes that were introduced come in.

use std::cell::Cell;
use std::rc::Rc;
use std::time::SystemTime;

use remit_identity::accept::accept;
use remit_identity::handshakes::{Handshakes, Place};
use remit_identity::limits::HANDSHAKE;
use remit_identity::membership::Member;
use remit_identity::tls::{Acceptor, Refused};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::limits;
use crate::node::Node;

/// Accepts from `tcp` until `stop`.
pub(crate) async fn run(
    node: &Rc<Node>,
    tcp: &TcpListener,
    member: &Member,
    stop: &CancellationToken,
) {
    let connected = Rc::new(Cell::new(0));
    let handshakes = Handshakes::new(limits::HANDSHAKES);
    accept(tcp, &handshakes, stop, |stream, place| {
        // Made anew each time: the certificate is renewed now and then.
        let acceptor = Acceptor::of_introduced(&member.credential());
        let (node, connected, stop) = (Rc::clone(node), Rc::clone(&connected), stop.clone());
        let handshakes = Rc::clone(&handshakes);
        tokio::task::spawn_local(async move {
            let let_in = async { let_in(&node, acceptor?, stream, (place, &connected)).await };
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                served = let_in => if let Err(Refused(why)) = served {
                    handshakes.log_refused(&why);
                },
            }
        });
    })
    .await;
}

/// Serves one agent node until its connection or its certificate ends. `handshake`: held until it has
/// shaken hands; `connected`: how many there are.
async fn let_in(
    node: &Node,
    acceptor: Acceptor,
    tcp: TcpStream,
    (handshake, connected): (Place, &Cell<usize>),
) -> Result<(), Refused> {
    handshake.begin();
    let vouch = |hint| {
        if node.awaits(hint) {
            handshake.vouch(hint);
        }
    };
    let introduced = async {
        let accepted = acceptor.accept_hinted(tcp, HANDSHAKE, vouch).await?;
        let Some((identity, until)) = accepted.peer else {
            return Err(Refused("a peer without an identity was refused".into()));
        };
        if connected.get() >= limits::DIRECT_CONNECTIONS {
            return Err(Refused(format!("{identity} was refused: too many are connected")));
        }
        let connection = node.serve_introduced(accepted.stream, &identity).await?;
        Ok::<_, Refused>((connection, identity, until))
    };
    let (connection, identity, until) = tokio::select! {
        biased;
        () = handshake.taken_away() => return Ok(()),
        introduced = introduced => introduced?,
    };
    drop(handshake);
    tracing::info!(%identity, "connected directly");
    connected.set(connected.get() + 1);
    let left = until.duration_since(SystemTime::now()).unwrap_or_default();
    tokio::select! {
        biased;
        _ = connection.ended() => {}
        () = tokio::time::sleep(left) => connection.abort("the peer's certificate expired"),
    }
    connected.set(connected.get() - 1);
    Ok(())
}
