@0x8e0a5bd2c7f41936;
# Grantors to the membranes that check: the conditions of a grant. All caveats of a grant and of
# every grant it was narrowed from must hold for every call. A caveat that the reader does not know
# refuses. Each is listed with the time of its check, its meaning, and an example in its text form.
# "Before": by the task's owner, before anything is sent. "After": when the call has ended, so that
# the effect may have happened; then the result is withheld.

struct Caveat {
  # One condition on the use of a grant.

  union {
    unknown @0 :Text;
    # A caveat that the writer did not know, as it was written. Always refuses.
    methods @1 :List(Text);
    # Before. Only these methods. `readOnly` and `idempotent` stand for the methods so annotated.
    # methods=read,list
    path @2 :Text;
    # Before. Only on and below this path, relative to the grant's root. path=src
    calls @3 :UInt64;
    # Before. At most so many calls, including those of grants narrowed from this one. calls=100
    expiresMs @4 :UInt64;
    # Before. Not at or after this moment (notAfter), in milliseconds since 1970. The text form also
    # takes a duration from now. until=10m
    argument @5 :Guard;
    # Before. A condition on an argument. arg.url=prefix:https://example.org/
    cel @6 :Text;
    # Before. This expression over method, args, paths, user and now is true. cel=size(args.to)<3
    resultBytes @7 :UInt64;
    # After. The result of a call has at most so many bytes. resultBytes=65536
    noObjects @8 :Void;
    # Before for a method that promises an object, after for one that returns it unannounced.
    # noObjects=true
    facet @9 :List(Text);
    # As noObjects, but objects of these interfaces may be returned. facet=File,Dir
    notBeforeMs @10 :UInt64;
    # Before. Not before this moment, in milliseconds since 1970. notBefore=2026-11-21T09:00:00.000Z
    idleExpiryMs @11 :UInt64;
    # Before. Not after the grant was unused for so long, in milliseconds. idleExpiry=1h
    bytesIn @12 :UInt64;
    # Before. At most so many bytes of arguments, over all calls. bytesIn=1000000
    bytesOut @13 :UInt64;
    # At most so many bytes of results, over all calls. Before, once they are spent; after, for a
    # result that exceeds them. bytesOut=1000000
    rate @14 :Rate;
    # Before. A token bucket. rate=10/s
    concurrency @15 :UInt32;
    # Before. At most so many calls in flight. concurrency=4
    cost @16 :UInt64;
    # Before. At most so many units of the tool's own. A call reserves `Method.maxCost` until it
    # ends; a tool that states none is refused once ended calls have reported so many units.
    # cost=1000
    audience @17 :List(Text);
    # Before. Only these identities may use the grant; `task` is the task's own agent.
    # audience=task,spiffe://mesh/main/client/ann
    delegationDepth @18 :UInt32;
    # Before, and when a grant is narrowed from it. At most so many levels of grants below this one.
    # delegationDepth=0
    requiresApproval @19 :List(Text);
    # Before. Calls of these methods wait for a person's decision. Classes as in `methods`, and
    # `destructive`; `*` stands for all. requiresApproval=write,destructive
    requires :group {
      # Before. The grant ends with another grant or task. requires=grant:repo
      union {
        grant @20 :Text;
        # The name of another grant of the same task.
        task @21 :Data;
        # The id of another task.
      }
    }
    label @22 :Text;
    # Never checked: the purpose of the grant, for people. label=nightly%20build
    direct @23 :Void;
    # Never checked: it forbids nothing. Large results may go straight from the tool node to the
    # agent node if the two can reach each other. route=direct
    only @24 :Only;
    # As the inner caveat. A caveat on the calls of one method only. send.calls=3
  }
}

struct Only {
  # A caveat on one method. Budgets, rates and concurrency count the calls of that method by every
  # holder of the grant or of one narrowed from it, whichever purse pays for them. `caveat` is none
  # of `methods`, `idleExpiry`, `delegationDepth`, `requires`, `label`, `direct`, `unknown` and
  # `only`.

  method @0 :Text;
  # The name of the method.
  caveat @1 :Caveat;
}

struct Guard {
  # A condition on one argument, or on a part of one. An argument that is a path is normalised and
  # made relative to the root of the grant that has the caveat, whatever object receives the call.

  at @0 :List(Step);
  # The position in the arguments by name, of at most 8 steps. Empty: the arguments as a whole, of
  # which only the names can be tested, as in arg=keys:to,subject.
  optional @1 :Bool;
  # Whether a call without this argument passes. arg.limit?=range:1..10

  union {
    equals @2 :Literal;
    # arg.branch=equals:main
    oneOf @3 :List(Literal);
    # arg.unit=oneOf:C,F
    prefix @4 :Text;
    # Text with this beginning; of a path, the path itself or one below it. arg.path=prefix:src
    glob @5 :Text;
    # `*` matches within one path segment, `**` across segments. The whole text must match.
    # arg.path=glob:src/**/*.rs
    regex @6 :Text;
    # The whole text must match, in time linear in its length; at most 64 KiB.
    # arg.id=regex:[0-9a-f]{8}
    range @7 :Range;
    # A number, bounds included. arg.limit=range:1..100
    length @8 :Span;
    # The length of text in characters, of data in bytes. arg.text=length:..2000
    count @9 :Span;
    # The number of elements of a list, or of fields. arg.to=count:1..5
    list @10 :List(Literal);
    # A list of exactly these elements, in this order. arg.to=list:ann,bob
    keys @11 :List(Text);
    # Fields of which each has one of these names. arg.headers=keys:accept
  }

  struct Step {
    union {
      name @0 :Text;
      # A field; of a list, the element at this index, counted from 0.
      each @1 :Void;
      # Every element or field; all must pass, and there must be one unless the guard is optional.
      # arg.paths.*=prefix:src
    }
  }
}

struct Literal {
  # A value that arguments are compared with. Integers and floats compare by numeric value.

  union {
    null @0 :Void;
    bool @1 :Bool;
    integer @2 :Int64;
    float @3 :Float64;
    # Finite.
    text @4 :Text;
  }
}

struct Range {
  # From `min` to `max`, both included. A null literal: no bound on that side.

  min @0 :Literal;
  max @1 :Literal;
}

struct Span {
  # From `min` to `max`, both included.

  min @0 :UInt64;
  max @1 :UInt64 = 0xffffffffffffffff;
}

struct Rate {
  # A token bucket that holds `count` uses and is refilled at `count` per `perMs` milliseconds.

  count @0 :UInt32;
  perMs @1 :UInt64;
}

struct Budgets {
  # An amount for each counter.

  calls @0 :UInt64;
  # Calls.
  cost @1 :UInt64;
  # Units of the tool's own, for example tokens of a model or thousandths of a cent.
  bytesIn @2 :UInt64;
  # Bytes of arguments.
  bytesOut @3 :UInt64;
  # Bytes of results.
}
