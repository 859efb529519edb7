//! A task that has begun, as the client that made it and its agent hold it.

use std::rc::Rc;

use remit_schema::object_capnp::object;
use remit_schema::task_capnp::task_context;

use super::{Lab, Site, create_with};
use crate::runtime::Owner;

/// A task in its first attempt, and the orchestrator that it runs at.
pub(in super::super) struct Begun {
    pub(in super::super) site: Site,
    pub(in super::super) owner: Rc<Owner>,
    /// The task, as its worker has it.
    pub(in super::super) context: task_context::Client,
    /// The object that it was granted first.
    pub(in super::super) granted: object::Client,
}

impl Lab {
    /// Starts the orchestrator, and a task that is granted the tool without caveats.
    pub(in super::super) async fn begin(&self) -> Begun {
        self.begin_with("lab").await
    }

    /// The same with another first grant, in the text form.
    pub(in super::super) async fn begin_with(&self, grant: &str) -> Begun {
        let site = self.start();
        let owner = create_with(&site, grant).await;
        let (context, granted) = self.attempt(&site).await;
        Begun { site, owner, context, granted }
    }
}
