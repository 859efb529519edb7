@0xf11cb7375cd18782;
# Clients (the command line, the library, third parties) to the orchestrator.

using Peer = import "peer.capnp".Peer;
using Credentials = import "join.capnp".Credentials;
using Object = import "object.capnp".Object;
using Value = import "object.capnp".Value;
using Outcome = import "object.capnp".Outcome;
using Manifest = import "object.capnp".Manifest;
using Audit = import "audit.capnp".Audit;
using Members = import "member.capnp".Members;
using NodeInfo = import "node.capnp".NodeInfo;
using Nodes = import "node.capnp".Nodes;
using ToolInfo = import "node.capnp".ToolInfo;
using Event = import "event.capnp".Event;
using Caveat = import "event.capnp".Caveat;
using Budgets = import "caveat.capnp".Budgets;
using SourceFile = import "event.capnp".SourceFile;
using Triggers = import "trigger.capnp".Triggers;
using OnUnknown = import "event.capnp".OnUnknown;
using RefSpec = import "reference.capnp".RefSpec;
using RefInfo = import "reference.capnp".RefInfo;
using SavedRef = import "reference.capnp".SavedRef;
using Admin = import "admin.capnp".Admin;

interface Mesh extends(Peer, Credentials) {
  # The bootstrap object of a client's connection: the methods that every member may call, and the
  # facets that this client was granted. Every object obtained over a connection ends with the
  # connection. A connection ends when part of its client's grant is taken back.

  facets @0 () -> (may :List(Text), caveats :List(Caveat), creation :Creation, tasks :Tasks,
      nodes :Nodes, members :Members, audit :Audit, admin :Admin);
  # The grant that the client had when it connected: the names of its facets, the caveats on them,
  # and one object per part; null: not granted. `creation` stands for the facet `create`, `tasks`
  # for any of `own`, `view`, `steer` and `decide`, `admin` for `backup`, and each other object for
  # the facet of its name. Idempotent.

  tools @1 () -> (tools :List(ToolInfo));
  # Every registered tool, with one entry per version and serving node, and the built-in tools.
  # Idempotent.

  nodes @2 () -> (nodes :List(NodeInfo));
  # Every node that has registered, disconnected nodes included. Idempotent.

  health @3 () -> (health :Health);
  # The condition of the orchestrator at this moment. Idempotent.

  restore @4 (ref :Data) -> (task :Task, object :Object, info :RefInfo);
  # Turns a sturdy reference, of at most 16 KiB, into a live one. The caller must be the owner of
  # the reference. `task` or `object` is set, as `info` tells. May be called after every disconnect;
  # counters of caveats that a holder appended continue. `denied` for a bad or expired reference and
  # for one of another owner, `revoked` after a revocation.

  refs @5 () -> (refs :List(RefInfo));
  # The references that the caller saved or may restore, and those of tasks that it may see, oldest
  # first. Idempotent.

  ref @6 (id :Text) -> (ref :SavedRef);
  # A saved reference by its id in that list. `not-found` if there is none or the caller may not
  # revoke it. Idempotent.
}

interface Creation {
  # The facet `create`: creates tasks, and triggers that create tasks. Its caveats see `name`,
  # `agent`, `tools` and `grants` of a new task. Dropping this changes nothing.

  createTask @0 (spec :TaskSpec) -> (id :Text, task :Task);
  # Creates a task. Durable when answered. A repeated `spec.key` of the same client returns the task
  # that the first call created. `denied` if a caveat of the facet refuses the task, `limit` if an
  # account of the client is used up.

  triggers @1 () -> (triggers :Triggers);
  # The triggers of the tenant: the client's own, and those of others that it may see. Idempotent.
}

interface Tasks {
  # The tasks that the holder may see: with `own` the tasks that it created, with `view`, `steer` or
  # `decide` all tasks of the tenant, each as far as the caveats allow. The caveats see `name`,
  # `creator`, and the `tools` and `grants` that a call hands to the task. Dropping this changes
  # nothing.

  task @0 (id :Text) -> (task :Task);
  # A task by its id, the name that people copy and paste. What the holder may do with it depends on
  # the facets: `own` allows everything on the holder's own tasks, `steer` and `decide` what their
  # names say, and any of them looking. Idempotent.

