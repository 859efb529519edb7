//! The check of one call against all caveats of one grant, compiled once when the grant is made.

use serde::{Deserialize, Serialize};

use super::guard::Ready;
use super::usage::{Budgets, Usage};
use super::{Caveat, Need, cel, path, text};
use crate::failure::{Code, Failure};
use crate::value::Value;

/// The caveats of a grant, ready to be checked many times. Written down as just those.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(from = "Vec<Caveat>", into = "Vec<Caveat>")]
pub struct Checker {
    checks: Vec<Check>,
}

/// A checker is made from caveats alone, so two of the same caveats are the same.
impl PartialEq for Checker {
    fn eq(&self, other: &Self) -> bool {
        self.caveats().eq(other.caveats())
    }
}

impl From<Vec<Caveat>> for Checker {
    fn from(caveats: Vec<Caveat>) -> Self {
        Self::new(&caveats)
    }
}

impl From<Checker> for Vec<Caveat> {
    fn from(checker: Checker) -> Self {
        checker.checks.into_iter().map(|check| check.caveat).collect()
    }
}

#[derive(Debug, Clone)]
struct Check {
    caveat: Caveat,
    ready: Prepared,
}

#[derive(Debug, Clone)]
enum Prepared {
    /// It is checked as it is.
    Plain,
    Guard(Ready),
    Cel(cel::Program),
    /// A rate, and its place among the rates of its grant.
    Rate(usize),
    /// It could not be made ready, and refuses.
    Broken(String),
}

/// What the caveats of one grant need to know of a call.
#[derive(Clone, Copy)]
pub struct Use<'a> {
    /// The method that is called.
    pub method: &'a str,
    /// Whether it changes nothing.
    pub read_only: bool,
    /// Whether doing it twice is the same as doing it once.
    pub idempotent: bool,
    /// Whether it can destroy something.
    pub destructive: bool,
    /// The interface of the object that it returns; empty: none is promised.
    pub returns: &'a str,
    /// On what it is called.
    pub place: Place<'a>,
    /// The arguments by name, paths as seen from the grant's root. `None`: nobody knows the names.
    pub args: Option<&'a Value>,
    /// Which of the arguments are paths.
    pub path_args: &'a [String],
    /// Where the call acts, seen from the grant's root: the object's own place, or one for each
    /// path argument. Empty if nobody can tell where an object stands.
    pub paths: &'a [String],
    /// Who calls, as a SPIFFE name, or `task`: the task's own agent.
    pub user: &'a str,
    /// The time of the call, in milliseconds since 1970.
    pub now_ms: u64,
    /// What was used of the grant so far.
    pub usage: &'a Usage,
    /// What the call takes of the grant: 1 of what is known only when it has ended, and none of
    /// what a purse below pays.
    pub takes: Budgets,
    /// How many times the grant that is used was narrowed from this one.
    pub distance: u32,
    /// Whether something that a grant requires is alive.
    pub lives: &'a dyn Fn(&Need) -> bool,
}

/// On what a call is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<'a> {
    /// The object that the grant stands for.
    Root,
    /// One obtained from it, with its interface; `None`: nobody said.
    Obtained(Option<&'a str>),
}

/// What the caveats say to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It may be made.
    Allowed,
    /// It may be made once a person approves of it, as this caveat asks, in its text form.
    AllowedOnceApproved(String),
    /// It may not. The failure's detail is the caveat in its text form.
    Refused(Failure),
}

impl Checker {
    /// Makes the caveats of a grant ready. One that cannot be, refuses every call.
    pub fn new(caveats: &[Caveat]) -> Self {
        let mut rates = 0;
        let prepare = |caveat: &Caveat| match caveat {
            Caveat::Argument(guard) => Ready::new(guard).map(Prepared::Guard),
            Caveat::Cel(source) => cel::Program::compile(source).map(Prepared::Cel),
            Caveat::Rate(_) => {
                rates += 1;
                Ok(Prepared::Rate(rates - 1))
            }
            _ => Ok(Prepared::Plain),
        };
        let ready = caveats.iter().map(prepare).collect::<Vec<_>>();
        let check = |(caveat, ready): (&Caveat, Result<Prepared, String>)| Check {
            caveat: caveat.clone(),
            ready: ready.unwrap_or_else(Prepared::Broken),
        };
        Self { checks: caveats.iter().zip(ready).map(check).collect() }
    }

