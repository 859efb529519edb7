@0xebc2c1d968682f89;
# The tool plane: agents, membranes and tools to one another. Everything an agent can hold is an
# Object, so one membrane serves every tool and a tool can be written in any language.

interface Object {
  # A live reference. Who holds it may use it; there is no other check of who calls.
  # Dropping it tells the host that this holder needs it no more. After a disconnect it is broken.

  call @0 (method :Text, args :Value, key :Data, direct :Bool, line :UInt64) -> (value :Value, object :Object, recorded :Recorded, cost :UInt64, kept :Kept, unsettled :Unsettled, refused :Failure);
  # Calls `method`. `key` is the idempotency key, the same on every retry: a host that has a ledger
  # answers a repeated key with the recorded outcome. From a worker to the task's owner it is the
  # number of the operation, eight bytes, most significant first.
  # `cost` is what the call cost, in units of the tool's own; 0: nothing that is counted.
  # A method that returns an object sets `object`, on which calls may be pipelined.
  # `direct`: whoever calls can do with `kept` in place of a large value, on an object of an
  # introduction (see tool-node.capnp). Others pass it over.
  # `line`: at a tool node, calls with the same line begin in the order in which they arrived, those
  # that only read behind those with effects too, and then run side by side. 0: it has no line.
  # A failure of the tool's is an exception, and it is the outcome of the call: neither its text nor its
  # code says anything about the node, the connection or the task's owner.
  # `unsettled`: the host itself says that the call has no outcome yet. Null: it has one. Calls that
  # are pipelined on the result of such a call are unsettled too.
  # `refused`: a tool node that was introduced to an agent node refuses the call by a caveat of the
  # introduction, or withholds its result. That is the outcome, and no tool can write it. Null: it did
  # not.
  # Dropping the promise and its pipeline cancels the call.

  describe @1 () -> (manifest :Manifest, interface :Text);
  # The manifest of the tool this object belongs to, and which of its interfaces the object has.
  # Idempotent.
}

struct Value {
  # A typed tree. Capabilities sit in it as capabilities, never as text or as ids.

  union {
    null @0 :Void;
    bool @1 :Bool;
    integer @2 :Int64;
    float @3 :Float64;
    text @4 :Text;
    data @5 :Data;
    list @6 :List(Value);
    fields @7 :List(Field);
    # In the order they were given; a name occurs once.
    object @8 :Object;
    held @9 :ObjectId;
    # In a journal, the place where a capability sat. Refused on the tool plane.
    unsigned @10 :UInt64;
    # A whole number from 2^63 on; a smaller one is an `integer`.
  }

  struct Field {
    name @0 :Text;
    value @1 :Value;
  }
}

struct ObjectId {
  # An object by the way its task came to hold it. Means something inside one journal only.

  union {
    grant @0 :UInt32;
    # The root object of this grant.
    result @1 :UInt64;
    # The `object` that this call returned.
    part :group {
      # A capability inside the value that this call returned.
      call @2 :UInt64;
      index @3 :UInt32;
      # Counted from 0, in the order a reader of the value meets them.
    }
    guest :group {
      # A capability in the arguments of this call, made by the holder of a grant that was passed on:
      # the holder's own, which goes to the tool. The task itself holds no such object.
      call @4 :UInt64;
      index @5 :UInt32;
      # Counted from 0, in the order a reader of the arguments meets them.
    }
  }
}

struct Recorded {
  # Which event recorded an outcome. All zero where no journal stands between.

  number @0 :UInt64;
  timeMs @1 :UInt64;
  # Milliseconds since 1970, by the owner's clock.
}

struct Unsettled {
  # Why a call has no outcome: the word of the host (a tool node, a task's owner), which no tool can
  # speak. The same key may be sent again.

  union {
    notBegun @0 :Void;
    # Nothing was done.
    unknown @1 :Void;
    # It may have happened. `ToolHost.settle` says what is known.
  }
  reason @2 :Text;
  # For a person.
}

struct Kept {
  # Where the value of a call is, in place of the value. Null: it is in the value.

  digest @0 :Data;
  # SHA-256 over the value, in the form of `Value::digest_into` of remit-core.
  bytes @1 :UInt64;
  # What it is charged for.
  token @2 :Data;
  # 32 random bytes for which `DirectPort.body` gives the value, once; empty: it has to be asked of
  # the task's owner.
  path @3 :UInt32;
  # From the owner to a worker: which of the attempt's direct connections, from 1.
}

struct Manifest {
  # What a tool says of itself. Its hash pins the interface.

  tool @0 :Text;
  version @1 :Text;
  root @2 :Text;
  # The interface of the tool's root object.
  interfaces @3 :List(Interface);
  descend @4 :Text;
  # The method of the root interface that opens a path given with a grant; empty: none does.
  description @5 :Text;

  struct Interface {
    name @0 :Text;
    description @1 :Text;
    methods @2 :List(Method);
  }

  struct Method {
    name @0 :Text;
    description @1 :Text;
    params @2 :List(Param);
    # In positional order.
    argsSchema @3 :Text;
    # JSON Schema, to which every call is held. Empty: the parameters, of any kind. Fields that it does
    # not name are refused unless `additionalProperties` admits them. It may refer to itself only.
    resultSchema @4 :Text;
    # JSON Schema.
    returns @5 :Text;
    # The interface of the object it returns; empty: it returns none.
    readOnly @6 :Bool;
    idempotent @7 :Bool;
    destructive @8 :Bool;
    pure @9 :Bool;
    timeoutMs @10 :UInt32;
    # The longest a call may take; 0: the owner's default.
    maxCost @11 :UInt64;
    # The most that one call costs, in the tool's units: so much is reserved before it is sent, and no
    # more is ever charged for it. 0: it does not say.
  }

  struct Param {
    name @0 :Text;
    required @1 :Bool;
    path @2 :Bool;
    # Whether the argument is a path below the object it is given to.
    fields @3 :Bool;
    # Whether the argument is itself an object of named fields.
  }
}

struct Failure {
  # An error as data, for journals and results. On a live call it travels as an exception instead.

  code @0 :Code;
  message @1 :Text;
  detail @2 :Text;
  # What `code` asks for: the caveat that refused (denied), the path of the argument
  # (invalid-argument), the stack (failed, of a script), what changed (interface-changed); else
  # empty.

  enum Code {
    denied @0;
    revoked @1;
    notFound @2;
    invalidArgument @3;
    failed @4;
    unavailable @5;
    timedOut @6;
    cancelled @7;
    unknown @8;
    # It may or may not have happened.
    limit @9;
    objectLost @10;
    interfaceChanged @11;
    # The tool is no longer the one that the grant was made for, and nobody accepted the change.
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