  list @1 (status :Text, after :Text, limit :UInt32) -> (tasks :List(TaskInfo), more :Text);
  # Tasks, newest first. `status`: as in `TaskInfo`; empty: all. `after`: the id of the last task of
  # the page before; empty: from the newest. `limit`: at most so many; 0: 1000. One call examines a
  # bounded number of tasks, so a page may be short or empty although more follow. `more`: the
  # `after` of the next page; empty: there is none. Idempotent.

  inbox @2 (after :Text, limit :UInt32) -> (items :List(InboxItem), more :Text);
  # The questions of these tasks that wait for a person, newest task first. Paged as `list` is; a
  # `limit` of 0 means 256, and the last task of a page may exceed it. Idempotent.

  holders @3 (which :Selection) -> (held :List(Holding));
  # Every selected grant in force of these tasks. Idempotent.

  revokeAll @4 (which :Selection, reason :Text) -> (revoked :List(Holding));
  # Revokes every selected grant of those of these tasks that the holder may steer, with all grants
  # narrowed from them. Durable when answered; calls in flight are cancelled. `invalid-argument` for
  # an empty selection, `denied` without `own` or `steer`.
}

struct Selection {
  # Selects the grants that match all fields that are not empty.

  task @0 :Text;
  # The id of the task that has the grant.
  holder @1 :Text;
  # A SPIFFE name, or "task:" and the id of a task; or its last part.
  tool @2 :Text;
  # The name of the tool at the grant's root.
  manifest @3 :Data;
  # SHA-256, 32 bytes, of the manifest that the grant was made for or has now.
}

struct Holding {
  # A grant, and the task in whose journal it is recorded.

  task @0 :Text;
  # The id of the task.
  name @1 :Text;
  # The name of the task.
  grant @2 :GrantInfo;
}

struct InboxItem {
  # A question to a person. `task` and `operation` identify it.

  task @0 :Text;
  # The id of the task.
  name @1 :Text;
  # The name of the task.
  operation @2 :UInt64;
  # The waiting call, or other operation.
  event @3 :UInt64;
  # The number of the event that asked.
  askedMs @4 :UInt64;
  # Milliseconds since 1970.
  untilMs @5 :UInt64;
  # When the question is refused by itself, in milliseconds since 1970; 0: never.
  summary @6 :Text;
  # The question in words for a person.
  union {
    approval :group {
      # A call that is held. Answered by `Task.approve`.
      digest @7 :Data;
      # SHA-256 over the call; a decision must repeat it.
      args @8 :Value;
      # The arguments by name. Objects in them are null.
      caveat @9 :Text;
      # The caveat that asks for approval, in its text form.
      destructive @10 :Bool;
      # Whether the manifest annotates the method so.
    }
    capabilityRequest :group {
      # A request for a capability. Answered by `Task.give` or `Task.refuse`.
      tool @11 :Text;
      # The requested kind of tool.
      reason @12 :Text;
      # The agent's words: untrusted text.
      offers @13 :List(Offer);
      # Candidates: registered tools, and grants of tasks of the same creator. At most 32.
    }
    settlement :group {
      # A call of unknown outcome. Answered by `Task.settle`.
      reason @14 :Text;
      # How the call was lost.
      ledger @15 :Text;
      # The answer of the tool node's ledger: started, forgotten, away or none.
    }
  }
}

struct Offer {
  # A capability that could be given to a task that asks for one.

  grant @0 :Text;
  # The grant in its text form, as `docs/caveats.md` has it.
  unbounded @1 :List(Text);
  # Methods with effects whose target no caveat bounds. The command line asks once more about those.
}

struct TaskSpec {
  # The specification of a new task.

  name @0 :Text;
  # For people; at most 256 bytes.
  agent @1 :Text;
  # The kind of agent, for example "script".
  source @2 :List(SourceFile);
  # The program: at most 256 files of 4 MiB in all.
  entry @3 :Text;
  # The path, among `source`, of the file that is run.
  input @4 :Value;
  # The argument of the program; at most 4 MiB. It holds no capability: those go into `grants`.
  grants @5 :List(GrantSpec);
  # The capabilities that the task begins with.
  labels @6 :List(Text);
  # Labels that an agent node must have to run it; at most 32.
  key @7 :Text;
  # Idempotency key of the creation, at most 256 bytes; empty: none.
  deadlineMs @8 :UInt32;
  # The longest that one attempt may compute between two awaits; 0: the node's default.
  memoryBytes @9 :UInt64;
  # The most memory of one attempt; 0: the node's default.
  timeLimitMs @10 :UInt64;
  # The longest that the task may take, pauses not counted; 0: no limit.
  attemptLimitMs @11 :UInt64;
  # The longest that one attempt may take, waits included; 0: no limit.
  callTimeoutMs @12 :UInt32;
  # The longest that one call may take; 0: the orchestrator's default.
  retentionMs @13 :UInt64;
  # How long the task is kept after its end; 0: as the orchestrator is configured, 2^64-1: without
  # limit.
}

