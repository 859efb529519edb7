//! A task for those who may look at it and no more.

use std::rc::Rc;

use remit_schema::mesh_capnp::task;

use super::task::TaskServer;

/// The read-only facet of a task. A method that it does not have, it does not have: what is added to
/// tasks is not added here by itself.
pub struct ViewerServer {
    task: Rc<TaskServer>,
}

impl ViewerServer {
    /// The facet of `task`.
    pub fn new(task: TaskServer) -> Self {
        Self { task: Rc::new(task) }
    }
}

impl task::Server for ViewerServer {
    async fn info(
        self: Rc<Self>,
        params: task::InfoParams,
        results: task::InfoResults,
    ) -> Result<(), capnp::Error> {
        Rc::clone(&self.task).info(params, results).await
    }

    async fn events(
        self: Rc<Self>,
        params: task::EventsParams,
        results: task::EventsResults,
    ) -> Result<(), capnp::Error> {
        Rc::clone(&self.task).events(params, results).await
    }

    async fn result(
        self: Rc<Self>,
        params: task::ResultParams,
        results: task::ResultResults,
    ) -> Result<(), capnp::Error> {
        Rc::clone(&self.task).result(params, results).await
    }

    async fn grants(
        self: Rc<Self>,
        params: task::GrantsParams,
        results: task::GrantsResults,
    ) -> Result<(), capnp::Error> {
        Rc::clone(&self.task).grants(params, results).await
    }
}
