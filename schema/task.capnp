@0x82432422aedcdaa4;
# A running agent to its task's owner. This is the only interface that a worker process can reach.

using Object = import "object.capnp".Object;
using Value = import "object.capnp".Value;
using Outcome = import "object.capnp".Outcome;
using Recorded = import "object.capnp".Recorded;
using SourceFile = import "event.capnp".SourceFile;
using Level = import "event.capnp".LogEmitted.Level;
using Peer = import "peer.capnp".Peer;

interface TaskContext extends(Peer) {
  # One attempt's view of its task: the bootstrap object of the attempt's connection. When another
  # attempt starts, or the task ends, everything obtained through it fails with `revoked`.
  # Operations (calls, sleeps, inputs) share one numbering, from 1, assigned by the agent. A replay
  # repeats the numbers and gets the recorded outcomes in the recorded order. An operation that
  # differs from the recorded one of its number ends the task: the script is not deterministic.

  begin @0 () -> (script :Script);
  # The program and its inputs. Idempotent.

  sleep @1 (operation :UInt64, durationMs :UInt64) -> (recorded :Recorded);
  # Answers when the timer has fired. The timer is durable and starts at the first request; at most
  # ten years. Idempotent.

  input @2 (operation :UInt64) -> (value :Value, recorded :Recorded);
  # The next accepted input, oldest first, steers before others. Waits while there is none.
  # Idempotent.

  log @3 (line :UInt64, level :Level, text :Text) -> ();
  # Records one line of output, of at most 16 KiB. A line number already recorded is ignored.

  finish @4 (outcome :Outcome) -> ();
  # Ends the task with the value that the agent returned, or the failure that it threw. Durable when
  # answered.

  cancelled @5 () -> (reason :Text);
  # Answers when the attempt must stop, and only then.

  steers @6 (operation :UInt64, wait :Bool) -> (values :List(Value), recorded :Recorded);
  # All steers accepted since the last call. `wait`: waits until there is at least one. Idempotent.

  request @7 (operation :UInt64, tool :Text, reason :Text) -> (object :Object, recorded :Recorded);
  # Asks a person for a capability of this kind of tool. Answers when one was given; `denied` if it
  # was refused or not decided within a week. Idempotent.

  body @8 (operation :UInt64) -> (value :Value);
  # The value of a call that was answered with `kept`, through the owner: for an agent without a
  # direct connection, and for a replay. Idempotent.
}

struct Script {
  # The program of an agent, and everything that it is given.

  source @0 :List(SourceFile);
  # Its files.
  entry @1 :Text;
  # The path, among `source`, of the file that is run.
  input @2 :Value;
  # The argument of the program.
  seed @3 :Data;
  # 32 bytes, the source of its random numbers.
  timeMs @4 :UInt64;
  # The clock at the first line of the script, in milliseconds since 1970.
  grants @5 :List(HeldGrant);
  # The capabilities of the task.
  name @6 :Text;
  # The name of the task.
  export @7 :Text;
  # The exported function that is run; empty: the default one.
}

struct HeldGrant {
  # A capability under the name by which the script sees it.

  name @0 :Text;
  # The name of the grant.
  object @1 :Object;
  # A membrane: it ends with the attempt.
  tool @2 :Text;
  # The tool at its root.
}
