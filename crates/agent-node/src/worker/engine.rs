//! The engine: one script in one JavaScript realm.
//!
//! Everything that the script learns from outside comes in through [`Engine::settle`], one
//! completion at a time. The script runs until it waits before it gets the next one. Given the same
//! completions in the same order, it does the same things.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use remit_core::event::{Level, SourceFile};
use remit_core::{Code, Failure, Outcome, Value};
use rquickjs::promise::PromiseState;
use rquickjs::{
    CatchResultExt as _, CaughtError, Context, Ctx, Module, Object, Persistent, Runtime,
};

use super::chance::SeededRng;
use super::modules::Modules;
use super::{host, source, values};

/// A script and everything that it starts with.
pub(super) struct Script {
    pub(super) source: Vec<SourceFile>,
    pub(super) entry: String,
    /// The name of the export that is run. Empty: the default export.
    pub(super) export: String,
    pub(super) input: Value<u32>,
    pub(super) seed: Vec<u8>,
    pub(super) time_ms: u64,
    /// The name and the tool of each grant.
    pub(super) grants: Vec<(String, String)>,
}

/// The bounds of a script.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) memory_bytes: usize,
    pub(super) stretch: Duration,
}

/// A request of the script to the outside.
#[derive(Debug, PartialEq)]
pub(super) enum Ask {
    /// A call.
    Call(Call),
    /// A sleep.
    Sleep { operation: u64, duration_ms: u64 },
    /// A wait for input.
    Input { operation: u64 },
    /// A read of the steers. With `wait`, it completes only when there is one.
    Steers { operation: u64, wait: bool },
    /// A request for a capability of a tool. The handle `result` will stand for it.
    CapabilityRequest { operation: u64, tool: String, reason: String, result: usize },
    /// A line of output.
    Log { line: u64, level: Level, text: String },
}

/// A call on the object of handle `target`. The handle `result` will stand for its result.
#[derive(Debug, PartialEq)]
pub(super) struct Call {
    pub(super) operation: u64,
    pub(super) target: usize,
    pub(super) method: String,
    pub(super) args: Value<u32>,
    /// The handles of the objects in the arguments, in their order.
    pub(super) handles: Vec<usize>,
    pub(super) result: usize,
}

/// The outcome of an operation.
pub(super) struct Completion {
    pub(super) operation: u64,
    pub(super) outcome: Result<Answer, Failure>,
}

/// The result of a successful operation.
pub(super) struct Answer {
    pub(super) value: Value<u32>,
    /// The handles of the objects in the value, in their order.
    pub(super) handles: Vec<usize>,
    /// The handle of the object that a call returned beside a null value.
    pub(super) object: Option<usize>,
    /// The script's clock from here on.
    pub(super) time_ms: u64,
}

/// State that the natives and the engine share.
pub(super) struct Shared {
    pub(super) asks: RefCell<Vec<Ask>>,
    pub(super) operations: Cell<u64>,
    pub(super) handles: Cell<usize>,
    /// The handles of results, by operation.
    pub(super) results: RefCell<HashMap<u64, usize>>,
    /// For each result that the script does not know yet: the length of the chain of calls that
    /// ends with it.
    pub(super) depths: RefCell<HashMap<usize, u32>>,
    pub(super) lines: Cell<u64>,
    pub(super) now_ms: Cell<u64>,
    pub(super) chance: RefCell<SeededRng>,
    pub(super) outcome: RefCell<Option<Outcome<u32>>>,
    pub(super) unhandled: RefCell<Option<Failure>>,
    pub(super) prelude: RefCell<Option<Persistent<Object<'static>>>>,
    modules: Modules,
    open: Cell<u64>,
    stretch_began: Cell<Duration>,
    interrupted: Cell<bool>,
}

/// One script in one realm.
pub(super) struct Engine {
    // The fields drop in this order: values that live in the realm before the realm itself.
    shared: Rc<Shared>,
    context: Context,
    runtime: Runtime,
}

/// The prefix of the file names in stack frames that belong to the prelude and not to the script.
pub(super) const OURS: &str = "remit:";

/// The file name of the prelude in stacks.
pub(super) const PRELUDE: &str = "remit:prelude";

/// The file name, in stacks, of the web interfaces, which are made at their first use.
pub(super) const WEB: &str = "remit:web";

