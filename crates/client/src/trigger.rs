//! Triggers: they create tasks or send input on a schedule or on a webhook post.

use remit_core::{TaskId, Value};

use crate::client::Client;
use crate::error::Error;
use crate::serve::session::Repeat;
use crate::serve::triggers;
use crate::spec::TaskSpec;

/// A trigger.
#[derive(Debug, Clone)]
pub struct Trigger {
    /// Its name: 1 to 64 letters, digits, `-` and `_`. A trigger of the same name is replaced.
    pub name: String,
    /// What fires it.
    pub when: When,
    /// The policy for missed times: those at which the orchestrator did not run.
    pub missed: Missed,
    /// What it does when it fires.
    pub does: Does,
}

/// What fires a trigger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    /// A cron expression of five fields, in a time zone such as `Europe/Berlin`.
    Cron {
        /// Minute, hour, day of month, month, day of week, as in `crontab(5)`.
        expression: String,
        /// The zone's name in the [time zone database](https://www.iana.org/time-zones), for
        /// example `UTC`.
        time_zone: String,
    },
    /// An interval in milliseconds from the creation of the trigger; at least a second.
    Every(u64),
    /// A POST of JSON to `/hooks/NAME`.
    Webhook(Webhook),
}

/// What a webhook accepts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Webhook {
    /// How a post authenticates.
    pub proof: PostProof,
    /// Headers of the post, in lower case, to pass on. The input is then `{headers, body}` instead
    /// of the body alone. At most 16; `authorization` is refused.
    pub headers: Vec<String>,
}

/// How a post to a webhook authenticates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PostProof {
    /// With the secret that [`Client::put_trigger`] returned, as `Authorization: Bearer SECRET`.
    #[default]
    Secret,
    /// With an HMAC-SHA256 over the body, as `X-Hub-Signature-256: sha256=HEX`. The secret is the
    /// one that the operator stores at the orchestrator for the trigger of this name.
    Signature,
}

/// The policy for missed times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missed {
    /// The last missed time fires.
    Once,
    /// No missed time fires.
    Skip,
    /// Every missed time fires, at most the last hundred.
    All,
}

/// What a trigger does when it fires.
#[derive(Debug, Clone)]
pub enum Does {
    /// Creates a task. With a webhook, the task's input is the posted body.
    Create(Box<TaskSpec>),
    /// Sends input to a task. With a webhook, the posted body replaces `value`.
    Send {
        /// The task.
        task: TaskId,
        /// The input.
        value: Value,
        /// Whether the input is a steer.
        steer: bool,
    },
}

/// A trigger and its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriggerInfo {
    /// Its name.
    pub name: String,
    /// What fires it.
    pub when: When,
    /// The policy for missed times.
    pub missed: Missed,
    /// The name of the task that it creates; `None`: it sends input.
    pub creates: Option<String>,
    /// The task to which it sends input.
    pub sends_to: Option<TaskId>,
    /// The identity that created it, as a SPIFFE ID.
    pub creator: String,
    /// When it was created, in milliseconds since 1970.
    pub created_ms: u64,
    /// The time for which it last fired, in milliseconds since 1970; 0: never.
    pub last_ms: u64,
    /// The next time at which it fires, in milliseconds since 1970; 0: none.
    pub next_ms: u64,
    /// Why it did nothing the last time; empty: it succeeded.
    pub failure: String,
}

impl Client {
    /// Adds a trigger, or replaces the one of the same name. For a webhook with
    /// [`PostProof::Secret`] it returns a fresh secret, which is not shown again; otherwise an
    /// empty string.
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
    /// [`Error::Failed`] with `invalid-argument` if the name, the schedule or the task is invalid;
    /// [`Error::Unknown`] if the connection was lost during the call: put the trigger again.
    pub async fn put_trigger(&self, trigger: Trigger) -> Result<String, Error> {
        self.visit(async move |session| {
            let (trigger, runtime) = (&trigger, &session.runtime);
            session.ask(Repeat::Harmful, |m| triggers::put(m, trigger, runtime)).await
        })
        .await
    }

    /// Lists all triggers, by name.
    ///
    /// # Errors
    /// As for any call: see [`Error`].
    pub async fn triggers(&self) -> Result<Vec<TriggerInfo>, Error> {
        self.visit(async move |session| session.ask(Repeat::Harmless, triggers::list).await).await
    }

    /// Removes a trigger.
    ///
    /// # Errors
    /// [`Error::Failed`] with `not-found` if there is no trigger of this name.
    pub async fn remove_trigger(&self, name: &str) -> Result<(), Error> {
        let name = name.to_owned();
        self.visit(async move |session| {
            let name = &name;
            session.ask(Repeat::Harmful, |m| triggers::remove(m, name)).await
        })
        .await
    }
}
