//! Triggers: what creates tasks or sends input by itself.

use remit_core::{TaskId, Value};

use crate::client::Client;
use crate::error::Error;
use crate::serve::session::Repeat;
use crate::serve::triggers;
use crate::spec::TaskSpec;

/// A trigger.
#[derive(Debug, Clone)]
pub struct Trigger {
    /// Its name: 1 to 64 letters, digits, `-` and `_`. One that is put again is replaced.
    pub name: String,
    /// What sets it off.
    pub when: When,
    /// What becomes of times at which the orchestrator did not run.
    pub missed: Missed,
    /// What it does.
    pub does: Does,
}

/// What sets a trigger off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    /// A cron expression of five fields, in a time zone such as `Europe/Berlin`.
    Cron {
        /// Minute, hour, day of month, month, day of week, as in `crontab(5)`.
        expression: String,
        /// Its name in the [time zone database](https://www.iana.org/time-zones), for example `UTC`.
        time_zone: String,
    },
    /// An interval in milliseconds, counted from when the trigger was put; at least a second.
    Every(u64),
    /// A POST of JSON to `/hooks/NAME`.
    Webhook(Webhook),
}

/// What a webhook takes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Webhook {
    /// By what a post shows that it may.
    pub proof: PostProof,
    /// Headers of the post, in lower case, that stand in the input, which is then `{headers, body}` in
    /// place of the body. At most 16; `authorization` is refused.
    pub headers: Vec<String>,
}

/// By what a post to a webhook shows that it may.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PostProof {
    /// The secret that [`Client::put_trigger`] gave, as `Authorization: Bearer SECRET`.
    #[default]
    Secret,
    /// HMAC-SHA256 over the body, as `X-Hub-Signature-256: sha256=HEX`, by the secret that the operator
    /// keeps at the orchestrator for the trigger of this name.
    Signature,
}

/// What becomes of missed times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missed {
    /// The last one is made up for.
    Once,
    /// None is.
    Skip,
    /// Each is, the last hundred at most.
    All,
}

/// What a trigger does.
#[derive(Debug, Clone)]
pub enum Does {
    /// It creates a task. By a webhook the task's input is the body that was posted.
    Create(Box<TaskSpec>),
    /// It sends input to a task. By a webhook the body takes the value's place.
    Send {
        /// The task.
        task: TaskId,
        /// The input.
        value: Value,
        /// Whether it steers.
        steer: bool,
    },
}

/// A trigger and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriggerInfo {
    /// Its name.
    pub name: String,
    /// What sets it off.
    pub when: When,
    /// What becomes of missed times.
    pub missed: Missed,
    /// The name of the task that it creates; `None`: it sends input.
    pub creates: Option<String>,
    /// The task to which it sends input.
    pub sends_to: Option<TaskId>,
    /// Who put it, as a SPIFFE name.
    pub creator: String,
    /// When, in milliseconds since 1970.
    pub created_ms: u64,
    /// The time for which it was last set off, in milliseconds since 1970; 0: never.
    pub last_ms: u64,
    /// The next time; 0: none.
    pub next_ms: u64,
    /// Why it did nothing the last time; empty: it did.
    pub failure: String,
}

impl Client {
    /// Adds a trigger, or replaces the one of its name. For a webhook with [`PostProof::Secret`] the answer
    /// is its fresh secret, which is told this once; else it is empty.
    ///
    /// ```no_run
    /// # async fn example(mesh: remit_client::Client) -> Result<(), remit_client::Error> {
    /// use remit_client::{Does, GrantSpec, Missed, TaskSpec, Trigger, When};
    ///
    /// let report = TaskSpec::script("report", "export default (remit) => remit.repo.log()")
    ///     .grant(GrantSpec::parse("repo", "git?methods=readOnly", 0)?);
    /// let workdays = When::Cron {
    ///     expression: "0 9 * * 1-5".into(),
    ///     time_zone: "Europe/Berlin".into(),
    /// };
    /// let does = Does::Create(Box::new(report));
    /// let name = "morning-report".into();
    /// mesh.put_trigger(Trigger { name, when: workdays, missed: Missed::Once, does }).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Failed`] with `invalid-argument` if the name, the schedule or the task is wrong;
    /// [`Error::Unknown`] if the connection was lost meanwhile: put it again.
    pub async fn put_trigger(&self, trigger: Trigger) -> Result<String, Error> {
        self.visit(async move |session| {
            let (trigger, runtime) = (&trigger, &session.runtime);
            session.ask(Repeat::Harmful, |m| triggers::put(m, trigger, runtime)).await
        })
        .await
    }

    /// All triggers, by name.
    ///
    /// # Errors
    /// As for any call: see [`Error`].
    pub async fn triggers(&self) -> Result<Vec<TriggerInfo>, Error> {
        self.visit(async move |session| session.ask(Repeat::Harmless, triggers::list).await).await
    }

    /// Removes a trigger.
    ///
    /// # Errors
    /// [`Error::Failed`] with `not-found` if there is none of this name.
    pub async fn remove_trigger(&self, name: &str) -> Result<(), Error> {
        let name = name.to_owned();
        self.visit(async move |session| {
            let name = &name;
            session.ask(Repeat::Harmful, |m| triggers::remove(m, name)).await
        })
        .await
    }
}
