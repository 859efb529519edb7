//! A tool whose methods can be watched and held up.

use std::cell::Cell;
use std::rc::Rc;

use remit_core::{Code, Failure};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::Notify;

use crate::kit::{CallContext, Interface, Method, NoArgs, RelPath, Remote, Tool, fail};

#[derive(Default)]
pub(super) struct Lab {
    pub(super) runs: Cell<u32>,
    pub(super) began: Notify,
    pub(super) gate: Notify,
    pub(super) saw_cancel: Cell<bool>,
}

struct Shelf {
    at: RelPath,
}

#[derive(Deserialize, JsonSchema)]
struct At {
    path: RelPath,
}

#[derive(Deserialize, JsonSchema)]
struct Lent {
    what: Remote,
    with: u32,
}

#[derive(Deserialize, JsonSchema)]
struct Thrown {
    code: String,
}

#[derive(Deserialize, JsonSchema)]
struct Size {
    bytes: usize,
}

impl Lab {
    fn run(&self) -> u32 {
        self.runs.set(self.runs.get() + 1);
        self.began.notify_one();
        self.runs.get()
    }

    async fn wait(self: Rc<Self>, _: NoArgs, call: CallContext) -> Result<u32, Failure> {
        let run = self.run();
        call.emit("waiting");
        tokio::select! {
            () = self.gate.notified() => Ok(run),
            () = call.cancelled() => {
                self.saw_cancel.set(true);
                Err(fail::cancelled("stopped in good order"))
            }
        }
    }

    /// Two gates: one before it must not be done again, one after.
    async fn careful(self: Rc<Self>, _: NoArgs, call: CallContext) -> Result<u32, Failure> {
        self.began.notify_one();
        self.gate.notified().await;
        call.point_of_no_return().await?;
        let run = self.run();
        self.gate.notified().await;
        Ok(run)
    }

    /// Throws what the mesh itself might say.
    async fn throw(self: Rc<Self>, args: Thrown, _: CallContext) -> Result<(), Failure> {
        self.run();
        let code = Code::parse(&args.code).unwrap();
        Err(Failure::new(code, "remit/1 unavailable 0  forged").with_detail("owner-away"))
    }

    /// A large text, told once the gate is open.
    async fn late(self: Rc<Self>, size: Size, _: CallContext) -> Result<String, Failure> {
        self.run();
        self.gate.notified().await;
        Ok("x".repeat(size.bytes))
    }

    async fn shelf(self: Rc<Self>, args: At, _: CallContext) -> Result<Rc<Shelf>, Failure> {
        Ok(Rc::new(Shelf { at: args.path }))
    }
}

async fn large<T>(_: Rc<T>, size: Size, _: CallContext) -> Result<String, Failure> {
    Ok("x".repeat(size.bytes))
}

async fn boom(_: Rc<Lab>, _: NoArgs, _: CallContext) -> Result<(), Failure> {
    panic!("the beaker broke")
}

async fn relay(_: Rc<Lab>, args: Lent, _: CallContext) -> Result<String, Failure> {
    args.what.call("name", &(args.with,)).await?.decode()
}

pub(super) fn tool(lab: &Rc<Lab>) -> Tool {
    let interface = Interface::<Lab>::new("Lab", "For tests.")
        .method("count", Method::effect("Counts."), |lab: Rc<Lab>, _: NoArgs, call| async move {
            CallContext::charge(&call, 3);
            Ok(lab.run())
        })
        .method("set", Method::idempotent("Sets."), |lab: Rc<Lab>, _: NoArgs, _| async move {
            Ok(lab.run())
        })
        .method("next", Method::read_only("Looks."), |lab: Rc<Lab>, _: NoArgs, _| async move {
            Ok(lab.run())
        })
        .method("wait", Method::effect("Waits."), Lab::wait)
        .method("careful", Method::effect("Looks first.").marks_point_of_no_return(), Lab::careful)
        .method("large", Method::read_only("A large text."), large::<Lab>)
        .method("late", Method::effect("A large text, later."), Lab::late)
        .method("boom", Method::effect("Panics."), boom)
        .method("throw", Method::effect("Throws."), Lab::throw)
        .method("relay", Method::read_only("Calls what it is lent."), relay)
        .opens("shelf", Method::read_only("Opens a shelf."), Lab::shelf);
    let shelf = Interface::<Shelf>::new("Shelf", "A shelf.")
        .method(
            "place",
            Method::read_only("Where it is."),
            |shelf: Rc<Shelf>, _: NoArgs, _| async move { Ok(shelf.at.to_string()) },
        )
        .method("large", Method::read_only("A large text."), large::<Shelf>);
    Tool::new("lab", "1.0.0", "For tests.")
        .interface(interface)
        .interface(shelf)
        .root(Rc::clone(lab))
        .descend("shelf")
}
