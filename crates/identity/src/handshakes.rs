//! Unauthenticated connections: their number, their addresses, and the order in which they are
//! dropped.
//!
//! A connection is accepted at once and takes a place. When no place is left, it takes the place of
//! an older connection: the oldest one of the address that holds most places. A peer that shows the
//! hint of a known peer in its first message holds a place of another kind, which no stranger can
//! take.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::rc::Rc;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::limits;
use crate::tls::Hint;

/// Bounds on unauthenticated connections.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Connections from one address. One more drops the oldest of that address.
    pub per_address: usize,
    /// Connections in all, without those of known peers. More wait at the listener.
    pub strangers: usize,
    /// Connections of known peers. More count as strangers.
    pub known: usize,
}

/// The unauthenticated connections of one listener.
#[derive(Debug)]
pub struct Handshakes {
    bounds: Bounds,
    entries: RefCell<BTreeMap<u64, Entry>>,
    next: Cell<u64>,
    freed: Notify,
    /// Connections of authenticated peers, by address.
    members: RefCell<HashMap<IpAddr, usize>>,
    dropped: Cell<u64>,
    log: RefCell<LogBudget>,
}

#[derive(Debug)]
struct Entry {
    address: IpAddr,
    /// When reading its first bytes began. `None`: it had no chance yet.
    since: Option<Instant>,
    rank: Rank,
    dropped: CancellationToken,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rank {
    Stranger,
    /// A peer that showed this hint.
    Known(Hint),
}

#[derive(Debug)]
struct LogBudget {
    until: Instant,
    lines: u32,
    unlogged: u64,
}

/// A place among the unauthenticated connections. Dropping it frees the place.
#[derive(Debug)]
pub struct Place {
    handshakes: Rc<Handshakes>,
    number: u64,
    address: IpAddr,
    dropped: CancellationToken,
}

/// The address of an authenticated peer's connection. Dropping it ends the preference for the
/// address.
#[derive(Debug)]
pub struct MemberAddress {
    handshakes: Rc<Handshakes>,
    address: IpAddr,
}

impl Handshakes {
    /// Starts without connections.
    pub fn new(bounds: Bounds) -> Rc<Self> {
        let log = LogBudget { until: Instant::now(), lines: 0, unlogged: 0 };
        Rc::new(Self {
            bounds,
            entries: RefCell::default(),
            next: Cell::new(0),
            freed: Notify::new(),
            members: RefCell::default(),
            dropped: Cell::new(0),
            log: RefCell::new(log),
        })
    }

    /// Takes a place for a connection from `address`, and drops an older connection if necessary.
    /// Waits while no connection has had its least time.
    pub async fn place(self: &Rc<Self>, address: IpAddr) -> Place {
        loop {
            // Registered before the look for room, so that no freed place goes unnoticed.
            let freed = self.freed.notified();
            let Some(until) = self.make_room(address) else { return self.enter(address) };
            tokio::select! {
                biased;
                () = freed => {}
                () = tokio::time::sleep_until(until) => {}
            }
        }
    }

    /// The number of connections dropped to make room since the start.
    pub const fn dropped(&self) -> u64 {
        self.dropped.get()
    }

    /// Logs why a connection was refused. Above [`limits::REFUSALS_LOGGED`] lines within a period
    /// it only counts, so that a flood cannot fill the log.
    pub fn log_refused(&self, why: &str) {
        let mut log = self.log.borrow_mut();
        let now = Instant::now();
        if now >= log.until {
            if log.unlogged > 0 {
                tracing::warn!(refused = log.unlogged, "more connections were refused");
            }
            let until = now + limits::REFUSALS_LOGGED_EVERY;
            *log = LogBudget { until, lines: 0, unlogged: 0 };
        }
        if log.lines < limits::REFUSALS_LOGGED {
            log.lines += 1;
            tracing::warn!("{why}");
        } else {
            log.unlogged += 1;
        }
    }

    fn enter(self: &Rc<Self>, address: IpAddr) -> Place {
        let number = self.next.get();
        self.next.set(number + 1);
        let dropped = CancellationToken::new();
        let entry = Entry { address, since: None, rank: Rank::Stranger, dropped: dropped.clone() };
        self.entries.borrow_mut().insert(number, entry);
        Place { handshakes: Rc::clone(self), number, address, dropped }
    }

