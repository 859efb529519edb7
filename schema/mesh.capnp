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
using Keeper = import "keeper.capnp".Keeper;

interface Mesh extends(Peer, Credentials) {
  # The bootstrap object of a client's connection: what every member may do, and the facets that this
  # one was granted. All that is obtained over a connection ends with it, and a connection ends when
  # something of what its client was granted is taken back.

  facets @0 () -> (may :List(Text), caveats :List(Caveat), creation :Creation, tasks :Tasks,
      nodes :Nodes, members :Members, audit :Audit, keeper :Keeper);
  # What the client was granted when it connected: the names, the caveats on them, and one object for
  # each part; null: not granted. `creation` is for `create`, `tasks` for any of `own`, `view`, `steer`
  # and `decide`, `keeper` for `backup`, each other for the name that it has. Idempotent.

  tools @1 () -> (tools :List(ToolInfo));
  # Every registered tool, one entry for each version and node that serves it. Idempotent.

  nodes @2 () -> (nodes :List(NodeInfo));
  # Every node that has registered, those that are away included. Idempotent.

  health @3 () -> (health :Health);
  # How the orchestrator is. Idempotent.

  restore @4 (ref :Data) -> (task :Task, object :Object, info :RefInfo);
  # A live reference from a sturdy one, whose owner the caller must be: `task` or `object` is set, as
  # `info` tells. May be called after every disconnect; counters of what a holder appended go on.

  refs @5 () -> (refs :List(RefInfo));
  # What the caller saved or may restore, and what was saved of tasks that it may see, oldest first.
  # Idempotent.

  ref @6 (id :Text) -> (ref :SavedRef);
  # A saved reference by its id in that list; `not-found` if the caller may not revoke it.
}

interface Creation {
  # Makes tasks, and what makes tasks: the facet `create`. Its caveats see `name`, `agent`, `tools` and
  # `grants` of a new task. Dropping this changes nothing.

  createTask @0 (spec :TaskSpec) -> (id :Text, task :Task);
  # Durable when answered. A `key` that the client gave before gives the task that it made.

  triggers @1 () -> (triggers :Triggers);
  # What creates tasks or sends input by itself: the client's own, and those of others that it may
  # see. Idempotent.
}

interface Tasks {
  # The tasks that its holder may see: with `own` those that it created, with `view`, `steer` or
  # `decide` those of the whole tenant, each as far as the caveats allow, which see `name`, `creator`,
  # and the `tools` and `grants` that a call hands to the task. Dropping this changes nothing.

  task @0 (id :Text) -> (task :Task);
  # A task by the name that people copy and paste, held as far as the facets go: `own` for all that
  # can be done with one's own, `steer` and `decide` for that, any for looking.

  list @1 (status :Text, after :Text, limit :UInt32) -> (tasks :List(TaskInfo), more :Text);
  # Newest first; `status` empty: all; `after`: the id of the last one already seen. One call looks at
  # a bounded number of tasks, so that a page may be short, or empty, and not the last one. `more`:
  # what to give as `after` for the rest; empty: that was all. Idempotent.

  inbox @2 (after :Text, limit :UInt32) -> (items :List(InboxItem), more :Text);
  # What waits for a person in these tasks, the newest task first. Paged as `list` is. Idempotent.

  holders @3 (which :Selection) -> (held :List(Holding));
  # Every grant in force that is meant, over these tasks. Idempotent.

  revokeAll @4 (which :Selection, reason :Text) -> (revoked :List(Holding));
  # Takes back every grant that is meant in those of these tasks that the holder may steer, with all
  # that was narrowed from it. Something must be given. Durable when answered; calls in flight are
  # cancelled.
}

struct Selection {
  # Which grants are meant: those that fit all that is not empty.

  task @0 :Text;
  holder @1 :Text;
  # A SPIFFE name, or "task:" and the id of a task; or its last part.
  tool @2 :Text;
  manifest @3 :Data;
  # SHA-256 of the manifest that a grant was made for, or has now.
}

struct Holding {
  # A grant, and the task in whose journal it is.

  task @0 :Text;
  name @1 :Text;
  grant @2 :GrantInfo;
}

struct InboxItem {
  # A question to a person.

  task @0 :Text;
  name @1 :Text;
  # The task's.
  operation @2 :UInt64;
  # The call, or other operation, that waits. With the task it names the question.
  event @3 :UInt64;
  # The event that asked.
  askedMs @4 :UInt64;
  untilMs @5 :UInt64;
  # When it is decided by itself; 0: it waits as long as it takes.
  summary @6 :Text;
  union {
    approval :group {
      digest @7 :Data;
      # Which a decision names.
      args @8 :Value;
      # Objects in it are null.
      caveat @9 :Text;
      destructive @10 :Bool;
    }
    power :group {
      tool @11 :Text;
      reason @12 :Text;
      offers @13 :List(Offer);
      # What could be given: registered tools, and what tasks of the same creator hold.
    }
    settlement :group {
      reason @14 :Text;
      ledger @15 :Text;
      # started, forgotten, away or none.
    }
  }
}