struct GrantSpec {
  # A capability to be handed to a task: narrowed from a tool, or an object of the caller.

  name @0 :Text;
  # The name under which the agent sees it; at most 256 bytes.
  union {
    tool :group {
      # An object of a registered tool. It works again after each reconnect of the tool's node.
      tool @1 :Text;
      version @2 :Text;
      # Empty: the newest.
      path @3 :Text;
      # Below the tool's root; empty: the root.
    }
    own :group {
      # An object of the caller's own process. It lives as long as the caller's connection.
      object @4 :Object;
      manifest @5 :Manifest;
      # The interface that the task is bound to; the orchestrator checks arguments against it.
    }
  }
  caveats @6 :List(Caveat);
  # All must hold for every call; at most 64.
  onUnknown @7 :OnUnknown;
  # The policy for calls of unknown outcome.
}

interface Task {
  # A durable task. Holding this is authority over it; dropping it changes nothing. Each method
  # fails with `denied` if the holder has the task for less than the method needs (a viewer may only
  # look), and, on a task restored from a reference, with `denied` or `revoked` once that is no
  # longer valid.

  info @0 () -> (info :TaskInfo);
  # The present status. Idempotent.

  events @1 (after :UInt64, sink :EventSink) -> (subscription :Subscription);
  # Sends `sink` every durable event whose number is greater than `after`, in order, then new events
  # as they come. Delivery lasts until the subscription is dropped. Subscribing again with the last
  # number seen loses and repeats nothing. An `after` before the first event still kept is refused.

  send @2 (value :Value, key :Text, steer :Bool) -> (input :UInt64);
  # Accepts input for the agent; answers with its number. Durable when answered; a repeated `key` is
  # accepted once. `steer`: the input joins the current activity; else it waits until the agent asks
  # for its next input. `value` holds no capability. `limit` while 1000 inputs wait.

  cancel @3 (reason :Text) -> ();
  # Cancels the task. Durable when answered. The task ends once all calls in flight have been
  # answered or a grace period is over. Without effect on an ended task. Idempotent.

  result @4 () -> (outcome :Outcome);
  # The outcome of the task. Waits for its end, without limit of time. Idempotent.

  grants @5 () -> (grants :List(GrantInfo));
  # Every grant that the task ever had, parents before their children. Idempotent.

  grant @6 (spec :GrantSpec) -> (grant :UInt32);
  # Hands the task one more capability; answers with the number of the grant. Durable when answered.
  # Not idempotent.

  held @7 (grant :UInt32) -> (grant :TaskGrant);
  # One of the task's grants, by its number in the events. `not-found` if there is none. Idempotent.

  pause @8 (reason :Text) -> ();
  # Ends the attempt. Until `resume` no attempt begins, no timer fires and no new call is sent.
  # Durable when answered. Idempotent; `failed` if the task has ended or is being cancelled.

  resume @9 () -> ();
  # Ends a pause. Durable when answered. Idempotent; `failed` as in `pause`.

  fork @10 (at :UInt64, key :Text, program :Program) -> (fork :Fork);
  # Creates a task from the first `at` events of this one; 0: from all except the event that ended
  # it. `program`: the program of the new task, which must repeat what those events record; null:
  # the same program. Durable when answered; a repeated `key` returns the task that the first call
  # created.

  retry @11 (again :List(UInt64), key :Text, program :Program) -> (fork :Fork);
  # Creates a task from the last good point of this one, which failed or was cancelled. `again`:
  # calls after that point, neither read-only nor idempotent, that may be made once more; unless all
  # are named, the answer is `denied`. `key` and `program`: as in `fork`.

  upgrade @12 (program :Program, at :UInt64, again :List(UInt64), dryRun :Bool) -> (trial :Trial);
  # Replays the recorded operations with another program, in a trial that sends nothing. If the
  # program repeats them up to event `at` (0: all) and `dryRun` is false, it replaces the task's
  # program. Events after `at` are dropped; `again`: as in `retry`.

