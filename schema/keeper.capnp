@0xc4d2a86e1f703b95;
# Everything that an orchestrator keeps, for clients that back it up or check it.

interface Keeper @0xf97a69ea95b26130 {
  # The journal as a whole, with all that is kept beside it. Dropping this changes nothing.

  backup @0 (sink :BackupSink) -> (kept :Kept);
  # Sends a cut through everything at one moment; work goes on meanwhile, but nothing is removed.
  # Answers when the last piece was taken. Dropping the promise ends it.

  verify @1 () -> (kept :Kept, damaged :List(Text));
  # Reads everything as of one moment and says what is damaged. Takes as long as reading takes.

  compact @2 () -> (before :UInt64, after :UInt64);
  # Gives the space of removed records back to the file system; work goes on meanwhile. Answers with
  # the bytes of the store's files before and after. Idempotent.
}

interface BackupSink @0xe2a9bc5e2f139de1 {
  # Where the pieces of a backup go, in order. The next is sent when the last was answered.

  take @0 (piece :Data) -> ();
  # One piece, of at most 1 MiB, which follows the one before: not idempotent. Answered when it is
  # kept; a failure or a disconnect ends the backup, and what was taken is no backup.
}

struct Kept {
  # How much was read.

  tasks @0 :UInt64;
  events @1 :UInt64;
  bodies @2 :UInt64;
  # Large contents that are stored once, apart from the events that hold them.
  snapshots @3 :UInt64;
}
