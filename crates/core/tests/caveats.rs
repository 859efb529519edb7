//! Caveats, held to what must be true of every grant and of every call.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says clearly enough what it expected")]

#[path = "caveats/budgets.rs"]
mod budgets;
#[path = "caveats/chance.rs"]
mod chance;
#[path = "caveats/checks.rs"]
mod checks;
#[path = "caveats/costs.rs"]
mod costs;
#[path = "caveats/injections.rs"]
mod injections;
#[path = "caveats/narrowing.rs"]
mod narrowing;
#[path = "property/config.rs"]
mod property;
#[path = "caveats/purses.rs"]
mod purses;
#[path = "task/world.rs"]
mod world;
