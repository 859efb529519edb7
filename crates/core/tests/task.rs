//! A task's decisions, held to what must be true of every life that a task can have.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that unwraps says clearly enough what it expected"
)]

#[path = "task/authority.rs"]
mod authority;
#[path = "task/chance.rs"]
mod chance;
#[path = "task/decisions.rs"]
mod decisions;
#[path = "task/journal.rs"]
mod journal;
#[path = "property/config.rs"]
mod property;
#[path = "task/room.rs"]
mod room;
#[path = "task/world.rs"]
mod world;
