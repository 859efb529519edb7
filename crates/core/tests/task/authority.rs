//! What holds of every use of authority: budgets are exact, revocation cuts, paths confine.
//!
//! Each is checked from the journal alone, by other means than those that decided.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use remit_core::event::{CallRequested, Fact, Grant};
use remit_core::grant::Caveat;
use remit_core::{CallNumber, GrantId, ObjectId, Value};

use super::chance::{Step, call, grant, lived, steps};
use super::world::{START_MS, World};

/// Lives of many grants and calls, and hardly anything else.
fn busy() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        1 => (0..50_u64, grant()).boxed(),
        6 => (0..50_u64, call().prop_map(Into::into)).boxed(),
    ];
    (prop::collection::vec(step, 1..40), steps(16))
        .prop_map(|(busy, mixed)| busy.into_iter().chain(mixed).collect())
}

proptest! {
    #![proptest_config(super::property::config())]

    #[test]
    fn authority_holds_in_any_life(steps in busy()) {
        let world = lived(&steps);
        let grants = grants(&world);
        no_call_goes_beyond_a_budget(&world, &grants)?;
        nothing_is_called_below_a_revoked_grant(&world, &grants)?;
        nothing_is_called_after_expiry_or_under_a_caveat_that_is_not_known(&world, &grants)?;
        no_call_acts_outside_a_path_caveat(&world, &grants)?;
        what_was_allowed_once_is_what_the_tool_is_sent(&world)?;
    }
}

type Tried = Result<(), TestCaseError>;
type Grants<'a> = BTreeMap<GrantId, &'a Grant>;

fn no_call_goes_beyond_a_budget(world: &World, grants: &Grants) -> Tried {
    for (id, grant) in grants {
        let under = requests(world).filter(|r| ancestors(grants, r.grant).contains(id));
        let used = under.count() as u64;
        prop_assert_eq!(world.task.grant(*id).unwrap().used(), used);
        for caveat in &grant.caveats {
            if let Caveat::Calls(most) = caveat {
                prop_assert!(used <= *most, "{used} calls under {grant:?}");
            }
        }
    }
    Ok(())
}

fn nothing_is_called_below_a_revoked_grant(world: &World, grants: &Grants) -> Tried {
    let mut revoked = BTreeSet::new();
    for event in &world.journal {
        match &event.fact {
            Fact::GrantRevoked { grant, .. } => {
                revoked.insert(*grant);
            }
            Fact::CallRequested(request) => {
                let chain = ancestors(grants, request.grant);
                prop_assert!(chain.is_disjoint(&revoked), "{request:?} after {revoked:?}");
            }
            _ => {}
        }
    }
    Ok(())
}

fn nothing_is_called_after_expiry_or_under_a_caveat_that_is_not_known(
    world: &World,
    grants: &Grants,
) -> Tried {
    for event in &world.journal {
        let Fact::CallRequested(request) = &event.fact else { continue };
        for caveat in caveats(grants, request.grant) {
            match caveat {
                Caveat::Expires(at) => prop_assert!(event.time_ms < *at),
                Caveat::Unknown(_) => prop_assert!(false, "{request:?}"),
                _ => {}
            }
        }
    }
    Ok(())
}

fn no_call_acts_outside_a_path_caveat(world: &World, grants: &Grants) -> Tried {
    let mut places = Places::default();
    for event in &world.journal {
        if let Fact::GrantAdded(grant) = &event.fact {
            places.learn(grants, grant);
        }
        let Fact::CallRequested(request) = &event.fact else { continue };
        let acts = places.acts_at(grants, request);
        for held in ancestors(grants, request.grant) {
            let grant = &grants[&held];
            let inside = walk(&[], &grant.path).unwrap();
            prop_assert!(acts.iter().all(|at| at.starts_with(&inside)), "{request:?}");
            for caveat in &grant.caveats {
                let Caveat::Path(prefix) = caveat else { continue };
                let inside = walk(&inside, prefix).unwrap();
                prop_assert!(acts.iter().all(|at| at.starts_with(&inside)), "{request:?}");
                prop_assert!(!acts.is_empty(), "nobody can tell where {request:?} acts");
            }
        }
    }
    Ok(())
}

/// The tool sees normalised paths, each name once, so that it cannot read them otherwise than the
/// caveats did.
fn what_was_allowed_once_is_what_the_tool_is_sent(world: &World) -> Tried {
    for request in requests(world) {
        // Of an object that no manifest describes nobody can name the arguments.
        if world.task.interface_of(request.object).is_none() {
            continue;
        }
        let Value::Fields(args) = &request.args else { panic!("{request:?}") };
        let names: BTreeSet<&str> = args.iter().map(|(name, _)| name.as_str()).collect();
        prop_assert_eq!(names.len(), args.len());
        for path in given(request) {
            prop_assert!(
                path.is_empty() || path.split('/').all(|p| !["", ".", ".."].contains(&p)),
                "{path}"
            );
        }
    }
    Ok(())
}

