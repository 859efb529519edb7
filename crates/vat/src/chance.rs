//! Randomness for ids, seeds of scripts and jitter. Not for secrets.

use std::cell::RefCell;

use rand::rngs::StdRng;
use rand::{Rng as _, RngCore as _, SeedableRng as _};

thread_local! {
    /// The seeded generator of this thread, and so of this vat. `None`: the operating system seeds
    /// the generator, and nothing repeats.
    static REPEATED: RefCell<Option<StdRng>> = const { RefCell::new(None) };
}

/// Random bytes, from the seeded generator if this thread has one.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    REPEATED.with_borrow_mut(|repeated| match repeated {
        Some(repeated) => repeated.fill_bytes(&mut bytes),
        None => rand::rng().fill_bytes(&mut bytes),
    });
    bytes
}

/// A random number between 0 and 1, from the seeded generator if this thread has one.
pub fn fraction() -> f64 {
    REPEATED.with_borrow_mut(|repeated| match repeated {
        Some(repeated) => repeated.random(),
        None => rand::random(),
    })
}

/// Seeds the randomness of this thread, so that a simulation with the same seed repeats itself.
pub fn repeat(seed: u64) {
    REPEATED.set(Some(StdRng::seed_from_u64(seed)));
}

/// Whether the randomness of this thread is seeded, as in a simulation.
pub(crate) fn repeats() -> bool {
    REPEATED.with_borrow(Option::is_some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_seeded_randomness_repeats() {
        assert_ne!(bytes::<16>(), bytes::<16>());
        let from = |seed| {
            repeat(seed);
            (bytes::<16>(), fraction().to_bits())
        };
        assert_eq!(from(1), from(1));
        assert_ne!(from(1), from(2));
    }
}
