//! The program of a simulated agent: operations drawn from a seed, each depending on all answers
//! before it. Every attempt begins with the first.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};

use capnp::capability::Promise;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use remit_core::{Code, Failure, Value};
use remit_schema::object_capnp::object;
use remit_schema::task_capnp::task_context;
use remit_vat::connection::Connection;
use remit_vat::exception::to_failure;
use remit_vat::wire;

use crate::past::now_ms;

/// The reason why a worker stops without reporting an outcome.
pub(crate) struct Over(pub(crate) String);

/// One step of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Appends a line once.
    Append,
    /// Appends a line, pipelined on an object that another call returns.
    Chain,
    /// Makes two calls at once.
    Both,
    Put,
    Sleep,
    Input,
}

const STEPS: [Step; 6] =
    [Step::Append, Step::Chain, Step::Both, Step::Put, Step::Sleep, Step::Input];

/// The steps of the program of `seed`.
pub(crate) fn plan(seed: i64) -> Vec<Step> {
    let mut chance = StdRng::seed_from_u64(seed.unsigned_abs());
    let length = chance.random_range(3..8);
    let mut steps: Vec<Step> =
        (0..length).map(|_| STEPS[chance.random_range(0..STEPS.len())]).collect();
    steps.push(Step::Append);
    steps
}

/// The lines that a program appends, each once if the program completes.
pub(crate) fn lines(seed: i64) -> Vec<String> {
    let appends = |step: &Step| matches!(step, Step::Append | Step::Chain | Step::Both);
    let steps = plan(seed).into_iter().enumerate().filter(|(_, step)| appends(step));
    steps.map(|(at, _)| line(seed, at)).collect()
}

fn line(seed: i64, at: usize) -> String {
    format!("<{seed}/{at}>")
}

/// The number of tries of a step that fails because the tool is away.
const TRIES: usize = 8;

type Answer = Result<Value<u32>, Failure>;
type Told<'a> = &'a dyn Fn(u64, u64) -> Result<(), Over>;

struct Agent<'a> {
    context: task_context::Client,
    root: object::Client,
    connection: &'a Connection,
    told: Told<'a>,
    last: u64,
    /// A hash of all answers, in the order of their arrival.
    learnt: DefaultHasher,
}

/// An operation in flight.
struct Asked {
    operation: u64,
    asked_ms: u64,
    answer: Promise<Value<u32>, capnp::Error>,
}

/// Runs the program. Returns the outcome of the task, or `Over` if the worker stops without one.
pub(crate) async fn run(
    seed: &Value<u32>,
    context: task_context::Client,
    root: object::Client,
    connection: &Connection,
    told: Told<'_>,
) -> Result<Answer, Over> {
    let Value::Integer(seed) = *seed else { panic!("the input is {seed:?}") };
    let learnt = DefaultHasher::new();
    let mut agent = Agent { context, root, connection, told, last: 0, learnt };
    for (at, step) in plan(seed).into_iter().enumerate() {
        let line = line(seed, at);
        let done = match step {
            Step::Append => agent.append_once(&line, false).await?,
            Step::Chain => agent.append_once(&line, true).await?,
            Step::Both => agent.both(&line).await?,
            Step::Put => agent.insist("put", &text(&line)).await?,
            Step::Sleep => agent.sleep().await?,
            Step::Input => agent.input().await?,
        };
        if let Err(failure) = done {
            return Ok(Err(failure));
        }
    }
    // Integers above 2^53 are exact on the wire, so the whole hash is the result.
    Ok(Ok(Value::Integer(agent.learnt.finish().cast_signed())))
}

fn text(line: &str) -> Value<u32> {
    Value::Fields(vec![("text".into(), Value::Text(line.into()))])
}

