//! The listener: who comes in, and what they get.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::SystemTime;

use remit_core::audit::{Decision, Record};
use remit_core::{Identity, Role};
use remit_identity::accept::accept;
use remit_identity::credential::MembershipId;
use remit_identity::handshakes::{Handshakes, Place as Handshake};
use remit_identity::join;
use remit_identity::limits::HANDSHAKE;
use remit_identity::tls::{Accepted, Acceptor, Hint, Purpose, Refused};
use remit_journal::audit::Audit;
use remit_vat::connection::Connection;
use remit_vat::turn;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admission::members::{ConnectionBasis, NotAMember};
use crate::limits;
use crate::quota::connections::{Place, Places};
use crate::serve::bootstrap;
use crate::services::context::Site;

/// Serves all who connect.
pub struct Listener {
    site: Rc<Site>,
    acceptor: RefCell<Acceptor>,
    handshakes: Rc<Handshakes>,
    peers: Rc<Places>,
    /// Apart from `peers`: an agent node with many attempts must still be able to come back.
    attempts: Rc<Places>,
    /// Until when each identity has proved itself, by the newest certificate it came with.
    proved: Rc<RefCell<HashMap<String, SystemTime>>>,
    /// What each identity shows in its first message when it dials with the certificate that it came
    /// with last.
    hints: RefCell<HashMap<String, Hint>>,
    tracker: TaskTracker,
    closing: CancellationToken,
}

impl Listener {
    /// A listener for `site` that shakes hands through `acceptor`.
    pub fn new(site: Rc<Site>, acceptor: Acceptor) -> Rc<Self> {
        Rc::new(Self {
            site,
            acceptor: RefCell::new(acceptor),
            handshakes: Handshakes::new(limits::HANDSHAKES),
            peers: Places::new(limits::CONNECTIONS_PER_IDENTITY),
            attempts: Places::new(limits::ATTEMPT_CONNECTIONS),
            proved: Rc::default(),
            hints: RefCell::default(),
            tracker: TaskTracker::new(),
            closing: CancellationToken::new(),
        })
    }

    /// Shakes hands with a renewed certificate from now on.
    pub fn replace_acceptor(&self, acceptor: Acceptor) {
        *self.acceptor.borrow_mut() = acceptor;
    }

    /// Accepts from `tcp` until `stop`.
    pub async fn run(self: &Rc<Self>, tcp: &TcpListener, stop: &CancellationToken) {
        accept(tcp, &self.handshakes, stop, |stream, place| {
            let listener = Rc::clone(self);
            self.tracker.spawn_local(turn::timed("a newcomer", async move {
                listener.handle(stream, place).await;
            }));
        })
        .await;
    }

    /// Ends every connection, and answers when they have ended.
    pub async fn close(&self) {
        self.closing.cancel();
        self.tracker.close();
        if tokio::time::timeout(limits::CLOSING, self.tracker.wait()).await.is_err() {
            tracing::warn!("{} connections did not end in time", self.tracker.len());
        }
    }

    async fn handle(&self, tcp: TcpStream, place: Handshake) {
        let handled = tokio::select! {
            biased;
            () = self.closing.cancelled() => return,
            handled = self.let_in(tcp, place) => handled,
        };
        if let Err(Refused(why)) = handled {
            self.handshakes.log_refused(&why);
        }
    }