impl Engine {
    /// Creates a realm in which the script is about to begin. Fails for a syntax error in the
    /// script.
    pub(super) fn new(script: &Script, bounds: Bounds) -> Result<Self, Failure> {
        let files = source::all(&script.source)?;
        let internal = |error: rquickjs::Error| Failure::new(Code::Failed, error.to_string());
        let runtime = Runtime::new().map_err(internal)?;
        runtime.set_memory_limit(bounds.memory_bytes);
        runtime.set_max_stack_size(512 << 10);
        let modules = Modules::new(files);
        runtime.set_loader(modules.clone(), modules.clone());
        let context = Context::full(&runtime).map_err(internal)?;
        let shared = Rc::new(Shared {
            asks: RefCell::default(),
            operations: Cell::new(0),
            handles: Cell::new(script.grants.len()),
            results: RefCell::default(),
            depths: RefCell::default(),
            lines: Cell::new(0),
            now_ms: Cell::new(script.time_ms),
            chance: RefCell::new(SeededRng::new(&script.seed)),
            outcome: RefCell::new(None),
            unhandled: RefCell::new(None),
            prelude: RefCell::new(None),
            modules: modules.clone(),
            open: Cell::new(0),
            stretch_began: Cell::new(processor_time()),
            interrupted: Cell::new(false),
        });
        let engine = Self { shared, context, runtime };
        engine.guard(bounds.stretch);
        engine.context.with(|ctx| engine.begin(&ctx, script, &modules))?;
        Ok(engine)
    }

    /// Stops the script when it computes for longer than `stretch` without a pause.
    fn guard(&self, stretch: Duration) {
        let shared = Rc::clone(&self.shared);
        self.runtime.set_interrupt_handler(Some(Box::new(move || {
            let over = processor_time().saturating_sub(shared.stretch_began.get()) > stretch;
            if over {
                shared.interrupted.set(true);
                let why = format!(
                    "deadline: the script computed for more than {} ms without waiting on anything",
                    stretch.as_millis()
                );
                shared.end(Failure::new(Code::TimedOut, why));
            }
            over
        })));
        let shared = Rc::downgrade(&self.shared);
        self.runtime.set_host_promise_rejection_tracker(Some(Box::new(
            move |ctx, _, reason, handled| {
                let Some(shared) = shared.upgrade() else { return };
                if handled {
                    shared.unhandled.borrow_mut().take();
                } else if let Ok(failure) = host::describe(&ctx, &shared, reason) {
                    shared.unhandled.borrow_mut().get_or_insert(failure);
                }
            },
        )));
    }

