@0xd81f5b3c60a9e274;
# Members of a mesh and invites into it, for clients that administer them.

using Caveat = import "caveat.capnp".Caveat;

interface Members {
  # Administers members: the facet `members`. What it gives or takes its holder must have, with `nodes`
  # for a node, and no caveat of its holder's is left out of what it gives. Its own caveats see the
  # `role` and `name` of the member. Dropping this changes nothing.

  list @0 () -> (members :List(MemberInfo));
  # Every member, those that were expelled included, by role and name. Idempotent.

  member @1 (identity :Text) -> (member :Member);
  # A member by its SPIFFE name; `not-found` if there is none.

  invite @2 (role :Text, name :Text, ttlMs :UInt64, may :List(Text), caveats :List(Caveat),
      again :Bool) -> (line :Text);
  # One line that lets its holder join once, as this role and name, with these facets and caveats; none
  # for a node, `create` and `own` for a client if none are given. A name that a member holds or held is
  # refused, unless `again`: then who joins takes its place, and certificates from before are void.

  invites @3 () -> (invites :List(InviteInfo));
  # Every invite that waits to be used, the first to expire first. Idempotent.

  invited @4 (identity :Text) -> (invite :Invite);
  # The invite that waits for this identity; `not-found` if none does.
}

interface Member {
  # A member, for those who administer it. It is the member of this name, also when it joins again.

  authorize @0 (may :List(Text), caveats :List(Caveat)) -> ();
  # From now on the client may do this, under these caveats and its maker's, and nothing else. Durable
  # when answered. If it loses something, its connections have ended, and references that it saved of
  # tasks which it may steer no more are revoked. Idempotent.

  expel @1 (reason :Text, tasks :ItsTasks) -> (expelled :Expelled);
  # The member is one no more: its connections end, its certificates are void, references that it may
  # restore or has saved and grants that it holds are revoked, invites for it or by it withdrawn, and
  # its triggers removed. Durable when answered. Idempotent.
}

enum ItsTasks {
  # What becomes of the tasks that an expelled member created and that have not ended.

  pause @0;
  # They wait until somebody who may steer them resumes or cancels them.
  cancel @1;
  goOn @2;
}

interface Invite {
  # An invite that waits to be used, for those who administer members.

  withdraw @0 () -> ();
  # It is good no more. Durable when answered; `not-found` if it was used or withdrawn before.
}

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
  caveats @10 :List(Caveat);
  # What narrows its facets.
}

struct InviteInfo {
  # An invite that waits to be used. Its secret is kept nowhere.

  identity @0 :Text;
  may @1 :List(Text);
  by @2 :Text;
  untilMs @3 :UInt64;
  again @4 :Bool;
  # It takes the place of a member of that name.
  caveats @5 :List(Caveat);
  # What narrows the facets.
}

struct Expelled {
  # What went with a member.

  references @0 :UInt32;
  grants @1 :UInt32;
  invites @2 :UInt32;
  tasks @3 :UInt32;
  # Those that were paused or cancelled.
  triggers @4 :UInt32;
}