    async fn let_in(&self, tcp: TcpStream, place: Handshake) -> Result<(), Refused> {
        place.begin();
        let acceptor = self.acceptor.borrow().clone();
        let vouch = |hint| {
            if self.knows(hint) {
                place.vouch(hint);
            }
        };
        let accepted = tokio::select! {
            biased;
            () = place.taken_away() => return Ok(()),
            accepted = acceptor.accept_hinted(tcp, HANDSHAKE, vouch) => accepted?,
        };
        let Accepted { stream, purpose, peer, membership, hint } = accepted;
        match (purpose, peer) {
            (Purpose::Join, _) => {
                let vouch = |secret: &[u8]| {
                    place.vouch(Hint::of_ticket(secret));
                };
                tokio::select! {
                    biased;
                    () = place.taken_away() => Ok(()),
                    served = self.serve_joiner(stream, vouch) => served,
                }
            }
            (Purpose::Peer, Some((identity, until))) => {
                let address = place.authenticated();
                let connection = self.serve_member(stream, &identity, until, membership)?;
                self.hints.borrow_mut().extend(hint.map(|hint| (identity.to_string(), hint)));
                self.tracker.spawn_local(async move {
                    connection.ended().await;
                    drop(address);
                });
                Ok(())
            }
            (Purpose::Attempt, Some((identity, until))) => {
                drop(place);
                self.serve_attempt(stream, &identity, until).await
            }
            (Purpose::Direct, _) => {
                Err(Refused("a direct connection was refused: this is no tool node".into()))
            }
            (_, None) => Err(Refused("a peer without an identity was refused".into())),
        }
    }

    /// Whether a peer that shows this has a ticket or a certificate that was seen here.
    fn knows(&self, hint: Hint) -> bool {
        self.site.tickets.awaits(hint) || self.hints.borrow().values().any(|known| *known == hint)
    }

    /// Serves a peer whose identity is verified and whose certificate is of no membership, until
    /// `until`.
    pub fn serve_peer<S>(
        &self,
        stream: S,
        identity: &Identity,
        until: SystemTime,
    ) -> Result<Connection, Refused>
    where
        S: AsyncRead + AsyncWrite + 'static,
    {
        self.serve_member(stream, identity, until, None)
    }

    /// Serves a peer whose identity is verified, until `until` or until it is a member no more: the
    /// object of its role, and nothing else.
    pub fn serve_member<S>(
        &self,
        stream: S,
        identity: &Identity,
        until: SystemTime,
        membership: Option<MembershipId>,
    ) -> Result<Connection, Refused>
    where
        S: AsyncRead + AsyncWrite + 'static,
    {
        let place = self.peers.take(identity)?;
        let not_served = || Refused(format!("{identity} was refused: its role is not served here"));
        if identity.role() == Role::Orchestrator {
            return Err(not_served());
        }
        let basis = match self.site.members.greet(identity, membership, until) {
            Ok(basis) => basis,
            Err(not) => {
                self.dismiss(bootstrap::serve_refusal(stream, identity, &not), place);
                return Err(Refused(format!("{identity} was refused: {not}")));
            }
        };
        let connection = bootstrap::serve_role(stream, &self.site, identity, basis.grant());
        let connection = connection.ok_or_else(not_served)?;
        tracing::info!(%identity, "connected");
        self.keep(connection.clone(), basis, place, until);
        Ok(connection)
    }

    /// Leaves a peer that is refused the time to read why.
    fn dismiss(&self, connection: Connection, place: Place) {
        let closing = self.closing.clone();
        self.tracker.spawn_local(async move {
            tokio::select! {
                biased;
                _ = connection.ended() => {}
                () = closing.cancelled() => {}
                () = tokio::time::sleep(limits::FAREWELL) => {}
            }
            connection.abort("its peer is no member");
            connection.ended().await;
            drop(place);
        });
    }