    /// The caveats it was made from.
    pub fn caveats(&self) -> impl Iterator<Item = &Caveat> {
        self.checks.iter().map(|check| &check.caveat)
    }

    /// Whether any caveat looks at the arguments.
    pub fn looks_at_args(&self) -> bool {
        self.checks.iter().any(|check| matches!(check.ready, Prepared::Guard(_) | Prepared::Cel(_)))
    }

    /// What the caveats say to a call, before it is sent.
    pub fn check(&self, usage: &Use<'_>) -> Verdict {
        let mut approval = None;
        for check in &self.checks {
            match &check.caveat {
                Caveat::RequiresApproval(methods) => {
                    if names(methods, usage) && approval.is_none() {
                        approval = Some(text::caveat_text(&check.caveat));
                    }
                }
                _ => {
                    if let Some(why) = check.refuses(usage) {
                        return Verdict::Refused(denied(&check.caveat, why));
                    }
                }
            }
        }
        approval.map_or(Verdict::Allowed, Verdict::AllowedOnceApproved)
    }

    /// Whether what a call returned may be shown to whoever called. `usage` is the grant's before
    /// the result is charged, `takes` what the result takes of its budget of bytes.
    pub fn check_result(
        &self,
        value: &Value,
        object: Option<&str>,
        usage: &Usage,
        takes: u64,
    ) -> Result<(), Failure> {
        let bytes = value.weight() as u64;
        self.check_measured((bytes, holds_object(value)), object, usage, takes)
    }

    /// The same for a value of so many bytes, without objects, that is somewhere else.
    pub(crate) fn check_kept(&self, bytes: u64, usage: &Usage, takes: u64) -> Result<(), Failure> {
        self.check_measured((bytes, false), None, usage, takes)
    }

    fn check_measured(
        &self,
        (bytes, holds_object): (u64, bool),
        object: Option<&str>,
        usage: &Usage,
        takes: u64,
    ) -> Result<(), Failure> {
        for check in &self.checks {
            let why = match &check.caveat {
                Caveat::ResultBytes(most) if bytes > *most => {
                    format!("the result has {bytes} bytes, and at most {most} are allowed")
                }
                Caveat::BytesOut(most)
                    if takes > 0 && usage.spent.bytes_out.saturating_add(takes) > *most =>
                {
                    format!("the result exceeds the budget of {most} bytes")
                }
                Caveat::NoObjects if object.is_some() || holds_object => {
                    "the result holds an object, and none is allowed".into()
                }
                Caveat::Facet(allowed) => {
                    let other = object.filter(|name| !allowed.iter().any(|a| a == name));
                    if other.is_none() && !holds_object {
                        continue;
                    }
                    format!("the result holds an object that is none of {}", allowed.join(", "))
                }
                _ => continue,
            };
            return Err(denied(&check.caveat, format!("{why}; the call was made all the same")));
        }
        Ok(())
    }

    /// The caveat that forbids that a purse of so much is taken from the grant, if one does.
    pub fn refuses_purse(&self, usage: &Usage, takes: Budgets) -> Option<Failure> {
        self.checks.iter().find_map(|check| {
            over_budget(&check.caveat, usage, takes).map(|why| denied(&check.caveat, why))
        })
    }
}

