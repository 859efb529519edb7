//! What is told of a grant: what it is, what became of it, and what is left of it.

use remit_core::GrantId;
use remit_schema::mesh_capnp::grant_info;
use remit_vat::wire;

use crate::runtime::Owner;

/// Writes a grant of a task; nothing if it has no such grant.
pub(super) fn write(mut info: grant_info::Builder<'_>, owner: &Owner, grant: GrantId) {
    let tasks = owner.services().tasks.upgrade();
    let left = tasks.map(|tasks| tasks.left(owner.key(), grant)).unwrap_or_default();
    owner.with(|task| {
        let Some(held) = task.grant(grant) else { return };
        info.set_grant(grant.0);
        info.set_parent(held.grant.parent.map_or(0, |parent| parent.0));
        info.set_name(&held.grant.name);
        info.set_tool(&held.grant.tool);
        info.set_version(&held.grant.version);
        info.set_path(&held.grant.path);
        info.set_node(&held.grant.node);
        info.set_used(held.used());
        info.set_revoked(task.is_revoked(grant));
        info.set_holder(&held.grant.holder);
        info.set_last_used_ms(held.usage.last_use_ms);
        if let Some((made_for, _)) = task.pinned(grant) {
            info.set_manifest(&made_for.hash());
        }
        wire::event::write_budgets(info.reborrow().init_spent(), held.usage.spent);
        wire::event::write_budgets(info.reborrow().init_purse(), held.usage.purse);
        let count = u32::try_from(held.grant.caveats.len()).unwrap_or(u32::MAX);
        let mut caveats = info.reborrow().init_caveats(count);
        for (at, caveat) in (0..count).zip(&held.grant.caveats) {
            wire::event::write_caveat(caveats.reborrow().get(at), caveat);
        }
    });
    let now_ms = (owner.services().now_ms)();
    let standing = owner.with(|task| task.standing_on(grant, now_ms));
    let count = u32::try_from(standing.len()).unwrap_or(u32::MAX);
    let mut list = info.reborrow().init_standing(count);
    for (at, words) in (0..count).zip(&standing) {
        list.set(at, words);
    }
    let count = u32::try_from(left.named().count()).unwrap_or(u32::MAX);
    let mut list = info.init_left(count);
    for (at, (name, amount)) in (0..count).zip(left.named()) {
        let mut budget = list.reborrow().get(at);
        budget.set_name(&*name);
        budget.set_amount(amount);
    }
}
