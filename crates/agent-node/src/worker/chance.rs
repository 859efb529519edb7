//! A script's chance: the same seed gives the same numbers, for ever and on every machine.
//!
//! The algorithm is xoshiro256** by Blackman and Vigna, its state the seed as four little-endian
//! words. Journals rely on it: it may never change.

/// A stream of random numbers. Not for secrets.
#[derive(Debug)]
pub(crate) struct Chance {
    state: [u64; 4],
}

impl Chance {
    /// The stream of this seed; bytes beyond 32 are ignored, missing ones are zero.
    pub(crate) fn new(seed: &[u8]) -> Self {
        let mut state = [0; 4];
        for (word, bytes) in state.iter_mut().zip(seed.chunks(8)) {
            *word = bytes.iter().rev().fold(0, |word, byte| (word << 8) | u64::from(*byte));
        }
        if state == [0; 4] {
            // The one state that the generator cannot leave.
            state[0] = 1;
        }
        Self { state }
    }

    /// The next number, at least 0 and below 1, a multiple of 2^-53.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit a float exactly")]
    pub(crate) fn next(&mut self) -> f64 {
        let s = &mut self.state;
        let bits = s[1].wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let shifted = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= shifted;
        s[3] = s[3].rotate_left(45);
        (bits >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let draw = |seed: &[u8]| {
            let mut chance = Chance::new(seed);
            [(); 100].map(|()| chance.next())
        };
        assert_eq!(draw(&[7; 32]), draw(&[7; 32]));
        assert_ne!(draw(&[7; 32]), draw(&[8; 32]));
        assert!(draw(&[]).iter().chain(&draw(&[255; 32])).all(|x| (0.0..1.0).contains(x)));
    }

    #[test]
    fn the_algorithm_is_the_published_one() {
        // The reference implementation's first outputs for the state 1, 2, 3, 4.
        let seed: Vec<u8> = [1_u64, 2, 3, 4].iter().flat_map(|word| word.to_le_bytes()).collect();
        let mut chance = Chance::new(&seed);
        let scale = |bits: u64| (bits >> 11) as f64 / (1_u64 << 53) as f64;
        for bits in [11_520, 0, 1_509_978_240, 1_215_971_899_390_074_240] {
            assert_eq!(chance.next(), scale(bits));
        }
    }
}
