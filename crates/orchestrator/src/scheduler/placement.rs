//! The placer: attempts wait here for an agent node that can take them.
//!
//! A place that is free goes to the identity that has the fewest, and of its attempts to the one that
//! has waited longest. When every place is taken, an identity that has more than one that waits is
//! asked to give one up.

#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::rc::Rc;

use tokio::sync::{Notify, oneshot};

use crate::limits;
use crate::scheduler::registry::{NoPlace, Placement, Registry};

/// Gives out places on agent nodes.
pub struct Scheduler {
    registry: Rc<Registry>,
    waiting: RefCell<BTreeMap<Requirements, Lanes>>,
    /// How many came to wait, by which they are ordered.
    order: Cell<u64>,
    taken: Rc<Taken>,
    /// For whom another identity is to give a place up.
    short: RefCell<Vec<Short>>,
    asked: Notify,
    came: Notify,
}

/// What an attempt needs of a node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Requirements {
    kind: String,
    labels: Vec<String>,
}

/// Those who wait, by identity.
type Lanes = BTreeMap<String, VecDeque<Waiting>>;

struct Waiting {
    order: u64,
    avoid: String,
    reply: oneshot::Sender<Placement>,
}

/// An identity that waits while every fitting place is taken.
struct Short {
    requirements: Requirements,
    who: String,
}

/// How many places each identity has.
#[derive(Debug, Default)]
struct Taken(RefCell<HashMap<String, usize>>);

/// One place that an identity has, until it is dropped.
#[derive(Debug)]
pub struct Share {
    taken: Rc<Taken>,
    who: String,
}

impl Taken {
    fn of(&self, who: &str) -> usize {
        self.0.borrow().get(who).copied().unwrap_or_default()
    }

    fn take(self: &Rc<Self>, who: &str) -> Share {
        *self.0.borrow_mut().entry(who.to_owned()).or_default() += 1;
        Share { taken: Rc::clone(self), who: who.to_owned() }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.taken.0.borrow_mut();
        if let Some(count) = taken.get_mut(&self.who) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.who);
            }
        }
    }
}

impl Scheduler {
    /// A placer for the nodes of `registry`. Its [`Scheduler::run`] must be running for it to work.
    pub fn new(registry: Rc<Registry>) -> Rc<Self> {
        Rc::new(Self {
            registry,
            waiting: RefCell::default(),
            order: Cell::new(0),
            taken: Rc::default(),
            short: RefCell::default(),
            asked: Notify::new(),
            came: Notify::new(),
        })
    }

    /// Waits for a place for an attempt of `who` on a node that has `kind` and all `labels`, on
    /// `avoid` only if no other has one. If there is none at once, `explain` is told why.
    pub async fn place(
        &self,
        who: &str,
        (kind, labels): (&str, &[String]),
        avoid: &str,
        explain: impl FnOnce(String),
    ) -> Placement {
        let requirements = Requirements { kind: kind.to_owned(), labels: labels.to_vec() };
        if self.waiting.borrow().contains_key(&requirements) {
            explain("waits for its turn".into());
        } else {
            match self.registry.place(kind, labels, avoid) {
                Ok(placement) => return placement.for_share(self.taken.take(who)),
                Err(why) => explain(why.to_string()),
            }
        }
        let order = self.order.get() + 1;
        self.order.set(order);
        let (reply, receiver) = oneshot::channel();
        let waiting = Waiting { order, avoid: avoid.to_owned(), reply };
        self.wait(requirements, who, waiting);
        match receiver.await {
            Ok(placement) => placement,
            // The placer is gone with the orchestrator; so is this task, in a moment.
            Err(_) => std::future::pending().await,
        }
    }

    fn wait(&self, requirements: Requirements, who: &str, waiting: Waiting) {
        let mut all = self.waiting.borrow_mut();
        let lane = all.entry(requirements.clone()).or_default().entry(who.to_owned()).or_default();
        if lane.is_empty() {
            self.short.borrow_mut().push(Short { requirements, who: who.to_owned() });
            self.came.notify_one();
        }
        lane.push_back(waiting);
    }

    /// Answers when identities wait for places that others have; see [`Scheduler::gives_up`].
    pub async fn asked(&self) {
        self.asked.notified().await;
    }

    /// Whether an attempt of `who` on `node` is to give its place up: one waits that can use it, of an
    /// identity that has fewer. Each that waits is given one at a time.
    pub fn gives_up(&self, who: &str, node: &str) -> bool {
        let mut short = self.short.borrow_mut();
        let has = self.taken.of(who);
        let found = short.iter().position(|short| {
            let Requirements { kind, labels } = &short.requirements;
            has > self.taken.of(&short.who) + 1 && self.registry.fits(node, kind, labels)
        });
        found.map(|at| short.swap_remove(at)).is_some()
    }

    /// Gives places out, for ever.
    pub async fn run(&self) {
        loop {
            let changed = self.registry.changed();
            tokio::pin!(changed);
            self.serve().await;
            loop {
                let is_short = !self.short.borrow().is_empty();
                if is_short {
                    self.asked.notify_waiters();
                }
                tokio::select! {
                    biased;
                    () = &mut changed => break,
                    () = self.came.notified() => {}
                    () = tokio::time::sleep(limits::PLACE_LOOK), if is_short => break,
                }
            }
        }
    }

    /// Gives out what can be given now. A wish that cannot be met holds up only its like.
    async fn serve(&self) {
        self.short.borrow_mut().clear();
        let mut next = BinaryHeap::new();
        self.waiting.borrow_mut().retain(|requirements, lanes| {
            for lane in lanes.values_mut() {
                lane.retain(|waiting| !waiting.reply.is_closed());
            }
            lanes.retain(|_, lane| !lane.is_empty());
            next.extend(self.first(lanes).map(|(rank, _)| Reverse((rank, requirements.clone()))));
            !lanes.is_empty()
        });
        let mut looked = 0;
        while let Some(Reverse((_, requirements))) = next.pop() {
            next.extend(self.meet(&requirements).map(|rank| Reverse((rank, requirements))));
            looked += 1;
            if looked % limits::WISHES_AT_ONCE == 0 {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Whose turn it is among those of one wish: the places that it has, and since when it waits.
    fn first<'a>(&self, lanes: &'a Lanes) -> Option<((usize, u64), &'a str)> {
        let ranks = lanes.iter().filter_map(|(who, lane)| {
            let order = lane.front()?.order;
            Some(((self.taken.of(who), order), who.as_str()))
        });
        ranks.min()
    }

    /// Gives one place to whose turn it is. Answers with the rank of the next one of this wish, if it
    /// may be met too.
    fn meet(&self, requirements: &Requirements) -> Option<(usize, u64)> {
        let mut waiting = self.waiting.borrow_mut();
        let lanes = waiting.get_mut(requirements)?;
        let who = self.first(lanes)?.1.to_owned();
        let lane = lanes.get_mut(&who)?;
        let avoid = &lane.front()?.avoid;
        match self.registry.place(&requirements.kind, &requirements.labels, avoid) {
            Ok(placement) => {
                let first = lane.pop_front()?;
                // One who no longer waits drops the place again.
                let _unwanted = first.reply.send(placement.for_share(self.taken.take(&who)));
            }
            Err(NoPlace::Full) => {
                self.short.borrow_mut().push(Short { requirements: requirements.clone(), who });
                return None;
            }
            Err(_) => return None,
        }
        if lane.is_empty() {
            lanes.remove(&who);
        }
        let rank = self.first(lanes).map(|(rank, _)| rank);
        if rank.is_none() {
            waiting.remove(requirements);
        }
        rank
    }
}
