//! The clock of an orchestrator: the wall clock, but one that never goes back.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;

/// `wall`, in milliseconds since 1970, without its jumps back. After one, time goes on at half its
/// pace until the wall clock has caught up, so that nothing that was over is not over again, and
/// what is still to come does not wait for longer than twice its time.
pub fn steady(wall: Box<dyn Fn() -> u64>) -> Box<dyn Fn() -> u64> {
    let last = Cell::new((Instant::now(), wall()));
    Box::new(move || {
        let (then, told_ms) = last.get();
        let (now, wall_ms) = (Instant::now(), wall());
        let elapsed = u64::try_from(now.duration_since(then).as_millis()).unwrap_or(u64::MAX);
        let ahead_ms = told_ms.saturating_sub(wall_ms);
        if ahead_ms == 0 {
            last.set((now, wall_ms));
            return wall_ms;
        }
        let now_ms = told_ms.saturating_add(elapsed / 2);
        // Pieces of time that are too short to count are not lost.
        if elapsed >= 2 {
            last.set((then + Duration::from_millis(elapsed / 2 * 2), now_ms));
        }
        now_ms
    })
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    const HOUR_MS: u64 = 3_600_000;

    /// A clock, and the wall clock that it goes by: real time plus an offset.
    fn clock() -> (Box<dyn Fn() -> u64>, Rc<Cell<u64>>) {
        let (offset, begun) = (Rc::new(Cell::new(10 * HOUR_MS)), Instant::now());
        let wall = Rc::clone(&offset);
        let wall = move || wall.get() + u64::try_from(begun.elapsed().as_millis()).unwrap();
        (steady(Box::new(wall)), offset)
    }

    #[tokio::test(start_paused = true)]
    async fn a_jump_forward_is_followed_and_one_back_is_caught_up_with() {
        let (now, offset) = clock();
        assert_eq!(now(), 10 * HOUR_MS);
        offset.set(11 * HOUR_MS);
        assert_eq!(now(), 11 * HOUR_MS);
        offset.set(10 * HOUR_MS);
        let mut last = 0;
        for _ in 0..1000 {
            tokio::time::advance(Duration::from_millis(3)).await;
            assert!(now() >= last, "it went back");
            last = now();
        }
        assert_eq!(last, 11 * HOUR_MS + 1_500);
        tokio::time::advance(Duration::from_secs(2 * 3600)).await;
        assert_eq!(now(), 12 * HOUR_MS + 3_000);
    }
}