    /// Serves an attempt to an agent node whose identity is verified: the stream begins with a
    /// ticket, which says what it gets.
    pub async fn serve_attempt<S>(
        &self,
        mut stream: S,
        identity: &Identity,
        until: SystemTime,
    ) -> Result<(), Refused>
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        if identity.role() != Role::AgentNode {
            return Err(Refused(format!("{identity} wanted an attempt, and is no agent node")));
        }
        if self.site.members.is_expelled(identity) {
            return Err(Refused(NotAMember::Expelled(identity.clone()).to_string()));
        }
        let place = self.attempts.take(identity)?;
        let mut ticket = [0; 32];
        let read = tokio::time::timeout(HANDSHAKE, stream.read_exact(&mut ticket)).await;
        if !matches!(read, Ok(Ok(_))) {
            return Err(Refused(format!("{identity} was refused: it showed no ticket in time")));
        }
        let redeemed = self.site.tickets.redeem(&ticket, &identity.to_string());
        let redeemed = redeemed
            .ok_or_else(|| Refused(format!("{identity} was refused: its ticket is not good")))?;
        let peer = format!("an attempt on {identity}");
        let connection = bootstrap::serve_attempt(stream, redeemed.bootstrap, &peer);
        // Nobody waits for it if the attempt is over already.
        if let Err(unwanted) = redeemed.connected.send(connection.clone()) {
            unwanted.abort("the attempt is over");
        }
        self.keep(connection, self.site.members.basis(identity), place, until);
        Ok(())
    }

    /// Serves a stranger: one request, one reply. `asked` is told the secret of the invite that it
    /// shows, when the request is whole.
    pub async fn serve_joiner<S>(
        &self,
        mut stream: S,
        asked: impl FnOnce(&[u8]),
    ) -> Result<(), Refused>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let joining = async {
            let request = join::read_request(&mut stream).await?;
            asked(&request.secret);
            let reply = match self.site.admit(&request).await {
                Ok((identity, leaf, authority)) => {
                    tracing::info!(%identity, "joined");
                    Ok((leaf, authority))
                }
                Err(why) => {
                    tracing::warn!("a joiner was refused: {why}");
                    Err(why)
                }
            };
            join::write_reply(&mut stream, reply).await
        };
        let joined = tokio::time::timeout(limits::JOIN, joining).await;
        joined.unwrap_or_else(|_| {
            Err(Refused(format!("a joiner was refused: no request within {:?}", limits::JOIN)))
        })
    }

    /// Ends the connection when the peer's certificate ends, or the orchestrator does. A peer that
    /// has come again meanwhile, with a newer certificate, keeps its older connections as long as
    /// that one lasts: an attempt may take longer than a certificate.
    fn keep(
        &self,
        connection: Connection,
        basis: ConnectionBasis,
        place: Place,
        until: SystemTime,
    ) {
        let name = basis.identity().to_string();
        let site = Rc::clone(&self.site);
        let members = Rc::clone(&self.site.members);
        let connected = members.connected(basis.identity());
        self.prove(&name, until);
        let proved = Rc::clone(&self.proved);
        let closing = self.closing.clone();
        self.tracker.spawn_local(async move {
            let expired = async {
                let mut until = until;
                loop {
                    let left = until.duration_since(SystemTime::now()).unwrap_or_default();
                    tokio::time::sleep(left).await;
                    match proved.borrow().get(&name) {
                        Some(newest) if *newest > until => until = *newest,
                        _ => return,
                    }
                }
            };
            tokio::select! {
                biased;
                _ = connection.ended() => {}
                () = closing.cancelled() => connection.abort("the orchestrator is ending"),
                () = members.lost(&basis) => {
                    connection.abort("what the peer may do was taken away");
                }
                () = expired => connection.abort("the peer's certificate expired"),
            }
            let ended = connection.ended().await;
            if ended.over_bound {
                note_cut_off(&site.audit, basis.identity(), &ended.cause).await;
            }
            drop(connected);
            drop(place);
        });
    }

    fn prove(&self, name: &str, until: SystemTime) {
        let now = SystemTime::now();
        let mut proved = self.proved.borrow_mut();
        proved.retain(|_, until| *until > now);
        self.hints.borrow_mut().retain(|name, _| proved.contains_key(name));
        let newest = proved.entry(name.to_owned()).or_insert(until);
        *newest = until.max(*newest);
    }
}
/// Records that a peer exceeded a bound and was cut off.
async fn note_cut_off(audit: &Audit, who: &Identity, why: &str) {
    let record = Record::new(who.to_string(), Decision::CutOff).because(why);
    if let Err(failure) = audit.record(who.tenant(), record).await {
        tracing::warn!(%who, %failure, "that a peer was cut off is not in the audit");
    }
}
