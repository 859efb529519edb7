//! The references restored over one connection. Each is restored once, for as long as a handle on
//! it lives, and again over the next connection.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Weak};

use capnp::capability::RemotePromise;
use remit_core::{Failure, Reference};
use remit_schema::mesh_capnp::{mesh, task};
use remit_schema::object_capnp::object;
use remit_vat::connection::within;

use super::refs;
use crate::limits;
use crate::refs::RefInfo;

/// The result of a restore. Calls on the one of the two that the reference does not give fail.
#[derive(Clone)]
pub(crate) struct Live {
    pub(crate) task: task::Client,
    pub(crate) object: object::Client,
}

/// The live references of a connection. An entry without a handle is dropped when the next
/// reference is restored.
#[derive(Default)]
pub(crate) struct Restored {
    live: RefCell<Vec<(Weak<Reference>, Live)>>,
}

impl Restored {
    /// The capability of this reference, restored at its first use. If the reference is not valid,
    /// calls on the capability fail.
    pub(crate) fn live(self: &Rc<Self>, mesh: &mesh::Client, by: &Arc<Reference>) -> Live {
        let known = |(held, live): &(Weak<Reference>, Live)| {
            held.ptr_eq(&Arc::downgrade(by)).then(|| live.clone())
        };
        if let Some(live) = self.live.borrow().iter().find_map(known) {
            return live;
        }
        let (live, asked) = self.ask(mesh, by);
        let (restored, by) = (Rc::downgrade(self), Arc::downgrade(by));
        tokio::task::spawn_local(async move {
            if within(limits::CALL, asked).await.is_err()
                && let Some(restored) = restored.upgrade()
            {
                restored.drop_one(&by);
            }
        });
        live
    }

    /// Restores the reference and returns the mesh's description of it.
    pub(crate) async fn look(
        &self,
        mesh: &mesh::Client,
        by: &Arc<Reference>,
    ) -> Result<RefInfo, Failure> {
        let (_, asked) = self.ask(mesh, by);
        let looked = within(limits::CALL, asked).await.and_then(|response| refs::told(&response));
        if looked.is_err() {
            self.drop_one(&Arc::downgrade(by));
        }
        looked
    }

    /// Drops all live references: their objects may have moved to another owner.
    pub(crate) fn forget(&self) {
        self.live.borrow_mut().clear();
    }

    fn ask(
        &self,
        mesh: &mesh::Client,
        by: &Arc<Reference>,
    ) -> (Live, RemotePromise<mesh::restore_results::Owned>) {
        let mut request = mesh.restore_request();
        request.get().set_ref(&by.to_bytes());
        let asked = request.send();
        let live = Live { task: asked.pipeline.get_task(), object: asked.pipeline.get_object() };
        let mut held = self.live.borrow_mut();
        held.retain(|(by, _)| by.strong_count() > 0);
        held.push((Arc::downgrade(by), live.clone()));
        (live, asked)
    }

    fn drop_one(&self, by: &Weak<Reference>) {
        self.live.borrow_mut().retain(|(held, _)| !held.ptr_eq(by));
    }
}
