//! A worker's session with its task's owner.

use std::collections::HashMap;
use std::time::Duration;

use remit_core::event::{Level, SourceFile};
use remit_core::{Code, Failure, Outcome, Value};
use remit_schema::event_capnp::log_emitted;
use remit_schema::object_capnp::object;
use remit_schema::task_capnp::task_context;
use remit_vat::connection::{Connection, ConnectionOptions, within};
use remit_vat::exception::to_failure;
use remit_vat::limits::ConnectionLimits;
use remit_vat::wire;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};

use super::engine::{Answer, Ask, Bounds, Call, Completion, Engine, Script};
use super::paths::{self, Paths};

/// How long the owner may take to store the outcome.
const PROMPTLY: Duration = Duration::from_secs(60);

/// The script and the grants that the owner gave.
pub(super) struct Begun {
    script: Script,
    grants: Vec<object::Client>,
}

/// Connects to the task's owner at the other end of `stream`.
pub(super) fn connect<S>(stream: S) -> (task_context::Client, Connection)
where
    S: AsyncRead + AsyncWrite + 'static,
{
    let options =
        ConnectionOptions { peer: "the task's owner".into(), limits: ConnectionLimits::attempt() };
    Connection::connect(stream, None, options)
}

/// Asks the owner for the script.
pub(super) async fn begin(context: &task_context::Client) -> Result<Begun, Failure> {
    // No deadline: a spare worker waits here until there is an attempt for it.
    let begun = context.begin_request().send().promise.await;
    let response = begun.map_err(|error| to_failure(&error))?;
    let read = || {
        let script = response.get()?.get_script()?;
        let mut source = Vec::new();
        for file in script.get_source()? {
            source.push(SourceFile {
                path: wire::text(file.get_path())?,
                text: wire::text(file.get_text())?,
            });
        }
        let (mut names, mut grants) = (Vec::new(), Vec::new());
        for grant in script.get_grants()? {
            names.push((wire::text(grant.get_name())?, wire::text(grant.get_tool())?));
            grants.push(grant.get_object()?);
        }
        let script = Script {
            source,
            entry: wire::text(script.get_entry())?,
            export: wire::text(script.get_export())?,
            input: wire::value::read(script.get_input()?)?.0,
            seed: script.get_seed()?.to_vec(),
            time_ms: script.get_time_ms(),
            grants: names,
        };
        Ok::<_, wire::Malformed>(Begun { script, grants })
    };
    read().map_err(Failure::from)
}

/// Runs the script to its end and tells the owner the outcome.
pub(super) async fn run(
    (context, connection): &(task_context::Client, Connection),
    (begun, paths): (Begun, Paths),
    bounds: Bounds,
) -> Result<(), Failure> {
    let outcome = match Engine::new(&begun.script, bounds) {
        Ok(engine) => converse(context, connection, &engine, (begun.grants, paths)).await?,
        Err(failure) => Outcome::Failure(failure),
    };
    let mut request = context.finish_request();
    wire::outcome::write(request.get().init_outcome(), &outcome, &[]);
    within(PROMPTLY, request.send()).await.map(|_| ())
}

/// The objects that the script holds, by handle.
struct Held {
    context: task_context::Client,
    objects: HashMap<usize, object::Client>,
    paths: Paths,
    replies: mpsc::UnboundedSender<Reply>,
}

/// The reply to an operation, before its objects get handles.
struct Reply {
    operation: u64,
    result: Option<usize>,
    outcome: Result<Good, Failure>,
}

struct Good {
    value: Value<u32>,
    table: Vec<object::Client>,
    object: bool,
    number: u64,
    time_ms: u64,
    /// The value, if it is fetched apart from the reply.
    body: Option<Body>,
}

/// A value that is being fetched.
type Body = oneshot::Receiver<Result<Value<u32>, Failure>>;

