@0xe48d04a90eed39a8;
# Owners to journals and to followers: the events of a task. The form on disk and on the wire is the
# same, so ordinals are never reused and the meaning of a field never changes.

using Value = import "object.capnp".Value;
using ObjectId = import "object.capnp".ObjectId;
using Outcome = import "object.capnp".Outcome;
using Failure = import "object.capnp".Failure;
using Manifest = import "object.capnp".Manifest;
using Caveat = import "caveat.capnp".Caveat;
using Budgets = import "caveat.capnp".Budgets;
using Introduced = import "event-direct.capnp".Introduced;
using NotIntroduced = import "event-direct.capnp".NotIntroduced;
using ResultOffloaded = import "event-direct.capnp".ResultOffloaded;
using SettlementRequested = import "event-settle.capnp".SettlementRequested;
using SettlementWithdrawn = import "event-settle.capnp".SettlementWithdrawn;
using SettlementDecided = import "event-settle.capnp".SettlementDecided;

struct Event {
  # One fact in the life of a task, numbered from 1 without gaps.

  number @0 :UInt64;
  # Its position in the journal. As a cursor: the last event seen.
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
    # The last event: the task ended with this result.
    taskFailed @17 :Failure;
    # The last event: the task ended with this failure.
    taskCancelled @18 :Text;
    # The last event: the task was cancelled, for this reason.
    inputRequested @19 :UInt64;
    # The operation by which the agent asked for its next input.
    grantEnded @20 :GrantEnded;
    taskPaused @21 :TaskPaused;
    taskResumed @22 :Text;
    # The pause ended. The identity that resumed the task, as a SPIFFE name.
    cancelRequested @23 :CancelRequested;
    taskForked @24 :TaskForked;
    taskUpgraded @25 :TaskUpgraded;
    steersRequested @26 :SteersRequested;
    steersDelivered @27 :SteersDelivered;
    grantRepinned @28 :GrantRepinned;
    callRecalled @29 :CallRecalled;
    approvalRequested @30 :ApprovalRequested;
    approvalDecided @31 :ApprovalDecided;
    capabilityRequested @32 :CapabilityRequested;
    capabilityDecided @33 :CapabilityDecided;
    settlementRequested @34 :SettlementRequested;
    settlementDecided @35 :SettlementDecided;
    introduced @36 :Introduced;
    resultOffloaded @37 :ResultOffloaded;
    settlementWithdrawn @38 :SettlementWithdrawn;
    notIntroduced @39 :NotIntroduced;
  }
}

struct TaskCreated {
  # The first event of every task, and only the first.

  name @0 :Text;
  # For people.
  agent @1 :Text;
  # The kind of agent, for example "script".
  source @2 :List(SourceFile);
  # The program.
  entry @3 :Text;
  # The path, among `source`, of the file that is run.
  input @4 :Value;
  # The argument of the program.
  seed @5 :Data;
  # 32 bytes, the source of the agent's random numbers.
  labels @6 :List(Text);
  # Labels that an agent node must have to run this task.
  creator @7 :Text;
  # The identity that created it, as a SPIFFE name.
  deadlineMs @8 :UInt32;
  # The longest that one attempt may compute between two awaits on the outside; 0: the node's
  # default.
  memoryBytes @9 :UInt64;
  # The most memory one attempt may use; 0: the node's default.
  export @10 :Text;
  # The name of the export that is run; empty: the default one.
  parent @11 :Text;
  # The id of the task that spawned it; empty: a client created it.
  detached @12 :Bool;
  # Whether it survives the end of that task.
  timeLimitMs @13 :UInt64;
  # The longest from its creation to its end, pauses not counted; 0: no limit.
  attemptLimitMs @14 :UInt64;
  # The longest of one attempt, waits included; 0: no limit.
  callTimeoutMs @15 :UInt32;
  # The longest of one call, unless its method states less; 0: the owner's default.
  retentionMs @16 :UInt64;
  # How long the task is kept after its end; 0: as the orchestrator is configured, 2^64-1: without
  # limit.
}

struct SourceFile {
  # A file of the agent's program.

  path @0 :Text;
  # Relative, with `/` between the parts.
  text @1 :Text;
  # UTF-8.
}

