@0xebc2c1d968682f89;
# The tool plane: agents, membranes and tools to one another. Everything that an agent can hold is
# an Object, so one membrane serves every tool, and a tool can be written in any language.

interface Object {
  # A live reference. Possession is permission: no method checks who calls. Dropping it tells the
  # host that this holder no longer needs it. After a disconnect it is broken.

  call @0 (method :Text, args :Value, key :Data, direct :Bool, line :UInt64) -> (value :Value, object :Object, recorded :Recorded, cost :UInt64, kept :Kept, unsettled :Unsettled, refused :Failure);
  # Calls `method` with `args`, which are fields by name, or null for none.
  # `key` is the idempotency key, of at most 256 bytes, the same on every retry: a host with a
  # ledger answers a repeated key with the recorded outcome. From a worker to the task's owner it is
  # the number of the operation, eight bytes, most significant first.
  # `direct`: the caller accepts `kept` in place of a large value. Only objects of an introduction
  # (see tool-node.capnp) heed it.
  # `line`: at a tool node, calls with the same line begin in the order of their arrival, whether
  # they read or have effects, and then run concurrently. 0: the call begins at once.
  # `object`: the object that the method returns; calls may be pipelined on it.
  # `cost`: the cost of the call, in units of the tool's own; 0: none.
  # `unsettled`: the host itself states that the call has no outcome yet; null: it has one. Calls
  # that are pipelined on the result of such a call are unsettled too.
  # `refused`: a tool node refuses the call by a caveat of the introduction, or withholds its
  # result. That is the outcome, and no tool can write it. Null: it does not.
  # A failure of the tool is an exception, and it is the outcome of the call: neither its text nor
  # its code says anything about the node, the connection or the task's owner.
  # Dropping the promise and its pipeline cancels the call.

  describe @1 () -> (manifest :Manifest, interface :Text);
  # The manifest of the tool that this object belongs to, and the name of the object's interface in
  # it. Idempotent.
}

struct Value {
  # A typed tree, at most 48 levels deep. It contains capabilities as capabilities, never as text or
  # ids; at most 256 of them.

  union {
    null @0 :Void;
    bool @1 :Bool;
    integer @2 :Int64;
    float @3 :Float64;
    text @4 :Text;
    data @5 :Data;
    list @6 :List(Value);
    fields @7 :List(Field);
    # In the order in which they were given; each name occurs once.
    object @8 :Object;
    held @9 :ObjectId;
    # In a journal, in the place of a capability. Refused on the tool plane.
    unsigned @10 :UInt64;
    # An integer from 2^63 on; a smaller one is an `integer`.
  }

  struct Field {
    name @0 :Text;
    value @1 :Value;
  }
}

struct ObjectId {
  # An object, identified by the path by which its task obtained it. Valid within one journal only.

  union {
    grant @0 :UInt32;
    # The root object of this grant.
    result @1 :UInt64;
    # The `object` that this call returned.
    part :group {
      # A capability inside the value that a call returned.
      call @2 :UInt64;
      index @3 :UInt32;
      # Counted from 0, in the order of a depth-first walk of the value.
    }
    callerCapability :group {
      # A capability in the arguments of a call made by the holder of a grant that was passed on. It
      # is the holder's own and goes to the tool; the task itself does not hold it.
      call @4 :UInt64;
      index @5 :UInt32;
      # Counted from 0, in the order of a depth-first walk of the arguments.
    }
  }
}

struct Recorded {
  # The event that recorded an outcome. All zero if the outcome did not pass through a journal.

  number @0 :UInt64;
  # The number of the event. An agent is given outcomes in this order.
  timeMs @1 :UInt64;
  # Milliseconds since 1970, by the owner's clock.
}

struct Unsettled {
  # Why a call has no outcome. Stated by the host (a tool node, a task's owner); no tool can state
  # it. The same key may be sent again.

  union {
    notBegun @0 :Void;
    # The call had no effect.
    unknown @1 :Void;
    # It may have happened. `ToolHost.settle` tells the state by the ledger.
  }
  reason @2 :Text;
  # For a person.
}

struct Kept {
  # The location of a call's value, in place of the value. Null: the value is in the answer.

