@0x8e0a5bd2c7f41936;
# Whoever grants to whoever checks: what a grant allows. All caveats of a grant and of every grant it
# was narrowed from must hold, for every call, and one that the reader does not know refuses.
# Each is listed with its term, where it is enforced, and an example in its text form.
# "Before": by the task's owner, before anything is sent. "After": when the call has ended, so that
# the effect may have happened and what it returned is withheld.

struct Caveat {
  # One condition on the use of a grant.

  union {
    unknown @0 :Text;
    # Something that the writer did not know, kept as it was written. Always refuses.
    methods @1 :List(Text);
    # Before. Only these methods. `readOnly` and `idempotent` stand for the methods so annotated.
    # methods=read,list
    path @2 :Text;
    # Before. Only on and below this path, seen from the grant's root. path=src
    calls @3 :UInt64;
    # Before. At most so many calls, counting those of grants narrowed from this one. calls=100
    expiresMs @4 :UInt64;
    # Before. Not at or after this moment (notAfter), in milliseconds since 1970. until=10m
    argument @5 :Guard;
    # Before. What an argument may be. arg.url=prefix:https://example.org/
    cel @6 :Text;
    # Before. This expression over method, args, paths, user and now is true. cel=size(args.to)<3
    resultBytes @7 :UInt64;
    # After. What a call returns is not larger, in bytes. resultBytes=65536
    noObjects @8 :Void;
    # Before for a method that promises an object, after for one that returns it unannounced.
    # noObjects=true
    facet @9 :List(Text);
    # As noObjects, but objects of these interfaces may be returned. facet=File,Dir
    notBeforeMs @10 :UInt64;
    # Before. Not until this moment, in milliseconds since 1970. notBefore=2026-11-21T09:00:00.000Z
    idleExpiryMs @11 :UInt64;
    # Before. Not once it was unused for so long. idleExpiry=1h
    bytesIn @12 :UInt64;
    # Before. At most so many bytes of arguments, over all calls. bytesIn=1000000
    bytesOut @13 :UInt64;
    # Before once they are spent, after for the result that would exceed them: at most so many bytes
    # of results, over all calls. bytesOut=1000000
    rate @14 :Rate;
    # Before. A token bucket. rate=10/s
    concurrency @15 :UInt32;
    # Before. At most so many calls that have not ended. concurrency=4
    cost @16 :UInt64;
    # Before. Refuses once calls that ended have reported so many units. cost=1000
    audience @17 :List(Text);
    # Before. Only these identities may use it; `task` is the task's own agent.
    # audience=task,spiffe://mesh/main/client/ann
    delegationDepth @18 :UInt32;
    # When a grant is narrowed from it, and before. So many levels may be narrowed from this one.
    # delegationDepth=0
    requiresApproval @19 :List(Text);
    # Before. Calls of these methods wait for a person's decision. Classes as in `methods`, and
    # `destructive`; `*` stands for all. requiresApproval=write,destructive
    requires :group {
      # Before. Dies when this does. requires=grant:repo
      union {
        grant @20 :Text;
        # The name of another grant of the same task.
        task @21 :Data;
        # The id of another task.
      }
    }
    label @22 :Text;
    # Nowhere: it says what the grant is for. label=nightly%20build
    direct @23 :Void;
    # Nowhere: it forbids nothing. Large results may go straight from the tool node to the agent
    # node, where the two can reach each other. route=direct
    only @24 :Only;
    # A caveat for the calls of one method alone. send.calls=3
  }
}

struct Only {
  # A caveat of one method. Budgets, rates and concurrency count the calls of that method, by whoever
  # holds the grant or one narrowed from it, and whatever purse pays for them. Not one of `methods`,
  # `idleExpiry`, `delegationDepth`, `requires`, `label`, `direct`, `unknown` and `only`.

  method @0 :Text;
  caveat @1 :Caveat;
}

struct Guard {
  # A condition on one argument, or on a part of one. A path-typed argument is compared normalised
  # and seen from the root of the grant that has the caveat, whatever object it was given to.

  at @0 :List(Step);
  # Where in the arguments by name. Empty: the arguments as a whole, of which only the names can be
  # tested, as in arg=keys:to,subject.
  optional @1 :Bool;
  # Whether a call without it passes. arg.limit?=range:1..10

  union {
    equals @2 :Literal;
    # arg.branch=equals:main
    oneOf @3 :List(Literal);
    # arg.unit=oneOf:C,F
    prefix @4 :Text;
    # Text that begins so; of a path, one at or below it. arg.path=prefix:src
    glob @5 :Text;
    # `*` stays between slashes, `**` does not. The whole text must match. arg.path=glob:src/**/*.rs
    regex @6 :Text;
    # The whole text must match; takes time linear in it. arg.id=regex:[0-9a-f]{8}
    range @7 :Range;
    # A number, bounds included. arg.limit=range:1..100
    length @8 :Span;
    # Of text in characters, of data in bytes. arg.text=length:..2000
    count @9 :Span;
    # Of a list its elements, of fields their number. arg.to=count:1..5
    list @10 :List(Literal);
    # A list of exactly these, in this order. arg.to=list:ann,bob
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
  # A value that arguments are compared with. Numbers compare by what they are worth.

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
  # `count` uses at once, and again one for each `count`th part of `perMs`.

  count @0 :UInt32;
  perMs @1 :UInt64;
}

struct Budgets {
  # An amount of each thing that is counted. 0: none of it.

  calls @0 :UInt64;
  cost @1 :UInt64;
  # Units as the tool reports them, for example tokens of a model or thousandths of a cent.
  bytesIn @2 :UInt64;
  bytesOut @3 :UInt64;
}