    /// Drops an older connection if one must go. Returns when to look again if none may go yet.
    fn make_room(&self, address: IpAddr) -> Option<Instant> {
        let victim = {
            let entries = self.entries.borrow();
            let mut held: HashMap<IpAddr, usize> = HashMap::new();
            let strangers = || entries.iter().filter(|(_, entry)| entry.rank == Rank::Stranger);
            for (_, entry) in strangers() {
                *held.entry(entry.address).or_default() += 1;
            }
            let is_full = strangers().count() >= self.bounds.strangers;
            let is_own_full = held.get(&address).is_some_and(|n| *n >= self.bounds.per_address);
            if !is_full && !is_own_full {
                return None;
            }
            let now = Instant::now();
            let had_time = |entry: &Entry| {
                entry.since.is_some_and(|since| now >= since + limits::HANDSHAKE_LEAST)
            };
            let members = self.members.borrow();
            // Strangers from the address of a connected member go last. Then the largest holder
            // goes first.
            let first_to_go = |entry: &Entry| {
                let share = held.get(&entry.address).copied().unwrap_or_default();
                (members.contains_key(&entry.address), Reverse(share), entry.since)
            };
            let victim = strangers()
                .filter(|(_, entry)| is_full || entry.address == address)
                .filter(|(_, entry)| had_time(entry))
                .min_by_key(|(_, entry)| first_to_go(entry))
                .map(|(number, _)| *number);
            if victim.is_none() && is_full {
                let oldest = strangers().filter_map(|(_, entry)| entry.since).min();
                return Some(oldest.unwrap_or(now) + limits::HANDSHAKE_LEAST);
            }
            victim
        };
        if let Some(entry) = victim.and_then(|number| self.entries.borrow_mut().remove(&number)) {
            entry.dropped.cancel();
            self.dropped.set(self.dropped.get() + 1);
            let from = entry.address;
            self.log_refused(&format!(
                "{from} was dropped before it was authenticated: {} are under way, and others wait",
                self.bounds.strangers.min(self.bounds.per_address)
            ));
        }
        None
    }

    /// Whether a connection that shows `hint` may count as known.
    fn takes_known(&self, hint: Hint) -> bool {
        let entries = self.entries.borrow();
        let known = || entries.values().filter(|entry| entry.rank != Rank::Stranger);
        let same = known().filter(|entry| entry.rank == Rank::Known(hint)).count();
        known().count() < self.bounds.known && same < limits::HANDSHAKES_PER_HINT
    }
}

impl Place {
    /// Starts the time of the connection: its first bytes are read from now on.
    pub fn begin(&self) {
        if let Some(entry) = self.handshakes.entries.borrow_mut().get_mut(&self.number) {
            entry.since = Some(Instant::now());
        }
    }

    /// Records that the peer showed the hint of a known peer, so that no stranger takes its place.
    /// False: too many connections are known already, or this place was taken away.
    pub fn vouch(&self, hint: Hint) -> bool {
        if !self.handshakes.takes_known(hint) {
            return false;
        }
        let mut entries = self.handshakes.entries.borrow_mut();
        let entry = entries.get_mut(&self.number).map(|entry| entry.rank = Rank::Known(hint));
        drop(entries);
        self.handshakes.freed.notify_waiters();
        entry.is_some()
    }

    /// Completes when the place was taken away. The connection must end then.
    pub async fn taken_away(&self) {
        self.dropped.cancelled().await;
    }

