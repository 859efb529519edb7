//! The decision on a grant that is derived from an object: attenuated by whoever holds it, or
//! passed on to another task or person.

use super::call::CallCommand;
use super::command::Decision;
use super::refusal::Refusal;
use super::{Held, Operation, Task};
use crate::event::{Derivation, Fact, Grant, OnUnknown};
use crate::failure::{Code, Failure};
use crate::grant::{
    BudgetWalk, Budgets, Caveat, GrantRule, Need, path, text, validate_against_manifest,
};
use crate::id::{CallNumber, GrantId, ObjectId};
use crate::value::Value;

/// The method that every object has beside its tool's own: it answers a weaker reference to it.
pub const ATTENUATE: &str = "attenuate";

/// As [`ATTENUATE`], but the budgets it names are a purse: taken from the reference now, and what is
/// left of them goes back when the weaker one is revoked or ends.
pub const SPLIT: &str = "split";

/// A reference on its way to somebody else.
#[derive(Debug, Clone, PartialEq)]
pub struct Delegation {
    /// The object that is passed on.
    pub object: ObjectId,
    /// To whom: a SPIFFE name, or `task:` and an id.
    pub holder: String,
    /// What is taken away on top.
    pub caveats: Vec<Caveat>,
    /// The same for every repetition of this very request.
    pub key: Vec<u8>,
}

impl Task {
    /// The grant that is made when the holder of `call.object` attenuates it.
    pub(super) fn attenuated(
        &self,
        call: &CallCommand,
        grant: GrantId,
        now_ms: u64,
    ) -> Result<Fact, Failure> {
        self.check_usable(call.object, grant)?;
        let derivation = Derivation {
            object: call.object,
            operation: Some(call.call),
            digest: call.digest(),
            key: call.delegate.as_ref().map(|delegate| delegate.key.clone()).unwrap_or_default(),
        };
        let holder = match &call.delegate {
            Some(delegate) => {
                self.grants.get(&delegate.grant).map(|held| held.grant.holder.clone())
            }
            None => None,
        };
        let holder = holder.unwrap_or_else(|| "task".into());
        let (caveats, reserve) = if call.method == SPLIT {
            let args = self.shares_counted(grant, &call.args)?;
            let mut caveats = read_caveats(&args, now_ms)?;
            let purse = take_purse(&mut caveats)?;
            (caveats, purse)
        } else {
            (read_caveats(&call.args, now_ms)?, Budgets::NONE)
        };
        if let Some(held) = self.grants.get(&grant) {
            let above = self.chain(grant).flat_map(|held| &held.grant.caveats);
            validate_against_manifest(&caveats, above, &held.grant.manifest)?;
        }
        self.derived(grant, derivation, (caveats, reserve), holder)
    }

    /// The arguments of a split with each share of a budget, as in `calls: "1/3"`, as the amount that
    /// it is of what is left now.
    fn shares_counted(&self, grant: GrantId, args: &Value) -> Result<Value, Failure> {
        let Value::Fields(fields) = args else { return Ok(args.clone()) };
        let left = self.left(grant, BudgetWalk::default()).left();
        let count = |(name, value): &(String, Value)| {
            let is_budget = Budgets::NONE.named().iter().any(|(budget, _)| budget == name);
            let share = value.as_text().filter(|_| is_budget).and_then(|text| text.split_once('/'));
            let Some((part, of)) = share else { return Ok((name.clone(), value.clone())) };
            let left = left.named().find(|(bounded, _)| bounded == name).map(|(_, left)| left);
            let amount = share_of(name, left, (part, of))?;
            // The text form writes numbers so, however large.
            Ok((name.clone(), Value::Text(amount.to_string())))
        };
        fields.iter().map(count).collect::<Result<_, _>>().map(Value::Fields)
    }