fn denied(caveat: &Caveat, why: String) -> Failure {
    Failure::new(Code::Denied, why).with_detail(text::caveat_text(caveat))
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

/// The budget of the thing at this place of [`Budgets::named`], if the caveat is one.
pub(super) const fn most(caveat: &Caveat, place: usize) -> Option<u64> {
    match (caveat, place) {
        (Caveat::Calls(most), 0)
        | (Caveat::Cost(most), 1)
        | (Caveat::BytesIn(most), 2)
        | (Caveat::BytesOut(most), 3) => Some(*most),
        _ => None,
    }
}

/// Why a budget has not enough left for this, if it has not.
fn over_budget(caveat: &Caveat, usage: &Usage, takes: Budgets) -> Option<String> {
    let called = ["calls", "units of cost", "bytes of arguments", "bytes of results"];
    let (at, most) = (0..called.len()).find_map(|at| Some((at, most(caveat, at)?)))?;
    let (of, spent, takes) = (called[at], usage.spent.named()[at].1, takes.named()[at].1);
    if takes == 0 || spent.saturating_add(takes) <= most {
        return None;
    }
    let left = most.saturating_sub(spent);
    Some(match left {
        0 => format!("the budget of {most} {of} is spent"),
        left => format!("{left} {of} are left of {most}, and {takes} are asked for"),
    })
}

impl Check {
    /// Why the caveat refuses a call, if it does.
    fn refuses(&self, usage: &Use<'_>) -> Option<String> {
        match (&self.caveat, &self.ready) {
            (_, Prepared::Broken(why)) => Some(format!("the caveat cannot be checked: {why}")),
            (Caveat::Argument(_), Prepared::Guard(guard)) => {
                let Some(args) = usage.args else {
                    return Some("nobody can tell what the arguments are called".into());
                };
                guard.check(args, |name| usage.path_args.iter().any(|path| path == name)).err()
            }
            (Caveat::Cel(_), Prepared::Cel(program)) => {
                let facts = cel::Facts {
                    method: usage.method,
                    args: usage.args,
                    paths: usage.paths,
                    user: usage.user,
                    now_ms: usage.now_ms,
                };
                program.check(&facts).err()
            }
            (Caveat::Rate(rate), Prepared::Rate(at)) => {
                match usage.usage.wait_ms(*at, *rate, usage.now_ms) {
                    0 => None,
                    ms => Some(format!("used too fast: possible again in {}", about(ms))),
                }
            }
            (caveat, _) => refuses_plain(caveat, usage),
        }
    }
}

fn refuses_plain(caveat: &Caveat, usage: &Use<'_>) -> Option<String> {
    match caveat {
        Caveat::Methods(allowed) => {
            // The classes of approval are none of a list of what is allowed.
            let by_class = |name: &String| match name.as_str() {
                "readOnly" => usage.read_only,
                "idempotent" => usage.read_only || usage.idempotent,
                _ => false,
            };
            let allows = |name: &String| name == usage.method || by_class(name);
            (!allowed.iter().any(allows)).then(|| {
                let only = if allowed.is_empty() {
                    "nor any other".into()
                } else {
                    format!("only {}", allowed.join(", "))
                };
                format!("the grant does not allow the method `{}`, {only}", usage.method)
            })
        }
        Caveat::Path(prefix) => match usage.paths.iter().find(|p| !path::is_within(p, prefix)) {
            Some(outside) => Some(format!("`{outside}` is not within `{prefix}`")),
            None if usage.paths.is_empty() => {
                Some("nobody can tell where this object stands".into())
            }
            None => None,
        },
        Caveat::NoObjects if !usage.returns.is_empty() => {
            Some(format!("the method `{}` returns an object", usage.method))
        }
        Caveat::NoObjects if usage.place != Place::Root => {
            Some("only the grant's own object may be called".into())
        }
        Caveat::Facet(allowed) => refuses_facet(allowed, usage),
        Caveat::NotBefore(at) if usage.now_ms < *at => {
            Some(format!("the grant is good from {} on", text::moment(*at)))
        }
        Caveat::Expires(at) if usage.now_ms >= *at => {
            Some(format!("the grant expired at {}", text::moment(*at)))
        }
        Caveat::IdleExpiry(ms) => {
            let at = usage.usage.last_use_ms.saturating_add(*ms);
            (usage.now_ms >= at)
                .then(|| format!("the grant expired at {}, unused", text::moment(at)))
        }
        Caveat::Concurrency(most) if usage.usage.in_flight >= *most => {
            Some(format!("{} calls are in flight already", usage.usage.in_flight))
        }
        Caveat::Audience(users) if !users.iter().any(|user| user == usage.user) => {
            Some(format!("`{}` may not use the grant", usage.user))
        }
        Caveat::DelegationDepth(most) if usage.distance > *most => {
            Some(format!("the grant was narrowed {} times", usage.distance))
        }
        Caveat::Requires(need) if !(usage.lives)(need) => Some(match need {
            Need::Grant(name) => format!("the grant `{name}` is gone, and this one with it"),
            Need::Task(task) => format!("the task {task} is over, and this grant with it"),
        }),
        Caveat::Unknown(written) => {
            Some(format!("the caveat `{written}` is not known here, so nothing is allowed"))
        }
        budget => over_budget(budget, usage.usage, usage.takes),
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
        _ => return None,
    };
    Some(format!("{what}, and only {} is allowed", allowed.join(", ")))
}

fn holds_object(value: &Value) -> bool {
    match value {
        Value::Object(_) => true,
        Value::List(items) => items.iter().any(holds_object),
        Value::Fields(fields) => fields.iter().any(|(_, part)| holds_object(part)),
        _ => false,
    }
}