  digest @0 :Data;
  # SHA-256 over the value, in the form of `Value::digest_into` of remit-core.
  bytes @1 :UInt64;
  # The size of the value, as it is charged.
  token @2 :Data;
  # 32 random bytes for which `DirectPort.body` returns the value, once; empty: only the task's
  # owner has it (`TaskContext.body`).
  path @3 :UInt32;
  # From the owner to a worker: the attempt's direct connection that leads there, from 1.
}

struct Manifest {
  # The interface of a tool, as the tool describes it. Its SHA-256 pins the interface. No list in it
  # has more than 256 items.

  tool @0 :Text;
  # The name: 1 to 64 letters, digits and `-_.+`.
  version @1 :Text;
  # As the name.
  root @2 :Text;
  # The interface of the tool's root object.
  interfaces @3 :List(Interface);
  descend @4 :Text;
  # The method of the root interface that opens the path of a grant: it takes `path` and returns an
  # object. Empty: grants of the tool have no path.
  description @5 :Text;
  # For people and models.

  struct Interface {
    # One kind of object of the tool.
    name @0 :Text;
    description @1 :Text;
    methods @2 :List(Method);
  }

  struct Method {
    # A method. What it does not declare is assumed to have effects that must not be repeated.
    name @0 :Text;
    description @1 :Text;
    params @2 :List(Param);
    # In positional order.
    argsSchema @3 :Text;
    # A JSON Schema, which the arguments of every call must satisfy. Empty: the parameters, of any
    # type. Fields that it does not name are refused unless `additionalProperties` admits them. It
    # may refer to its own definitions only.
    resultSchema @4 :Text;
    # A JSON Schema of the value, for people and models; empty: not described. Results are not
    # checked.
    returns @5 :Text;
    # The interface of the object it returns; empty: it returns none.
    readOnly @6 :Bool;
    # It changes nothing: a lost call is sent again.
    idempotent @7 :Bool;
    # Repeating it has no further effect: a lost call is sent again.
    destructive @8 :Bool;
    # It may delete or overwrite; for caveats and for people who approve.
    pure @9 :Bool;
    # Its outcome depends on object and arguments only: an equal call may be answered from the
    # journal.
    timeoutMs @10 :UInt32;
    # The longest that a call may take; 0: the owner's default.
    maxCost @11 :UInt64;
    # The most that one call costs, in the tool's units. This amount is reserved before the call is
    # sent, and no more is charged for it. 0: not stated.
  }

  struct Param {
    # A parameter.
    name @0 :Text;
    required @1 :Bool;
    path @2 :Bool;
    # Whether the argument is a path below the object that receives the call.
    fields @3 :Bool;
    # Whether the argument is itself an object of named fields.
  }
}

struct Failure {
  # An error as data, for journals and results. On a live call it is an exception with the same
  # parts.

  code @0 :Code;
  message @1 :Text;
  # In words: what failed, why, and what to do. At most 16 KiB, as `detail`.
  detail @2 :Text;
  # By `code`: the caveat that refused (denied), the path of the argument (invalid-argument), the
  # stack (failed, of a script), the changes (interface-changed), `retry-after-ms=` and a number
  # (limit, if waiting helps); else empty.

  enum Code {
    # A closed set: a caller may match on all of it.
    denied @0;
    # A caveat or a missing facet refused the call.
    revoked @1;
    # The grant or the attempt was revoked. Nothing obtained through it works any more.
    notFound @2;
    # The subject of the request does not exist.
    invalidArgument @3;
    # The arguments are wrong.
    failed @4;
    # The tool tried and did not succeed.
    unavailable @5;
    # The serving node is disconnected. Trying later may help.
    timedOut @6;
    # No answer came in time. The call may still take effect.
    cancelled @7;
    # The caller, or a holder of authority over it, cancelled the call.
    unknown @8;
    # The call may or may not have happened.
    limit @9;
    # A bound was reached.
    objectLost @10;
    # The object is gone and cannot be obtained again.
    interfaceChanged @11;
    # The tool no longer has the interface that the grant was made for, and the change is not
    # accepted.
  }
}

struct Outcome {
  # How a call or a task ended.

  union {
    value @0 :Value;
    failure @1 :Failure;
  }
  object @2 :Bool;
  # Whether the call also returned an object. With a value only.
}
