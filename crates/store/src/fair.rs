//! A queue that many share: each lane is served first come, first served, and the lanes take turns.
//!
//! So one that queues much waits for itself, and another one waits for no more than one turn of each.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::rc::Rc;

use tokio::sync::oneshot;

/// What waits, in lanes that take turns. Each turn gives as many as the lane's weight.
#[derive(Debug)]
pub struct FairQueue<K, T> {
    lanes: HashMap<K, Lane<T>>,
    /// Whose turn it is, the next one first. Each lane that has something is in it once.
    turns: VecDeque<K>,
    len: usize,
}

#[derive(Debug)]
struct Lane<T> {
    waiting: VecDeque<T>,
    /// How many more it gives in this turn.
    left: u32,
    weight: u32,
}

impl<K, T> Default for FairQueue<K, T> {
    fn default() -> Self {
        Self { lanes: HashMap::new(), turns: VecDeque::new(), len: 0 }
    }
}

impl<K: Clone + Eq + Hash, T> FairQueue<K, T> {
    /// Puts `item` at the end of a lane that gives `weight`, at least one, in each of its turns.
    pub fn push(&mut self, lane: K, weight: u32, item: T) {
        let weight = weight.max(1);
        let turns = &mut self.turns;
        let lane = self.lanes.entry(lane).or_insert_with_key(|key| {
            turns.push_back(key.clone());
            Lane { waiting: VecDeque::new(), left: weight, weight }
        });
        lane.weight = weight;
        lane.waiting.push_back(item);
        self.len += 1;
    }

    /// What is next.
    pub fn peek(&self) -> Option<&T> {
        self.lanes.get(self.turns.front()?)?.waiting.front()
    }

    /// Takes what is next.
    pub fn pop(&mut self) -> Option<(K, T)> {
        self.pop_from(|_| true)
    }

    /// Takes what is next of the lanes that may.
    pub fn pop_from(&mut self, may: impl Fn(&K) -> bool) -> Option<(K, T)> {
        let at = self.turns.iter().position(may)?;
        let key = self.turns.remove(at)?;
        let lane = self.lanes.get_mut(&key)?;
        let item = lane.waiting.pop_front()?;
        self.len -= 1;
        if lane.waiting.is_empty() {
            self.lanes.remove(&key);
            return Some((key, item));
        }
        lane.left -= 1;
        if lane.left > 0 {
            self.turns.push_front(key.clone());
        } else {
            lane.left = lane.weight;
            self.turns.push_back(key.clone());
        }
        Some((key, item))
    }

    /// How many wait in all lanes.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing waits.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many wait in one lane.
    pub fn len_of(&self, lane: &K) -> usize {
        self.lanes.get(lane).map_or(0, |lane| lane.waiting.len())
    }
}

/// Turns that lanes take on one vat: so many at once, and of one lane no more than it may have.
#[derive(Debug)]
pub struct Turns<K: Clone + Eq + Hash> {
    waiting: RefCell<FairQueue<K, oneshot::Sender<Turn<K>>>>,
    running: RefCell<HashMap<K, usize>>,
    all: Cell<usize>,
    most: usize,
    most_of_lane: usize,
}

/// A turn. Dropping it gives the next one its own.
#[derive(Debug)]
pub struct Turn<K: Clone + Eq + Hash> {
    turns: Rc<Turns<K>>,
    lane: K,
}

impl<K: Clone + Eq + Hash> Turns<K> {
    /// `most` turns at once, and `most_of_lane` of one lane; both at least one.
    pub fn new(most: usize, most_of_lane: usize) -> Rc<Self> {
        Rc::new(Self {
            waiting: RefCell::default(),
            running: RefCell::default(),
            all: Cell::new(0),
            most: most.max(1),
            most_of_lane: most_of_lane.max(1),
        })
    }

    /// Waits for a turn in this lane. Dropping the future leaves the queue. `None` never comes: a
    /// turn is given to each that waits.
    pub async fn take(self: &Rc<Self>, lane: K) -> Option<Turn<K>> {
        let (sender, given) = oneshot::channel();
        self.waiting.borrow_mut().push(lane, 1, sender);
        self.give();
        given.await.ok()
    }

    fn give(self: &Rc<Self>) {
        while self.all.get() < self.most {
            let next = {
                let running = self.running.borrow();
                let may = |lane: &K| running.get(lane).is_none_or(|n| *n < self.most_of_lane);
                self.waiting.borrow_mut().pop_from(may)
            };
            let Some((lane, sender)) = next else { return };
            if sender.is_closed() {
                continue;
            }
            self.all.set(self.all.get() + 1);
            *self.running.borrow_mut().entry(lane.clone()).or_default() += 1;
            // One that left the queue in this moment drops its turn.
            let _left = sender.send(Turn { turns: Rc::clone(self), lane });
        }
    }
}

