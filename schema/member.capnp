@0xd81f5b3c60a9e274;
# Members of a mesh and invites into it, for clients that administer them.

struct MemberInfo {
  # A member of the mesh.

  identity @0 :Text;
  may @1 :List(Text);
  # Facets; none for a node.
  by @2 :Text;
  # Who invited it.
  sinceMs @3 :UInt64;
  certificateEndsMs @4 :UInt64;
  # Of its newest certificate; 0: not known.
  seenMs @5 :UInt64;
  # When it was last connected; 0: never.
  connected @6 :Bool;
  expelledMs @7 :UInt64;
  # 0: it is a member.
  expelledBy @8 :Text;
  reason @9 :Text;
}

struct InviteInfo {
  # An invite that waits to be used. Its secret is kept nowhere.

  identity @0 :Text;
  may @1 :List(Text);
  by @2 :Text;
  untilMs @3 :UInt64;
  again @4 :Bool;
  # It takes the place of a member of that name.
}

struct Expelled {
  # What went with a member.

  references @0 :UInt32;
  grants @1 :UInt32;
  invites @2 :UInt32;
  tasks @3 :UInt32;
  # Those that were cancelled.
}
