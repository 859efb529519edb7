//! What a caveat says to a call before it is sent.

use super::{Check, Place, Prepared, Use, over_budget};
use crate::grant::{Caveat, Need, Rate, Usage, cel, path, text};

/// What one caveat says to a call.
pub(super) enum Holds {
    Yes,
    OnceApproved,
    /// It does not, for this reason.
    No(String),
}

impl Holds {
    /// It holds, unless there is a reason why not.
    fn unless(why: Option<String>) -> Self {
        why.map_or(Self::Yes, Self::No)
    }

    fn only_if(holds: bool, why: impl FnOnce() -> String) -> Self {
        if holds { Self::Yes } else { Self::No(why()) }
    }
}

impl Check {
    /// What the caveat says to a call that it is of. There is no arm for all others: a condition that
    /// is added must say here what it checks, or that it is checked somewhere else.
    pub(super) fn verdict(&self, call: &Use<'_>) -> Holds {
        let own;
        let (usage, takes) = match &self.only {
            None => (call.usage, call.takes),
            // A purse further down pays for the grant, and not for what it says of a method.
            Some(method) => {
                own = call.usage.of(method);
                (&*own, call.whole)
            }
        };
        match &self.caveat {
            Caveat::Methods(allowed) => Holds::unless(refuses_method(allowed, call)),
            Caveat::Path(prefix) => Holds::unless(refuses_path(prefix, call)),
            Caveat::Argument(_) | Caveat::Cel(_) => self.looks(call),
            Caveat::NoObjects if !call.returns.is_empty() => {
                Holds::No(format!("the method `{}` returns an object", call.method))
            }
            Caveat::NoObjects => Holds::only_if(call.place == Place::Root, || {
                "only the grant's own object may be called".into()
            }),
            Caveat::Facet(allowed) => Holds::unless(refuses_facet(allowed, call)),
            Caveat::NotBefore(at) => Holds::only_if(call.now_ms >= *at, || {
                format!("the grant is good from {} on", text::moment(*at))
            }),
            Caveat::Expires(at) => Holds::only_if(call.now_ms < *at, || {
                format!("the grant expired at {}", text::moment(*at))
            }),
            Caveat::IdleExpiry(ms) => {
                let at = usage.last_use_ms.saturating_add(*ms);
                Holds::only_if(call.now_ms < at, || {
                    format!("the grant expired at {}, unused", text::moment(at))
                })
            }
            Caveat::Rate(rate) => self.in_rate(*rate, usage, call.now_ms),
            Caveat::Concurrency(most) => Holds::only_if(usage.in_flight < *most, || {
                format!("{} calls are in flight already", usage.in_flight)
            }),
            Caveat::Audience(users) => {
                Holds::only_if(users.iter().any(|user| user == call.user), || {
                    format!("`{}` may not use the grant", call.user)
                })
            }
            Caveat::DelegationDepth(most) => Holds::only_if(call.distance <= *most, || {
                format!("the grant was narrowed {} times", call.distance)
            }),
            Caveat::Requires(need) => Holds::only_if((call.lives)(need), || gone(need)),
            budget @ (Caveat::Calls(_)
            | Caveat::Cost(_)
            | Caveat::BytesIn(_)
            | Caveat::BytesOut(_)) => Holds::unless(over_budget(budget, usage, takes)),
            Caveat::RequiresApproval(methods) => match names(methods, call) {
                true => Holds::OnceApproved,
                false => Holds::Yes,
            },
            // It is checked when the call has ended.
            Caveat::ResultBytes(_) => Holds::Yes,
            // They forbid nothing.
            Caveat::Label(_) | Caveat::Direct => Holds::Yes,
            Caveat::Unknown(written) => Holds::No(unknown(written)),
            Caveat::Only(..) => self.broken(),
        }
    }

    fn in_rate(&self, rate: Rate, usage: &Usage, now_ms: u64) -> Holds {
        let Prepared::Rate(at) = self.ready else { return self.broken() };
        match usage.wait_ms(at, rate, now_ms) {
            0 => Holds::Yes,
            ms => Holds::No(format!("used too fast: possible again in {}", about(ms))),
        }
    }