impl<K: Clone + Eq + Hash> Drop for Turn<K> {
    fn drop(&mut self) {
        let turns = &self.turns;
        turns.all.set(turns.all.get().saturating_sub(1));
        {
            let mut running = turns.running.borrow_mut();
            if let Some(count) = running.get_mut(&self.lane) {
                *count -= 1;
                if *count == 0 {
                    running.remove(&self.lane);
                }
            }
        }
        turns.give();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn lanes_take_turns_and_each_is_served_in_order() {
        let mut queue = FairQueue::default();
        for item in 0..1_000 {
            queue.push("much", 1, item);
        }
        queue.push("little", 1, 1);
        queue.push("little", 1, 2);
        let taken: Vec<_> = (0..5).filter_map(|_| queue.pop()).collect();
        assert_eq!(taken, [("much", 0), ("little", 1), ("much", 1), ("little", 2), ("much", 2)]);
        assert_eq!((queue.len(), queue.len_of(&"much"), queue.len_of(&"little")), (997, 997, 0));
    }

    #[test]
    fn a_lane_of_more_weight_gives_more_in_its_turn() {
        let mut queue = FairQueue::default();
        for item in 0..6 {
            queue.push("heavy", 3, item);
            queue.push("light", 1, item);
        }
        let taken: String =
            (0..8).filter_map(|_| queue.pop()).map(|(lane, _)| &lane[..1]).collect();
        assert_eq!(taken, "hhhlhhhl");
    }

    proptest::proptest! {
        #[test]
        fn nobody_waits_for_more_than_one_turn_of_each_other_lane(
            pushes in proptest::collection::vec((0..5_u8, 1..4_u32), 1..200),
        ) {
            let mut queue = FairQueue::default();
            let mut most = HashMap::new();
            for (item, (lane, weight)) in pushes.iter().enumerate() {
                queue.push(*lane, *weight, item);
                let known = most.entry(*lane).or_insert(0);
                *known = (*known).max(*weight);
            }
            let mut last = HashMap::new();
            let mut since: HashMap<u8, u32> = HashMap::new();
            while let Some((lane, item)) = queue.pop() {
                let before = last.insert(lane, item);
                proptest::prop_assert!(before.is_none_or(|before| before < item));
                for (other, waited) in &mut since {
                    if *other != lane {
                        *waited += 1;
                    }
                }
                since.insert(lane, 0);
                let others: u32 = most.values().sum();
                let is_fair = |(other, waited): (&u8, &u32)| {
                    queue.len_of(other) == 0 || *waited <= others
                };
                proptest::prop_assert!(since.iter().all(is_fair));
                since.retain(|other, _| queue.len_of(other) > 0);
            }
            proptest::prop_assert!(queue.is_empty() && queue.peek().is_none());
            proptest::prop_assert_eq!(last.len(), most.len());
        }
    }

    #[test]
    fn a_lane_has_no_more_turns_than_it_may_and_others_go_on() {
        let turns = Turns::new(3, 2);
        let mut greedy: Vec<_> = (0..5).map(|_| Box::pin(turns.take("greedy"))).collect();
        let mut held: Vec<_> =
            greedy.iter_mut().filter_map(|turn| turn.as_mut().now_or_never()).collect();
        assert_eq!(held.len(), 2);
        let modest = turns.take("modest").now_or_never();
        assert!(modest.is_some());
        let mut third = Box::pin(turns.take("third"));
        assert!(third.as_mut().now_or_never().is_none(), "there are three at once");
        held.pop();
        assert!(
            third.as_mut().now_or_never().is_some() || {
                drop(modest);
                third.now_or_never().is_some()
            }
        );
    }

    #[test]
    fn one_that_leaves_the_queue_holds_up_nobody() {
        let turns = Turns::new(1, 1);
        let first = turns.take(1).now_or_never().unwrap();
        let mut gone: Vec<_> = (0..1_000).map(|_| Box::pin(turns.take(1))).collect();
        assert!(gone.iter_mut().all(|turn| turn.as_mut().now_or_never().is_none()));
        let mut next = Box::pin(turns.take(2));
        assert!(next.as_mut().now_or_never().is_none());
        // One of them was given its turn and did not look yet.
        drop(first);
        drop(gone);
        assert!(next.now_or_never().is_some());
        assert_eq!((turns.all.get(), turns.running.borrow().len()), (0, 0));
    }
}
