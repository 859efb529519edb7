@0xc4d2a86e1f703b95;
# The store of an orchestrator, for clients that back it up or verify it.

interface Admin @0xf97a69ea95b26130 {
  # The facet `backup`: the journals of all tenants, and all other records of the orchestrator.
  # Dropping this changes nothing. Each method is a heavy job: `limit` while too many of them wait.

  backup @0 (sink :BackupSink) -> (kept :Kept);
  # Sends a consistent cut of the store. Work continues meanwhile, but nothing is removed. Answers
  # when the last piece was taken. Dropping the promise ends the backup.

  verify @1 () -> (kept :Kept, damaged :List(Text));
  # Reads a consistent cut of the store and lists damaged records, a line each. Takes as long as
  # reading the store. Idempotent.

  compact @2 () -> (before :UInt64, after :UInt64);
  # Returns the space of removed records to the file system. Work continues meanwhile. Answers with
  # the bytes of the store's files before and after. Idempotent.
}

interface BackupSink @0xe2a9bc5e2f139de1 {
  # The receiver of a backup's pieces, in order. The next piece is sent when the last was answered.

  take @0 (piece :Data) -> ();
  # One piece of at most 1 MiB, which follows the previous one: not idempotent. Answer within 30 s,
  # once it is stored. A failure or a disconnect ends the backup, and the pieces so far are no
  # backup.
}

struct Kept {
  # How much was read.

  tasks @0 :UInt64;
  # Tasks, ended ones included.
  events @1 :UInt64;
  # Events of all tasks.
  bodies @2 :UInt64;
  # Large contents, which are stored once, apart from the events that contain them.
  snapshots @3 :UInt64;
  # Snapshots of tasks.
}
