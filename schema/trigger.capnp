@0xb1f3a6f0d52c7e94;
# Clients to the orchestrator: what creates tasks or sends input by itself.

using Value = import "object.capnp".Value;
using TaskSpec = import "mesh.capnp".TaskSpec;

interface Triggers {
  # The triggers of the client's tenant.

  put @0 (trigger :Trigger) -> (secret :Text);
  # Adds one, or replaces the one of this name. Durable when answered. For a webhook with the proof
  # `secret` it is a fresh one, which is told here once and kept as a hash; else it is empty.

  list @1 () -> (triggers :List(TriggerInfo));
  # All of them, by name. Idempotent.

  remove @2 (name :Text) -> ();
  # Durable when answered. `not-found` if there is none.
}

struct Trigger {
  # What sets it off, and what it does then.

  name @0 :Text;
  # Letters, digits, `-` and `_`, at most 64.
  when :union {
    cron :group {
      expression @1 :Text;
      # Five fields: minute, hour, day of month, month, day of week.
      timeZone @2 :Text;
      # For example Europe/Berlin.
    }
    every @3 :UInt64;
    # An interval in milliseconds, counted from when the trigger was put.
    webhook @4 :Void;
    # A POST of JSON to /hooks/NAME with the proof.
  }
  missed :union {
    # What becomes of times at which the orchestrator did not run.
    once @5 :Void;
    # The last one is made up for.
    skip @6 :Void;
    all @7 :Void;
    # Each is made up for, the last hundred at most.
  }
  does :union {
    task @8 :TaskSpec;
    # Creates a task. By a webhook its input is the body that was posted.
    send :group {
      # Sends input to a task.
      task @9 :Text;
      value @10 :Value;
      # By a webhook the body takes its place.
      steer @11 :Bool;
    }
  }
  proof :union {
    # By what a post to the webhook shows that it may.
    secret @12 :Void;
    # The secret that `put` told, as `Authorization: Bearer SECRET`.
    signature @13 :Void;
    # HMAC-SHA256 over the body, as `X-Hub-Signature-256: sha256=HEX`, by the secret that the operator
    # keeps at the orchestrator for the trigger of this name.
  }
  headers @14 :List(Text);
  # Headers of the post, in lower case, that stand in the input: {headers, body} in place of the body.
  # At most 16; `authorization` is refused.
}

struct TriggerInfo {
  # A trigger and what became of it.

  trigger @0 :Trigger;
  creator @1 :Text;
  createdMs @2 :UInt64;
  lastMs @3 :UInt64;
  # The time for which it was last set off; 0: never.
  nextMs @4 :UInt64;
  # The next time; 0: none, or nobody knows.
  failure @5 :Text;
  # Why it did nothing the last time; empty: it did.
}

struct KeptTrigger {
  # A trigger in the orchestrator's store.

  trigger @0 :Trigger;
  creator @1 :Text;
  createdMs @2 :UInt64;
  lastMs @3 :UInt64;
  secretHash @4 :Data;
  # SHA-256; empty: no webhook.
  failure @5 :Text;
}