async fn converse(
    context: &task_context::Client,
    connection: &Connection,
    engine: &Engine,
    (grants, paths): (Vec<object::Client>, Paths),
) -> Result<Outcome<u32>, Failure> {
    // Unbounded here: the owner bounds the operations that a script may have in flight.
    let (replies, mut received) = mpsc::unbounded_channel();
    let objects = grants.into_iter().enumerate().collect();
    let mut held = Held { context: context.clone(), objects, paths, replies };
    let mut last = 0;
    loop {
        for ask in engine.advance() {
            held.send(ask);
        }
        if let Some(outcome) = engine.outcome() {
            return Ok(outcome);
        }
        let Some(mut reply) = received.recv().await else {
            return Err(Failure::new(Code::Unavailable, "the owner went away"));
        };
        if connection.is_closed() {
            // The script must not learn of the loss: a replay would not repeat it.
            return Err(Failure::new(Code::Unavailable, "the owner went away"));
        }
        if let Ok(good) = &reply.outcome {
            if good.number <= last {
                // Event numbers must ascend, since a replay gives the outcomes in their order.
                let why = format!(
                    "the owner told event {} after event {last}: a replay could not repeat that",
                    good.number
                );
                return Ok(Outcome::Failure(Failure::new(Code::Failed, why)));
            }
            last = good.number;
        }
        // Later replies wait, because the script gets the outcomes in the recorded order.
        if let Ok(good) = &mut reply.outcome
            && let Some(body) = good.body.take()
        {
            let gone = |_| Failure::new(Code::Unavailable, "the owner went away");
            good.value = body.await.map_err(gone)??;
        }
        engine.settle(&held.receive(engine, reply));
    }
}

impl Held {
    /// Sends a request of the script. The order of these calls is the order on the wire.
    fn send(&mut self, ask: Ask) {
        match ask {
            Ask::Call(call) => self.call(&call),
            Ask::Sleep { operation, duration_ms } => {
                let mut request = self.context.sleep_request();
                request.get().set_operation(operation);
                request.get().set_duration_ms(duration_ms);
                let promise = request.send().promise;
                self.reply_when(operation, None, async move {
                    let response = promise.await.map_err(|error| to_failure(&error))?;
                    let recorded = response.get().and_then(|results| results.get_recorded());
                    let recorded = recorded.map_err(|error| to_failure(&error))?;
                    Ok(Good {
                        value: Value::Null,
                        table: Vec::new(),
                        object: false,
                        number: recorded.get_number(),
                        time_ms: recorded.get_time_ms(),
                        body: None,
                    })
                });
            }
            Ask::Steers { operation, wait } => {
                let mut request = self.context.steers_request();
                request.get().set_operation(operation);
                request.get().set_wait(wait);
                let promise = request.send().promise;
                self.reply_when(operation, None, async move {
                    let response = promise.await.map_err(|error| to_failure(&error))?;
                    let results = response.get().map_err(|error| to_failure(&error))?;
                    let values = results.get_values().map_err(|error| to_failure(&error))?;
                    let recorded = results.get_recorded().map_err(|error| to_failure(&error))?;
                    let values = values.iter().map(|value| Ok(wire::value::read(value)?.0));
                    Ok(Good {
                        value: Value::List(values.collect::<Result<_, wire::Malformed>>()?),
                        table: Vec::new(),
                        object: false,
                        number: recorded.get_number(),
                        time_ms: recorded.get_time_ms(),
                        body: None,
                    })
                });
            }
            Ask::Input { operation } => {
                let mut request = self.context.input_request();
                request.get().set_operation(operation);
                let promise = request.send().promise;
                self.reply_when(operation, None, async move {
                    let response = promise.await.map_err(|error| to_failure(&error))?;
                    let results = response.get().map_err(|error| to_failure(&error))?;
                    let value = results.get_value().map_err(|error| to_failure(&error))?;
                    let recorded = results.get_recorded().map_err(|error| to_failure(&error))?;
                    Ok(Good {
                        value: wire::value::read(value)?.0,
                        table: Vec::new(),
                        object: false,
                        number: recorded.get_number(),
                        time_ms: recorded.get_time_ms(),
                        body: None,
                    })
                });
            }
            Ask::CapabilityRequest { operation, tool, reason, result } => {
                self.request(operation, (&tool, &reason), result);
            }
            Ask::Log { line, level, text } => self.log(line, level, &text),
        }
    }

