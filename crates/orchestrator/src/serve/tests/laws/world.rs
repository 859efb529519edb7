//! An agent, its owner and a tool, and what must be true of them by a model of a few lines.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use remit_core::{Code, Failure, GrantId, Value};
use remit_schema::object_capnp::object;
use remit_schema::task_capnp::task_context;
use remit_vat::wire;
use tokio::task::JoinHandle;

use super::super::lab::{self, Lab, Site, Transport, attenuate, call, said, with};
use super::tool::{Hung, Own, Tool, is_in};
use crate::runtime::Owner;

/// The methods that grants are narrowed to.
pub(super) const METHODS: [&str; 7] = ["open", "make", "look", "put", "use", "hang", "all"];

/// Steps after which a task is replaced by a fresh one: its journal is in memory.
const OLD: u64 = 300;

/// What takes as long does not come.
pub(super) const NEVER: Duration = Duration::from_secs(30);

/// What the agent holds, and what the model says of it.
#[derive(Clone)]
struct Held {
    client: object::Client,
    path: String,
    /// The methods that all grants above allow, one bit each.
    allows: u8,
    /// The grants above, the nearest last.
    chain: Vec<u32>,
}

/// A call that does not end by itself.
struct Hanging {
    number: u64,
    chain: Vec<u32>,
    call: JoinHandle<Result<(Value<u32>, u64), Failure>>,
}

/// How often what the laws speak of was met.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Met {
    /// Calls at the tool that a revocation stopped.
    pub(super) stopped: usize,
    /// Objects that came inside a value.
    pub(super) inside: usize,
    /// Objects that went out inside a value and came back.
    pub(super) lent: usize,
}

pub(super) struct World {
    site: Site,
    owner: Rc<Owner>,
    own: Own,
    hung: Rc<Hung>,
    lab: Lab,
    _context: task_context::Client,
    held: Vec<Held>,
    hanging: Vec<Hanging>,
    revoked: Vec<u32>,
    /// The hanging calls whose grants were taken back.
    cut: BTreeSet<u64>,
    /// How many of them were stopped at the tool.
    stopped: usize,
    number: u64,
    pub(super) met: Met,
}

fn bit(method: &str) -> u8 {
    1 << METHODS.iter().position(|known| *known == method).unwrap()
}

impl World {
    pub(super) async fn new(transport: Transport) -> Self {
        let lab = Lab::new(transport);
        let (own, hung) = (Own::default(), Rc::default());
        lab.serves(Tool::root(&own, &hung));
        let site = lab.start();
        let owner = lab::create(&site).await;
        let (context, client) = lab.attempt(&site).await;
        let root = Held { client, path: String::new(), allows: u8::MAX, chain: vec![1] };
        Self {
            site,
            owner,
            own,
            hung,
            lab,
            _context: context,
            held: vec![root],
            hanging: Vec::new(),
            revoked: Vec::new(),
            cut: BTreeSet::new(),
            stopped: 0,
            number: 0,
            met: Met::default(),
        }
    }

    pub(super) const fn is_old(&self) -> bool {
        self.number > OLD
    }

    pub(super) async fn renew(&mut self) {
        self.end().await;
        let met = self.met;
        *self = Self { met, ..Self::new(self.lab.transport).await };
    }

    pub(super) async fn end(&self) {
        self.hanging.iter().for_each(|hanging| hanging.call.abort());
        self.site.tasks.shutdown().await;
    }

