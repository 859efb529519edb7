@0x9d6f0c1d7b2e4a55;
# What was done with authority, as it is kept by the orchestrator and told to those who ask.

interface Audit {
  # The audit of the client's tenant: the facet `audit`. Dropping this changes nothing.

  read @0 (filter :AuditFilter, cursor :Text, limit :UInt32)
      -> (records :List(AuditRecord), cursor :Text);
  # A page of what was done with authority. Idempotent. `cursor`: empty at first, then that of the last
  # answer; empty in the answer: there is no more. A page may be empty and not the last one.

  verify @1 (cursor :Text) -> (checked :UInt64, broken :List(Text), cursor :Text);
  # Checks some of the hash chains: how many records and events are what was written, and where one is
  # not. The cursor as in `read`. Idempotent.
}

struct AuditRecord {
  # One exercise of authority, or one refusal of it. Ordinals are never used again.

  number @0 :UInt64;
  # Its place in its stream: in a task's journal that of the event, else counted from 1.
  timeMs @1 :UInt64;
  # Milliseconds since 1970, by the orchestrator's clock.
  task @2 :Text;
  # In whose journal it stands; empty: in that of the mesh.
  who @3 :Text;
  # A SPIFFE name, or "task:" and the id of a task whose agent did it.
  decision @4 :Text;
  # What was decided: allowed, denied, granted and so on. See docs/audit.md.
  chain @5 :List(UInt32);
  # The grant that was used, then each that it was narrowed from. Empty: none was.
  name @6 :Text;
  # The name of that grant.
  tool @7 :Text;
  node @8 :Text;
  # The identity of whoever serves the tool.
  object @9 :Text;
  # The object, by the way its task came to hold it.
  method @10 :Text;
  digest @11 :Data;
  # SHA-256 over object, method and arguments; empty: nothing was called.
  caveat @12 :Text;
  # The caveat that refused, in the text form.
  reason @13 :Text;
  # In words for a person.
  subject @14 :Text;
  # What it was about beyond that: who joined or holds, a label, a manifest's hash.
  hash @15 :Data;
  # SHA-256 over the stored record, which names the one before: the chain.
  operation @16 :UInt64;
  # The call or other operation of the task; 0: none.
}

struct AuditFilter {
  # Which records are wanted; what is empty or 0 wants all.

  task @0 :Text;
  who @1 :Text;
  # A whole identity, or its last part.
  tool @2 :Text;
  decision @3 :Text;
  sinceMs @4 :UInt64;
  # Milliseconds since 1970.
}