#[test]
fn the_lives_that_chance_gives_are_rich() {
    // A property that never meets its case proves nothing.
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut seen = BTreeSet::new();
    let mut below_a_path = 0;
    for _ in 0..500 {
        let steps = busy().new_tree(&mut runner).unwrap().current();
        let world = lived(&steps);
        assert!(world.now_ms >= START_MS);
        seen.extend(world.journal.iter().map(|event| event.fact.name()));
        let grants = grants(&world);
        below_a_path += requests(&world)
            .filter(|r| {
                caveats(&grants, r.grant).any(|c| matches!(c, Caveat::Path(p) if !p.is_empty()))
            })
            .count();
    }
    assert!(below_a_path > 100, "{below_a_path}");
    assert!(seen.len() >= 17, "{seen:?}");
}

fn requests(world: &World) -> impl Iterator<Item = &CallRequested> {
    world.journal.iter().filter_map(|event| match &event.fact {
        Fact::CallRequested(request) => Some(&**request),
        _ => None,
    })
}

fn grants(world: &World) -> Grants<'_> {
    let events = world.journal.iter();
    events
        .filter_map(|event| match &event.fact {
            Fact::GrantAdded(grant) => Some((grant.grant, grant.as_ref())),
            _ => None,
        })
        .collect()
}

fn ancestors(grants: &Grants, grant: GrantId) -> BTreeSet<GrantId> {
    let mut chain = BTreeSet::from([grant]);
    let mut at = grant;
    while let Some(parent) = grants[&at].parent {
        chain.insert(parent);
        at = parent;
    }
    chain
}

fn caveats<'a>(grants: &'a Grants<'a>, grant: GrantId) -> impl Iterator<Item = &'a Caveat> {
    ancestors(grants, grant).into_iter().flat_map(|held| &grants[&held].caveats)
}

/// Where every object that a call returned stands, as parts from the tool's root.
#[derive(Default)]
struct Places(BTreeMap<CallNumber, Vec<String>>);

impl Places {
    fn place(&self, grants: &Grants, object: ObjectId) -> Option<Vec<String>> {
        match object {
            ObjectId::Grant(grant) => match &grants[&grant].derived {
                Some(derived) => self.place(grants, derived.object),
                None => walk(&[], &grants[&grant].path),
            },
            ObjectId::Result(call) => self.0.get(&call).cloned(),
            ObjectId::Part(..) | ObjectId::CallerCapability(..) => None,
        }
    }

    /// Notes where an attenuated object stands: where the object does that it was made from.
    fn learn(&mut self, grants: &Grants, grant: &Grant) {
        let Some(derived) = &grant.derived else { return };
        if let (Some(call), Some(place)) = (derived.operation, self.place(grants, derived.object)) {
            self.0.insert(call, place);
        }
    }

    /// Where a call acts, as a file system would find it from the arguments that the tool is sent.
    fn acts_at(&mut self, grants: &Grants, request: &CallRequested) -> Vec<Vec<String>> {
        let base = self.place(grants, request.object);
        let Some(base) = base else { return Vec::new() };
        let mut acts: Vec<Vec<String>> = given(request)
            .iter()
            .map(|path| walk(&base, path).expect("a path that leaves the tool's root"))
            .collect();
        if acts.is_empty() {
            acts.push(base);
        }
        if !request.returns.is_empty() {
            self.0.insert(request.call, acts[0].clone());
        }
        acts
    }
}

/// The paths among the arguments that the tool is sent.
fn given(request: &CallRequested) -> Vec<String> {
    let named = match request.method.as_str() {
        "read" | "write" | "dir" => request.args.field("path"),
        "stage" => request.args.field("paths"),
        _ => None,
    };
    match named {
        Some(Value::Text(path)) => vec![path.clone()],
        Some(Value::List(paths)) => {
            paths.iter().map(|path| path.as_text().expect("a path is text").to_owned()).collect()
        }
        Some(Value::Null) | None => Vec::new(),
        Some(other) => panic!("{other:?} was sent as a path"),
    }
}

/// The place at `path` below `base`, as a file system would walk there; `None`: above the root.
fn walk(base: &[String], path: &str) -> Option<Vec<String>> {
    let mut at = base.to_vec();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                at.pop()?;
            }
            part => at.push(part.to_owned()),
        }
    }
    Some(at)
}
