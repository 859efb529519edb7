//! The check of one call against all caveats of one grant, compiled once when the grant is made.

mod verdict;
mod withhold;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use self::verdict::Holds;
use self::withhold::withholds;
use super::guard::Ready;
use super::usage::{Budgets, Usage};
use super::{Caveat, Need, cel, text};
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
        checker.checks.into_iter().map(Check::into_written).collect()
    }
}

#[derive(Debug, Clone)]
struct Check {
    caveat: Caveat,
    ready: Prepared,
    /// How it is written: what a refusal names.
    written: Option<Box<Caveat>>,
    /// The one method whose calls it is of; `None`: of all.
    only: Option<String>,
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
    /// What the call takes by itself, whoever pays: what conditions on one method count.
    pub whole: Budgets,
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
        // A rate's bucket stands with the usage of its method, if it is of one.
        let mut rates: BTreeMap<Option<&str>, usize> = BTreeMap::new();
        let mut checks = Vec::with_capacity(caveats.len());
        for written in caveats {
            let (only, caveat) = match written.of_one_method() {
                Some((method, inner)) => (Some(method), inner),
                None => (None, written),
            };
            let place = rates.entry(only.map(String::as_str)).or_default();
            checks.push(Check {
                caveat: caveat.clone(),
                ready: prepare(caveat, place).unwrap_or_else(Prepared::Broken),
                written: only.is_some().then(|| Box::new(written.clone())),
                only: only.cloned(),
            });
        }
        Self { checks }
    }

    /// The caveats it was made from.
    pub fn caveats(&self) -> impl Iterator<Item = &Caveat> {
        self.checks.iter().map(Check::written)
    }

    /// Whether any caveat looks at the arguments.
    pub fn looks_at_args(&self) -> bool {
        self.checks.iter().any(|check| matches!(check.ready, Prepared::Guard(_) | Prepared::Cel(_)))
    }

    /// What the caveats say to a call, before it is sent.
    pub fn check(&self, usage: &Use<'_>) -> Verdict {
        let mut approval = None;
        for check in self.checks.iter().filter(|check| check.is_of(usage.method)) {
            match check.verdict(usage) {
                Holds::Yes => {}
                Holds::OnceApproved => approval = approval.or_else(|| Some(check.text())),
                Holds::No(why) => return Verdict::Refused(check.denied(why)),
            }
        }
        approval.map_or(Verdict::Allowed, Verdict::AllowedOnceApproved)
    }

    /// Whether what a call returned may be shown to whoever called. `usage` is the grant's before
    /// the result is charged, `takes` what the result takes of its budget of bytes.
    pub fn check_result(
        &self,
        method: &str,
        (value, object): (&Value, Option<&str>),
        usage: &Usage,
        takes: u64,
    ) -> Result<(), Failure> {
        let bytes = value.weight() as u64;
        self.check_measured(method, (bytes, value.holds_object(), object), usage, takes)
    }

    /// The same for a value of so many bytes, without objects, that is somewhere else.
    pub(crate) fn check_kept(
        &self,
        method: &str,
        bytes: u64,
        usage: &Usage,
        takes: u64,
    ) -> Result<(), Failure> {
        self.check_measured(method, (bytes, false, None), usage, takes)
    }

    fn check_measured(
        &self,
        method: &str,
        result: (u64, bool, Option<&str>),
        usage: &Usage,
        takes: u64,
    ) -> Result<(), Failure> {
        for check in self.checks.iter().filter(|check| check.is_of(method)) {
            let (spent, takes) = match &check.only {
                None => (usage.spent.bytes_out, takes),
                // A purse further down pays for the grant, and not for what it says of a method.
                Some(method) => (usage.of(method).spent.bytes_out, result.0),
            };
            if let Some(why) = withholds(&check.caveat, result, spent.saturating_add(takes), takes)
            {
                return Err(check.denied(format!("{why}; the call was made all the same")));
            }
        }
        Ok(())
    }

    /// The caveat that forbids that a purse of so much is taken from the grant, if one does.
    pub fn refuses_purse(&self, usage: &Usage, takes: Budgets) -> Option<Failure> {
        let whole = self.checks.iter().filter(|check| check.only.is_none());
        whole
            .into_iter()
            .find_map(|check| over_budget(&check.caveat, usage, takes).map(|why| check.denied(why)))
    }
}

impl Check {
    fn is_of(&self, method: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only == method)
    }

    fn written(&self) -> &Caveat {
        self.written.as_deref().unwrap_or(&self.caveat)
    }

    fn into_written(self) -> Caveat {
        self.written.map_or(self.caveat, |written| *written)
    }

    fn text(&self) -> String {
        text::caveat_text(self.written())
    }

    fn denied(&self, why: String) -> Failure {
        Failure::new(Code::Denied, why).with_detail(self.text())
    }
}

/// Makes a caveat ready. `rates`: the place of the next rate.
fn prepare(caveat: &Caveat, rates: &mut usize) -> Result<Prepared, String> {
    match caveat {
        Caveat::Argument(guard) => Ready::new(guard).map(Prepared::Guard),
        Caveat::Cel(source) => cel::Program::compile(source).map(Prepared::Cel),
        Caveat::Rate(_) => {
            *rates += 1;
            Ok(Prepared::Rate(*rates - 1))
        }
        Caveat::Only(..) => Err("it is of one method of one method".into()),
        Caveat::Methods(_)
        | Caveat::Path(_)
        | Caveat::ResultBytes(_)
        | Caveat::NoObjects
        | Caveat::Facet(_)
        | Caveat::NotBefore(_)
        | Caveat::Expires(_)
        | Caveat::IdleExpiry(_)
        | Caveat::Calls(_)
        | Caveat::BytesIn(_)
        | Caveat::BytesOut(_)
        | Caveat::Concurrency(_)
        | Caveat::Cost(_)
        | Caveat::Audience(_)
        | Caveat::DelegationDepth(_)
        | Caveat::RequiresApproval(_)
        | Caveat::Requires(_)
        | Caveat::Label(_)
        | Caveat::Direct
        | Caveat::Unknown(_) => Ok(Prepared::Plain),
    }
}

/// Why a budget has not enough left for this, if it has not.
fn over_budget(caveat: &Caveat, usage: &Usage, takes: Budgets) -> Option<String> {
    let called = ["calls", "units of cost", "bytes of arguments", "bytes of results"];
    let (at, most) = caveat.budget()?;
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
