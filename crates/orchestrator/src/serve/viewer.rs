//! A task for those who may look at it and no more.

use std::rc::Rc;

use remit_core::{Code, Failure};
use remit_schema::mesh_capnp::task;
use remit_vat::exception::to_exception;

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

/// Methods that a viewer refuses, so that whoever holds one reads why.
macro_rules! refused {
    ($($method:ident($params:ident, $results:ident);)*) => {
        $(async fn $method(
            self: Rc<Self>,
            _: task::$params,
            _: task::$results,
        ) -> Result<(), capnp::Error> {
            Err(only_for_looking())
        })*
    };
}

fn only_for_looking() -> capnp::Error {
    let why =
        "what you hold is only for looking at the task: ask for a reference to the task itself";
    to_exception(&Failure::new(Code::Denied, why))
}

impl task::Server for ViewerServer {
    refused! {
        send(SendParams, SendResults);
        cancel(CancelParams, CancelResults);
        grant(GrantParams, GrantResults);
        revoke(RevokeParams, RevokeResults);
        pause(PauseParams, PauseResults);
        resume(ResumeParams, ResumeResults);
        fork(ForkParams, ForkResults);
        retry(RetryParams, RetryResults);
        upgrade(UpgradeParams, UpgradeResults);
        questions(QuestionsParams, QuestionsResults);
        approve(ApproveParams, ApproveResults);
        give(GiveParams, GiveResults);
        refuse(RefuseParams, RefuseResults);
        settle(SettleParams, SettleResults);
        save(SaveParams, SaveResults);
        save_grant(SaveGrantParams, SaveGrantResults);
    }

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