    /// Whether there is anything to use: not revoked, and no failure in place of the object.
    pub(super) fn check_usable(&self, object: ObjectId, grant: GrantId) -> Result<(), Failure> {
        if self.is_revoked(grant) {
            return Err(Failure::new(Code::Revoked, self.why_dead(grant)));
        }
        if let ObjectId::Result(call) | ObjectId::Part(call, _) = object {
            self.check_decided(call)?;
        }
        self.cause_of(object).map_or(Ok(()), |cause| Err(cause.clone()))
    }

    /// Why nothing that was obtained through a grant works any more.
    fn why_dead(&self, grant: GrantId) -> String {
        let mut chain = self.chain(grant);
        if chain.any(Held::is_over) {
            return "the grant was revoked: nothing obtained through it works any more".into();
        }
        let caveats = self.chain(grant).flat_map(|held| &held.grant.caveats);
        let needs = caveats.filter_map(|caveat| match caveat.of_grant() {
            GrantRule::Needs(Need::Grant(name)) => Some(name.as_str()),
            GrantRule::Needs(Need::Task(_))
            | GrantRule::Until(_)
            | GrantRule::Unused(_)
            | GrantRule::Depth(_)
            | GrantRule::PerCall => None,
        });
        let gone = |name: &&str| self.named(name).is_none_or(|needed| self.is_revoked(needed));
        match needs.into_iter().find(gone) {
            Some(name) => format!("the grant requires another one, `{name}`, which is gone"),
            None => "the grant is gone".into(),
        }
    }

    pub(super) fn decide_delegation(&self, pass: &Delegation) -> Result<Decision, Refusal> {
        if self.derived_by.contains_key(&pass.key) {
            return Ok(Decision::Recorded);
        }
        let Some(grant) = self.grant_of(pass.object) else {
            let why = format!("the task does not hold {}", pass.object);
            return Err(Failure::new(Code::ObjectLost, why).into());
        };
        self.check_usable(pass.object, grant)?;
        let derivation = Derivation {
            object: pass.object,
            operation: None,
            digest: [0; 32],
            key: pass.key.clone(),
        };
        let fact = self.derived(
            grant,
            derivation,
            (pass.caveats.clone(), Budgets::NONE),
            pass.holder.clone(),
        )?;
        Ok(Decision::Record(vec![fact]))
    }

    fn derived(
        &self,
        parent: GrantId,
        derivation: Derivation,
        (caveats, reserve): (Vec<Caveat>, Budgets),
        holder: String,
    ) -> Result<Fact, Failure> {
        let lost = || Failure::new(Code::ObjectLost, "the object's grant is gone");
        let above = &self.grants.get(&parent).ok_or_else(lost)?.grant;
        let place = self.path_of(derivation.object);
        let path = path::join(&above.path, place.unwrap_or_default())
            .map_err(|bad| Failure::new(Code::InvalidArgument, bad.to_string()))?;
        let interface = match (place, self.interface_of(derivation.object)) {
            (Some(_), Some(interface)) => interface.to_owned(),
            _ => Grant::UNSAID.to_owned(),
        };
        let grant = Grant {
            grant: GrantId(0),
            parent: Some(parent),
            name: String::new(),
            tool: above.tool.clone(),
            version: above.version.clone(),
            node: above.node.clone(),
            path,
            caveats,
            manifest: above.manifest.clone(),
            holder,
            derived: Some(derivation),
            origin: None,
            interface,
            reserve,
            by: String::new(),
            on_unknown: OnUnknown::Inherit,
        };
        self.decide_grant(&grant).map_err(Refusal::into_failure)
    }

    /// The grant that a request under this key made.
    pub fn derived_under(&self, key: &[u8]) -> Option<GrantId> {
        self.derived_by.get(key).copied()
    }

    /// The number of the call that the holder of `grant` made under this key.
    pub fn delegated_call(&self, grant: GrantId, key: &[u8]) -> Option<CallNumber> {
        if let Some(call) = self.delegated.get(&(grant, key.to_vec())) {
            return Some(*call);
        }
        let derived = self.grants.get(self.derived_by.get(key)?)?;
        derived.grant.derived.as_ref()?.operation
    }

