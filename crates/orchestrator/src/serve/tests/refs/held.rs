//! A task as its holder has it.

use std::cell::RefCell;
use std::rc::Rc;

use remit_core::{Failure, Reference};
use remit_schema::mesh_capnp::{event_sink, task};
use remit_vat::exception::to_failure;
use remit_vat::wire;

use super::client::Spec;

/// A task as its holder has it.
pub(super) struct Held {
    task: task::Client,
    pub(super) id: String,
}

impl Held {
    pub(super) const fn new(task: task::Client, id: String) -> Self {
        Self { task, id }
    }

    pub(super) async fn save(&self, spec: Spec) -> Result<Reference, Failure> {
        let mut request = self.task.save_request();
        spec.write(request.get().init_spec());
        let response = request.send().promise.await.map_err(|error| to_failure(&error))?;
        Ok(Reference::from_bytes(response.get().unwrap().get_ref().unwrap()).unwrap())
    }

    /// The same for whoever this says.
    pub(super) async fn save_for(&self, owner: &str, spec: Spec) -> Result<Reference, Failure> {
        let mut request = self.task.save_request();
        let mut written = request.get().init_spec();
        spec.write(written.reborrow());
        written.set_owner(owner);
        let response = request.send().promise.await.map_err(|error| to_failure(&error))?;
        Ok(Reference::from_bytes(response.get().unwrap().get_ref().unwrap()).unwrap())
    }

    pub(super) async fn save_grant(&self, grant: u32, spec: Spec) -> Result<Reference, Failure> {
        let mut request = self.grant(grant).save_request();
        spec.write(request.get().init_spec());
        let response = request.send().promise.await.map_err(|error| to_failure(&error))?;
        Ok(Reference::from_bytes(response.get().unwrap().get_ref().unwrap()).unwrap())
    }

    fn grant(&self, grant: u32) -> remit_schema::mesh_capnp::task_grant::Client {
        let mut request = self.task.held_request();
        request.get().set_grant(grant);
        request.send().pipeline.get_grant()
    }

    pub(super) async fn info(&self) -> Result<String, Failure> {
        let response = self.task.info_request().send().promise.await;
        let response = response.map_err(|error| to_failure(&error))?;
        let info = response.get().unwrap().get_info().unwrap();
        Ok(info.get_id().unwrap().to_str().unwrap().to_owned())
    }

    pub(super) async fn grants(&self) -> Result<u32, Failure> {
        let response = self.task.grants_request().send().promise.await;
        let response = response.map_err(|error| to_failure(&error))?;
        Ok(response.get().unwrap().get_grants().unwrap().len())
    }

    pub(super) fn result(&self) -> impl Future<Output = Result<(), Failure>> + use<> {
        let promise = self.task.result_request().send().promise;
        async move {
            let response = promise.await.map_err(|error| to_failure(&error))?;
            let outcome = response.get().unwrap().get_outcome().unwrap();
            match wire::outcome::read(outcome).unwrap().0 {
                remit_core::Outcome::Value { .. } => Ok(()),
                remit_core::Outcome::Failure(failure) => Err(failure),
            }
        }
    }

    pub(super) async fn send(&self) -> Result<(), Failure> {
        let mut request = self.task.send_request();
        request.get().init_value().set_null(());
        request.send().promise.await.map(|_| ()).map_err(|error| to_failure(&error))
    }

    pub(super) async fn cancel(&self) -> Result<(), Failure> {
        let request = self.task.cancel_request();
        request.send().promise.await.map(|_| ()).map_err(|error| to_failure(&error))
    }

    pub(super) async fn pause(&self) -> Result<(), Failure> {
        let request = self.task.pause_request();
        request.send().promise.await.map(|_| ()).map_err(|error| to_failure(&error))
    }

    pub(super) async fn revoke(&self, grant: u32) -> Result<(), Failure> {
        let request = self.grant(grant).revoke_request();
        request.send().promise.await.map(|_| ()).map_err(|error| to_failure(&error))
    }

    /// The name of the first event that a follower is sent.
    pub(super) async fn first_event(&self) -> Result<String, Failure> {
        let (told, hear) = tokio::sync::oneshot::channel();
        let mut request = self.task.events_request();
        let sink = Sink(RefCell::new(Some(told)));
        request.get().set_sink(capnp_rpc::new_client(sink));
        let _lease = request.send().promise.await.map_err(|error| to_failure(&error))?;
        Ok(hear.await.unwrap())
    }
}

struct Sink(RefCell<Option<tokio::sync::oneshot::Sender<String>>>);

impl event_sink::Server for Sink {
    async fn events(
        self: Rc<Self>,
        params: event_sink::EventsParams,
        _: event_sink::EventsResults,
    ) -> Result<(), capnp::Error> {
        let event = wire::event::read(params.get()?.get_events()?.get(0)).unwrap();
        if let Some(told) = self.0.borrow_mut().take() {
            told.send(event.fact.name().to_owned()).unwrap();
        }
        Ok(())
    }

    async fn caught_up(
        self: Rc<Self>,
        _: event_sink::CaughtUpParams,
        _: event_sink::CaughtUpResults,
    ) -> Result<(), capnp::Error> {
        Ok(())
    }
}
