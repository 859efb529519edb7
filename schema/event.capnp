@0xe48d04a90eed39a8;
# Owners to journals and to followers: what happened to a task. This is the form on disk and on the
# wire alike, so ordinals are never used again and a field's meaning never changes.

using Value = import "object.capnp".Value;
using ObjectId = import "object.capnp".ObjectId;
using Outcome = import "object.capnp".Outcome;
using Failure = import "object.capnp".Failure;
using Manifest = import "object.capnp".Manifest;
using Caveat = import "caveat.capnp".Caveat;
using Budgets = import "caveat.capnp".Budgets;
using Introduced = import "event-direct.capnp".Introduced;
using NotIntroduced = import "event-direct.capnp".NotIntroduced;
using BodyKept = import "event-direct.capnp".BodyKept;
using SettlementRequested = import "event-settle.capnp".SettlementRequested;
using SettlementWithdrawn = import "event-settle.capnp".SettlementWithdrawn;
using SettlementDecided = import "event-settle.capnp".SettlementDecided;

struct Event {
  # One fact in the life of a task, numbered from 1 without gaps.

  number @0 :UInt64;
  timeMs @1 :UInt64;
  # Milliseconds since 1970, by the owner's clock. Never decreases within a task.

  union {
    taskCreated @2 :TaskCreated;
    attemptStarted @3 :AttemptStarted;
    attemptEnded @4 :AttemptEnded;
    grantAdded @5 :GrantAdded;
    grantRevoked @6 :GrantRevoked;
    callRequested @7 :CallRequested;
    callCompleted @8 :CallCompleted;
    callDenied @9 :CallDenied;
    callUnknown @10 :CallUnknown;
    logEmitted @11 :LogEmitted;
    inputAccepted @12 :InputAccepted;
    inputDelivered @13 :InputDelivered;
    timerSet @14 :TimerSet;
    timerFired @15 :TimerFired;
    taskCompleted @16 :Value;
    taskFailed @17 :Failure;
    taskCancelled @18 :Text;
    # The reason that was given.
    inputRequested @19 :UInt64;
    # The operation by which the agent asked for its next input.
    grantEnded @20 :GrantEnded;
    taskPaused @21 :TaskPaused;
    taskResumed @22 :Text;
    # Who let it go on, as a SPIFFE name.
    cancelRequested @23 :CancelRequested;
    taskForked @24 :TaskForked;
    taskUpgraded @25 :TaskUpgraded;
    steersRequested @26 :SteersRequested;
    steersDelivered @27 :SteersDelivered;
    grantRepinned @28 :GrantRepinned;
    callRecalled @29 :CallRecalled;
    approvalRequested @30 :ApprovalRequested;
    approvalDecided @31 :ApprovalDecided;
    powerRequested @32 :PowerRequested;
    powerDecided @33 :PowerDecided;
    settlementRequested @34 :SettlementRequested;
    settlementDecided @35 :SettlementDecided;
    introduced @36 :Introduced;
    bodyKept @37 :BodyKept;
    settlementWithdrawn @38 :SettlementWithdrawn;
    notIntroduced @39 :NotIntroduced;
  }
}

struct TaskCreated {
  # Always the first event, and only that.

  name @0 :Text;
  agent @1 :Text;
  # The kind of agent, for example "script".
  source @2 :List(SourceFile);
  entry @3 :Text;
  # The path, among `source`, of the file that is run.
  input @4 :Value;
  seed @5 :Data;
  # 32 bytes from which the agent's random numbers come.
  labels @6 :List(Text);
  # What an agent node must have to be given this task.
  creator @7 :Text;
  # The identity that created it, as a SPIFFE name.
  deadlineMs @8 :UInt32;
  # The longest one attempt may run between two awaits on the outside; 0: the node's default.
  memoryBytes @9 :UInt64;
  # The most memory one attempt may use; 0: the node's default.
  export @10 :Text;
  # The name of the export that is run; empty: the default one.
  parent @11 :Text;
  # The id of the task that spawned it; empty: a person or a program did.
  detached @12 :Bool;
  # Whether it outlives that task.
  timeLimitMs @13 :UInt64;
  # How long the task may take from its creation to its end, pauses not counted; 0: as long as it takes.
  attemptLimitMs @14 :UInt64;
  # How long one attempt may take, waits included; 0: as long as it takes.
  callTimeoutMs @15 :UInt32;
  # How long one of its calls may take, where its method does not ask for less; 0: the owner's default.
  keptMs @16 :UInt64;
  # How long it is kept after its end; 0: as the orchestrator is configured, 2^64-1: for ever.
}

struct SourceFile {
  # A file of the agent's program.

  path @0 :Text;
  text @1 :Text;
}

struct AttemptStarted {
  # An agent begins to work, on the node of this name.

  attempt @0 :UInt32;
  node @1 :Text;
}

struct AttemptEnded {
  # That agent works no more, and its membranes are revoked.

  attempt @0 :UInt32;
  reason @1 :Text;
  fruitless @2 :Bool;
  # It was lost without progress through a fault of its own or of its node.
}

