//! Chance: what ids, seeds of scripts and jitter are made from. Nothing that must stay secret.

use std::cell::RefCell;

use rand::rngs::StdRng;
use rand::{Rng as _, RngCore as _, SeedableRng as _};

thread_local! {
    /// A vat is a thread, so this is one vat's. `None`: the operating system's chance.
    static REPEATED: RefCell<Option<StdRng>> = const { RefCell::new(None) };
}

/// Random bytes.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    REPEATED.with_borrow_mut(|repeated| match repeated {
        Some(repeated) => repeated.fill_bytes(&mut bytes),
        None => rand::rng().fill_bytes(&mut bytes),
    });
    bytes
}

/// A random number between 0 and 1.
pub fn fraction() -> f64 {
    REPEATED.with_borrow_mut(|repeated| match repeated {
        Some(repeated) => repeated.random(),
        None => rand::random(),
    })
}

/// From now on the chance of this thread is the one that `seed` gives: a simulation that begins so
/// repeats itself.
pub fn repeat(seed: u64) {
    REPEATED.set(Some(StdRng::seed_from_u64(seed)));
}

/// Whether this thread lives in a simulation that repeats itself.
pub(crate) fn repeats() -> bool {
    REPEATED.with_borrow(Option::is_some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_without_one_nothing_does() {
        assert_ne!(bytes::<16>(), bytes::<16>());
        let from = |seed| {
            repeat(seed);
            (bytes::<16>(), fraction().to_bits())
        };
        assert_eq!(from(1), from(1));
        assert_ne!(from(1), from(2));
    }
}
