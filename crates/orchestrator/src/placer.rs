//! The placer: tasks wait here, first come first served, for an agent node that can take them.

use std::cell::{Cell, RefCell};
use std::collections::{HashSet, VecDeque};
use std::rc::Rc;

use tokio::sync::{Notify, oneshot};

use crate::registry::{Placement, Registry};

/// Gives out places on agent nodes.
pub struct Placer {
    registry: Rc<Registry>,
    queue: RefCell<VecDeque<Waiting>>,
    /// How many at the front of the queue were looked at since a node changed, in vain.
    tried: Cell<usize>,
    came: Notify,
}

struct Waiting {
    kind: String,
    labels: Vec<String>,
    avoid: String,
    reply: oneshot::Sender<Placement>,
}

impl Placer {
    /// A placer for the nodes of `registry`. Its [`Placer::run`] must be running for it to work.
    pub fn new(registry: Rc<Registry>) -> Rc<Self> {
        Rc::new(Self {
            registry,
            queue: RefCell::default(),
            tried: Cell::new(0),
            came: Notify::new(),
        })
    }

    /// Waits for a place on a node that has `kind` and all `labels`, on `avoid` only if no other has one. If there is none at once,
    /// `explain` is told why.
    pub async fn place(
        &self,
        kind: &str,
        labels: &[String],
        avoid: &str,
        explain: impl FnOnce(String),
    ) -> Placement {
        if self.queue.borrow().is_empty() {
            match self.registry.place(kind, labels, avoid) {
                Ok(placement) => return placement,
                Err(why) => explain(why),
            }
        } else {
            explain("waits for its turn".into());
        }
        let (reply, receiver) = oneshot::channel();
        let (kind, labels, avoid) = (kind.to_owned(), labels.to_vec(), avoid.to_owned());
        let waiting = Waiting { kind, labels, avoid, reply };
        self.queue.borrow_mut().push_back(waiting);
        self.came.notify_one();
        match receiver.await {
            Ok(placement) => placement,
            // The placer is gone with the orchestrator; so is this task, in a moment.
            Err(_) => std::future::pending().await,
        }
    }

    /// Serves the queue for ever.
    pub async fn run(&self) {
        loop {
            let changed = self.registry.changed();
            let came = self.came.notified();
            self.serve();
            tokio::select! {
                biased;
                () = changed => self.tried.set(0),
                () = came => {}
            }
        }
    }

    /// Gives out what can be given now. A wish that cannot be met holds up only its like; one that
    /// was not met is looked at again when a node has changed, so that those who come do not make
    /// everybody's turn be looked at.
    fn serve(&self) {
        let mut queue = self.queue.borrow_mut();
        let mut unmet: HashSet<(String, Vec<String>)> = HashSet::new();
        let mut left = VecDeque::new();
        for waiting in queue.drain(self.tried.get()..) {
            if waiting.reply.is_closed() {
                continue;
            }
            let wish = (waiting.kind.clone(), waiting.labels.clone());
            if unmet.contains(&wish) {
                left.push_back(waiting);
                continue;
            }
            match self.registry.place(&waiting.kind, &waiting.labels, &waiting.avoid) {
                Ok(placement) => {
                    // One who no longer waits drops the place again.
                    let _unwanted = waiting.reply.send(placement);
                }
                Err(_) => {
                    unmet.insert(wish);
                    left.push_back(waiting);
                }
            }
        }
        queue.append(&mut left);
        self.tried.set(queue.len());
    }
}
