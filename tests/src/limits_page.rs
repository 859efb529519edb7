//! The page `docs/limits.md`, generated from the bounds in the code.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use remit_orchestrator::limits::{BEGINS, NODE_CALLS, UNWRITTEN_EVENTS, bound};
use remit_orchestrator::quota::account::Resource;
use remit_orchestrator::quota::shares::Bounds;
use remit_store::Size;
use remit_vat::limits::ConnectionLimits;

/// The crates whose bounds are listed, each with the title of its section.
const CRATES: [(&str, &str); 7] = [
    ("vat", "Connections, in every node"),
    ("identity", "Handshakes and membership, in every node"),
    ("store", "Disks"),
    ("journal", "The journal"),
    ("orchestrator", "The orchestrator"),
    ("tool-node", "Tool nodes"),
    ("agent-node", "Agent nodes"),
];

const HEAD: &str = "# Limits

Made from the code by `cargo run -p remit-tests --bin limits`; a test compares it.

Everything that a peer can make Remit hold or do has a bound. There are two kinds:

- **Soft**: the peer waits. Nothing more is read from its connection, its job stays in the queue, its follower reads the next page later. Answers and cancellations still come through, so a peer at a soft bound can always make room.
- **Hard**: the peer is refused. A call fails with the code `limit`, and says what was asked for, what is held, the bound, and what to do. A connection is aborted, the message that ends it and the log name the bound, and no other peer notices.

A refusal of what comes back by itself says after how long to ask again, for people in its message and for programs in its detail (`retry-after-ms=2000`). The client library, and with it `remit`, asks again then, for as long as the request may take.

A bound holds for a connection, an identity, a tenant or the process. What one identity uses up, another one still has, until the bound of the tenant or of the process is reached.

## Accounts

Charged to an identity and its tenant while it is held, and released when it is not. Over a bound, new requests are refused with `limit`; what is acknowledged is kept, also when a restart finds more than the bound.

| what | identity | tenant | process | when it is used up | why |
| --- | --- | --- | --- | --- | --- |
";

/// The text of the page.
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    for resource in Resource::ALL {
        let bound = bound(resource);
        let number = |n: u64| amount(&n.to_string(), resource.name().starts_with("bytes"));
        let _written = writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} |",
            resource.name(),
            number(bound.identity),
            number(bound.tenant),
            number(bound.process),
            resource.remedy(),
            bound.why
        );
    }
    page.push_str(&shares());
    page.push_str(&connections());
    for (name, title) in CRATES {
        let source = std::fs::read_to_string(root().join(format!("crates/{name}/src/limits.rs")));
        let source = source.expect("each crate has a limits.rs");
        let _written = writeln!(
            page,
            "\n## {title}\n\nFrom `crates/{name}/src/limits.rs`.\n\n| bound | value | what and why |\n| --- | --- | --- |"
        );
        for Entry { name, value, why } in entries(&source) {
            let _written = writeln!(page, "| `{name}` | {value} | {why} |");
        }
    }
    page
}

/// The section on bounds at which requests wait and are not refused.
fn shares() -> String {
    let mut table = "\n## Turns\n\nWhat waits for a turn is not refused. Identities take turns, and within each identity its tasks, so that one that has queued thousands waits for itself, and another waits for one turn of each.\n\n| what | one task | one identity | all | over it |\n| --- | --- | --- | --- | --- |\n".to_owned();
    let shares = [
        ("calls of agents that begin in one round of the orchestrator", BEGINS),
        ("calls of agents in flight at one node", NODE_CALLS),
    ];
    for (what, Bounds { task, identity, all }) in shares {
        let _written = writeln!(table, "| {what} | {task} | {identity} | {all} | waits |");
    }
    let (lane, queue) = (remit_store::limits::DISK_LANE, remit_store::limits::DISK_QUEUE);
    let size = |size: Size| format!("{}, {}", size.jobs, amount(&size.bytes.to_string(), true));
    let _written = writeln!(
        table,
        "| events that wait for the disk before the next call begins | {UNWRITTEN_EVENTS} | | | waits |"
    );
    let _written = writeln!(
        table,
        "| writes that wait for the disk, and their bytes | {} | | {} | the task is halted, and taken up again |",
        size(lane),
        size(queue)
    );
    let (most, of_task) =
        (remit_tool_node::limits::BEGINS, remit_tool_node::limits::BEGINS_OF_TASK);
    let _written = writeln!(
        table,
        "| calls that begin in one round of a tool node | {of_task} | | {most} | waits |"
    );
    let _written = writeln!(
        table,
        "| places of agent nodes | | as many as are free | | waits; one that only waits gives its place to an identity that has fewer |"
    );
    table
}

