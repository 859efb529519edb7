//! Introductions: which agent nodes may come, for what, and what is kept for them.

// A match that decides names every variant, so that a new one cannot fall through to another arm.
#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use remit_core::grant::Links;
use remit_core::grant::links::At;
use remit_core::grant::resolved_call::ResolvedCall;
use remit_core::{Code, Failure, Value};
use remit_identity::ticket;
use remit_identity::tls::Hint;
use remit_vat::connection::Connection;
use tokio::time::Instant;

use crate::calls::Request;
use crate::kit::{Instance, fail};
use crate::limits;

/// The introductions whose ticket waits to be shown, by the ticket's hash, so that a look-up tells
/// nothing of a ticket by how long it takes.
#[derive(Default)]
pub(crate) struct Introductions {
    waiting: RefCell<HashMap<[u8; 32], Weak<Introduction>>>,
}

/// What one agent node was introduced for.
pub(crate) struct Introduction {
    agent: String,
    links: Links,
    until: Instant,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    closed: bool,
    connection: Option<Connection>,
    /// By the hash of the token, as tickets are.
    kept: HashMap<[u8; 32], Arc<Value<u32>>>,
    bytes: usize,
}

/// The owner's hold on an introduction. Dropping it ends everything that came of it.
pub(crate) struct Lease {
    introduction: Rc<Introduction>,
    introductions: Rc<Introductions>,
    hash: [u8; 32],
}

impl Introductions {
    /// Expects `agent`, for a minute, with the ticket that has this hash.
    pub(crate) fn expect(
        self: &Rc<Self>,
        hash: [u8; 32],
        agent: String,
        links: Links,
    ) -> Result<Lease, Failure> {
        let mut waiting = self.waiting.borrow_mut();
        waiting.retain(|_, known| known.upgrade().is_some_and(|known| known.is_awaited()));
        if waiting.len() >= limits::INTRODUCTIONS_WAITING {
            let most = limits::INTRODUCTIONS_WAITING;
            return Err(fail::limit(format!("{most} agent nodes are awaited already")));
        }
        let until = Instant::now() + limits::TICKET_LIFE;
        let state = RefCell::default();
        let introduction = Rc::new(Introduction { agent, links, until, state });
        waiting.insert(hash, Rc::downgrade(&introduction));
        Ok(Lease { introduction, introductions: Rc::clone(self), hash })
    }

    /// Whether an agent node that shows this in its first message holds one of the tickets.
    pub(crate) fn awaits(&self, hint: Hint) -> bool {
        let waiting = self.waiting.borrow();
        waiting.iter().any(|(hash, known)| {
            Hint::of_ticket_hash(hash) == hint
                && known.upgrade().is_some_and(|known| known.is_awaited())
        })
    }

    /// What a ticket is good for, when `agent` shows it. It is used up, whoever shows it.
    pub(crate) fn redeem(&self, ticket: &[u8], agent: &str) -> Option<Rc<Introduction>> {
        let introduction = self.waiting.borrow_mut().remove(&ticket::hash(ticket))?.upgrade()?;
        (introduction.agent == agent && introduction.is_awaited()).then_some(introduction)
    }
}

impl Lease {
    /// What it is a hold on.
    pub(crate) const fn introduction(&self) -> &Rc<Introduction> {
        &self.introduction
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.introductions.waiting.borrow_mut().remove(&self.hash);
        self.introduction.close();
    }
}

impl Introduction {
    fn is_awaited(&self) -> bool {
        !self.state.borrow().closed && Instant::now() < self.until
    }

    /// The agent node has come, over this connection.
    pub(crate) fn connected(&self, connection: Connection) {
        let mut state = self.state.borrow_mut();
        if state.closed {
            connection.abort("the introduction is over");
        } else {
            state.connection = Some(connection);
        }
    }

    fn close(&self) {
        let State { connection, .. } =
            self.state.replace(State { closed: true, ..State::default() });
        if let Some(connection) = connection {
            connection.abort("the introduction is over");
        }
    }

    /// Whether the agent node is connected.
    pub(crate) fn stands(&self) -> bool {
        let state = self.state.borrow();
        state.connection.as_ref().is_some_and(|connection| !connection.is_closed())
    }

    /// Keeps a value for the agent node. Gives the token for it; `None`: too much is kept already.
    pub(crate) fn keep(&self, value: Arc<Value<u32>>) -> Option<[u8; 32]> {
        let weight = value.weight();
        let mut state = self.state.borrow_mut();
        if state.closed || state.bytes + weight > limits::KEPT_BYTES {
            return None;
        }
        let token = ticket::fresh();
        state.kept.insert(ticket::hash(&token), value);
        state.bytes += weight;
        Some(token)
    }

    /// The value for a token, once.
    pub(crate) fn take(&self, token: &[u8]) -> Result<Arc<Value<u32>>, Failure> {
        let hash = ticket::hash(token);
        let mut state = self.state.borrow_mut();
        let value = state.kept.remove(&hash).ok_or_else(|| {
            Failure::new(Code::NotFound, "nothing is kept for that token: ask the task's owner")
        })?;
        state.bytes -= value.weight();
        Ok(value)
    }

    /// Whether a value of so many bytes may go to the agent node.
    pub(crate) fn check_result(&self, method: &str, bytes: u64) -> Result<(), Failure> {
        self.links.check_result(method, bytes)
    }
}

/// What guards one object of an introduction.
#[derive(Clone)]
pub(crate) struct Guard {
    introduction: Rc<Introduction>,
    /// Where the object stands, seen from the grant's root.
    path: String,
    is_root: bool,
}

impl Guard {
    /// That of the grant's root.
    pub(crate) const fn root(introduction: Rc<Introduction>) -> Self {
        Self { introduction, path: String::new(), is_root: true }
    }

    /// The introduction.
    pub(crate) const fn introduction(&self) -> &Rc<Introduction> {
        &self.introduction
    }

    /// The guard of what a call returns. A direct call is held to the caveats; any other is not, the
    /// task's owner has done that.
    pub(crate) fn admit(
        &self,
        instance: &Instance,
        request: &Request,
        direct: bool,
    ) -> Result<Option<Self>, Failure> {
        let method = &instance.method(&request.method)?.meta;
        let args = request.args.clone();
        let resolved = if direct {
            let obtained = (!self.is_root).then(|| instance.interface());
            let at = At { path: &self.path, obtained };
            self.introduction.links.check(method, args, at, now_ms())?
        } else {
            let args = args.try_map(&mut |_| Err(()));
            match args.map(|args| ResolvedCall::of(method, args, Some(&self.path))) {
                Ok(Ok(resolved)) => resolved,
                _ => return Ok(None),
            }
        };
        let (introduction, path) = (Rc::clone(&self.introduction), resolved.path);
        Ok(Some(Self { introduction, path, is_root: false }))
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
