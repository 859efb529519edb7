//! No code panics in a world; caught panics count too.

use std::cell::Cell;
use std::panic::{self, PanicHookInfo};
use std::sync::Once;

thread_local! {
    static SEEN: Cell<usize> = const { Cell::new(0) };
}

/// Does `work` and counts the panics on this thread during it, including caught ones.
pub(crate) fn counted<R>(work: impl FnOnce() -> R) -> (R, usize) {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
            SEEN.set(SEEN.get() + 1);
            before(info);
        }));
    });
    let before = SEEN.get();
    let done = work();
    (done, SEEN.get() - before)
}

#[test]
fn a_panic_that_is_caught_is_counted() {
    let (_, none) = counted(|| ());
    let (caught, one) = counted(|| panic::catch_unwind(|| panic!("on purpose")));
    assert!(caught.is_err() && (none, one) == (0, 1));
}