    fn begin<'js>(
        &self,
        ctx: &Ctx<'js>,
        script: &Script,
        modules: &Modules,
    ) -> Result<(), Failure> {
        let failed = |error: CaughtError<'js>| self.failure(ctx, script, &error);
        let begin = || {
            host::install(ctx, &self.shared)?;
            let prelude = host::prelude(ctx, &self.shared)?;
            let grant: rquickjs::Function<'_> = prelude.get("grant")?;
            for (handle, (name, tool)) in script.grants.iter().enumerate() {
                grant.call::<_, ()>((name.as_str(), handle, tool.as_str()))?;
            }
            let text = modules.get(&script.entry).map(String::as_str).unwrap_or_default();
            let declared = Module::declare(ctx.clone(), script.entry.as_str(), text)?;
            let (module, evaluated) = declared.eval()?;
            // Whatever a module awaits while it loads must settle without the outside: there are no
            // completions yet.
            while evaluated.state() == PromiseState::Pending && ctx.execute_pending_job() {}
            evaluated.finish::<()>()?;
            let export = if script.export.is_empty() { "default" } else { &script.export };
            let main: rquickjs::Value<'_> = module.get(export).unwrap_or_else(|_| {
                // A module without that export: `run` in the prelude reports it.
                ctx.catch();
                rquickjs::Value::new_undefined(ctx.clone())
            });
            let input = values::write(ctx, &script.input, &mut |_| {
                Ok(rquickjs::Value::new_null(ctx.clone()))
            })?;
            let run: rquickjs::Function<'_> = prelude.get("run")?;
            run.call::<_, ()>((main, input, script.export.as_str()))
        };
        begin().catch(ctx).map_err(failed)
    }

    /// The failure of a script that failed before it began.
    fn failure<'js>(&self, ctx: &Ctx<'js>, script: &Script, error: &CaughtError<'js>) -> Failure {
        if let Some(Outcome::Failure(failure)) = self.shared.outcome.borrow_mut().take() {
            return failure;
        }
        let exception = match error {
            CaughtError::Exception(exception) => exception,
            CaughtError::Value(thrown) => {
                return host::describe(ctx, &self.shared, thrown.clone())
                    .unwrap_or_else(|error| Failure::new(Code::Failed, error.to_string()));
            }
            CaughtError::Error(error) => return Failure::new(Code::Failed, error.to_string()),
        };
        let message = exception.message().unwrap_or_default();
        let stack = exception.stack().unwrap_or_default();
        let name: String = exception.as_object().get("name").unwrap_or_default();
        if name == "SyntaxError"
            && let Some((path, line, column)) = host::place(&stack)
            && let Some(file) = script.source.iter().find(|file| file.path == path)
        {
            return source::pointed(file, &message, line, column);
        }
        // Without a frame of the script, parsing it used up the stack.
        if message == "Maximum call stack size exceeded"
            && host::own_frames(&stack).trim().is_empty()
        {
            return source::too_deep(&script.source);
        }
        host::describe(ctx, &self.shared, exception.as_value().clone()).unwrap_or_else(|_| {
            Failure::new(Code::Failed, format!("{name}: {message}"))
                .with_detail(host::own_frames(&stack))
        })
    }

    /// Runs the script until it waits. Returns its requests in the order in which it made them.
    pub(super) fn advance(&self) -> Vec<Ask> {
        loop {
            match self.runtime.execute_pending_job() {
                Ok(true) => {}
                Ok(false) => break,
                // An exception of a job has already rejected its promise. This error means that the
                // engine stopped the job.
                Err(_) if self.shared.interrupted.get() => break,
                Err(_) => {}
            }
        }
        let asks = self.shared.asks.take();
        let opened = asks.iter().filter(|ask| !matches!(ask, Ask::Log { .. })).count();
        self.shared.open.set(self.shared.open.get() + opened as u64);
        asks
    }

    /// The outcome of the script, if it has ended. An unhandled rejection turns a success into a
    /// failure.
    pub(super) fn outcome(&self) -> Option<Outcome<u32>> {
        let outcome = self.shared.outcome.borrow_mut().take();
        if let Some(outcome) = outcome {
            let unhandled = self.shared.unhandled.borrow_mut().take();
            return Some(match (outcome, unhandled) {
                (Outcome::Value { .. }, Some(failure)) => Outcome::Failure(failure),
                (outcome, _) => outcome,
            });
        }
        // With no operation open, no completion can come, so the script would wait without end.
        if self.shared.open.get() > 0 {
            return None;
        }
        let unhandled = self.shared.unhandled.borrow_mut().take();
        let why = "the script waits for something that will never come: no call, sleep or input is under way";
        Some(Outcome::Failure(unhandled.unwrap_or_else(|| Failure::new(Code::Failed, why))))
    }

    /// Tells the script the outcome of one operation.
    pub(super) fn settle(&self, completion: &Completion) {
        self.shared.stretch_began.set(processor_time());
        self.shared.open.set(self.shared.open.get().saturating_sub(1));
        self.context.with(|ctx| {
            let settled = host::settle(&ctx, &self.shared, completion).catch(&ctx);
            if let Err(error) = settled {
                self.shared.end(Failure::new(Code::Failed, error.to_string()));
            }
        });
    }

    /// A new handle, for an object that came inside a value.
    pub(super) fn new_handle(&self) -> usize {
        self.shared.new_handle()
    }
}

impl Shared {
    /// The line of the script that the first of its frames in `stack` points at.
    pub(super) fn line_of(&self, stack: &str) -> Option<String> {
        let (path, line, _) = host::place(&host::own_frames(stack))?;
        self.modules.get(&path)?.lines().nth(line.checked_sub(1)?).map(str::to_owned)
    }

    pub(super) fn new_handle(&self) -> usize {
        let handle = self.handles.get();
        self.handles.set(handle + 1);
        handle
    }

    pub(super) fn next_operation(&self) -> u64 {
        self.operations.set(self.operations.get() + 1);
        self.operations.get()
    }

    /// The number of an operation that may return an object, and the handle of that object.
    pub(super) fn next_result(&self) -> (u64, usize) {
        let (operation, result) = (self.next_operation(), self.new_handle());
        self.results.borrow_mut().insert(operation, result);
        (operation, result)
    }

    /// Ends the script with `failure`, unless it has ended already.
    pub(super) fn end(&self, failure: Failure) {
        self.outcome.borrow_mut().get_or_insert(Outcome::Failure(failure));
    }
}

/// The processor time of this thread. Wall time would count the load of a busy machine against the
/// script.
fn processor_time() -> Duration {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let seconds = u64::try_from(used.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(used.tv_nsec).unwrap_or_default())
}

impl Drop for Engine {
    fn drop(&mut self) {
        // References to values of the realm must drop before the realm.
        self.shared.prelude.borrow_mut().take();
    }
}
