@0xb3d1a7c94e5f6028;
# Sturdy references, between a client and the orchestrator that keeps what they stand for.

struct RefSpec {
  # How a capability is to be saved.

  label @0 :Text;
  # What it is for. Must not be empty.
  owner @1 :Text;
  # The one identity that may restore it, as a SPIFFE name; empty: the caller.
  untilMs @2 :UInt64;
  # Good until this moment, in milliseconds since 1970; 0: until it is revoked.
  unusedMs @3 :UInt64;
  # No longer good once it was not restored for so long; 0: it may lie as long as it likes.
  viewer @4 :Bool;
  # Of a task: only to look at it.
}

struct RefInfo {
  # A saved capability, as a list shows it. Its bits are kept nowhere.

  id @0 :Text;
  label @1 :Text;
  owner @2 :Text;
  by @3 :Text;
  # Who saved it.
  task @4 :Text;
  grant @5 :UInt32;
  # The grant of that task; 0: the task itself.
  viewer @6 :Bool;
  createdMs @7 :UInt64;
  untilMs @8 :UInt64;
  unusedMs @9 :UInt64;
  usedMs @10 :UInt64;
  # When it was restored last; 0: never.
  uses @11 :UInt64;
  # How often it was restored.
  state @12 :Text;
  # good, expired, unused or revoked.
  parent @13 :Text;
  # The reference through which whoever saved it held the task; empty: none.
}

interface SavedRef {
  # A sturdy reference that was saved, for who saved it, its owner, and who may steer the task.

  revoke @0 (reason :Text) -> ();
  # It restores nothing any more, and what was obtained with it, or saved through it, is cut. Durable
  # when answered. Idempotent.
}