struct Offer {
  # A capability that could be given to a task that asks for one.
  grant @0 :Text;
  # In the text form of a grant.
  unbounded @1 :List(Text);
  # Its methods with effects whose target nothing bounds; another offer asks a person about those.
}

struct TaskSpec {
  # What a task is made from.

  name @0 :Text;
  agent @1 :Text;
  source @2 :List(SourceFile);
  entry @3 :Text;
  input @4 :Value;
  grants @5 :List(GrantSpec);
  labels @6 :List(Text);
  key @7 :Text;
  # Idempotency key of the creation; empty: none.
  deadlineMs @8 :UInt32;
  memoryBytes @9 :UInt64;
  # Bounds of one attempt; 0: the node's default.
  timeLimitMs @10 :UInt64;
  attemptLimitMs @11 :UInt64;
  callTimeoutMs @12 :UInt32;
  # How long the task, an attempt and a call may take; 0: for ever, and for a call the default.
  keptMs @13 :UInt64;
  # How long it is kept after its end; 0: as the orchestrator is configured, 2^64-1: for ever.
}

struct GrantSpec {
  # A capability to be handed to a task: narrowed from a tool, or an object of the caller.

  name @0 :Text;
  # By which the agent sees it.
  union {
    tool :group {
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
    }
  }
  caveats @6 :List(Caveat);
  onUnknown @7 :OnUnknown;
}

interface Task {
  # A durable task. Holding this is authority over it. Dropping it changes nothing.

  info @0 () -> (info :TaskInfo);
  # Where the task stands now. Idempotent.

  events @1 (after :UInt64, sink :EventSink) -> (subscription :Subscription);
  # Feeds `sink` every event whose number is above `after`, then goes on live.

  send @2 (value :Value, key :Text, steer :Bool) -> (input :UInt64);
  # Accepts input for the agent. Durable when answered; a `key` seen before is accepted once.
  # `steer`: it joins what the agent is doing; else it waits until the agent asks for its next input.

  cancel @3 (reason :Text) -> ();
  # Durable when answered. The task ends when what is under way has answered, or after a while. A
  # task that has ended stays as it ended.

  result @4 () -> (outcome :Outcome);
  # Answers when the task has ended.

  grants @5 () -> (grants :List(GrantInfo));
  # Every grant it was ever handed, parents before their children. Idempotent.

  grant @6 (spec :GrantSpec) -> (grant :UInt32);
  # Hands the task one more capability, durably.

  held @7 (grant :UInt32) -> (grant :TaskGrant);
  # One of its grants, by the number that it has in the events. `not-found` if there is none.

  pause @8 (reason :Text) -> ();
  # Ends the attempt; no new one begins, no timer fires and no new call goes out until `resume`.
  # Durable when answered. Idempotent.

  resume @9 () -> ();
  # The task goes on. Durable when answered. Idempotent.

  fork @10 (at :UInt64, key :Text, program :Program) -> (fork :Fork);
  # A new task from the first `at` events of this one; 0: from all but the event that ended it.
  # `program`: what it runs, which must repeat what those events record; null: the same program.
  # Durable when answered; a `key` seen before gives the task that it made.

  retry @11 (again :List(UInt64), key :Text, program :Program) -> (fork :Fork);
  # A new task from the last good point of this one, which failed or was cancelled. `again`: calls
  # after that point that may be made once more though that is not harmless. `program`: as in `fork`.

  upgrade @12 (program :Program, at :UInt64, again :List(UInt64), dryRun :Bool) -> (trial :Trial);
  # Lets another program repeat what was recorded, in a trial that sends nothing, and if it asks for
  # the same up to event `at` (0: for all) gives the task to it. What came after `at` is dropped;
  # `again`: calls among it that may be made once more though that is not harmless.

  questions @13 () -> (items :List(InboxItem));
  # What of this task waits for a person, oldest first. Idempotent.

  approve @14 (decision :ApprovalDecision) -> ();
  # Decides on a held call. Durable when answered. The same decision again changes nothing, another
  # one is refused, and so is one that names another digest or comes too late.

  give @15 (operation :UInt64, spec :GrantSpec) -> (grant :UInt32);
  # Answers a request for a capability; the name in `spec` may be empty. Idempotent.

  refuse @16 (operation :UInt64, reason :Text) -> ();
  # Refuses a request for a capability.

  settle @17 (call :UInt64, event :UInt64, settlement :Settlement) -> ();
  # Decides what became of a call of unknown outcome, or what is to be done. `event`: the one that
  # asked; 0: whichever did. The same decision again changes nothing, another one is refused.

  save @18 (spec :RefSpec) -> (ref :Data, id :Text);
  # A sturdy reference to this task. Durable when answered; the bits are told this once.

  remove @19 () -> ();
  # Removes the task, which must have ended, with its journal. Durable when answered. Refused while
  # others hold what it passed on. Its audit records go with the journal; that it was removed is one.
}

interface TaskGrant {
  # A grant of a task, for those who steer it. Dropping this changes nothing.

