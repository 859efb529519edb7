//! Caveats, held to what must be true of every grant and of every call.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says clearly enough what it expected")]

#[path = "caveats/budgets.rs"]
mod budgets;
#[path = "caveats/chance.rs"]
mod chance;
#[path = "caveats/checks.rs"]
mod checks;
#[path = "caveats/narrowing.rs"]
mod narrowing;
#[path = "caveats/purses.rs"]
mod purses;
#[path = "task/world.rs"]
mod world;

/// How many cases a property is tried on: 20,000, or as many as REMIT_CASES says. The nightly run
/// asks for 1,000,000.
#[expect(clippy::disallowed_methods, reason = "how long a test may take is for who runs it to say")]
fn cases() -> u32 {
    std::env::var("REMIT_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(20_000)
}