    /// The grants that were passed on to the holder of this name and not taken back.
    pub fn passed_to<'a>(&'a self, holder: &'a str) -> impl Iterator<Item = GrantId> + 'a {
        self.grants
            .values()
            .filter(move |held| held.grant.holder == holder && !held.is_over())
            .map(|held| held.grant.grant)
    }

    pub(super) fn derived_operation(&self, call: CallNumber) -> Option<GrantId> {
        match self.operations.get(&call)? {
            Operation::Derived { grant, .. } => Some(*grant),
            Operation::CapabilityRequest { .. } => self.granted_to(call),
            Operation::Call { .. }
            | Operation::Denied { .. }
            | Operation::Sleep { .. }
            | Operation::Input { .. }
            | Operation::Steers { .. } => None,
        }
    }
}

/// How much a share, as in `1/3`, is of what is left; rounded down, and never nothing.
fn share_of(name: &str, left: Option<u64>, (part, of): (&str, &str)) -> Result<u64, Failure> {
    let invalid = |why: String| Failure::new(Code::InvalidArgument, why).with_detail(name);
    let share = part.trim().parse::<u64>().ok().zip(of.trim().parse::<u64>().ok());
    let Some((part, of)) = share.filter(|(part, of)| 0 < *part && part <= of) else {
        return Err(invalid(format!("`{part}/{of}` is no share: write one as in {name}: \"1/3\"")));
    };
    let Some(left) = left else {
        let why = format!("nothing bounds `{name}` of this grant, so there is no share of it");
        return Err(invalid(why));
    };
    match u128::from(left) * u128::from(part) / u128::from(of) {
        0 => {
            let why = format!("{part}/{of} of {name}={left}, which is what is left, is not one");
            Err(Failure::new(Code::Denied, why).with_detail(format!("{name}={left}")))
        }
        amount => Ok(u64::try_from(amount).unwrap_or(left)),
    }
}

/// Takes the budgets out of the caveats, to be a purse.
fn take_purse(caveats: &mut Vec<Caveat>) -> Result<Budgets, Failure> {
    let mut purse = Budgets::NONE;
    caveats.retain(|caveat| {
        let Some((counter, amount)) = caveat.budget() else { return true };
        *purse.each_mut()[counter] = amount;
        false
    });
    if purse.is_none() {
        let why =
            "say what to take, of calls, cost, bytesIn and bytesOut, as in split({ cost: 1000 })";
        return Err(Failure::new(Code::InvalidArgument, why));
    }
    Ok(purse)
}

/// Caveats as a script writes them: fields of names and values, or one text in the text form.
fn read_caveats(args: &Value, now_ms: u64) -> Result<Vec<Caveat>, Failure> {
    let invalid = |why: String| Failure::new(Code::InvalidArgument, why);
    let caveats = match args {
        Value::Fields(_) => text::caveats_from_value(args, now_ms),
        Value::List(items) if matches!(items[..], [Value::Text(_)]) => {
            let text = items[0].as_text().unwrap_or_default();
            let parts = text.split('&').filter(|part| !part.is_empty());
            parts.map(|part| text::parse_caveat(part, now_ms)).collect()
        }
        Value::Null => Ok(Vec::new()),
        Value::Bool(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Text(_)
        | Value::Data(_)
        | Value::List(_)
        | Value::Object(_)
        | Value::Unsigned(_) => {
            let why = "give the caveats by name, as in attenuate({ methods: [\"read\"], calls: 10 }), or as one text, \"methods=read&calls=10\"";
            return Err(invalid(why.into()));
        }
    };
    let caveats = caveats.map_err(|not| invalid(not.to_string()))?;
    match caveats.iter().find(|caveat| matches!(caveat, Caveat::Unknown(_))) {
        Some(Caveat::Unknown(name)) => {
            Err(invalid(format!("`{name}` is no caveat that is known here")))
        }
        _ => Ok(caveats),
    }
}
