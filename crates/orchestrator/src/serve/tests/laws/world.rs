//! An agent, its owner and a tool, and what must be true of them by a model of a few lines.

use std::cell::RefCell;
use std::rc::Rc;

use capnp_rpc::CapabilityServerSet;
use remit_core::{Code, Failure, GrantId, Value};
use remit_schema::object_capnp::object;
use remit_schema::task_capnp::task_context;
use remit_vat::wire;
use tokio::task::JoinHandle;

use super::super::lab::{self, Lab, Site, Transport, attenuate, call, lend, said};
use crate::owner::Owner;

/// The methods that grants are narrowed to.
pub(super) const METHODS: [&str; 6] = ["open", "make", "look", "put", "use", "hang"];

/// Steps after which a task is replaced by a fresh one: its journal is in memory.
const OLD: u64 = 300;

/// The references of the tool's own: nobody else may ever hold one.
type Own = Rc<RefCell<CapabilityServerSet<Tool, object::Client>>>;

/// An object of the tool.
struct Tool {
    path: String,
    own: Own,
    /// Which grants' objects hung and were stopped.
    seen: Rc<RefCell<u64>>,
}

impl Tool {
    fn wrap(self) -> object::Client {
        let own = Rc::clone(&self.own);
        let mut own = own.borrow_mut();
        own.gc();
        own.new_client(self)
    }
}

/// Counts a call as stopped when it is dropped.
struct Stopped(Rc<RefCell<u64>>);

impl Drop for Stopped {
    fn drop(&mut self) {
        *self.0.borrow_mut() += 1;
    }
}

impl object::Server for Tool {
    async fn call(
        self: Rc<Self>,
        params: object::CallParams,
        mut results: object::CallResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let method = wire::text(params.get_method())?;
        let (_, lent) = wire::value::read(params.get_args()?)?;
        for client in &lent {
            assert!(
                !is_in(&self.own, client).await,
                "the tool saw an object of its own, unwrapped"
            );
        }
        match method.as_str() {
            "open" | "make" => {
                let (own, seen) = (Rc::clone(&self.own), Rc::clone(&self.seen));
                let object = Self { path: format!("{}{method}.", self.path), own, seen };
                results.get().set_object(object.wrap());
            }
            "use" => {
                let back = (0..lent.len()).map(|at| Value::Object(u32::try_from(at).unwrap()));
                wire::value::write(results.get().init_value(), &Value::List(back.collect()), &lent);
            }
            "hang" => {
                let _stopped = Stopped(Rc::clone(&self.seen));
                std::future::pending::<()>().await;
            }
            _ => results.get().init_value().set_text(format!("{}{method}", self.path)),
        }
        Ok(())
    }
}

/// Whether a reference is one of the tool's own, unwrapped.
async fn is_in(own: &Own, client: &object::Client) -> bool {
    let client = capnp::capability::get_resolved_cap(client.clone()).await;
    own.borrow().get_local_server_of_resolved(&client).is_some()
}

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
    chain: Vec<u32>,
    call: JoinHandle<Result<(Value<u32>, u64), Failure>>,
}

pub(super) struct World {
    site: Site,
    owner: Rc<Owner>,
    own: Own,
    stopped: Rc<RefCell<u64>>,
    _lab: Lab,
    _context: task_context::Client,
    held: Vec<Held>,
    hanging: Vec<Hanging>,
    revoked: Vec<u32>,
    number: u64,
}

fn bit(method: &str) -> u8 {
    1 << METHODS.iter().position(|known| *known == method).unwrap()
}