  revoke @0 (reason :Text) -> ();
  # Cuts the grant and all narrowed from it. Durable when answered; calls in flight are cancelled.
  # Idempotent.

  save @1 (spec :RefSpec) -> (ref :Data, id :Text);
  # A sturdy reference to what the grant leads to; as `Task.save`. What is done with it is in the
  # task's journal.
}

struct Fork {
  # A task that began from another one's past.

  id @0 :Text;
  task @1 :Task;
  at @2 :UInt64;
  # How many events it has in common with the other one.
  dropped @3 :List(UInt64);
  # Calls that were in flight at that point, and were never sent here.
}

struct Program {
  # What an agent runs.

  source @0 :List(SourceFile);
  entry @1 :Text;
}

struct Trial {
  # What another program did in a replay in which nothing was sent.

  repeated @0 :UInt64;
  # How many recorded operations it asked for again, the same as they were.
  union {
    same @1 :Void;
    differs :group {
      # It would not go on where the other one stands.
      operation @2 :UInt64;
      was @3 :Text;
      is @4 :Text;
      # What was recorded and what it asks for; empty: nothing.
    }
  }
  switched @5 :Bool;
  # Whether it works on the task from now on.
}

struct ApprovalDecision {
  # On a held call.

  call @0 :UInt64;
  digest @1 :Data;
  union {
    approve @2 :Void;
    deny @3 :Void;
    change @4 :Value;
    # Approve with these arguments, by name, in place of the agent's.
  }
  reason @5 :Text;
  remember :union {
    # As in the event `approvalDecided`.
    nothing @6 :Void;
    arguments @7 :UInt64;
    method @8 :UInt64;
  }
}

struct Settlement {
  # Of a call of unknown outcome.

  union {
    retry @0 :Void;
    abandon @1 :Void;
    outcome @2 :Value;
  }
}

interface EventSink {
  # Where a follower wants its events. The next batch is sent when the last one was answered.

  events @0 (events :List(Event)) -> ();
  caughtUp @1 (number :UInt64) -> ();
  # Once: everything up to `number` was sent, what follows is live.
  output @2 (call :UInt64, text :Text) -> ();
  # Output of a call in flight. Not in the journal; left out when the follower is slow.
}

interface Subscription {
  # A lease: dropping it ends the feed.
}

struct TaskInfo {
  # Where a task stands.

  id @0 :Text;
  name @1 :Text;
  status @2 :Text;
  # pending, running, waiting, halted, paused, cancelling, completed, failed or cancelled.
  createdMs @3 :UInt64;
  events @4 :UInt64;
  attempt @5 :UInt32;
  node @6 :Text;
  # Where the attempt runs; empty: nowhere now.
  detail @7 :Text;
  # Why it is pending or halted, or how it failed; else empty.
  calls @8 :UInt64;
  parent @9 :Text;
  # The task that spawned it; empty: none.
  trigger @10 :Text;
  # The trigger that created it; empty: none.
}

struct GrantInfo {
  # A grant and what became of it.

  grant @0 :UInt32;
  parent @1 :UInt32;
  name @2 :Text;
  tool @3 :Text;
  version @4 :Text;
  path @5 :Text;
  caveats @6 :List(Caveat);
  used @7 :UInt64;
  revoked @8 :Bool;
  node @9 :Text;
  holder @10 :Text;
  # A SPIFFE name, "task" for the task's own agent, or "task:" and the id of a task.
  lastUsedMs @11 :UInt64;
  # Milliseconds since 1970; when it was made, if it was never used.
  manifest @12 :Data;
  # SHA-256 of the manifest that it was made for.
  spent @13 :Budgets;
  # What was charged to it: calls on it, on grants narrowed from it, and purses split from it.
  purse @14 :Budgets;
  # What was put into its own purse.
  left @15 :List(Budget);
  # What can still be used of it, by all its limits and those of the grants above, of other tasks
  # too. What is not listed, nothing bounds.
  standing @16 :List(Text);
  # What a person approved of for later calls too, in words.
}

struct Budget {
  # An amount of one of the things that are counted.

  name @0 :Text;
  # As in the text form of caveats: "calls", "cost", "bytesIn", "bytesOut", of one method "send.calls".
  amount @1 :UInt64;
}

struct Health {
  # How an orchestrator is.

  version @0 :Text;
  timeMs @1 :UInt64;
  journal @2 :Text;
  # "ok", or why nothing can be written.
  flushUs @3 :UInt64;
  # How long the last commit took.
  tasks @4 :UInt64;
  certificateEndsMs @5 :UInt64;
  webhooks @6 :Text;
  # Where it takes posts to webhooks, host:port; empty: nowhere.
  longTurns @7 :UInt64;
  longestTurnUs @8 :UInt64;
  # Turns of its vat since its start that took more than 10 ms, each of which held up all other work,
  # and the longest of them.
  panics @9 :UInt64;
  # Connections that ended because a method panicked.
  damage @10 :List(Text);
  # What is known to be lost or damaged of the journal: the first few lines.
}