impl Agent<'_> {
    fn ask(
        &mut self,
        on: &object::Client,
        method: &str,
        args: &Value<u32>,
    ) -> (Asked, object::Client) {
        self.last += 1;
        let operation = self.last;
        let mut request = on.call_request();
        let mut params = request.get();
        params.set_method(method);
        params.set_key(&operation.to_be_bytes());
        wire::value::write(params.init_args(), args, &[]);
        let sent = request.send();
        let object = sent.pipeline.get_object();
        let answer = Promise::from_future(async move {
            let response = sent.promise.await?;
            Ok(wire::value::read(response.get()?.get_value()?)?.0)
        });
        (Asked { operation, asked_ms: now_ms(), answer }, object)
    }

    /// Waits for all answers, in the order in which they arrive.
    async fn hear(&mut self, asked: Vec<Asked>) -> Result<Vec<(u64, Answer)>, Over> {
        let mut waiting: FuturesUnordered<_> = asked
            .into_iter()
            .map(|asked| async move { (asked.operation, asked.asked_ms, asked.answer.await) })
            .collect();
        let mut heard = Vec::new();
        while let Some((operation, asked_ms, answer)) = waiting.next().await {
            if self.connection.is_closed() {
                return Err(Over("the owner went away".into()));
            }
            let answer = answer.map_err(|error| to_failure(&error));
            if let Err(failure) = &answer
                && failure.code == Code::Revoked
            {
                return Err(Over(failure.to_string()));
            }
            (self.told)(operation, asked_ms)?;
            // Only the code is hashed, since the message may contain times.
            let known = answer.as_ref().map_err(|failure| failure.code);
            format!("{operation} {known:?}").hash(&mut self.learnt);
            heard.push((operation, answer));
        }
        Ok(heard)
    }

    async fn call(&mut self, method: &str, args: &Value<u32>) -> Result<Answer, Over> {
        let root = self.root.clone();
        let (asked, _) = self.ask(&root, method, args);
        let mut heard = self.hear(vec![asked]).await?;
        Ok(heard.remove(0).1)
    }

    /// Makes a call that may be repeated, until its outcome is known and the tool is not away.
    async fn insist(&mut self, method: &str, args: &Value<u32>) -> Result<Answer, Over> {
        for _ in 0..TRIES {
            match self.call(method, args).await? {
                Err(failure) if [Code::Unavailable, Code::Unknown].contains(&failure.code) => {
                    let _slept = self.sleep().await?;
                }
                answer => return Ok(answer),
            }
        }
        Ok(Err(Failure::new(Code::Unavailable, "the tool stayed away")))
    }

    /// Appends a line. After an unknown outcome it reads the lines before it tries again.
    async fn append_once(&mut self, line: &str, chained: bool) -> Result<Answer, Over> {
        for _ in 0..TRIES {
            let appended = if chained {
                self.chain(line).await?
            } else {
                self.call("append", &text(line)).await?
            };
            match appended {
                Err(failure) if failure.code == Code::Unknown => {
                    match self.insist("lines", &Value::Fields(Vec::new())).await? {
                        Ok(Value::List(lines)) if lines.contains(&Value::Text(line.into())) => {
                            return Ok(Ok(Value::Null));
                        }
                        Ok(_) => {}
                        Err(failure) => return Ok(Err(failure)),
                    }
                }
                Err(failure) if [Code::Unavailable, Code::ObjectLost].contains(&failure.code) => {
                    let _slept = self.sleep().await?;
                }
                answer => return Ok(answer),
            }
        }
        Ok(Err(Failure::new(Code::Unavailable, "the tool stayed away")))
    }

    async fn chain(&mut self, line: &str) -> Result<Answer, Over> {
        let root = self.root.clone();
        let (opened, object) = self.ask(&root, "open", &Value::Fields(Vec::new()));
        let (appended, _) = self.ask(&object, "append", &text(line));
        let last = appended.operation;
        let heard = self.hear(vec![opened, appended]).await?;
        Ok(heard.into_iter().find(|(operation, _)| *operation == last).unwrap().1)
    }

    /// Makes two calls at once. The order of their answers is part of the hash.
    async fn both(&mut self, line: &str) -> Result<Answer, Over> {
        let root = self.root.clone();
        let (echo, _) = self.ask(&root, "echo", &text(line));
        let (put, _) = self.ask(&root, "put", &text(line));
        self.hear(vec![echo, put]).await?;
        self.append_once(line, false).await
    }

    async fn sleep(&mut self) -> Result<Answer, Over> {
        self.last += 1;
        let operation = self.last;
        let mut request = self.context.sleep_request();
        request.get().set_operation(operation);
        request.get().set_duration_ms(200 + self.learnt.finish() % 4_000);
        let sent = request.send();
        let answer = Promise::from_future(async move { sent.promise.await.map(|_| Value::Null) });
        let asked = Asked { operation, asked_ms: now_ms(), answer };
        Ok(self.hear(vec![asked]).await?.remove(0).1)
    }

    async fn input(&mut self) -> Result<Answer, Over> {
        self.last += 1;
        let operation = self.last;
        let mut request = self.context.input_request();
        request.get().set_operation(operation);
        let sent = request.send();
        let answer = Promise::from_future(async move {
            let response = sent.promise.await?;
            Ok(wire::value::read(response.get()?.get_value()?)?.0)
        });
        let asked = Asked { operation, asked_ms: now_ms(), answer };
        Ok(self.hear(vec![asked]).await?.remove(0).1)
    }
}