struct GrantAdded {
  # The task was handed a capability.

  grant @0 :UInt32;
  parent @1 :UInt32;
  # The grant it was narrowed from; 0: none.
  name @2 :Text;
  tool @3 :Text;
  version @4 :Text;
  node @5 :Text;
  # The identity of the tool node that serves it.
  path @6 :Text;
  caveats @7 :List(Caveat);
  manifest @8 :Manifest;
  holder @9 :Text;
  # A SPIFFE name, "task" for the task's own agent, or "task:" and the id of a task.
  derived @10 :Derivation;
  # How it came from an object that the task held; null: a person gave it.
  originTask @11 :Text;
  originGrant @12 :UInt32;
  # The grant of another task that it passes on; empty and 0: it leads to the tool itself.
  interface @13 :Text;
  # Of its root; empty: what the manifest says; "?": nobody knows.
  reserve @14 :Budgets;
  # A purse: charged to the grants above when this one is added, spent by its own calls, which are
  # refused when it is empty. What is left goes back when the grant is revoked or ends.
  by @15 :Text;
  # The identity that handed it out; empty: the task's creator, or whoever holds its parent.
  onUnknown @16 :OnUnknown;
}

enum OnUnknown {
  # What is done about a call of which nobody knows whether it happened.

  inherit @0;
  # As the grant says that it was narrowed from; without one, by the method: what only reads or is
  # idempotent is sent again, and a person is asked about the rest.
  retry @1;
  # It is sent again, under the same key.
  fail @2;
  # It fails with `unknown`.
  ask @3;
  # A person is asked.
}

struct Derivation {
  # How a grant came from an object that its task held.

  object @0 :ObjectId;
  # The root of the grant.
  operation @1 :UInt64;
  # The operation that asked for it; 0: it was made on the way to another task or person.
  digest @2 :Data;
  # As of a call.
  key @3 :Data;
  # Under which a repeated request finds it; empty: the operation's number serves.
}

struct Delegate {
  # Who calls, when it is neither the agent nor a tool that was lent the object.

  grant @0 :UInt32;
  # The grant that it holds.
  key @1 :Data;
  # Its idempotency key.
}

struct GrantRevoked {
  # A capability was taken back, with all that was narrowed from it.

  grant @0 :UInt32;
  reason @1 :Text;
  by @2 :Text;
  # The identity that took it back; empty: the task itself, or what became of it.
}

struct GrantRepinned {
  # The tool changed and the change was accepted: the grant, and all that was narrowed from it, has
  # this interface from now on.

  grant @0 :UInt32;
  manifest @1 :Manifest;
  # What of the interface it was made for is there unchanged. Nothing is added.
  accepted @2 :Data;
  # The hash of the tool's whole manifest, as it was accepted.
}

struct GrantEnded {
  # A capability is needed no more, nor is what was narrowed from it. What its purse still holds
  # goes back to the grant that it was split from.

  grant @0 :UInt32;
  reason @1 :Text;
}

struct CallRequested {
  # A call was allowed and is about to be sent: the intent.

  call @0 :UInt64;
  attempt @1 :UInt32;
  object @2 :ObjectId;
  method @3 :Text;
  args @4 :Value;
  digest @5 :Data;
  # SHA-256 over object, method and arguments as the agent gave them.
  grant @6 :UInt32;
  path @7 :Text;
  # Where the call acts, seen from the grant's root; empty: the root itself.
  returns @8 :Text;
  # The interface of the object it will return; empty: none.
  readOnly @9 :Bool;
  idempotent @10 :Bool;
  through @11 :UInt64;
  # The call that lent the object to the tool now using it; 0: the agent itself called.
  delegate @12 :Delegate;
  # Null: the agent, or a tool that was lent the object.
  approval @13 :UInt64;
  # The call on which a person decided so that this one may be made: itself, or an earlier one whose
  # decision was to be remembered; 0: none was asked for.
  maxCost @14 :UInt64;
  # What was reserved of every budget of cost above it, until the call ends; 0: nothing.
}

struct CallCompleted {
  # How a call ended. Durable before the agent sees it.

  call @0 :UInt64;
  outcome @1 :Outcome;
  cost @2 :UInt64;
  # What the tool says the call cost, in units of its own. What was reserved beyond that goes back,
  # unless nobody knows how it ended, or it timed out; of what exceeds `maxCost` of the request
  # nothing is charged.
  refused @3 :Bool;
  # The mesh itself refused the call on its way, or withholds its result. A failure with the code
  # `denied` or `revoked` that a tool made is an outcome like any other, and does not set it.
}

struct CallDenied {
  # A call was refused, before anything was sent.

  call @0 :UInt64;
  attempt @1 :UInt32;
  object @2 :ObjectId;
  method @3 :Text;
  digest @4 :Data;
  grant @5 :UInt32;
  failure @6 :Failure;
  through @7 :UInt64;
  delegate @8 :Delegate;
}

struct CallUnknown {
  # A call was sent and nobody knows yet what became of it.

  call @0 :UInt64;
  reason @1 :Text;
}

struct CallRecalled {
  # A call of a pure method has the outcome that an earlier one had; nothing was sent.

