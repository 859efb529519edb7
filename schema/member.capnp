@0xd81f5b3c60a9e274;
# Members of a mesh and invites into it, for clients that administer them.

using Caveat = import "caveat.capnp".Caveat;

interface Members {
  # The facet `members`: administers members. A holder can give and take only facets that it has
  # itself (`nodes` for an invited node), and its own caveats are added to those that it gives. The
  # caveats of the facet see the `role` and `name` of the member. Dropping this changes nothing.

  list @0 () -> (members :List(MemberInfo));
  # Every member, expelled members included, by role and name. Idempotent.

  member @1 (identity :Text) -> (member :Member);
  # A member by its SPIFFE name. `not-found` if there is none, `denied` if a caveat refuses it.
  # Idempotent.

  invite @2 (role :Text, name :Text, ttlMs :UInt64, may :List(Text), caveats :List(Caveat),
      again :Bool) -> (line :Text);
  # Creates an invite: one line that lets its holder join once, as this role and name, with these
  # facets and caveats. An empty `may` means none for a node, `create` and `own` for a client.
  # `ttlMs`: from one second to seven days. A name that a member has or had is refused unless
  # `again` is set; then the joiner replaces that member, and the member's certificates become void.
  # Replaces an earlier invite for the same identity. Durable when answered. Not idempotent.

  invites @3 () -> (invites :List(InviteInfo));
  # Every unused invite, the first to expire first. Idempotent.

  invited @4 (identity :Text) -> (invite :Invite);
  # The unused invite for this identity. `not-found` if there is none. Idempotent.
}

interface Member {
  # A member, for clients that administer it. The object stands for the name: it remains usable when
  # the member joins again.

  authorize @0 (may :List(Text), caveats :List(Caveat)) -> ();
  # Replaces the facets and caveats of a client. The caller's caveats are added to them. Durable
  # when answered. If the client loses a facet, its connections have ended when this answers, and
  # references that it saved of tasks which it may no longer steer are revoked. Idempotent.

  expel @1 (reason :Text, tasks :ItsTasks) -> (expelled :Expelled);
  # Expels the member. Its connections end and its certificates become void. The references that it
  # may restore or has saved, and the grants that it holds, are revoked; invites for it or by it are
  # withdrawn; its triggers are removed. Durable when answered. Idempotent.
}

enum ItsTasks {
  # The policy for the unfinished tasks that an expelled member created.

  pause @0;
  # They are paused until a client that may steer them resumes or cancels them.
  cancel @1;
  # They are cancelled.
  goOn @2;
  # They continue.
}

interface Invite {
  # An unused invite, for clients that administer members.

  withdraw @0 () -> ();
  # Makes the invite void. Durable when answered. `not-found` if it was used or withdrawn before.
}

struct MemberInfo {
  # A member of the mesh.

  identity @0 :Text;
  # Its SPIFFE name.
  may @1 :List(Text);
  # The names of its facets; none for a node.
  by @2 :Text;
  # The identity that invited it.
  sinceMs @3 :UInt64;
  # When it joined, in milliseconds since 1970.
  certificateEndsMs @4 :UInt64;
  # When its newest certificate expires, in milliseconds since 1970; 0: not known.
  seenMs @5 :UInt64;
  # When it was last connected, to the hour; 0: never.
  connected @6 :Bool;
  # Whether it is connected now.
  expelledMs @7 :UInt64;
  # When it was expelled, in milliseconds since 1970; 0: it is a member.
  expelledBy @8 :Text;
  # The identity that expelled it.
  reason @9 :Text;
  # The reason that was given for it.
  caveats @10 :List(Caveat);
  # The caveats on its facets.
}

struct InviteInfo {
  # An unused invite. Its secret is stored nowhere.

  identity @0 :Text;
  # The SPIFFE name that the joiner will have.
  may @1 :List(Text);
  # The facets that it will have.
  by @2 :Text;
  # The identity that made the invite.
  untilMs @3 :UInt64;
  # When the invite expires, in milliseconds since 1970.
  again @4 :Bool;
  # Whether the joiner replaces a member of that name.
  caveats @5 :List(Caveat);
  # The caveats on those facets.
}

struct Expelled {
  # The consequences of an expulsion.

  references @0 :UInt32;
  # Sturdy references that were revoked.
  grants @1 :UInt32;
  # Grants that were revoked.
  invites @2 :UInt32;
  # Invites that were withdrawn.
  tasks @3 :UInt32;
  # Tasks that were paused or cancelled.
  triggers @4 :UInt32;
  # Triggers that were removed.
}