    fn call(&mut self, call: &Call) {
        let Call { operation, result, .. } = *call;
        let Some(object) = self.objects.get(&call.target) else {
            let failure = Failure::new(Code::ObjectLost, "the call returned no object");
            self.reply_when(operation, Some(result), async move { Err(failure) });
            return;
        };
        let table: Vec<object::Client> =
            call.handles.iter().filter_map(|handle| self.objects.get(handle).cloned()).collect();
        let mut request = object.call_request();
        let mut params = request.get();
        params.set_method(&call.method);
        params.set_key(&operation.to_be_bytes());
        wire::value::write(params.init_args(), &call.args, &table);
        let sent = request.send();
        // Calls of the script on the result go out at once, on its promise.
        self.objects.insert(result, sent.pipeline.get_object());
        let (paths, context) = (self.paths.clone(), self.context.clone());
        self.reply_when(operation, Some(result), async move {
            let response = sent.promise.await.map_err(|error| to_failure(&error))?;
            let results = response.get().map_err(|error| to_failure(&error))?;
            let value = results.get_value().map_err(|error| to_failure(&error))?;
            let recorded = results.get_recorded().map_err(|error| to_failure(&error))?;
            let (value, table) = wire::value::read(value)?;
            Ok(Good {
                value,
                table,
                object: results.has_object(),
                number: recorded.get_number(),
                time_ms: recorded.get_time_ms(),
                body: paths::read(&results)?.map(|kept| {
                    let (sender, body) = oneshot::channel();
                    tokio::task::spawn_local(async move {
                        // The script may have ended without waiting for this value.
                        let _unheard = sender.send(paths.fetch(context, operation, kept).await);
                    });
                    body
                }),
            })
        });
    }

    fn request(&mut self, operation: u64, (tool, reason): (&str, &str), result: usize) {
        let mut request = self.context.request_request();
        request.get().set_operation(operation);
        request.get().set_tool(tool);
        request.get().set_reason(reason);
        let sent = request.send();
        self.objects.insert(result, sent.pipeline.get_object());
        self.reply_when(operation, Some(result), async move {
            let response = sent.promise.await.map_err(|error| to_failure(&error))?;
            let results = response.get().map_err(|error| to_failure(&error))?;
            let recorded = results.get_recorded().map_err(|error| to_failure(&error))?;
            Ok(Good {
                value: Value::Null,
                table: Vec::new(),
                object: results.has_object(),
                number: recorded.get_number(),
                time_ms: recorded.get_time_ms(),
                body: None,
            })
        });
    }

    fn log(&self, line: u64, level: Level, text: &str) {
        let mut request = self.context.log_request();
        let mut params = request.get();
        params.set_line(line);
        params.set_level(match level {
            Level::Debug => log_emitted::Level::Debug,
            Level::Info => log_emitted::Level::Info,
            Level::Warn => log_emitted::Level::Warn,
            Level::Error => log_emitted::Level::Error,
        });
        params.set_text(text);
        let promise = request.send().promise;
        tokio::task::spawn_local(async move {
            if let Err(error) = promise.await {
                eprintln!("sending a line of output failed: {error}");
            }
        });
    }

    fn reply_when(
        &self,
        operation: u64,
        result: Option<usize>,
        answered: impl Future<Output = Result<Good, Failure>> + 'static,
    ) {
        let replies = self.replies.clone();
        tokio::task::spawn_local(async move {
            let outcome = answered.await;
            // The script may have ended without waiting for this reply.
            let _unheard = replies.send(Reply { operation, result, outcome });
        });
    }

    /// Gives handles to the objects of a reply.
    fn receive(&mut self, engine: &Engine, reply: Reply) -> Completion {
        let outcome = reply.outcome.map(|good| {
            let mut handles = Vec::with_capacity(good.table.len());
            for client in good.table {
                let handle = engine.new_handle();
                self.objects.insert(handle, client);
                handles.push(handle);
            }
            let object = reply.result.filter(|_| good.object);
            if let (Some(result), None) = (reply.result, object) {
                // No call on it can succeed, and without it the owner can drop its answer.
                self.objects.remove(&result);
            }
            Answer { value: good.value, handles, object, time_ms: good.time_ms }
        });
        Completion { operation: reply.operation, outcome }
    }
}