/// The section on the bounds of one connection. They are a struct, since a simulation sets its own.
fn connections() -> String {
    let limits = ConnectionLimits::default();
    let bytes = amount(&(limits.message_words * 8).to_string(), true);
    format!(
        "\n## One connection\n\n| what | bound | over it |\n| --- | --- | --- |\n\
         | one message | {bytes}, pointers {} deep | aborted |\n\
         | calls of the peer in flight | {} | nothing more is read |\n\
         | answers that it does not finish | {} times as many | aborted |\n\
         | silence | {} s | aborted |\n",
        limits.nesting,
        limits.calls_in_flight,
        remit_vat::limits::UNFINISHED_FACTOR,
        limits.silence.as_secs()
    )
}

/// The path of the page.
pub fn path() -> PathBuf {
    root().join("docs/limits.md")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

struct Entry {
    name: String,
    value: String,
    why: String,
}

/// The constants of a `limits.rs`, each with its comment.
fn entries(source: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut why = String::new();
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        if let Some(text) = line.trim_start().strip_prefix("///") {
            let text = text.trim().replace('|', "\\|");
            why = [why.as_str(), text.as_str()].join(" ").trim().to_owned();
            continue;
        }
        if let Some(rest) = line.strip_prefix("pub const ")
            && !rest.starts_with("fn ")
        {
            let mut whole = rest.to_owned();
            while !whole.ends_with(';') {
                let Some(next) = lines.next() else { break };
                whole.push(' ');
                whole.push_str(next.trim());
            }
            let (name, rest) = whole.split_once(':').unwrap_or((&whole, ""));
            let value = rest.split_once('=').map_or("", |(_, value)| value);
            let is_bytes = name.contains("BYTES") || name.contains("LARGE_VALUE");
            let value = amount(value.trim().trim_end_matches(';'), is_bytes);
            entries.push(Entry { name: name.to_owned(), value, why: why.clone() });
        }
        why.clear();
    }
    entries
}

/// A value with its unit, in the largest unit that divides it.
fn amount(value: &str, is_bytes: bool) -> String {
    let plain = value.replace('_', "");
    for (call, unit) in [("fromsecs", "s"), ("frommillis", "ms")] {
        let inner =
            plain.strip_prefix(&format!("Duration::{call}(")).and_then(|v| v.strip_suffix(')'));
        if let Some(number) = inner.and_then(product) {
            return format!("{number} {unit}");
        }
    }
    match product(&plain) {
        Some(bytes) if is_bytes => {
            let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
            let whole =
                units.iter().find(|(shift, _)| bytes >= 1 << shift && bytes % (1 << shift) == 0);
            whole.map_or(format!("{bytes} bytes"), |(shift, unit)| {
                format!("{} {unit}", bytes >> shift)
            })
        }
        Some(number) => number.to_string(),
        None => format!("`{}`", value.replace('|', "\\|")),
    }
}

/// Evaluates a number, or a product or left shift of numbers. `None` for any other expression.
fn product(text: &str) -> Option<u64> {
    if let Some((left, right)) = text.split_once("<<") {
        return product(left)?.checked_shl(u32::try_from(product(right)?).ok()?);
    }
    text.split('*')
        .map(|part| part.trim().parse::<u64>().ok())
        .try_fold(1_u64, |all, part| all.checked_mul(part?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_people_write_them() {
        for (value, is_bytes, shown) in [
            ("16 << 20", true, "16 MiB"),
            ("1_000", false, "1000"),
            ("300", true, "300 bytes"),
            ("Duration::from_secs(7 * 86_400)", false, "604800 s"),
            ("Size { jobs: 1 }", false, "`Size { jobs: 1 }`"),
        ] {
            assert_eq!(amount(value, is_bytes), shown);
        }
    }

    #[test]
    fn a_constant_is_listed_with_its_comment() {
        let source =
            "/// Some\n/// more.\npub const A: u32 =\n    3;\n\n/// Not listed.\nfn f() {}\n";
        let entries = entries(source);
        assert_eq!(entries.len(), 1);
        assert_eq!((&*entries[0].value, &*entries[0].why), ("3", "Some more."));
    }
}
