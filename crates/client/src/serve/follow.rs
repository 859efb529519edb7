//! Following a task: subscribes from a cursor, and again from the last cursor whenever the feed is
//! lost, so that no event is lost or doubled.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use futures::FutureExt as _;
use remit_core::{CallNumber, Code, Event, EventNumber, Fact, Failure};
use remit_schema::mesh_capnp::{event_sink, subscription};
use remit_vat::connection::within;
use remit_vat::exception::{to_exception, to_failure};
use remit_vat::wire;
use tokio::sync::{Notify, mpsc};

use super::session::{Link, Session, is_lost};
use crate::error::Error;
use crate::events::Followed;
use crate::limits;
use crate::task::Way;

type Items = mpsc::Sender<Result<Followed, Error>>;

/// Feeds `items` from `after` on, until the task has ended or the reader is dropped.
pub(crate) async fn follow(session: Rc<Session>, task: Way, after: EventNumber, items: Items) {
    let progress = Rc::new(Progress {
        items: items.clone(),
        cursor: Cell::new(after),
        caught_up: Cell::new(false),
        ended: Cell::new(false),
        turn: Cell::new(0),
        change: Notify::new(),
        failure: RefCell::new(None),
    });
    tokio::select! {
        biased;
        () = items.closed() => {}
        end = feed(&session, &task, &progress) => if let Err(error) = end {
            // An error means that the reader was dropped meanwhile.
            let _ = items.send(Err(error)).await;
        },
    }
}

async fn feed(session: &Session, task: &Way, progress: &Rc<Progress>) -> Result<(), Error> {
    let mut lost = false;
    while !progress.is_over() {
        let link = match session.link().now_or_never() {
            Some(link) => link?,
            None => {
                if !std::mem::replace(&mut lost, true) {
                    progress.say(Followed::Disconnected).await?;
                }
                session.link().await?
            }
        };
        let turn = progress.begin();
        match subscribe(&link, task, progress, turn).await {
            Ok(lease) => {
                if std::mem::take(&mut lost) {
                    progress.say(Followed::Reconnected).await?;
                }
                progress.wait(&link).await;
                drop(lease);
            }
            Err(failure) if is_lost(&failure, &link.connection).await => {}
            Err(failure) => return Err(Error::Failed(failure)),
        }
        if let Some(failure) = progress.failure.take() {
            return Err(Error::Failed(failure));
        }
        // A reader that was too slow must have room before the client subscribes again: otherwise
        // the new subscription would end the same way.
        let _room = progress.items.reserve().await.map_err(|_| Error::Closed)?;
    }
    Ok(())
}

async fn subscribe(
    link: &Link,
    task: &Way,
    progress: &Rc<Progress>,
    turn: u64,
) -> Result<subscription::Client, Failure> {
    link.facets.ask(&link.mesh).await?;
    let task = super::mesh::task(link, task);
    let mut request = task.events_request();
    request.get().set_after(progress.cursor.get().0);
    let sink = Sink { progress: Rc::clone(progress), turn };
    request.get().set_sink(capnp_rpc::new_client(sink));
    let response = within(limits::CALL, request.send()).await?;
    response.get().and_then(|r| r.get_subscription()).map_err(|error| to_failure(&error))
}

/// The progress of a stream. All its subscriptions share it, and only the newest may advance it.
struct Progress {
    items: Items,
    cursor: Cell<EventNumber>,
    caught_up: Cell<bool>,
    ended: Cell<bool>,
    /// The number of the current subscription.
    turn: Cell<u64>,
    /// Wakes the feed when its subscription has ended.
    change: Notify,
    failure: RefCell<Option<Failure>>,
}

impl Progress {
    fn is_over(&self) -> bool {
        self.ended.get() && self.caught_up.get()
    }

    /// Begins a new subscription, and invalidates what earlier ones still deliver.
    fn begin(&self) -> u64 {
        let turn = self.turn.get() + 1;
        self.turn.set(turn);
        // Consumes a wake-up that was meant for an earlier subscription.
        let _ = self.change.notified().now_or_never();
        turn
    }

    /// Wakes the feed, if `turn` is its current subscription.
    fn wake(&self, turn: u64) {
        if self.turn.get() == turn {
            self.change.notify_one();
        }
    }

    /// Reports the state of the connection to the reader.
    async fn say(&self, item: Followed) -> Result<(), Error> {
        self.items.send(Ok(item)).await.map_err(|_| Error::Closed)
    }

    /// Waits until the subscription or the connection has ended.
    async fn wait(&self, link: &Link) {
        tokio::select! {
            biased;
            () = self.change.notified() => {}
            _ = link.connection.ended() => {}
        }
        self.turn.set(self.turn.get() + 1);
    }

