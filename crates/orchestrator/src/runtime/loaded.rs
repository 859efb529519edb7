//! A task's program and inputs in memory: while an attempt needs them. An idle task has them on disk.

use std::rc::Rc;
use std::sync::Arc;

use remit_core::{Code, Failure, Task};
use remit_journal::recovery::recover;
use remit_vat::vat::offload;

use super::{Owner, TaskKey, footprint};
use crate::limits;

/// Keeps a task's program and inputs in memory until it is dropped.
pub(crate) struct Loaded {
    owner: Rc<Owner>,
}

impl Owner {
    /// Has program and inputs in memory. They are read off the vat, so that it goes on meanwhile.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub(crate) async fn loaded(self: &Rc<Self>) -> Result<Loaded, Failure> {
        self.loads.set(self.loads.get() + 1);
        let loaded = Loaded { owner: Rc::clone(self) };
        if !self.with(Task::is_loaded) {
            let (journal, key) = (Arc::clone(&self.services.journal), self.key.clone());
            let read = offload(move || {
                let TaskKey { tenant, task } = key;
                recover(&*journal, &tenant, task)
            });
            let failed = |why: String| Failure::new(Code::Failed, why);
            let read = read.await.map_err(|error| failed(error.to_string()))??;
            let whole = read.ok_or_else(|| failed("the task is not in its journal".into()))?;
            // Another one may have read it meanwhile.
            if !self.with(Task::is_loaded) {
                self.task.borrow_mut().load(whole.task);
            }
            self.charge.set(self.with(footprint));
        }
        Ok(loaded)
    }

    /// Lets program and inputs go if they are large, on disk, and nothing needs them.
    pub(crate) fn unload_if_idle(&self) {
        let head = self.with(|task| task.head().number);
        let is_durable = matches!(&*self.durable.borrow(), Ok(durable) if *durable == head);
        if self.loads.get() > 0
            || self.trial.is_some()
            || !is_durable
            || self.with(Task::payload_bytes) < limits::IDLE_PAYLOAD_BYTES
        {
            return;
        }
        self.task.borrow_mut().unload();
        self.charge.set(self.with(footprint));
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        self.owner.loads.set(self.owner.loads.get().saturating_sub(1));
        self.owner.unload_if_idle();
    }
}