  call @0 :UInt64;
  from @1 :UInt64;
  # The earlier one: on the same object, with the same arguments.
}

struct LogEmitted {
  # The agent wrote a line of output.

  line @0 :UInt64;
  # Numbered from 1 by the agent, so that a replay writes none twice.
  level @1 :Level;
  text @2 :Text;

  enum Level {
    debug @0;
    info @1;
    warn @2;
    error @3;
  }
}

struct InputAccepted {
  # Input for the agent is in the inbox.

  input @0 :UInt64;
  value @1 :Value;
  sender @2 :Text;
  key @3 :Text;
  # The sender's idempotency key; empty: it gave none.
  steer @4 :Bool;
  # Whether it joins what the agent is doing; else it waits for the agent to ask for its next input.
}

struct InputDelivered {
  # The agent was given an input.

  operation @0 :UInt64;
  input @1 :UInt64;
}

struct SteersRequested {
  # The agent asks for the steers that have come.

  operation @0 :UInt64;
  wait @1 :Bool;
  # Whether it waits for at least one.
}

struct SteersDelivered {
  # The agent was given all steers that had come.

  operation @0 :UInt64;
  inputs @1 :List(UInt64);
}

struct TimerSet {
  # The agent sleeps until then.

  operation @0 :UInt64;
  dueMs @1 :UInt64;
}

struct TimerFired {
  # Its sleep is over.

  operation @0 :UInt64;
}

struct TaskPaused {
  # No attempt runs from now on, no timer fires and no new call goes out, until it is resumed.

  reason @0 :Text;
  who @1 :Text;
  # As a SPIFFE name; empty: the orchestrator itself, when an attempt or a call failed repeatedly.
  call @2 :UInt64;
  # The call that could not be settled while its tool node was away: the pause ends when that node
  # registers again. 0: only a person ends it.
}

struct CancelRequested {
  # The task is to end. From now on it asks for nothing; what is under way is told to stop and its
  # answer awaited for a while, then its grants are revoked, and then comes the end.

  why @0 :Failure;
  # cancelled: the task ends as cancelled, for the reason in the message. Any other code: it ends as
  # failed, with this.
  who @1 :Text;
  # As a SPIFFE name; empty: the orchestrator itself.
}

struct TaskForked {
  # The events before this one are a copy of the first `at` events of another task. Nothing is shared
  # with it from here on.

  task @0 :Text;
  # The id of that task.
  at @1 :UInt64;
  who @2 :Text;
  dropped @3 :List(UInt64);
  # Calls that were in flight there at that point: this task never sent them. Asked for again, they
  # are new calls. What they were charged stays charged.
}

struct TaskUpgraded {
  # Another program works on the task from now on.

  source @0 :List(SourceFile);
  entry @1 :Text;
  who @2 :Text;
  at @3 :UInt64;
  # The event after which the new program need not repeat what the old one did; 0: it repeats all.
  dropped @4 :List(UInt64);
  # Operations that were asked for after that event. A replay no longer serves them and their numbers
  # are free again. What they did is done and stays charged; inputs they took wait again.
  lines @5 :UInt64;
  # How many lines of output had been written up to that event.
}

struct ApprovalRequested {
  # A call is held until a person decides on it. Nothing was charged or sent.

  request @0 :CallRequested;
  # As it will be recorded when it is approved unchanged.
  caveat @1 :Text;
  # That asks for approval, in its text form.
  summary @2 :Text;
  # For a person: tool, method, arguments, grant, who asks, what the method says of itself.
  destructive @3 :Bool;
  user @4 :Text;
  # Who asks: a SPIFFE name, or "task": the task's own agent.
  untilMs @5 :UInt64;
  # When it is denied if nobody decided, in milliseconds since 1970.
}

struct ApprovalDecided {
  # A person decided on a held call, or its time ran out. What follows from it is the next event.

  call @0 :UInt64;
  digest @1 :Data;
  # Of the call that was decided on.
  union {
    approve @2 :Void;
    deny @3 :Void;
    change @4 :Value;
    # Approved with these arguments in place of the agent's.
  }
  who @5 :Text;
  # A SPIFFE name; empty: nobody, its time ran out.
  reason @6 :Text;
  remember :union {
    # Calls that need not be asked about again, under the same grant and by the same user.
    nothing @7 :Void;
    arguments @8 :UInt64;
    # The same call with the same arguments, until then; the greatest number: for ever.
    method @9 :UInt64;
    # This method with whatever arguments, until then.
  }
}

struct PowerRequested {
  # The agent asks for a capability that it does not hold.

  operation @0 :UInt64;
  tool @1 :Text;
  reason @2 :Text;
  # As the agent gave it.
  untilMs @3 :UInt64;
  # When it is refused if nobody decided.
}

struct PowerDecided {
  # A person gave one, or refused.

  operation @0 :UInt64;
  grant @1 :UInt32;
  # Added by the event before this one; 0: refused.
  reason @2 :Text;
  # Why it was refused.
  who @3 :Text;
  # A SPIFFE name; empty: nobody, its time ran out.
}