struct AttemptStarted {
  # An attempt began.

  attempt @0 :UInt32;
  # Its number, from 1.
  node @1 :Text;
  # The identity of its agent node.
}

struct AttemptEnded {
  # The attempt ended, and its membranes are revoked.

  attempt @0 :UInt32;
  # Its number.
  reason @1 :Text;
  # In words for a person.
  fruitless @2 :Bool;
  # It was lost without progress, through a fault of its own or of its node. Some such attempts in a
  # row pause the task.
}

struct GrantAdded {
  # The task was handed a capability.

  grant @0 :UInt32;
  # Its number within the task, from 1.
  parent @1 :UInt32;
  # The grant that it was narrowed from; 0: none.
  name @2 :Text;
  # The name under which its holder sees it.
  tool @3 :Text;
  # The tool at its root.
  version @4 :Text;
  # The version of that tool.
  node @5 :Text;
  # The identity of the tool node that serves it.
  path @6 :Text;
  # Below the tool's root; empty: the root.
  caveats @7 :List(Caveat);
  # Its own; those of its ancestors hold as well.
  manifest @8 :Manifest;
  # The interface of the tool at that time.
  holder @9 :Text;
  # A SPIFFE name, "task" for the task's own agent, or "task:" and the id of a task.
  derived @10 :Derivation;
  # How it was derived from an object that the task held; null: a person gave it.
  originTask @11 :Text;
  originGrant @12 :UInt32;
  # The grant of another task that it passes on; empty and 0: its root is an object of the tool
  # itself.
  interface @13 :Text;
  # The interface of its root; empty: the manifest's root interface; "?": unknown.
  reserve @14 :Budgets;
  # A purse: charged to the grants above when this one is added and spent by its own calls, which
  # are refused when it is empty. The remainder is returned when the grant is revoked or ends.
  by @15 :Text;
  # The identity that handed it out; empty: the task's creator, or the holder of its parent.
  onUnknown @16 :OnUnknown;
  # The policy for calls of unknown outcome.
}

enum OnUnknown {
  # The policy for a call of unknown outcome.

  inherit @0;
  # The policy of the grant that it was narrowed from; without one, by the method: a read-only or
  # idempotent call is sent again, and a person is asked about any other.
  retry @1;
  # The call is sent again, under the same key.
  fail @2;
  # It fails with `unknown`.
  ask @3;
  # A person is asked.
}

struct Derivation {
  # How a grant was derived from an object that its task held.

  object @0 :ObjectId;
  # The root of the grant.
  operation @1 :UInt64;
  # The operation that asked for it; 0: it was derived on the way to another task or client.
  digest @2 :Data;
  # SHA-256 over the request, as for a call.
  key @3 :Data;
  # The idempotency key of the request; empty: the number of the operation serves as one.
}

struct Delegate {
  # The caller, if it is neither the agent nor a tool that was lent the object: the holder of a
  # grant that was passed on.

  grant @0 :UInt32;
  # The grant that it holds.
  key @1 :Data;
  # The idempotency key of its call.
}

struct GrantRevoked {
  # A grant was revoked, with all grants narrowed from it.

  grant @0 :UInt32;
  # Its number.
  reason @1 :Text;
  # In words for a person.
  by @2 :Text;
  # The identity that revoked it; empty: the task itself, or its end.
}

struct GrantRepinned {
  # The tool changed and the change was accepted: from now on the grant, and all grants narrowed
  # from it, have this interface.

  grant @0 :UInt32;
  # Its number.
  manifest @1 :Manifest;
  # The unchanged part of the interface that the grant was made for. Nothing is added.
  accepted @2 :Data;
  # SHA-256 of the tool's whole manifest, as it was accepted.
}

struct GrantEnded {
  # A grant is no longer needed, nor are the grants narrowed from it. The remainder of its purse is
  # returned to the grant that it was split from.

  grant @0 :UInt32;
  # Its number.
  reason @1 :Text;
  # In words for a person.
}

struct CallRequested {
  # A call was allowed and is about to be sent: the intent. Durable before a call with effects is
  # sent.