  questions @13 () -> (items :List(InboxItem));
  # The questions of this task that wait for a person, oldest first. Idempotent.

  approve @14 (decision :ApprovalDecision) -> ();
  # Decides on a held call. Durable when answered. Idempotent: a repeated decision changes nothing.
  # `failed` if it was decided otherwise before, `invalid-argument` for another digest, `denied`
  # after its time, `not-found` if no such call is held.

  give @15 (operation :UInt64, spec :GrantSpec) -> (grant :UInt32);
  # Answers a request for a capability with a new grant; the name in `spec` may be empty. Durable
  # when answered. Idempotent.

  refuse @16 (operation :UInt64, reason :Text) -> ();
  # Refuses a request for a capability: the agent's request fails with `denied`. Durable when
  # answered.

  settle @17 (call :UInt64, event :UInt64, settlement :Settlement) -> ();
  # Decides on a call of unknown outcome. `event`: the event that asked, so that a decision on an
  # earlier question is not taken for this one; 0: any. Durable when answered. A repeated decision
  # changes nothing; a different one fails with `failed`.

  save @18 (spec :RefSpec) -> (ref :Data, id :Text);
  # Creates a sturdy reference to this task. Durable when answered. `ref` is returned this once and
  # stored nowhere. Not idempotent.

  remove @19 () -> ();
  # Removes the ended task with its journal. Durable when answered. Refused while other tasks hold
  # capabilities that it passed on. Its audit records are removed with the journal; one record says
  # that it was removed.
}

interface TaskGrant {
  # A grant of a task, for clients that steer the task. Dropping this changes nothing.

  revoke @0 (reason :Text) -> ();
  # Revokes the grant and all grants narrowed from it. Durable when answered; calls in flight are
  # cancelled. Idempotent.

  save @1 (spec :RefSpec) -> (ref :Data, id :Text);
  # Creates a sturdy reference to the object of the grant, as `Task.save` does. Its uses are
  # recorded in the task's journal. `revoked` if the grant was revoked.
}

struct Fork {
  # A task that began from the events of another task.

  id @0 :Text;
  # The id of the new task.
  task @1 :Task;
  # The new task.
  at @2 :UInt64;
  # The number of events that both have in common.
  dropped @3 :List(UInt64);
  # Calls that were in flight at that point. The new task never sent them.
}

struct Program {
  # The program of an agent. Bounds as in `TaskSpec`.

  source @0 :List(SourceFile);
  # Its files.
  entry @1 :Text;
  # The path, among `source`, of the file that is run.
}

struct Trial {
  # The result of replaying recorded operations with another program. Nothing was sent.

  repeated @0 :UInt64;
  # The number of recorded operations that the program repeated.
  union {
    same @1 :Void;
    # It repeated all of them.
    differs :group {
      # The first operation that it did not repeat.
      operation @2 :UInt64;
      was @3 :Text;
      # The recorded operation; empty: none.
      is @4 :Text;
      # The operation that the program asks for; empty: none.
    }
  }
  switched @5 :Bool;
  # Whether the program has replaced the task's program.
}

struct ApprovalDecision {
  # A person's decision on a held call.

  call @0 :UInt64;
  # The call, `InboxItem.operation`.
  digest @1 :Data;
  # The digest in the question. Another one is refused, so that the decision holds for the call that
  # the person saw.
  union {
    approve @2 :Void;
    # The call is sent as the agent made it.
    deny @3 :Void;
    # The call fails with `denied`.
    change @4 :Value;
    # The call is sent with these arguments, by name, in place of the agent's.
  }
  reason @5 :Text;
  # For the agent and the audit; the first 1024 characters are kept.
  remember :union {
    # As in the event `approvalDecided`. Only with `approve`.
    nothing @6 :Void;
    arguments @7 :UInt64;
    method @8 :UInt64;
  }
}

struct Settlement {
  # A person's decision on a call of unknown outcome.

  union {
    retry @0 :Void;
    # Send it again under the same key.
    abandon @1 :Void;
    # Let it fail with `unknown`.
    outcome @2 :Value;
    # Let it end with this value.
  }
}

