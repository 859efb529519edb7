//! Calls that the orchestrator makes: on tools' objects, on tool nodes, on agent nodes.

use std::sync::Arc;
use std::time::Duration;

use capnp::capability::RemotePromise;
use remit_core::{Attempt, Code, Failure, Outcome};
use remit_schema::agent_node_capnp::{agent_host, run, run_end};
use remit_schema::object_capnp::{object, value};
use remit_schema::tool_node_capnp::{call_state, tool_host};
use remit_vat::connection::{Missed, answered, within};
use remit_vat::shorten::shorten;
use remit_vat::unsettled::Unsettled;
use remit_vat::{exception, wire};

use crate::limits;
use crate::runtime::Owner;
use crate::scheduler::registry::Link;

/// A call on its way, with the pipeline on its result.
pub type Promise = RemotePromise<object::call_results::Owned>;

/// A call that is ready to be sent.
pub struct Call(
    capnp::capability::Request<object::call_params::Owned, object::call_results::Owned>,
);

impl Call {
    /// The same call, whose value may stay with the tool node.
    pub fn directly(mut self) -> Self {
        self.0.get().set_direct(true);
        self
    }

    /// The same call, begun by a tool node after those of its line that were sent before it.
    pub fn in_line(mut self, line: u64) -> Self {
        self.0.get().set_line(line);
        self
    }

    /// Sends it.
    pub fn send(self) -> Promise {
        self.0.send()
    }
}

