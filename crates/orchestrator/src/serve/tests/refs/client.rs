//! A client of the mesh, and what it saves and restores.

use remit_core::{Failure, Reference, Role, Value};
use remit_schema::mesh_capnp::mesh;
use remit_schema::object_capnp::object;
use remit_schema::reference_capnp::ref_spec;
use remit_vat::exception::to_failure;
use remit_vat::wire;

use super::held::Held;
use crate::serve::fakes::Granted as _;
use crate::serve::fakes::who;

/// How a capability is saved.
#[derive(Clone)]
pub(super) struct Spec {
    pub(super) label: &'static str,
    /// The name of a client; empty: who saves.
    pub(super) owner: &'static str,
    pub(super) until_ms: u64,
    pub(super) unused_ms: u64,
    pub(super) viewer: bool,
}

impl Spec {
    pub(super) const fn new(label: &'static str) -> Self {
        Self { label, owner: "", until_ms: 0, unused_ms: 0, viewer: false }
    }

    pub(super) fn write(&self, mut spec: ref_spec::Builder<'_>) {
        spec.set_label(self.label);
        if !self.owner.is_empty() {
            spec.set_owner(who(Role::Client, self.owner).to_string());
        }
        spec.set_until_ms(self.until_ms);
        spec.set_unused_ms(self.unused_ms);
        spec.set_viewer(self.viewer);
    }
}

/// The mesh as one client has it.
pub(super) struct Mesh(mesh::Client);

/// What was restored.
pub(super) struct Live {
    task: Option<Held>,
    object: Option<object::Client>,
}

impl Live {
    pub(super) fn task(self) -> Held {
        assert!(self.object.is_none());
        self.task.unwrap()
    }

    pub(super) fn object(self) -> object::Client {
        assert!(self.task.is_none());
        self.object.unwrap()
    }
}

impl Mesh {
    pub(super) const fn new(mesh: mesh::Client) -> Self {
        Self(mesh)
    }

    pub(super) async fn create(&self) -> Held {
        self.create_with(&[]).await
    }

    /// A task whose one grant has these caveats.
    pub(super) async fn create_with(&self, caveats: &[&str]) -> Held {
        let mut request = self.0.creation().create_task_request();
        let mut spec = request.get().init_spec();
        spec.set_name("test");
        spec.set_agent("script");
        spec.set_entry("main.js");
        let mut file = spec.reborrow().init_source(1).get(0);
        file.set_path("main.js");
        file.set_text("export default async () => 1");
        let mut grant = spec.init_grants(1).get(0);
        grant.set_name("lab");
        let mut list = grant.reborrow().init_caveats(u32::try_from(caveats.len()).unwrap());
        for (at, caveat) in (0..).zip(caveats) {
            let caveat = remit_core::grant::text::parse_caveat(caveat, 0).unwrap();
            wire::event::write_caveat(list.reborrow().get(at), &caveat);
        }
        grant.init_tool().set_tool("lab");
        let response = request.send().promise.await.unwrap();
        let created = response.get().unwrap();
        let id = created.get_id().unwrap().to_str().unwrap().to_owned();
        Held::new(created.get_task().unwrap(), id)
    }

    pub(super) async fn restore(&self, reference: &Reference) -> Result<Live, Failure> {
        self.restore_bytes(&reference.to_bytes()).await
    }

    pub(super) async fn restore_bytes(&self, bytes: &[u8]) -> Result<Live, Failure> {
        let mut request = self.0.restore_request();
        request.get().set_ref(bytes);
        let response = request.send().promise.await.map_err(|error| to_failure(&error))?;
        let results = response.get().unwrap();
        let id = results.get_info().unwrap().get_task().unwrap().to_str().unwrap().to_owned();
        let task = results.has_task().then(|| Held::new(results.get_task().unwrap(), id));
        let object = results.has_object().then(|| results.get_object().unwrap());
        Ok(Live { task, object })
    }

    pub(super) async fn revoke(&self, reference: &Reference) -> Result<(), Failure> {
        let mut request = self.0.ref_request();
        request.get().set_id(reference.id().to_string());
        let request = request.send().pipeline.get_ref().revoke_request();
        request.send().promise.await.map(|_| ()).map_err(|error| to_failure(&error))
    }

    /// Id, label, state and uses of all that was saved.
    pub(super) async fn refs(&self) -> Vec<(String, String, String, u64)> {
        let response = self.0.refs_request().send().promise.await.unwrap();
        let text = |text: capnp::Result<capnp::text::Reader<'_>>| {
            text.unwrap().to_str().unwrap().to_owned()
        };
        let list = response.get().unwrap().get_refs().unwrap();
        let one = |info: remit_schema::reference_capnp::ref_info::Reader<'_>| {
            (text(info.get_id()), text(info.get_label()), text(info.get_state()), info.get_uses())
        };
        list.iter().map(one).collect()
    }
}

/// What a call under this key said.
pub(super) async fn said(
    object: &object::Client,
    method: &str,
    key: &[u8],
) -> Result<Value<u32>, Failure> {
    let mut request = object.call_request();
    request.get().set_method(method);
    request.get().set_key(key);
    request.get().init_args().set_null(());
    let response = request.send().promise.await.map_err(|error| to_failure(&error))?;
    let value = response.get().unwrap().get_value().unwrap();
    Ok(wire::value::read(value).unwrap().0)
}

/// The object that `open` returns.
pub(super) async fn opened(object: &object::Client) -> object::Client {
    let mut request = object.call_request();
    request.get().set_method("open");
    request.get().set_key(b"open");
    request.get().init_args().set_null(());
    let response = request.send().promise.await.unwrap();
    response.get().unwrap().get_object().unwrap()
}