interface EventSink {
  # A follower's receiver of events. One message is in flight at a time: the next is sent when the
  # last was answered. A follower that does not answer within 30 s, or fails, loses its feed.

  events @0 (events :List(Event)) -> ();
  # The next events, at most 64, in order of their numbers without gaps.
  caughtUp @1 (number :UInt64) -> ();
  # Sent once: all events up to `number` were sent, and the following ones are new.
  output @2 (call :UInt64, text :Text) -> ();
  # A piece of output of a call in flight. It is not in the journal and may be missing for a slow
  # follower; the outcome of the call contains the whole.
}

interface Subscription {
  # A lease: dropping it ends the feed.
}

struct TaskInfo {
  # The status of a task.

  id @0 :Text;
  # A UUID in its usual form, for example 0190a6e2-7c1d-7000-8000-3c5f1b2a9d10.
  name @1 :Text;
  # As given at its creation.
  status @2 :Text;
  # pending, running, waiting, halted, paused, cancelling, completed, failed or cancelled.
  createdMs @3 :UInt64;
  # Milliseconds since 1970.
  events @4 :UInt64;
  # The number of the last event.
  attempt @5 :UInt32;
  # The number of the last attempt; 0: none began.
  node @6 :Text;
  # The agent node of the running attempt; empty: none runs.
  detail @7 :Text;
  # Why it is pending or halted, or how it failed; else empty.
  calls @8 :UInt64;
  # How many calls it made.
  parent @9 :Text;
  # The id of the task that spawned it; empty: none.
  trigger @10 :Text;
  # The name of the trigger that created it; empty: none.
}

struct GrantInfo {
  # A grant, its use so far, and what remains of it.

  grant @0 :UInt32;
  # Its number in the task's events, from 1.
  parent @1 :UInt32;
  # The grant that it was narrowed from; 0: none.
  name @2 :Text;
  # The name under which the holder sees it.
  tool @3 :Text;
  # The tool at its root.
  version @4 :Text;
  # The version of that tool.
  path @5 :Text;
  # Below the tool's root; empty: the root.
  caveats @6 :List(Caveat);
  # Its own; those of the grants that it was narrowed from hold as well.
  used @7 :UInt64;
  # Calls charged to it.
  revoked @8 :Bool;
  # Whether it, or a grant that it was narrowed from, was revoked.
  node @9 :Text;
  # The identity of the serving tool node.
  holder @10 :Text;
  # A SPIFFE name, "task" for the task's own agent, or "task:" and the id of a task.
  lastUsedMs @11 :UInt64;
  # Milliseconds since 1970; the time of its creation if it was never used.
  manifest @12 :Data;
  # SHA-256 of the manifest that it was made for.
  spent @13 :Budgets;
  # The amounts charged to it: calls on it, on grants narrowed from it, and purses split from it.
  purse @14 :Budgets;
  # The amounts put into its own purse.
  left @15 :List(Budget);
  # What remains, by all its limits and those of the grants above, of other tasks too. A name that
  # is not listed has no limit.
  standing @16 :List(Text);
  # Approvals that a person let stand for later calls, in words.
}

struct Budget {
  # The remaining amount of one counter.

  name @0 :Text;
  # As in the text form of caveats: "calls", "cost", "bytesIn", "bytesOut"; of one method
  # "send.calls".
  amount @1 :UInt64;
}

struct Health {
  # The condition of an orchestrator.

  version @0 :Text;
  # Of the program, for example "0.1.0".
  timeMs @1 :UInt64;
  # Its clock, in milliseconds since 1970.
  journal @2 :Text;
  # "ok", or why the journal cannot be written.
  flushUs @3 :UInt64;
  # The duration of the last commit, in microseconds.
  tasks @4 :UInt64;
  # Tasks in memory.
  certificateEndsMs @5 :UInt64;
  # When its own certificate expires, in milliseconds since 1970.
  webhooks @6 :Text;
  # The address at which it accepts webhooks, host:port; empty: none.
  longTurns @7 :UInt64;
  longestTurnUs @8 :UInt64;
  # Turns of its vat since its start that took more than 10 ms, during which all other work waited,
  # and the duration of the longest, in microseconds.
  panics @9 :UInt64;
  # Connections that ended because a method panicked.
  damage @10 :List(Text);
  # Known loss or damage of the journal: the first 20 lines.
  cutOff @11 :UInt64;
  # Connections that ended since its start because the peer exceeded a bound.
}