/// A call of `method` on `inner`, with the arguments that `write_args` writes.
pub fn call(
    inner: &object::Client,
    method: &str,
    key: &[u8],
    write_args: impl FnOnce(value::Builder<'_>),
) -> Call {
    // A tool's promise may have come to an object of ours.
    let mut request = shorten(inner).call_request();
    let mut params = request.get();
    params.set_method(method);
    params.set_key(key);
    write_args(params.init_args());
    Call(request)
}

/// How a call ended.
pub struct Answer {
    /// How.
    pub outcome: Outcome<u32>,
    /// The live objects in its value.
    pub table: Vec<object::Client>,
    /// What it cost, as the tool says.
    pub cost: u64,
    /// Where its value is, if it is not in the outcome.
    pub kept: Option<OffloadedResult>,
    /// Whether it is the mesh that refused, and not the tool that failed.
    pub refused: bool,
}

/// Where a value is that did not come with its answer.
pub struct OffloadedResult {
    /// SHA-256 over it.
    pub digest: [u8; 32],
    /// What it is charged for.
    pub bytes: u64,
    /// What the agent gets it for.
    pub token: Vec<u8>,
}

impl Answer {
    /// A failure, which holds no objects and is not said to cost anything.
    pub const fn failed(failure: Failure) -> Self {
        let outcome = Outcome::Failure(failure);
        Self { outcome, table: Vec::new(), cost: 0, kept: None, refused: false }
    }

    /// The same of the mesh itself: the audit names it.
    pub fn refused(failure: Failure) -> Self {
        Self { refused: true, ..Self::failed(failure) }
    }
}

/// Why a call has no answer.
pub enum NoAnswer {
    /// The tool failed, or took too long: that is the outcome, whatever its code and text are.
    Failed(Failure),
    /// The connection was lost first, or the host says that there is no outcome yet.
    Lost(String),
}

impl From<Failure> for NoAnswer {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// For a caller to whom it is all the same.
impl From<NoAnswer> for Failure {
    fn from(why: NoAnswer) -> Self {
        match why {
            NoAnswer::Failed(failure) => failure,
            NoAnswer::Lost(why) => Self::new(Code::Unavailable, why),
        }
    }
}

/// The answer to a call that was sent over `link`.
pub async fn answer(limit: Duration, promise: Promise, link: &Link) -> Result<Answer, NoAnswer> {
    let response = match answered(limit, promise).await {
        Ok(response) => response,
        Err(Missed::Error(error)) if link.took_along(&error).await => {
            return Err(NoAnswer::Lost(exception::to_failure(&error).message));
        }
        Err(missed) => return Err(NoAnswer::Failed(missed.into())),
    };
    let malformed = |malformed: wire::Malformed| {
        Failure::new(Code::Failed, format!("the tool's answer is {malformed}"))
    };
    let results = response.get().map_err(|error| exception::to_failure(&error))?;
    if let Some(unsettled) = Unsettled::read(results).map_err(malformed)? {
        return Err(NoAnswer::Lost(unsettled.reason().to_owned()));
    }
    if results.has_refused() {
        let refused = results.get_refused().map_err(|error| exception::to_failure(&error))?;
        let refused = wire::outcome::read_failure(refused).map_err(malformed)?;
        return Ok(Answer::refused(refused.bounded()));
    }
    let value = results.get_value().map_err(|error| exception::to_failure(&error))?;
    let (value, table) = wire::value::read(value).map_err(malformed)?;
    if table.len() > limits::OBJECTS_PER_VALUE {
        let why = format!("the tool's answer holds {} objects", table.len());
        return Err(Failure::new(Code::Limit, why).into());
    }
    let outcome = Outcome::Value { value: Arc::new(value), object: results.has_object() };
    let kept = if results.has_kept() { Some(read_kept(&results)?) } else { None };
    Ok(Answer { outcome, table, cost: results.get_cost(), kept, refused: false })
}

fn read_kept(results: &object::call_results::Reader<'_>) -> Result<OffloadedResult, Failure> {
    let read = || {
        let kept = results.get_kept()?;
        let (digest, token) = (kept.get_digest()?, kept.get_token()?);
        let wrong = || wire::Malformed("a digest and a token of 32 bytes each".into());
        let digest = digest.try_into().map_err(|_| wrong())?;
        let token = <[u8; 32]>::try_from(token).map_err(|_| wrong())?.to_vec();
        Ok::<_, wire::Malformed>(OffloadedResult { digest, bytes: kept.get_bytes(), token })
    };
    read().map_err(|malformed| {
        Failure::new(Code::Failed, format!("the tool's answer is {malformed}"))
    })
}

/// What a tool node's ledger says of a call.
pub enum Settled {
    /// It did not happen.
    NeverStarted,
    /// It began, and nobody knows how it ended.
    Started,
    /// Nothing is recorded, and the records do not go back that far.
    Forgotten,
    /// It ended so. Objects that it returned are gone.
    Completed(Answer),
}

/// Lets a tool node forget that the call with this key began, durably.
pub async fn reopen(host: &tool_host::Client, key: &[u8]) -> Result<(), Failure> {
    let mut request = host.reopen_request();
    request.get().set_key(key);
    within(limits::START_ATTEMPT, request.send()).await.map(|_| ())
}

/// Asks a tool node what became of the call with this key, which was sent so long ago.
pub async fn settle(
    host: &tool_host::Client,
    key: &[u8],
    age_ms: u64,
    limit: Duration,
) -> Result<Settled, Failure> {
    let mut request = host.settle_request();
    request.get().set_key(key);
    request.get().set_age_ms(age_ms);
    let response = within(limit, request.send()).await?;
    let read = || {
        let state = response.get()?.get_state()?;
        Ok::<_, wire::Malformed>(match state.which()? {
            call_state::NeverStarted(()) => Settled::NeverStarted,
            call_state::Started(()) => Settled::Started,
            call_state::Forgotten(()) => Settled::Forgotten,
            call_state::Value(value) => {
                let (value, object) = (wire::value::read(value?)?.0, state.get_object());
                let outcome = Outcome::Value { value: Arc::new(value), object };
                let (table, cost) = (Vec::new(), state.get_cost());
                Settled::Completed(Answer { outcome, table, cost, kept: None, refused: false })
            }
            call_state::Failure(failure) => {
                let failed = Answer::failed(wire::outcome::read_failure(failure?)?);
                Settled::Completed(Answer { cost: state.get_cost(), ..failed })
            }
        })
    };
    read().map_err(|malformed| {
        Failure::new(Code::Failed, format!("the tool node's answer is {malformed}"))
    })
}

/// Asks an agent node to start an attempt.
pub async fn start(
    host: &agent_host::Client,
    owner: &Owner,
    attempt: Attempt,
    ticket: &[u8; 32],
) -> Result<run::Client, Failure> {
    let mut request = host.start_request();
    let mut spec = request.get().init_spec();
    owner.with(|task| {
        let created = task.created();
        spec.set_task(owner.key().task.to_string());
        spec.set_attempt(attempt.0);
        spec.set_kind(&created.agent);
        spec.set_ticket(ticket);
        spec.set_deadline_ms(created.deadline_ms);
        spec.set_memory_bytes(created.memory_bytes);
    });
    let response = within(limits::START_ATTEMPT, request.send()).await?;
    let run = response.get().and_then(|results| results.get_run());
    run.map_err(|error| exception::to_failure(&error))
}

/// As much of an agent node's word on an attempt's end as is kept.
fn short(how: &str) -> String {
    how.chars().take(limits::END_CHARS).collect()
}

/// How a worker process ended.
pub enum RunEnd {
    /// By itself.
    Exited,
    /// Without a last word.
    Crashed(String),
    /// Killed at a limit.
    Deadline(String),
}

/// Answers when the worker process has ended. It takes as long as it takes: the connection's own
/// watch notices a node that is gone.
pub async fn wait(run: &run::Client) -> Result<RunEnd, Failure> {
    let response =
        run.wait_request().send().promise.await.map_err(|error| exception::to_failure(&error))?;
    let read = || {
        Ok::<_, wire::Malformed>(match response.get()?.get_end()?.which()? {
            run_end::Exited(()) => RunEnd::Exited,
            run_end::Crashed(how) => RunEnd::Crashed(short(how?.to_str()?)),
            run_end::Deadline(what) => RunEnd::Deadline(short(what?.to_str()?)),
        })
    };
    read().map_err(|malformed| {
        Failure::new(Code::Failed, format!("the agent node's answer is {malformed}"))
    })
}
