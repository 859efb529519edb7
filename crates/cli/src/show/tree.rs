//! A task's grants as a tree: each under the one it was narrowed from.

use std::fmt::Display;

use remit_client::{GrantId, GrantInfo};
use remit_core::event::OnUnknown;
use remit_core::grant::text::{GrantText, moment};

use super::paint::{Ink, Paint};
use super::text;

/// The lines of the tree.
pub(crate) fn lines(grants: &[GrantInfo], paint: Paint) -> Vec<String> {
    let mut out = Vec::new();
    // Of a part of a tree, those whose parent is not in it stand at the top.
    let is_here = |parent: GrantId| grants.iter().any(|grant| grant.grant == parent);
    let top = |grant: &GrantInfo| GrantInfo {
        parent: grant.parent.filter(|parent| is_here(*parent)),
        ..grant.clone()
    };
    let grants: Vec<GrantInfo> = grants.iter().map(top).collect();
    below(None, "", &grants, paint, &mut out);
    out
}

fn below(
    parent: Option<GrantId>,
    indent: &str,
    grants: &[GrantInfo],
    paint: Paint,
    out: &mut Vec<String>,
) {
    let children: Vec<_> = grants.iter().filter(|grant| grant.parent == parent).collect();
    for (at, grant) in children.iter().enumerate() {
        let last = at + 1 == children.len();
        let (branch, next) = match (parent.is_some(), last) {
            (false, _) => ("", ""),
            (true, false) => ("├─ ", "│  "),
            (true, true) => ("└─ ", "   "),
        };
        out.push(format!("{indent}{branch}{}", one(grant, paint)));
        // A list from a mesh may name a grant as its own parent; each level has fewer to look at.
        let rest: Vec<_> = grants.iter().filter(|g| g.grant != grant.grant).cloned().collect();
        below(Some(grant.grant), &format!("{indent}{next}"), &rest, paint, out);
    }
}

fn one(grant: &GrantInfo, paint: Paint) -> String {
    let written = GrantText {
        tool: grant.tool.clone(),
        version: grant.version.clone(),
        path: grant.path.clone(),
        caveats: grant.caveats.clone(),
        on_unknown: OnUnknown::Inherit,
    };
    let used = usize::try_from(grant.used).unwrap_or(usize::MAX);
    let mut marks = vec![text::count(used, "call")];
    if grant.spent.cost > 0 {
        marks.push(format!("cost {}", grant.spent.cost));
    }
    if !grant.revoked {
        let purse = grant.purse.named().into_iter().filter(|(_, held)| *held > 0);
        marks.extend(amounts(purse).map(|purse| format!("purse of {purse}")));
        marks.extend(amounts(grant.left.named()).map(|left| format!("{left} left")));
        let standing = grant.standing.iter();
        marks.extend(standing.map(|words| format!("approved: {}", text::short(words, 200))));
    }
    if grant.holder != "task" && !grant.holder.is_empty() {
        marks.push(format!("held by {}", text::harmless(&grant.holder)));
    }
    if grant.used > 0 {
        marks.push(format!("last used {}", moment(grant.last_used_ms)));
    }
    marks.push(format!("on {}", text::harmless(&grant.node)));
    // One that a script narrowed for itself has no name.
    let named = match grant.name.as_str() {
        "" => String::new(),
        name => format!("{} = ", paint.ink(Ink::Name, &text::harmless(name))),
    };
    let line = format!(
        "{} {named}{}  {}",
        paint.ink(Ink::Dim, &format!("#{}", grant.grant)),
        text::harmless(&written.to_string()),
        paint.ink(Ink::Dim, &marks.join(", ")),
    );
    if grant.revoked { format!("{line}  {}", paint.ink(Ink::Bad, "revoked")) } else { line }
}

/// Amounts as they stand in a grant's text; `None`: there are none.
fn amounts<N: Display>(named: impl Iterator<Item = (N, u64)>) -> Option<String> {
    let each: Vec<String> = named.map(|(name, amount)| format!("{name}={amount}")).collect();
    (!each.is_empty()).then(|| each.join(" "))
}

#[cfg(test)]
mod tests {
    use remit_client::{Budgets, Caveat, RemainingBudget};

    use super::*;

    fn grant(number: u32, parent: Option<u32>, caveats: Vec<Caveat>) -> GrantInfo {
        GrantInfo {
            grant: GrantId(number),
            parent: parent.map(GrantId),
            name: format!("g{number}"),
            tool: "fs".into(),
            version: "1.0.0".into(),
            node: "local".into(),
            path: "src".into(),
            caveats,
            used: u64::from(number),
            spent: Budgets { cost: u64::from(number == 5) * 70, ..Budgets::NONE },
            purse: Budgets { calls: u64::from(number == 4) * 9, ..Budgets::NONE },
            left: RemainingBudget {
                calls: (number < 5).then_some(4),
                ..RemainingBudget::default()
            },
            revoked: number == 3,
            holder: if number == 2 { "task:x".into() } else { "task".into() },
            last_used_ms: 0,
            manifest: Vec::new(),
            standing: (number == 5).then(|| "write(…)".to_owned()).into_iter().collect(),
        }
    }

    #[test]
    fn a_narrowed_grant_stands_under_its_parent() {
        let grants = [
            grant(1, None, vec![Caveat::Calls(5)]),
            grant(2, Some(1), vec![]),
            grant(3, Some(1), vec![]),
            grant(4, Some(2), vec![]),
            grant(5, None, vec![]),
        ];
        assert_eq!(
            lines(&grants, Paint::Plain),
            [
                "#1 g1 = fs@1.0.0:src?calls=5  1 call, calls=4 left, last used 1970-01-01T00:00:00.000Z, on local",
                "├─ #2 g2 = fs@1.0.0:src  2 calls, calls=4 left, held by task:x, last used 1970-01-01T00:00:00.000Z, on local",
                "│  └─ #4 g4 = fs@1.0.0:src  4 calls, purse of calls=9, calls=4 left, last used 1970-01-01T00:00:00.000Z, on local",
                "└─ #3 g3 = fs@1.0.0:src  3 calls, last used 1970-01-01T00:00:00.000Z, on local  revoked",
                "#5 g5 = fs@1.0.0:src  5 calls, cost 70, approved: write(…), last used 1970-01-01T00:00:00.000Z, on local",
            ]
        );
    }
}
