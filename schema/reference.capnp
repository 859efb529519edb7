@0xb3d1a7c94e5f6028;
# Sturdy references, between a client and the orchestrator that stores what they refer to.

struct RefSpec {
  # How a capability is to be saved.

  label @0 :Text;
  # The purpose, for people: 1 to 256 bytes.
  owner @1 :Text;
  # The only identity that may restore it, as the SPIFFE name of a client of the tenant; empty: the
  # caller.
  untilMs @2 :UInt64;
  # When it expires, in milliseconds since 1970; 0: it lasts until it is revoked.
  unusedMs @3 :UInt64;
  # It expires when it was not restored for so long, of at least a second; 0: it does not.
  viewer @4 :Bool;
  # Of a task: the restored task may only be looked at.
}

struct RefInfo {
  # A saved capability, as a list shows it. Its secret bits are stored nowhere.

  id @0 :Text;
  # Its id, which revokes it (`Mesh.ref`) and restores nothing.
  label @1 :Text;
  # The purpose.
  owner @2 :Text;
  # The identity that may restore it.
  by @3 :Text;
  # The identity that saved it.
  task @4 :Text;
  # The id of the task that it refers to, or whose grant it refers to.
  grant @5 :UInt32;
  # The grant of that task; 0: the task itself.
  viewer @6 :Bool;
  # Whether the restored task may only be looked at.
  createdMs @7 :UInt64;
  # Milliseconds since 1970, as all moments here.
  untilMs @8 :UInt64;
  # As in `RefSpec`.
  unusedMs @9 :UInt64;
  # As in `RefSpec`.
  usedMs @10 :UInt64;
  # When it was last restored; 0: never.
  uses @11 :UInt64;
  # How often it was restored.
  state @12 :Text;
  # good, expired, unused or revoked.
  parent @13 :Text;
  # The reference through which the saver held the task; empty: none.
}

interface SavedRef {
  # A saved sturdy reference, for its saver, its owner, and clients that may steer the task.

  revoke @0 (reason :Text) -> ();
  # Revokes the reference, all references saved through it, and everything obtained with them.
  # Durable when answered. Idempotent.
}
