//! A task's events, as a follower takes them.

use std::cell::RefCell;
use std::rc::Rc;

use remit_core::{Event, EventNumber, Failure};
use remit_schema::mesh_capnp::{event_sink, subscription};
use remit_vat::connection::within;
use remit_vat::exception::to_failure;
use remit_vat::wire;

use crate::journal::JournalError;
use crate::limits;
use crate::owner::TaskKey;
use crate::owner::output::Output;
use crate::tasks::Tasks;

/// A lease on a feed.
pub(super) struct Lease {
    pub(super) running: RefCell<Option<tokio::task::JoinHandle<()>>>,
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

    async fn send_page(&mut self, durable: EventNumber) -> Result<(), Failure> {
        let page = limits::EVENTS_PER_BATCH;
        let journal = &self.tasks.services().journal;
        let events = journal
            .read(&self.key.tenant, self.key.task, self.cursor, page)
            .map_err(JournalError::into_failure)?;
        let events: Vec<_> = events.into_iter().filter(|event| event.number <= durable).collect();
        let mut rest = &events[..];
        while !rest.is_empty() {
            let taken = self.send_batch(rest).await?;
            rest = &rest[taken..];
        }
        if events.is_empty() {
            let why = format!("the journal has no events after {}", self.cursor);
            return Err(Failure::new(remit_core::Code::Failed, why));
        }
        Ok(())
    }

    /// Sends as many of `events` as go into one message; answers how many.
    async fn send_batch(&mut self, events: &[Event]) -> Result<usize, Failure> {
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
            if taken > 1 && size.word_count * 8 > limits::BATCH_BYTES {
                taken /= 2;
                continue;
            }
            within(limits::FOLLOWER, request.send()).await?;
            self.cursor = batch.last().map_or(self.cursor, |event| event.number);
            return Ok(taken);
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
