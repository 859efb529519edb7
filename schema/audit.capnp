@0x9d6f0c1d7b2e4a55;
# The audit of the orchestrator, for clients that may read it: every exercise and refusal of
# authority.

interface Audit {
  # The audit of the client's tenant: the facet `audit`. Dropping this changes nothing.

  read @0 (filter :AuditFilter, cursor :Text, limit :UInt32)
      -> (records :List(AuditRecord), cursor :Text);
  # A page of records, of at most `limit`. `cursor`: empty for the first page, then the one of the
  # last answer; empty in an answer: there is no further page. One call examines a bounded number of
  # events, so a page may be empty although more follow. Idempotent. `limit` while too many heavy
  # jobs wait.

  verify @1 (cursor :Text) -> (checked :UInt64, broken :List(Text), cursor :Text);
  # Verifies a part of the hash chains: the number of records and events that it read, and a line
  # for each that is not the one that was written. The cursor is used as in `read`. Idempotent.
}

struct AuditRecord {
  # One exercise of authority, or one refusal of it. Ordinals are never reused.

  number @0 :UInt64;
  # Its position in its stream: in a task's journal the number of the event, else counted from 1.
  timeMs @1 :UInt64;
  # Milliseconds since 1970, by the orchestrator's clock.
  task @2 :Text;
  # The id of the task in whose journal it is; empty: it is in the stream of the mesh.
  who @3 :Text;
  # A SPIFFE name, or "task:" and the id of the task whose agent acted.
  decision @4 :Text;
  # The decision: allowed, denied, granted and so on. See docs/audit.md.
  chain @5 :List(UInt32);
  # The grant that was used, then each grant that it was narrowed from. Empty: none was used.
  name @6 :Text;
  # The name of that grant.
  tool @7 :Text;
  # The tool at its root.
  node @8 :Text;
  # The identity of the node that serves the tool.
  object @9 :Text;
  # The object, by the path by which its task obtained it.
  method @10 :Text;
  # The method; empty: nothing was called.
  digest @11 :Data;
  # SHA-256 over object, method and arguments; empty: nothing was called.
  caveat @12 :Text;
  # The caveat that refused, in the text form; empty: none did.
  reason @13 :Text;
  # In words for a person.
  subject @14 :Text;
  # A further subject of the decision: the member that joined or holds, a label, a manifest's hash.
  hash @15 :Data;
  # SHA-256 over the stored record, which includes the hash of the previous record: the chain.
  operation @16 :UInt64;
  # The call or other operation of the task; 0: none.
}

struct AuditFilter {
  # Selects the records that match all fields that are neither empty nor 0.

  task @0 :Text;
  # The id of a task.
  who @1 :Text;
  # A whole identity, or its last part.
  tool @2 :Text;
  # The name of a tool.
  decision @3 :Text;
  # One of the decisions in docs/audit.md; any other is refused with `invalid-argument`.
  sinceMs @4 :UInt64;
  # Milliseconds since 1970.
}