    /// Records that the peer is authenticated. Other connections from its address are preferred
    /// while it is connected.
    pub fn authenticated(self) -> MemberAddress {
        let (handshakes, address) = (Rc::clone(&self.handshakes), self.address);
        *handshakes.members.borrow_mut().entry(address).or_default() += 1;
        MemberAddress { handshakes, address }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.handshakes.entries.borrow_mut().remove(&self.number);
        self.handshakes.freed.notify_waiters();
    }
}

impl Drop for MemberAddress {
    fn drop(&mut self) {
        let mut members = self.handshakes.members.borrow_mut();
        if let Some(count) = members.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                members.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;

    const BOUNDS: Bounds = Bounds { per_address: 4, strangers: 8, known: 2 };

    fn address(last: u8) -> IpAddr {
        Ipv4Addr::new(10, 0, 0, last).into()
    }

    async fn places(handshakes: &Rc<Handshakes>, from: u8, count: usize) -> Vec<Place> {
        let mut places = Vec::new();
        for _ in 0..count {
            let place = handshakes.place(address(from)).await;
            place.begin();
            // Each place is taken a moment after the one before.
            tokio::time::advance(Duration::from_millis(1)).await;
            places.push(place);
        }
        places
    }

    fn dropped(places: &[Place]) -> Vec<usize> {
        let dropped = places.iter().enumerate().filter(|(_, place)| place.dropped.is_cancelled());
        dropped.map(|(at, _)| at).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_over_its_share_loses_its_own_oldest() {
        let handshakes = Handshakes::new(BOUNDS);
        let other = places(&handshakes, 2, 1).await;
        let mine = places(&handshakes, 1, 4).await;
        tokio::time::advance(limits::HANDSHAKE_LEAST).await;
        let _more = places(&handshakes, 1, 2).await;
        assert_eq!((dropped(&mine), dropped(&other)), (vec![0, 1], vec![]));
    }

    #[tokio::test(start_paused = true)]
    async fn the_address_that_holds_most_makes_room_for_the_others() {
        let handshakes = Handshakes::new(Bounds { per_address: 6, ..BOUNDS });
        let few = places(&handshakes, 2, 2).await;
        let many = places(&handshakes, 1, 6).await;
        tokio::time::advance(limits::HANDSHAKE_LEAST).await;
        let _newcomer = places(&handshakes, 3, 1).await;
        assert_eq!((dropped(&many), dropped(&few)), (vec![0], vec![]));
        assert_eq!(handshakes.dropped(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_with_a_live_member_is_spared() {
        let handshakes = Handshakes::new(Bounds { per_address: 8, ..BOUNDS });
        let member = handshakes.place(address(1)).await.authenticated();
        let spared = places(&handshakes, 1, 6).await;
        let strange = places(&handshakes, 2, 2).await;
        tokio::time::advance(limits::HANDSHAKE_LEAST).await;
        let _newcomer = places(&handshakes, 3, 1).await;
        assert_eq!((dropped(&strange), dropped(&spared)), (vec![0], vec![]));
        drop(member);
        assert!(handshakes.members.borrow().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn each_connection_has_its_time_before_it_is_dropped() {
        let handshakes = Handshakes::new(BOUNDS);
        let first = places(&handshakes, 1, 8).await;
        assert!(dropped(&first).is_empty(), "all of them are too young");
        let before = Instant::now();
        let _next = handshakes.place(address(2)).await;
        assert!(before.elapsed() >= limits::HANDSHAKE_LEAST - Duration::from_millis(8));
        assert_eq!(dropped(&first), [0]);
    }

    #[tokio::test(start_paused = true)]
    async fn strangers_do_not_take_the_place_of_a_known_peer() {
        let handshakes = Handshakes::new(BOUNDS);
        let known = places(&handshakes, 1, 1).await;
        assert!(known[0].vouch(Hint::of_ticket(&[1; 32])));
        let _silent = places(&handshakes, 1, 4).await;
        tokio::time::advance(limits::HANDSHAKE_LEAST).await;
        let _more = places(&handshakes, 1, 40).await;
        assert!(dropped(&known).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_hint_that_is_shown_again_and_again_makes_nobody_known() {
        let bounds = Bounds { per_address: 64, strangers: 64, known: 64 };
        let handshakes = Handshakes::new(bounds);
        let places = places(&handshakes, 1, limits::HANDSHAKES_PER_HINT + 1).await;
        let hint = Hint::of_ticket(&[1; 32]);
        let known = places.iter().filter(|place| place.vouch(hint)).count();
        assert_eq!(known, limits::HANDSHAKES_PER_HINT);
        assert!(places.last().unwrap().vouch(Hint::of_ticket(&[2; 32])));
    }
}
