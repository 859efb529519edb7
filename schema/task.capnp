@0x82432422aedcdaa4;
# A running agent to its task's owner. This is the only thing a worker process can reach.

using Object = import "object.capnp".Object;
using Value = import "object.capnp".Value;
using Outcome = import "object.capnp".Outcome;
using Recorded = import "object.capnp".Recorded;
using SourceFile = import "event.capnp".SourceFile;
using Level = import "event.capnp".LogEmitted.Level;
using Peer = import "peer.capnp".Peer;

interface TaskContext extends(Peer) {
  # One attempt's view of its task: the bootstrap object of the attempt's connection. When another
  # attempt starts, or the task ends, everything obtained through it answers `revoked`.
  # Operations (calls, sleeps, inputs) share one numbering, from 1, given by the agent; a replay
  # repeats the numbers and gets the recorded outcomes, in the order in which they were recorded.

  begin @0 () -> (script :Script);
  # What to run. Idempotent.

  sleep @1 (operation :UInt64, durationMs :UInt64) -> (recorded :Recorded);
  # Answers when the timer has fired. The timer is durable and starts at the first request.

  input @2 (operation :UInt64) -> (value :Value, recorded :Recorded);
  # Answers with the next accepted input, oldest first; waits while there is none.

  log @3 (line :UInt64, level :Level, text :Text) -> ();
  # Records one line of output. A line already recorded is not recorded again.

  finish @4 (outcome :Outcome) -> ();
  # Ends the task with what the agent returned or threw. Durable when answered.

  cancelled @5 () -> (reason :Text);
  # Answers when the attempt is to stop. Never answers otherwise.

  steers @6 (operation :UInt64, wait :Bool) -> (values :List(Value), recorded :Recorded);
  # Answers with all steers that have come since the last look; `wait`: when there is at least one.

  request @7 (operation :UInt64, tool :Text, reason :Text) -> (object :Object, recorded :Recorded);
  # Asks a person for a capability of this tool. Answers when one was given, and fails with `denied`
  # when it was refused.

  body @8 (operation :UInt64) -> (value :Value);
  # The value of a call that was answered with `kept`, through the owner: for one who cannot get it
  # over a direct connection, and for a replay. Idempotent.
}

struct Script {
  # What an agent runs, and all that it is given.

  source @0 :List(SourceFile);
  entry @1 :Text;
  input @2 :Value;
  seed @3 :Data;
  timeMs @4 :UInt64;
  # The clock of the first line of the script.
  grants @5 :List(HeldGrant);
  name @6 :Text;
  export @7 :Text;
  # The exported function that is run; empty: the default one.
}

struct HeldGrant {
  # A capability under the name by which the script sees it.

  name @0 :Text;
  object @1 :Object;
  # A membrane: it dies with the attempt.
  tool @2 :Text;
  # The tool at its root.
}