    const fn next(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    fn pick(&self, object: usize) -> Held {
        self.held[object % self.held.len()].clone()
    }

    fn is_dead(&self, chain: &[u32]) -> bool {
        chain.iter().any(|grant| self.revoked.contains(grant))
    }

    /// Why a call is refused by the model, if it is.
    fn refuses(&self, held: &Held, method: &str) -> Option<Code> {
        if self.is_dead(&held.chain) {
            return Some(Code::Revoked);
        }
        (held.allows & bit(method) == 0).then_some(Code::Denied)
    }

    async fn keep(&mut self, held: Held) {
        // Over a wire nobody can look: there, what goes around the membrane is seen by its charges.
        if matches!(self.lab.transport, Transport::SameProcess) {
            let bare = is_in(&self.own, &held.client).await;
            assert!(!bare, "the agent was given an unwrapped object");
        }
        if held.path.len() < 60 && self.held.len() < 40 {
            self.held.push(held);
        }
    }

    pub(super) async fn call(&mut self, object: usize, method: &str) {
        let held = self.pick(object);
        if matches!(method, "hang" | "use" | "all") {
            return;
        }
        let answer = said(call(&held.client, self.next(), method)).await;
        self.check(&held, method, &answer);
    }

    fn check(&self, held: &Held, method: &str, answer: &Result<(Value<u32>, u64), Failure>) {
        let told = match answer {
            Ok(_) if matches!(method, "open" | "make") => Ok(()),
            Ok((value, _)) => {
                assert_eq!(*value, Value::Text(format!("{}{method}", held.path)));
                Ok(())
            }
            Err(failure) => Err(failure.code),
        };
        assert_eq!(told.err(), self.refuses(held, method), "{method} on {}", held.path);
    }

    pub(super) async fn open(&mut self, object: usize, how: &str, then: &str) {
        let held = self.pick(object);
        let then = if matches!(then, "hang" | "use" | "all") { "look" } else { then };
        let opening = call(&held.client, self.next(), how);
        let client = opening.pipeline.get_object();
        let before = call(&client, self.next(), then);
        let opened = said(opening).await;
        let before = said(before).await;
        self.check(&held, how, &opened);
        let after = said(call(&client, self.next(), then)).await;
        let what = |answer: Result<(Value<u32>, u64), Failure>| {
            answer.map(|(value, _)| value).map_err(|failure| (failure.code, failure.detail))
        };
        assert_eq!(what(before), what(after), "{then} before and after {how} was answered");
        if opened.is_ok() {
            let inner = Held { client, path: format!("{}{how}.", held.path), ..held };
            self.is_within(inner).await;
        }
    }

    pub(super) async fn attenuate(&mut self, object: usize, mask: u8) {
        let held = self.pick(object);
        let methods = METHODS.iter().filter(|method| mask & bit(method) != 0);
        let names = methods.copied().collect::<Vec<_>>();
        if names.is_empty() || held.chain.len() > 8 {
            return;
        }
        let text = format!("methods={}", names.join(","));
        let made = attenuate(&held.client, self.next(), &text);
        let client = made.pipeline.get_object();
        let made = said(made).await;
        let mask = names.iter().fold(0, |mask, method| mask | bit(method));
        let dead = self.is_dead(&held.chain);
        let wider = mask & !held.allows != 0;
        let expected = if dead { Some(Code::Revoked) } else { wider.then_some(Code::Denied) };
        assert_eq!(made.err().map(|failure| failure.code), expected, "{text}");
        if expected.is_none() {
            let grant = self.owner.with(|task| task.grants().last().unwrap().grant.grant.0);
            let chain = [&held.chain[..], &[grant]].concat();
            self.is_within(Held { client, path: held.path, allows: mask, chain }).await;
        }
    }

    fn used(&self, grant: u32) -> u64 {
        self.owner.with(|task| task.grant(GrantId(grant)).unwrap().used())
    }

    /// Whether it is what the model says, and every use of it is charged where the model says: what
    /// goes around the membrane is charged nowhere.
    async fn is_within(&mut self, held: Held) {
        let nearest = *held.chain.last().unwrap();
        let before = self.used(nearest);
        let answer = said(call(&held.client, self.next(), "look")).await;
        self.check(&held, "look", &answer);
        assert_eq!(self.used(nearest) - before, u64::from(answer.is_ok()), "{}", held.path);
        self.keep(held).await;
    }

    /// The objects in what a call returned; none if the model says that it is refused, as it then is.
    async fn returned(&self, held: &Held, method: &str, call: lab::Call) -> Vec<object::Client> {
        let refused = self.refuses(held, method);
        match call.promise.await {
            Ok(answer) => {
                assert_eq!(refused, None);
                wire::value::read(answer.get().unwrap().get_value().unwrap()).unwrap().1
            }
            Err(error) => {
                let failure = remit_vat::exception::to_failure(&error);
                assert_eq!(Some(failure.code), refused, "{failure}");
                Vec::new()
            }
        }
    }

    pub(super) async fn lend(&mut self, object: usize, lent: usize, nested: bool) {
        let (held, lent) = (self.pick(object), self.pick(lent));
        let record = || Value::List(vec![Value::Fields(vec![("it".into(), Value::Object(0))])]);
        let what = if nested { record() } else { Value::Object(0) };
        let table = std::slice::from_ref(&lent.client);
        let lending = with(&held.client, self.next(), "use", &[("what", what)], table);
        for client in self.returned(&held, "use", lending).await {
            // It is what it was: it answers so, and the use is charged where that one's is.
            self.met.lent += usize::from(nested);
            self.is_within(Held { client, ..lent.clone() }).await;
        }
    }

    /// Calls what returns objects inside a value.
    pub(super) async fn all(&mut self, object: usize) {
        let held = self.pick(object);
        let asking = call(&held.client, self.next(), "all");
        for (at, client) in self.returned(&held, "all", asking).await.into_iter().enumerate() {
            self.met.inside += 1;
            let path = format!("{}all{at}.", held.path);
            self.is_within(Held { client, path, ..held.clone() }).await;
        }
    }

    pub(super) async fn hang(&mut self, object: usize) {
        let held = self.pick(object);
        // The root's grant is never taken back: one call that goes on to the end is enough.
        let for_ever = held.chain.len() == 1 && self.hanging.iter().any(|h| h.chain.len() == 1);
        if self.refuses(&held, "hang").is_some() || for_ever || self.hanging.len() > 3 {
            return;
        }
        let number = self.next();
        let call = tokio::task::spawn_local(said(call(&held.client, number, "hang")));
        self.hanging.push(Hanging { number, chain: held.chain, call });
    }

    pub(super) async fn revoke(&mut self, object: usize, arrived: bool) {
        self.revoke_last(&self.pick(object).chain, arrived).await;
    }

    pub(super) async fn cut(&mut self, hanging: usize, arrived: bool) {
        if let Some(at) = hanging.checked_rem(self.hanging.len()) {
            self.revoke_last(&self.hanging[at].chain.clone(), arrived).await;
        }
    }

    /// Takes a grant back: once all that hangs has reached the tool, or wherever it is by then.
    async fn revoke_last(&mut self, chain: &[u32], arrived: bool) {
        let grant = *chain.last().unwrap();
        if grant == 1 || self.revoked.contains(&grant) {
            return;
        }
        if arrived {
            let all: BTreeSet<u64> = self.hanging.iter().map(|hanging| hanging.number).collect();
            let reached = self.hung.until(|reached, _| all.is_subset(reached));
            tokio::time::timeout(NEVER, reached).await.expect("what hangs reaches the tool");
        }
        lab::revoke(&self.owner, grant).await;
        self.revoked.push(grant);
        let (cut, left) =
            std::mem::take(&mut self.hanging).into_iter().partition(|h| h.chain.contains(&grant));
        self.hanging = left;
        let cut: Vec<Hanging> = cut;
        for hanging in cut {
            assert_eq!(hanging.call.await.unwrap().unwrap_err().code, Code::Revoked);
            self.cut.insert(hanging.number);
        }
        self.all_that_was_cut_is_stopped().await;
        assert!(self.hanging.iter().all(|hanging| !hanging.call.is_finished()), "others go on");
    }

    /// Of the calls that reached the tool, those are stopped there whose grants were taken back, and
    /// no others.
    async fn all_that_was_cut_is_stopped(&mut self) {
        // On the way that the cut ones took: what was sent before it is there when it is answered.
        let root = self.held[0].client.clone();
        said(call(&root, self.next(), "look")).await.unwrap();
        let cut = &self.cut;
        let stopped = self
            .hung
            .until(|reached, stopped| reached.intersection(cut).all(|n| stopped.contains(n)));
        let stopped = tokio::time::timeout(NEVER, stopped).await;
        let (reached, stopped) = stopped.expect("what was cut is stopped at the tool");
        assert_eq!(stopped, &reached & cut, "others go on");
        self.met.stopped += stopped.len() - self.stopped;
        self.stopped = stopped.len();
    }
}
