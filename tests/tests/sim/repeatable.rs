//! Equal seeds give equal worlds, and different seeds different ones.

use crate::world::live;

#[test]
fn a_seed_gives_the_same_world_twice() {
    for seed in 0..12 {
        let (one, other) = (live(seed).lines, live(seed).lines);
        for (at, (one, other)) in one.iter().zip(&other).enumerate() {
            assert_eq!(one, other, "seed {seed}, entry {at}");
        }
        assert_eq!(one.len(), other.len(), "seed {seed}");
        assert!(one.len() > 20, "seed {seed}: {one:?}");
    }
}

#[test]
fn another_seed_gives_another_world() {
    assert_ne!(live(0).lines, live(1).lines);
}