    /// What a condition on the arguments says.
    fn looks(&self, call: &Use<'_>) -> Holds {
        match &self.ready {
            Prepared::Guard(guard) => {
                let Some(args) = call.args else {
                    return Holds::No("nobody can tell what the arguments are called".into());
                };
                let is_path = |name: &str| call.path_args.iter().any(|path| path == name);
                Holds::unless(guard.check(args, is_path).err())
            }
            Prepared::Cel(program) => {
                let facts = cel::Facts {
                    method: call.method,
                    args: call.args,
                    paths: call.paths,
                    user: call.user,
                    now_ms: call.now_ms,
                };
                Holds::unless(program.check(&facts).err())
            }
            Prepared::Plain | Prepared::Rate(_) | Prepared::Broken(_) => self.broken(),
        }
    }

    /// It was not made ready, so nothing can be said of a call.
    fn broken(&self) -> Holds {
        let why = match &self.ready {
            Prepared::Broken(why) => why.as_str(),
            Prepared::Plain | Prepared::Guard(_) | Prepared::Cel(_) | Prepared::Rate(_) => {
                "nothing here checks it"
            }
        };
        Holds::No(format!("the caveat cannot be checked: {why}"))
    }
}

fn gone(need: &Need) -> String {
    match need {
        Need::Grant(name) => format!("the grant `{name}` is gone, and this one with it"),
        Need::Task(task) => format!("the task {task} is over, and this grant with it"),
    }
}

fn refuses_method(allowed: &[String], call: &Use<'_>) -> Option<String> {
    // The classes of approval are none of a list of what is allowed.
    let by_class = |name: &String| match name.as_str() {
        "readOnly" => call.read_only,
        "idempotent" => call.read_only || call.idempotent,
        _ => false,
    };
    let allows = |name: &String| name == call.method || by_class(name);
    if allowed.iter().any(allows) {
        return None;
    }
    let only = match allowed.is_empty() {
        true => "nor any other".into(),
        false => format!("only {}", allowed.join(", ")),
    };
    Some(format!("the grant does not allow the method `{}`, {only}", call.method))
}

fn refuses_path(prefix: &str, call: &Use<'_>) -> Option<String> {
    match call.paths.iter().find(|path| !path::is_within(path, prefix)) {
        Some(outside) => Some(format!("`{outside}` is not within `{prefix}`")),
        None if call.paths.is_empty() => Some("nobody can tell where this object stands".into()),
        None => None,
    }
}

fn refuses_facet(allowed: &[String], usage: &Use<'_>) -> Option<String> {
    let is_allowed = |name: &str| allowed.iter().any(|a| a == name);
    let what = match usage.place {
        _ if !usage.returns.is_empty() && !is_allowed(usage.returns) => {
            format!("the method `{}` returns a {}", usage.method, usage.returns)
        }
        Place::Obtained(Some(name)) if !is_allowed(name) => format!("the object is a {name}"),
        Place::Obtained(None) => "nobody can tell what the object is".into(),
        Place::Root | Place::Obtained(Some(_)) => return None,
    };
    Some(format!("{what}, and only {} is allowed", allowed.join(", ")))
}

pub(super) fn unknown(written: &str) -> String {
    format!("the caveat `{written}` is not known here, so nothing is allowed")
}

/// A wait in words, never shorter than it is.
fn about(ms: u64) -> String {
    let (unit, name) = match ms {
        0..1_000 => (1, "ms"),
        1_000..100_000 => (1_000, "s"),
        100_000..6_000_000 => (60_000, "min"),
        _ => (3_600_000, "h"),
    };
    format!("{} {name}", ms.div_ceil(unit))
}

/// Whether a list of methods and classes names the method of a call.
fn names(list: &[String], usage: &Use<'_>) -> bool {
    list.iter().any(|name| match name.as_str() {
        "*" => true,
        "destructive" if usage.destructive => true,
        "readOnly" if usage.read_only => true,
        "idempotent" if usage.read_only || usage.idempotent => true,
        name => name == usage.method,
    })
}