impl World {
    pub(super) async fn new() -> Self {
        let lab = Lab::new(Transport::SameProcess);
        let (own, stopped) = (Own::default(), Rc::default());
        let root = Tool { path: String::new(), own: Rc::clone(&own), seen: Rc::clone(&stopped) };
        lab.serves(root.wrap());
        let site = lab.start();
        let owner = lab::create(&site).await;
        let (context, client) = lab.attempt(&site).await;
        let root = Held { client, path: String::new(), allows: u8::MAX, chain: vec![1] };
        Self {
            site,
            owner,
            own,
            stopped,
            _lab: lab,
            _context: context,
            held: vec![root],
            hanging: Vec::new(),
            revoked: Vec::new(),
            number: 0,
        }
    }

    pub(super) const fn is_old(&self) -> bool {
        self.number > OLD
    }

    pub(super) async fn renew(&mut self) {
        self.end().await;
        *self = Self::new().await;
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
        assert!(!is_in(&self.own, &held.client).await, "the agent was given an unwrapped object");
        if held.path.len() < 60 && self.held.len() < 40 {
            self.held.push(held);
        }
    }

    pub(super) async fn call(&mut self, object: usize, method: &str) {
        let held = self.pick(object);
        if method == "hang" || method == "use" {
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
        let then = if matches!(then, "hang" | "use") { "look" } else { then };
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
            let again = said(call(&inner.client, self.next(), "look")).await;
            self.check(&inner, "look", &again);
            self.keep(inner).await;
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
            self.keep(Held { client, path: held.path, allows: mask, chain }).await;
        }
    }

    fn used(&self, grant: u32) -> u64 {
        self.owner.with(|task| task.grant(GrantId(grant)).unwrap().used())
    }

    pub(super) async fn lend(&mut self, object: usize, lent: usize) {
        let (held, lent) = (self.pick(object), self.pick(lent));
        let answer = lend(&held.client, self.next(), "use", &lent.client).promise.await;
        let refused = self.refuses(&held, "use");
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                let failure = remit_vat::exception::to_failure(&error);
                assert_eq!(Some(failure.code), refused, "{failure}");
                return;
            }
        };
        assert_eq!(refused, None);
        let value = answer.get().unwrap().get_value().unwrap();
        let (_, mut back) = wire::value::read(value).unwrap();
        drop(answer);
        // It is what it was: it answers so, and the use is charged where that one's is.
        let back = Held { client: back.remove(0), ..lent };
        let nearest = *back.chain.last().unwrap();
        let before = self.used(nearest);
        let answer = said(call(&back.client, self.next(), "look")).await;
        self.check(&back, "look", &answer);
        assert_eq!(self.used(nearest) - before, u64::from(answer.is_ok()));
        self.keep(back).await;
    }

    pub(super) async fn hang(&mut self, object: usize) {
        let held = self.pick(object);
        if self.refuses(&held, "hang").is_some() || self.hanging.len() > 3 {
            return;
        }
        let call = tokio::task::spawn_local(said(call(&held.client, self.next(), "hang")));
        self.hanging.push(Hanging { chain: held.chain, call });
    }

    pub(super) async fn revoke(&mut self, object: usize) {
        let grant = *self.pick(object).chain.last().unwrap();
        if grant == 1 || self.revoked.contains(&grant) {
            return;
        }
        // What hangs must have arrived, to be stopped.
        let hanging = self.hanging.iter().filter(|h| h.chain.contains(&grant)).count();
        while self.owner.with(|task| task.open_calls().count()) < self.hanging.len() {
            tokio::task::yield_now().await;
        }
        let before = *self.stopped.borrow();
        lab::revoke(&self.owner, grant).await;
        self.revoked.push(grant);
        let (cut, left) =
            std::mem::take(&mut self.hanging).into_iter().partition(|h| h.chain.contains(&grant));
        self.hanging = left;
        let cut: Vec<Hanging> = cut;
        for hanging in cut {
            assert_eq!(hanging.call.await.unwrap().unwrap_err().code, Code::Revoked);
        }
        let _at_most = hanging;
        assert!(*self.stopped.borrow() <= before + hanging as u64);
        assert!(self.hanging.iter().all(|hanging| !hanging.call.is_finished()), "others go on");
    }
}