  call @0 :UInt64;
  # The number of the operation.
  attempt @1 :UInt32;
  # The attempt that made it.
  object @2 :ObjectId;
  # The object that is called.
  method @3 :Text;
  # The name of the method.
  args @4 :Value;
  # The arguments by name, as they are sent.
  digest @5 :Data;
  # SHA-256 over object, method and arguments as the agent gave them. A replay must repeat it.
  grant @6 :UInt32;
  # The grant that allowed it.
  path @7 :Text;
  # The path on which it acts, relative to the grant's root; empty: the root itself.
  returns @8 :Text;
  # The interface of the object that it will return; empty: none.
  readOnly @9 :Bool;
  idempotent @10 :Bool;
  # The annotations of the method, by the grant's manifest.
  through @11 :UInt64;
  # The call that lent the object to the calling tool; 0: the agent itself called.
  delegate @12 :Delegate;
  # The caller; null: the agent, or a tool that was lent the object.
  approval @13 :UInt64;
  # The call whose approval by a person allows this one: itself, or an earlier one whose decision
  # was remembered; 0: no approval was needed.
  maxCost @14 :UInt64;
  # The amount reserved in every budget of cost above it until the call ends; 0: none.
}

struct CallCompleted {
  # How a call ended. Durable before the agent sees it.

  call @0 :UInt64;
  # The number of the call.
  outcome @1 :Outcome;
  # A value or a failure.
  cost @2 :UInt64;
  # The cost that the tool reports, in its units. The rest of the reservation is returned, unless
  # the outcome is unknown or the call timed out. The part that exceeds `maxCost` of the request is
  # not charged.
  refused @3 :Bool;
  # The mesh itself refused the call on its way, or withholds its result. A failure that a tool made
  # with the code `denied` or `revoked` does not set this field.
}

struct CallDenied {
  # A call was refused before anything was sent. The fields are those of `CallRequested`.

  call @0 :UInt64;
  attempt @1 :UInt32;
  object @2 :ObjectId;
  method @3 :Text;
  digest @4 :Data;
  grant @5 :UInt32;
  failure @6 :Failure;
  # The outcome that the caller gets.
  through @7 :UInt64;
  delegate @8 :Delegate;
}

struct CallUnknown {
  # A call was sent, and its outcome is unknown for now.

  call @0 :UInt64;
  # The number of the call.
  reason @1 :Text;
  # How it was lost.
}

struct CallRecalled {
  # A call of a pure method was answered with the outcome of an earlier call; nothing was sent.

  call @0 :UInt64;
  # The number of the call.
  from @1 :UInt64;
  # The earlier call, on the same object with the same arguments.
}

struct LogEmitted {
  # The agent wrote a line of output.

  line @0 :UInt64;
  # Numbered from 1 by the agent, so that a replay records no line twice.
  level @1 :Level;
  text @2 :Text;
  # At most 16 KiB; the rest of a longer line is cut off.

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
  # Its number within the task, from 1.
  value @1 :Value;
  # Without capabilities.
  sender @2 :Text;
  # The sender, as a SPIFFE name.
  key @3 :Text;
  # The sender's idempotency key; empty: it gave none.
  steer @4 :Bool;
  # Whether it joins the current activity; else it waits until the agent asks for its next input.
}

struct InputDelivered {
  # The agent was given an input.

  operation @0 :UInt64;
  # The operation that asked for it.
  input @1 :UInt64;
  # The number of the input.
}

struct SteersRequested {
  # The agent asks for the accepted steers.

  operation @0 :UInt64;
  # The number of the operation.
  wait @1 :Bool;
  # Whether it waits until there is at least one.
}

struct SteersDelivered {
  # The agent was given all accepted steers, possibly none.

  operation @0 :UInt64;
  # The operation that asked for them.
  inputs @1 :List(UInt64);
  # Their numbers, in the order of acceptance.
}

struct TimerSet {
  # The agent began a sleep.

  operation @0 :UInt64;
  # The number of the operation.
  dueMs @1 :UInt64;
  # When it ends, in milliseconds since 1970.
}

struct TimerFired {
  # A sleep ended.

  operation @0 :UInt64;
  # The operation that began it.
}