    /// Delivers one item to the reader, or ends the subscription if the reader is too slow.
    async fn hand(&self, turn: u64, item: Followed) -> Result<(), Failure> {
        let room = tokio::time::timeout(limits::SLOW_READER, self.items.reserve()).await;
        // Checked after the wait: a newer subscription may have begun meanwhile.
        if self.turn.get() != turn {
            return Err(stale());
        }
        let Ok(Ok(room)) = room else {
            self.wake(turn);
            return Err(stale());
        };
        match &item {
            Followed::Event(event) => {
                self.cursor.set(event.number);
                self.ended.set(self.ended.get() || is_last(&event.fact));
            }
            Followed::CaughtUp(_) => self.caught_up.set(true),
            Followed::Output { .. } | Followed::Disconnected | Followed::Reconnected => {}
        }
        room.send(Ok(item));
        Ok(())
    }

    async fn take(&self, turn: u64, event: Event) -> Result<(), Failure> {
        if self.turn.get() != turn {
            return Err(stale());
        }
        if event.number <= self.cursor.get() {
            return Ok(());
        }
        if event.number != self.cursor.get().next() {
            let why = format!("event {} came after {}", event.number, self.cursor.get());
            self.failure.replace(Some(Failure::new(Code::Failed, why)));
            self.wake(turn);
            return Err(stale());
        }
        self.hand(turn, Followed::Event(event)).await
    }
}

fn is_last(fact: &Fact) -> bool {
    matches!(fact, Fact::TaskCompleted(_) | Fact::TaskFailed(_) | Fact::TaskCancelled(_))
}

fn stale() -> Failure {
    Failure::new(Code::Cancelled, "this subscription is over")
}

/// Receives the events of one subscription.
struct Sink {
    progress: Rc<Progress>,
    turn: u64,
}

impl Sink {
    async fn take(&self, params: &event_sink::EventsParams) -> Result<(), Failure> {
        let read = || {
            params
                .get()?
                .get_events()?
                .iter()
                .map(wire::event::read)
                .collect::<Result<Vec<_>, wire::Malformed>>()
        };
        let events = read().inspect_err(|malformed| {
            let why = format!("an event that this version cannot read: {malformed}");
            self.progress.failure.replace(Some(Failure::new(Code::Failed, why)));
            self.progress.wake(self.turn);
        })?;
        // The mesh drops a subscription without notice when the answer to a page is late. The call
        // is then dropped here in the middle, and `Abandoned` wakes the feed.
        let abandoned = Abandoned(self);
        for event in events {
            self.progress.take(self.turn, event).await?;
        }
        std::mem::forget(abandoned);
        if self.progress.is_over() {
            self.progress.wake(self.turn);
        }
        Ok(())
    }
}

/// Wakes the feed if it is dropped: the mesh did not wait for the answer.
struct Abandoned<'a>(&'a Sink);

impl Drop for Abandoned<'_> {
    fn drop(&mut self) {
        self.0.progress.wake(self.0.turn);
    }
}

impl Drop for Sink {
    /// Wakes the feed when the mesh drops the sink. If that was not expected, the next subscription
    /// fails with the reason.
    fn drop(&mut self) {
        self.progress.wake(self.turn);
    }
}

impl event_sink::Server for Sink {
    async fn events(
        self: Rc<Self>,
        params: event_sink::EventsParams,
        _: event_sink::EventsResults,
    ) -> Result<(), capnp::Error> {
        self.take(&params).await.map_err(|failure| to_exception(&failure))
    }

    async fn caught_up(
        self: Rc<Self>,
        params: event_sink::CaughtUpParams,
        _: event_sink::CaughtUpResults,
    ) -> Result<(), capnp::Error> {
        let number = EventNumber(params.get()?.get_number());
        if !self.progress.caught_up.get() {
            let item = Followed::CaughtUp(number);
            self.progress.hand(self.turn, item).await.map_err(|failure| to_exception(&failure))?;
        }
        if self.progress.is_over() {
            self.progress.wake(self.turn);
        }
        Ok(())
    }

    async fn output(
        self: Rc<Self>,
        params: event_sink::OutputParams,
        _: event_sink::OutputResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let text = params.get_text()?.to_str().map_err(wire::Malformed::from)?.to_owned();
        let item = Followed::Output { call: CallNumber(params.get_call()), text };
        // Output is not kept: a reader who is behind does without.
        let _ = self.progress.items.try_send(Ok(item));
        Ok(())
    }
}
