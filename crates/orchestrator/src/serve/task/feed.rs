//! A task's events, as a follower takes them.

use std::cell::RefCell;
use std::rc::Rc;

use remit_core::{Event, EventNumber, Failure};
use remit_journal::JournalError;
use remit_schema::mesh_capnp::{event_sink, subscription};
use remit_vat::connection::within;
use remit_vat::exception::to_failure;
use remit_vat::wire;

use crate::limits;
use crate::quota::account::Charge;
use crate::quota::feeds::Share;
use crate::runtime::TaskKey;
use crate::runtime::output::Output;
use crate::tasks::Tasks;

type Batch =
    capnp::capability::Request<event_sink::events_params::Owned, event_sink::events_results::Owned>;

/// A lease on a feed.
pub(super) struct Lease {
    pub(super) running: RefCell<Option<tokio::task::JoinHandle<()>>>,
    pub(super) _charge: Charge,
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(running) = self.running.borrow_mut().take() {
            running.abort();
        }
    }
}

impl subscription::Server for Lease {}

/// A feed of events to one follower. What the follower has not taken stays in the journal: nothing
/// is queued for it here.
pub(super) struct Feed {
    pub(super) tasks: Rc<Tasks>,
    pub(super) key: TaskKey,
    pub(super) cursor: EventNumber,
    pub(super) sink: event_sink::Client,
    pub(super) share: Rc<Share>,
    /// Events that are read at once: fewer when they are large.
    pub(super) page: usize,
}

impl Feed {
    /// Sends until the follower is gone.
    pub(super) async fn run(mut self) -> Result<(), Failure> {
        let mut caught_up = false;
        loop {
            let owner = self.tasks.get(&self.key)?;
            let mut progress = owner.progress();
            let mut outputs = owner.outputs();
            let stands_in = self.tasks.stands_in(&owner);
            loop {
                let Ok(durable) = progress.borrow_and_update().clone() else { break };
                while self.cursor < durable {
                    self.send_page(durable).await?;
                }
                if !caught_up {
                    let mut request = self.sink.caught_up_request();
                    request.get().set_number(self.cursor.0);
                    within(limits::FOLLOWER, request.send()).await?;
                    caught_up = true;
                }
                tokio::select! {
                    biased;
                    changed = progress.changed() => if changed.is_err() { break },
                    Some(output) = outputs.recv() => self.send_output(&output).await?,
                    () = tokio::time::sleep(limits::JOURNAL_RETRY_MOST), if stands_in => break,
                }
            }
            // The owner halted: a fresh one takes its place in a while, and the feed goes on.
            tokio::time::sleep(limits::JOURNAL_RETRY_MOST).await;
        }
    }

    /// Sends the next events, as many as go into one message.
    async fn send_page(&mut self, durable: EventNumber) -> Result<(), Failure> {
        let turn = self.share.turn().await;
        let journal = &self.tasks.services().journal;
        let events = journal
            .read(&self.key.tenant, self.key.task, self.cursor, self.page)
            .map_err(JournalError::into_failure)?;
        let events: Vec<_> = events.into_iter().filter(|event| event.number <= durable).collect();
        if events.is_empty() {
            let why = format!("the journal has no events after {}", self.cursor);
            return Err(Failure::new(remit_core::Code::Failed, why));
        }
        let (request, taken, bytes) = self.batch(&events)?;
        let last = events.get(taken - 1).map_or(self.cursor, |event| event.number);
        drop(events);
        // The next follower reads when this batch may go: few wait in memory.
        let _under_way = self.share.reserve(bytes).await;
        drop(turn);
        within(limits::FOLLOWER, request.send()).await?;
        self.cursor = last;
        self.page = (2 * taken).min(limits::EVENTS_PER_BATCH);
        Ok(())
    }

    /// As many of `events` as go into one message, at least one; how many, and its bytes.
    fn batch(&self, events: &[Event]) -> Result<(Batch, usize, usize), Failure> {
        let mut taken = events.len();
        loop {
            let batch = &events[..taken];
            let mut request = self.sink.events_request();
            let count = u32::try_from(batch.len()).unwrap_or(u32::MAX);
            let mut list = request.get().init_events(count);
            for (at, event) in (0..count).zip(batch) {
                wire::event::write(list.reborrow().get(at), event);
            }
            let size = request.get().into_reader().total_size().map_err(|e| to_failure(&e))?;
            let bytes = size.word_count.saturating_mul(8);
            if taken > 1 && bytes > limits::BATCH_BYTES {
                taken /= 2;
                continue;
            }
            return Ok((request, taken, usize::try_from(bytes).unwrap_or(usize::MAX)));
        }
    }

    async fn send_output(&self, output: &Output) -> Result<(), Failure> {
        let mut request = self.sink.output_request();
        request.get().set_call(output.call.0);
        request.get().set_text(&output.text);
        within(limits::FOLLOWER, request.send()).await?;
        Ok(())
    }
}