struct TaskPaused {
  # Until the task is resumed, no attempt runs, no timer fires and no new call is sent.

  reason @0 :Text;
  # In words for a person.
  who @1 :Text;
  # A SPIFFE name; empty: the orchestrator itself, after an attempt or a call failed repeatedly.
  call @2 :UInt64;
  # The call that could not be settled while its tool node was away: the pause ends when that node
  # registers again. 0: only a person ends it.
}

struct CancelRequested {
  # The task is being cancelled. From now on it makes no requests. Calls in flight are cancelled and
  # their answers awaited for a grace period; then its grants are revoked, and then it ends.

  why @0 :Failure;
  # With the code `cancelled` the task ends as cancelled, for the reason in the message; with any
  # other code it ends as failed, with this failure.
  who @1 :Text;
  # A SPIFFE name; empty: the orchestrator itself.
}

struct TaskForked {
  # The events before this one are a copy of the first `at` events of another task. From here on the
  # two share nothing.

  task @0 :Text;
  # The id of that task.
  at @1 :UInt64;
  # The number of the last copied event.
  who @2 :Text;
  # The identity that forked it, as a SPIFFE name.
  dropped @3 :List(UInt64);
  # Calls that were in flight there at that point. This task never sent them; asked for again, they
  # are new calls. Their charges remain.
}

struct TaskUpgraded {
  # Another program replaced the program of the task.

  source @0 :List(SourceFile);
  # The new program.
  entry @1 :Text;
  # The path, among `source`, of the file that is run.
  who @2 :Text;
  # The identity that replaced it, as a SPIFFE name.
  at @3 :UInt64;
  # The last event whose operations the new program must repeat; 0: it repeats all.
  dropped @4 :List(UInt64);
  # Operations requested after that event. A replay no longer serves them, and their numbers are
  # free again. Their effects and charges remain; inputs that they took wait again.
  lines @5 :UInt64;
  # The number of lines of output up to that event.
}

struct ApprovalRequested {
  # A call is held until a person decides on it. Nothing was charged or sent.

  request @0 :CallRequested;
  # The call as it will be recorded if it is approved unchanged.
  caveat @1 :Text;
  # The caveat that requires approval, in its text form.
  summary @2 :Text;
  # For a person: tool, method, arguments, grant, caller, and the description of the method.
  destructive @3 :Bool;
  # Whether the manifest annotates the method so.
  user @4 :Text;
  # The caller: a SPIFFE name, or "task" for the task's own agent.
  untilMs @5 :UInt64;
  # When the call is denied without a decision, in milliseconds since 1970.
}

struct ApprovalDecided {
  # A person decided on a held call, or its time ran out. The next event is the consequence:
  # `callRequested` or `callDenied`.

  call @0 :UInt64;
  # The number of the call.
  digest @1 :Data;
  # The digest of that call.
  union {
    approve @2 :Void;
    deny @3 :Void;
    change @4 :Value;
    # Approved with these arguments in place of the agent's.
  }
  who @5 :Text;
  # A SPIFFE name; empty: the time ran out.
  reason @6 :Text;
  # The words of the person.
  remember :union {
    # Later calls that this approval also covers, under the same grant and by the same caller.
    nothing @7 :Void;
    # None.
    arguments @8 :UInt64;
    # The same method on the same object with the same arguments, until this moment in milliseconds
    # since 1970; 2^64-1: without limit.
    method @9 :UInt64;
    # The same method of the same interface with any arguments, until this moment.
  }
}

struct CapabilityRequested {
  # The agent asks for a capability that it does not hold.

  operation @0 :UInt64;
  # The number of the operation.
  tool @1 :Text;
  # The kind of tool.
  reason @2 :Text;
  # The words of the agent.
  untilMs @3 :UInt64;
  # When the request is refused without a decision, in milliseconds since 1970.
}

struct CapabilityDecided {
  # A person gave the requested capability or refused it, or the time ran out.

  operation @0 :UInt64;
  # The operation that asked.
  grant @1 :UInt32;
  # The grant that the previous event added; 0: refused.
  reason @2 :Text;
  # Why it was refused.
  who @3 :Text;
  # A SPIFFE name; empty: the time ran out.
}
