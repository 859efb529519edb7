//! How the property tests are run: on how many cases, and from which source of chance.

use proptest::test_runner::{Config, RngAlgorithm};

/// How many cases a property is tried on: 20,000, or as many as REMIT_CASES says. The nightly run
/// asks for 1,000,000.
#[expect(clippy::disallowed_methods, reason = "how long a test may take is for who runs it to say")]
pub(crate) fn cases() -> u32 {
    std::env::var("REMIT_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(20_000)
}

/// That many cases. Chance comes from the cheaper of proptest's generators: with the other one,
/// unoptimised, two thirds of the time of a test went into random numbers.
pub(crate) fn config() -> Config {
    Config {
        cases: cases(),
        rng_algorithm: RngAlgorithm::XorShift,
        failure_persistence: None,
        ..Config::default()
    }
}
