//! Randomness that a replay repeats: xoshiro256++, seeded from the task's journal. Not for secrets.

/// A stream of random numbers.
pub(super) struct SeededRng {
    state: [u64; 4],
}

impl SeededRng {
    /// The stream of a seed of 32 bytes. Missing bytes count as zero.
    pub(super) fn new(seed: &[u8]) -> Self {
        let mut state = [0; 4];
        for (word, bytes) in state.iter_mut().zip(seed.chunks(8)) {
            for byte in bytes {
                *word = (*word << 8) | u64::from(*byte);
            }
        }
        // A state of zeros would give zeros only.
        if state == [0; 4] {
            state[0] = 1;
        }
        Self { state }
    }

    /// The next number, at least 0 and less than 1.
    pub(super) fn next_float(&mut self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit a float exactly")]
        let bits = (self.next_word() >> 11) as f64;
        bits / (1_u64 << 53) as f64
    }

    /// The next 64 random bits.
    pub(super) fn next_word(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c, d) = (c ^ a, d ^ b);
        self.state = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_stream_within_bounds() {
        let stream = |seed: &[u8]| {
            let mut chance = SeededRng::new(seed);
            (0..100).map(|_| chance.next_float()).collect::<Vec<_>>()
        };
        assert_eq!(stream(&[7; 32]), stream(&[7; 32]));
        assert_ne!(stream(&[7; 32]), stream(&[8; 32]));
        assert!(stream(&[0; 32]).iter().all(|x| (0.0..1.0).contains(x)));
    }
}
