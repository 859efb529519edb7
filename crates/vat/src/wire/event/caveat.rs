//! Caveats.

mod guard;

use remit_core::grant::{Budgets, Need, Rate};
use remit_core::{Caveat, TaskId};
use remit_schema::caveat_capnp::{budgets, caveat};

use crate::wire::{Malformed, text, texts, write_texts};

/// Reads a caveat. A kind that this version does not know is kept as unknown, which refuses every
/// call.
pub fn read(reader: caveat::Reader<'_>) -> Result<Caveat, Malformed> {
    let which = match reader.which() {
        Ok(which) => which,
        Err(kind) => return Ok(newer("caveat", kind)),
    };
    Ok(match which {
        caveat::Unknown(written) => Caveat::Unknown(text(written)?),
        caveat::Methods(methods) => Caveat::Methods(texts(methods?)?),
        caveat::Path(path) => Caveat::Path(text(path)?),
        caveat::Calls(most) => Caveat::Calls(most),
        caveat::ExpiresMs(at) => Caveat::Expires(at),
        caveat::Argument(guard) => guard::read(guard?)?,
        caveat::Cel(source) => Caveat::Cel(text(source)?),
        caveat::ResultBytes(most) => Caveat::ResultBytes(most),
        caveat::NoObjects(()) => Caveat::NoObjects,
        caveat::Facet(names) => Caveat::Facet(texts(names?)?),
        caveat::NotBeforeMs(at) => Caveat::NotBefore(at),
        caveat::IdleExpiryMs(ms) => Caveat::IdleExpiry(ms),
        caveat::BytesIn(most) => Caveat::BytesIn(most),
        caveat::BytesOut(most) => Caveat::BytesOut(most),
        caveat::Rate(rate) => {
            let rate = rate?;
            Caveat::Rate(Rate { count: rate.get_count(), per_ms: rate.get_per_ms() })
        }
        caveat::Concurrency(most) => Caveat::Concurrency(most),
        caveat::Cost(most) => Caveat::Cost(most),
        caveat::Audience(users) => Caveat::Audience(texts(users?)?),
        caveat::DelegationDepth(most) => Caveat::DelegationDepth(most),
        caveat::RequiresApproval(methods) => Caveat::RequiresApproval(texts(methods?)?),
        caveat::Requires(requires) => match requires.which() {
            Ok(caveat::requires::Grant(name)) => Caveat::Requires(Need::Grant(text(name)?)),
            Ok(caveat::requires::Task(id)) => Caveat::Requires(Need::Task(task(id?)?)),
            Err(kind) => newer("requirement", kind),
        },
        caveat::Label(label) => Caveat::Label(text(label)?),
        caveat::Direct(()) => Caveat::Direct,
        caveat::Only(only) => {
            let only = only?;
            let method = text(only.get_method())?;
            match read_plain(only.get_caveat()?)? {
                // An unknown caveat of one method could mean anything, so it refuses all methods.
                unknown @ Caveat::Unknown(_) => unknown,
                inner => Caveat::Only(method, Box::new(inner)),
            }
        }
    })
}

/// Reads the caveat inside a caveat of one method, which must not be of one method itself: that
/// bounds the recursion.
fn read_plain(reader: caveat::Reader<'_>) -> Result<Caveat, Malformed> {
    match reader.which() {
        Ok(caveat::Only(_)) => Err(Malformed("a caveat of one method of one method".into())),
        Ok(_) | Err(_) => read(reader),
    }
}

/// Writes a caveat.
pub fn write(mut builder: caveat::Builder<'_>, caveat: &Caveat) {
    match caveat {
        Caveat::Unknown(written) => builder.set_unknown(written),
        Caveat::Methods(methods) => write_texts(methods, |count| builder.init_methods(count)),
        Caveat::Path(path) => builder.set_path(path),
        Caveat::Calls(most) => builder.set_calls(*most),
        Caveat::Expires(at) => builder.set_expires_ms(*at),
        Caveat::Argument(guard) => guard::write(builder.init_argument(), guard),
        Caveat::Cel(source) => builder.set_cel(source),
        Caveat::ResultBytes(most) => builder.set_result_bytes(*most),
        Caveat::NoObjects => builder.set_no_objects(()),
        Caveat::Facet(names) => write_texts(names, |count| builder.init_facet(count)),
        Caveat::NotBefore(at) => builder.set_not_before_ms(*at),
        Caveat::IdleExpiry(ms) => builder.set_idle_expiry_ms(*ms),
        Caveat::BytesIn(most) => builder.set_bytes_in(*most),
        Caveat::BytesOut(most) => builder.set_bytes_out(*most),
        Caveat::Rate(rate) => {
            let mut b = builder.init_rate();
            b.set_count(rate.count);
            b.set_per_ms(rate.per_ms);
        }
        Caveat::Concurrency(most) => builder.set_concurrency(*most),
        Caveat::Cost(most) => builder.set_cost(*most),
        Caveat::Audience(users) => write_texts(users, |count| builder.init_audience(count)),
        Caveat::DelegationDepth(most) => builder.set_delegation_depth(*most),
        Caveat::RequiresApproval(methods) => {
            write_texts(methods, |count| builder.init_requires_approval(count));
        }
        Caveat::Requires(Need::Grant(name)) => builder.init_requires().set_grant(name),
        Caveat::Requires(Need::Task(id)) => builder.init_requires().set_task(id.as_bytes()),
        Caveat::Label(label) => builder.set_label(label),
        Caveat::Direct => builder.set_direct(()),
        Caveat::Only(method, inner) => {
            let mut b = builder.init_only();
            b.set_method(method);
            write(b.init_caveat(), inner);
        }
    }
}

/// Reads one amount for each counted resource.
pub fn read_budgets(r: budgets::Reader<'_>) -> Budgets {
    Budgets {
        calls: r.get_calls(),
        cost: r.get_cost(),
        bytes_in: r.get_bytes_in(),
        bytes_out: r.get_bytes_out(),
    }
}

/// Writes one amount for each counted resource.
pub fn write_budgets(mut b: budgets::Builder<'_>, budgets: Budgets) {
    b.set_calls(budgets.calls);
    b.set_cost(budgets.cost);
    b.set_bytes_in(budgets.bytes_in);
    b.set_bytes_out(budgets.bytes_out);
}

/// A caveat that a newer version wrote. It refuses every call.
fn newer(what: &str, capnp::NotInSchema(kind): capnp::NotInSchema) -> Caveat {
    Caveat::Unknown(format!("a {what} of a newer version (kind {kind})"))
}

fn task(bytes: &[u8]) -> Result<TaskId, Malformed> {
    let wrong = |_| Malformed(format!("a task id of {} bytes; it has 16", bytes.len()));
    bytes.try_into().map(TaskId::from_bytes).map_err(wrong)
}
