@0xb1f3a6f0d52c7e94;
# Clients to the orchestrator: triggers, which create tasks or send input at a time or on a webhook.

using Value = import "object.capnp".Value;
using TaskSpec = import "mesh.capnp".TaskSpec;

interface Triggers {
  # The triggers of the client's tenant, as far as the client may see them.

  put @0 (trigger :Trigger) -> (secret :Text);
  # Adds a trigger, or replaces the one of its name. Durable when answered. `secret`: for a webhook
  # with the proof `secret` a fresh one, returned this once and stored as a hash; else empty.
  # `limit` for one trigger too many or too large a trigger.

  list @1 () -> (triggers :List(TriggerInfo));
  # All of them, by name. Idempotent.

  remove @2 (name :Text) -> ();
  # Removes a trigger. Durable when answered. `not-found` if there is none of this name.
}

struct Trigger {
  # When it fires, and its action.

  name @0 :Text;
  # Letters, digits, `-` and `_`, at most 64.
  when :union {
    cron :group {
      expression @1 :Text;
      # Five fields: minute, hour, day of month, month, day of week.
      timeZone @2 :Text;
      # An IANA name, for example Europe/Berlin.
    }
    every @3 :UInt64;
    # An interval in milliseconds, from a second to a year, counted from the time of `put`.
    webhook @4 :Void;
    # A POST of JSON to /hooks/NAME with the proof.
  }
  missed :union {
    # The policy for missed times: those at which the orchestrator did not run.
    once @5 :Void;
    # It fires once, for the last of them.
    skip @6 :Void;
    # It does not fire for them.
    all @7 :Void;
    # It fires for each, for the last hundred at most.
  }
  does :union {
    task @8 :TaskSpec;
    # Creates a task. For a webhook the posted body is its input. All grants are of tools.
    send :group {
      # Sends input to a task.
      task @9 :Text;
      # The id of the task.
      value @10 :Value;
      # The input. For a webhook the posted body replaces it.
      steer @11 :Bool;
      # As in `Task.send`.
    }
  }
  proof :union {
    # How a post to the webhook is authenticated.
    secret @12 :Void;
    # By the secret that `put` returned, as `Authorization: Bearer SECRET`.
    signature @13 :Void;
    # By an HMAC-SHA256 over the body, as `X-Hub-Signature-256: sha256=HEX`, with the secret that
    # the operator stores at the orchestrator for the creator and the name of the trigger.
  }
  headers @14 :List(Text);
  # Headers of the post, in lower case, that are part of the input: {headers, body} instead of the
  # body. At most 16; `authorization` is refused.
}

struct TriggerInfo {
  # A trigger and its last result.

  trigger @0 :Trigger;
  # As it was put.
  creator @1 :Text;
  # The identity that put it, as which it acts.
  createdMs @2 :UInt64;
  # When it was put, in milliseconds since 1970.
  lastMs @3 :UInt64;
  # The time for which it last fired; 0: never.
  nextMs @4 :UInt64;
  # The next time at which it fires; 0: none, or unknown.
  failure @5 :Text;
  # Why it failed the last time; empty: it did not.
}

struct StoredTrigger {
  # A trigger in the orchestrator's store. The fields are those of `TriggerInfo`.

  trigger @0 :Trigger;
  creator @1 :Text;
  createdMs @2 :UInt64;
  lastMs @3 :UInt64;
  secretHash @4 :Data;
  # SHA-256 of the secret; empty: no webhook.
  failure @5 :Text;
}
