//! Work on a stack of its own, the end of which is noticed: for what recurses as deep as its input.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};

/// Room for some ten thousand levels of what the parser recurses through.
const STACK_BYTES: usize = 64 << 20;

/// How far below the stack an access is still taken for its overflow: a large frame may skip the
/// guard page.
const BELOW_BYTES: usize = 1 << 20;

/// Why work has no result.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Died {
    /// The stack was not enough.
    Overflow,
    /// It panicked, or there was no thread for it.
    Panic,
}

/// One such work at a time: there is one handler of signals for all threads.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// The addresses at which an access is an overflow of the stack.
static GUARD: (AtomicUsize, AtomicUsize) = (AtomicUsize::new(0), AtomicUsize::new(0));

/// 0 while the work goes on; then how it ended. A word that the kernel can wait on.
static ENDED: AtomicU32 = AtomicU32::new(0);
const FINISHED: u32 = 1;
const OVERFLOWN: u32 = 2;

/// Nothing wakes who waits on it.
static NEVER: AtomicU32 = AtomicU32::new(0);

/// What handled the signal before.
struct Previous(UnsafeCell<MaybeUninit<libc::sigaction>>);
// SAFETY: it is written before the handler is installed, by the thread that holds the lock, and only
// read until that thread restores it.
unsafe impl Sync for Previous {}
static PREVIOUS: Previous = Previous(UnsafeCell::new(MaybeUninit::uninit()));

/// Does `work` on a thread with a large stack of its own. When that is not enough, the thread stays
/// where it is, with what it holds, until the process ends: no destructor can run on a full stack.
///
/// # Errors
/// The stack was not enough, or the work panicked.
pub(super) fn on_its_own<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Died> {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    ENDED.store(0, Ordering::SeqCst);
    GUARD.0.store(0, Ordering::SeqCst);
    GUARD.1.store(0, Ordering::SeqCst);
    let (sender, receiver): (Sender<T>, Receiver<T>) = channel();
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
    let handling = Handling::install();
    let started = thread.spawn(move || {
        watch_this_stack();
        // On drop, so that a panic of the work ends the wait as well.
        let _end = SignalEnd;
        let _unheard = sender.send(work());
    });
    if started.is_err() {
        return Err(Died::Panic);
    }
    while ENDED.load(Ordering::SeqCst) == 0 {
        futex(&ENDED, libc::FUTEX_WAIT, 0);
    }
    drop(handling);
    if ENDED.load(Ordering::SeqCst) == OVERFLOWN {
        return Err(Died::Overflow);
    }
    // Joined, it holds nothing any more. One that panicked has sent nothing.
    let _panic = started.map(std::thread::JoinHandle::join);
    receiver.recv().map_err(|_| Died::Panic)
}

struct SignalEnd;

impl Drop for SignalEnd {
    fn drop(&mut self) {
        end(FINISHED);
    }
}

fn end(how: u32) {
    ENDED.store(how, Ordering::SeqCst);
    futex(&ENDED, libc::FUTEX_WAKE, 1);
}

/// The handler of the signal for accesses outside of all memory, for as long as this lives.
struct Handling;

impl Handling {
    fn install() -> Self {
        // SAFETY: a zeroed `sigaction` is a valid one; the handler does only what a handler may do.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_fault as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigemptyset(&raw mut action.sa_mask);
            libc::sigaction(libc::SIGSEGV, &raw const action, (*PREVIOUS.0.get()).as_mut_ptr());
        }
        Self
    }
}

impl Drop for Handling {
    fn drop(&mut self) {
        restore();
    }
}

fn restore() {
    // SAFETY: it was written when the handler was installed.
    unsafe {
        libc::sigaction(libc::SIGSEGV, (*PREVIOUS.0.get()).as_ptr(), std::ptr::null_mut());
    }
}

/// Runs on the alternate stack that the standard library gives each thread.
extern "C" fn on_fault(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel gives a handler with SA_SIGINFO valid information.
    let at = unsafe { (*info).si_addr() } as usize;
    if (GUARD.0.load(Ordering::SeqCst)..GUARD.1.load(Ordering::SeqCst)).contains(&at) {
        end(OVERFLOWN);
        loop {
            futex(&NEVER, libc::FUTEX_WAIT, 0);
        }
    }
    // Another fault: it is raised again, for what handled it before.
    restore();
}

/// Notes where the stack of this thread ends.
fn watch_this_stack() {
    // SAFETY: the attributes are initialised before they are read, and destroyed once.
    unsafe {
        let mut attributes = MaybeUninit::uninit();
        if libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) != 0 {
            return;
        }
        let (mut lowest, mut size) = (std::ptr::null_mut(), 0);
        if libc::pthread_attr_getstack(attributes.as_ptr(), &raw mut lowest, &raw mut size) == 0 {
            let lowest = lowest as usize;
            GUARD.1.store(lowest + (4 << 10), Ordering::SeqCst);
            GUARD.0.store(lowest.saturating_sub(BELOW_BYTES), Ordering::SeqCst);
        }
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
    }
}

/// Waits until the word is another than `value`, or wakes one that waits: safe in a handler.
fn futex(word: &AtomicU32, operation: libc::c_int, value: u32) {
    // SAFETY: the word outlives the call, as all of them are static.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            operation | libc::FUTEX_PRIVATE_FLAG,
            value,
            std::ptr::null::<libc::timespec>(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deep(levels: u64) -> u64 {
        let frame = std::hint::black_box([levels; 64]);
        if levels == 0 { 0 } else { frame[1] - levels + 1 + deep(levels - 1) }
    }

    #[test]
    fn the_end_of_the_stack_is_an_error_again_and_again() {
        for _ in 0..3 {
            assert_eq!(on_its_own(|| deep(u64::MAX)), Err(Died::Overflow));
            assert_eq!(on_its_own(|| deep(1_000)), Ok(1_000));
        }
    }
}
