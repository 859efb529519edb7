//! Keys by which a repeated request is known again: no client can choose one that the orchestrator
//! will make itself.

use remit_core::{Code, Failure};

/// Of a task that an agent spawns.
pub const SPAWN: &str = "spawn/";

/// Of an input that an agent sends.
pub const SENT: &str = "sent/";

/// Of what a trigger does.
pub const TRIGGER: &str = "trigger/";

/// The trigger that made the task with this key of its creation, if one did.
pub(super) fn trigger(key: &str) -> Option<&str> {
    key.strip_prefix(TRIGGER)?.split('/').next()
}

/// A key that a client chose.
///
/// # Errors
/// `invalid-argument` if it begins as one of the orchestrator's own.
pub(super) fn chosen(key: String) -> Result<String, Failure> {
    match [SPAWN, SENT, TRIGGER].into_iter().find(|own| key.starts_with(own)) {
        None => Ok(key),
        Some(own) => {
            let why = format!("a key may not begin with `{own}`, as the orchestrator's own do");
            Err(Failure::new(Code::InvalidArgument, why).with_detail("key"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_the_orchestrators_own_is_refused() {
        for own in ["spawn/", "spawn/00", "sent/1", "trigger/nightly/1/2"] {
            assert_eq!(chosen(own.to_owned()).unwrap_err().code, Code::InvalidArgument, "{own}");
        }
        for free in ["", "spawn", "my/spawn/1", "0a1b"] {
            assert_eq!(chosen(free.to_owned()).unwrap(), free);
        }
    }

    #[test]
    fn key_of_a_task_names_the_trigger_that_made_it() {
        assert_eq!(trigger("trigger/nightly/17/18"), Some("nightly"));
        assert_eq!(trigger("spawn/trigger/1"), None);
        assert_eq!(trigger(""), None);
    }
}
