//! What a method says of itself.

use std::time::Duration;

use remit_core::manifest;
use schemars::JsonSchema;
use serde::Deserialize;

/// A method's description and annotations. What it promises here decides what happens when a call
/// is interrupted: what is read-only or idempotent is repeated, anything else waits for a person.
///
/// ```
/// use std::time::Duration;
/// use remit_tool_node::kit::Method;
/// let remove = Method::idempotent("Removes a city.").destructive().timeout(Duration::from_secs(5));
/// ```
#[derive(Debug, Clone)]
pub struct Method {
    meta: manifest::Method,
    marks: bool,
}

/// For methods that take no arguments.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
pub struct NoArgs {}

impl Method {
    /// A method with effects, not to be done twice. `description` is what an agent reads.
    pub fn effect(description: impl Into<String>) -> Self {
        let description = description.into();
        let meta = manifest::Method { description, ..manifest::Method::default() };
        Self { meta, marks: false }
    }

    /// A method that changes nothing.
    pub fn read_only(description: impl Into<String>) -> Self {
        let mut method = Self::effect(description);
        method.meta.read_only = true;
        method
    }

    /// A method with effects, of which doing it twice is the same as doing it once.
    pub fn idempotent(description: impl Into<String>) -> Self {
        let mut method = Self::effect(description);
        method.meta.idempotent = true;
        method
    }

    /// A method that changes nothing and whose result depends on its arguments alone.
    pub fn pure(description: impl Into<String>) -> Self {
        let mut method = Self::read_only(description);
        method.meta.pure_ = true;
        method
    }

    /// It may destroy what cannot be got back.
    #[must_use]
    pub const fn destructive(mut self) -> Self {
        self.meta.destructive = true;
        self
    }

    /// The longest a call may take, at most some 49 days. Without it the caller decides.
    #[must_use]
    pub fn timeout(mut self, longest: Duration) -> Self {
        self.meta.timeout_ms = u32::try_from(longest.as_millis()).unwrap_or(u32::MAX);
        self
    }

    /// The most that one call costs, in units of the tool's own. So much is reserved of every budget
    /// before a call is sent, so that calls side by side never exceed one together; what a call does
    /// not [charge](super::CallContext::charge) goes back, and what it charges beyond that is not
    /// paid.
    #[must_use]
    pub const fn costs_at_most(mut self, units: u64) -> Self {
        self.meta.max_cost = units;
        self
    }

    /// It calls [`CallContext::point_of_no_return`](super::CallContext::point_of_no_return) before
    /// the first thing that must not be done twice. A call that was interrupted before is simply
    /// sent again; without this, every interrupted call is a question to a person.
    #[must_use]
    pub const fn marks_point_of_no_return(mut self) -> Self {
        self.marks = true;
        self
    }

    pub(crate) fn into_parts(self) -> (manifest::Method, bool) {
        (self.meta, self.marks)
    }
}
