//! What the end to end tests and the benchmarks share: a mesh of real processes on loopback.
//!
//! Every process is a child of the test that started it, ends with it, and is stopped by its id.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that unwraps says clearly enough what it expected"
)]

pub mod attacks;
pub mod binary;
pub mod chaos;
pub mod figures;
pub mod fleet;
pub mod following;
pub mod limits_page;
pub mod looking;
pub mod mesh;
pub mod outage;
pub mod process;
pub mod relay;
pub mod terminal;
pub mod typed;

use std::time::Duration;

/// The monotonic clock, which all processes of this machine share.
pub fn monotonic() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::try_from(now).unwrap()
}
