//! A live object of a tool, and a call on it without anything around it.

use std::any::{Any, TypeId};
use std::rc::Rc;
use std::sync::Arc;

use remit_core::{Code, Failure, Value};

use super::interface::{Entry, Returned};
use super::remote::Remote;
use super::tool::OpenInterface;
use super::{CallContext, OpenTool, fail};
use crate::limits;

/// A live object of a tool.
#[derive(Clone)]
pub(crate) struct Instance {
    tool: Rc<OpenTool>,
    of: TypeId,
    object: Rc<dyn Any>,
}

/// What a call answered.
#[derive(Clone)]
pub(crate) struct Reply {
    pub(crate) value: Arc<Value<u32>>,
    pub(crate) object: Option<Instance>,
    /// What the call cost.
    pub(crate) cost: u64,
}

impl Instance {
    pub(crate) fn new(tool: Rc<OpenTool>, of: TypeId, object: Rc<dyn Any>) -> Self {
        Self { tool, of, object }
    }

    pub(crate) fn tool(&self) -> &OpenTool {
        &self.tool
    }

    /// The name of its interface.
    pub(crate) fn interface(&self) -> &str {
        self.described().map_or("", |interface| &interface.name)
    }

    fn described(&self) -> Option<&OpenInterface> {
        self.tool.interface(self.of).map(Rc::as_ref)
    }

    /// The method of this name.
    pub(crate) fn method(&self, name: &str) -> Result<&Entry, Failure> {
        let found = self.described().and_then(|interface| interface.methods.get(name));
        found.ok_or_else(|| {
            let manifest = self.tool.manifest().interface(self.interface());
            let all = manifest.iter().flat_map(|i| &i.methods).map(|m| m.name.as_str());
            let all = all.collect::<Vec<_>>().join(", ");
            let shown: String = name.chars().take(80).collect();
            let interface = self.interface();
            Failure::new(
                Code::NotFound,
                format!("{interface} has no method `{shown}`: it has {all}"),
            )
        })
    }

    /// Runs `method` and bounds its result.
    pub(crate) async fn run(
        &self,
        method: &str,
        args: Value<u32>,
        objects: Vec<Remote>,
        call: CallContext,
    ) -> Result<Reply, Failure> {
        let entry = self.method(method)?;
        let args = entry.arguments(args)?;
        let (opens, charged) = (entry.opens, call.clone());
        let running = (entry.handler)(Rc::clone(&self.object), args, objects, call);
        let returned = running.await?;
        let cost = charged.cost();
        match (returned, opens) {
            (Returned::Object(object), Some((of, _))) => {
                let object = Self::new(Rc::clone(&self.tool), of, object);
                Ok(Reply { value: Arc::default(), object: Some(object), cost })
            }
            (Returned::Object(_), None) => Err(fail::failed("an object of no interface")),
            (Returned::Value(value), _) => {
                let weight = value.weight();
                let most = limits::MAX_RESULT_BYTES;
                if weight > most {
                    return Err(fail::limit(format!(
                        "the result of `{method}` has {weight} bytes, and at most {most} may be returned: ask for less at once"
                    )));
                }
                Ok(Reply { value: Arc::new(value), object: None, cost })
            }
        }
    }
}
