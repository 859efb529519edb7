//! Work on a large stack of its own, whose overflow is an error: for code that recurses as deep as
//! its input.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};

/// Room for some ten thousand levels of the parser's recursion.
const STACK_BYTES: usize = 64 << 20;

/// How far below the stack an access still counts as its overflow: a large frame may skip the guard
/// page.
const BELOW_BYTES: usize = 1 << 20;

/// Why work has no result.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Died {
    /// The stack overflowed.
    Overflow,
    /// The work panicked, or its thread did not start.
    Panic,
}

/// Only one such work runs at a time, because all threads share one signal handler.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// The range of addresses at which an access is an overflow of the stack.
static GUARD: (AtomicUsize, AtomicUsize) = (AtomicUsize::new(0), AtomicUsize::new(0));

/// 0 while the work runs, then how it ended. It is a futex, on which the kernel can wait.
static ENDED: AtomicU32 = AtomicU32::new(0);
const FINISHED: u32 = 1;
const OVERFLOWN: u32 = 2;

/// A futex that is never woken.
static NEVER: AtomicU32 = AtomicU32::new(0);

/// The handler of the signal before ours.
struct Previous(UnsafeCell<MaybeUninit<libc::sigaction>>);
// SAFETY: the thread that holds the lock writes it before it installs the handler. Until that
// thread restores it, it is only read.
unsafe impl Sync for Previous {}
static PREVIOUS: Previous = Previous(UnsafeCell::new(MaybeUninit::uninit()));

/// Runs `work` on a thread with a large stack of its own. If the stack overflows, the thread is
/// parked, with everything it holds, until the process ends: no destructor can run on a full stack.
///
/// # Errors
/// The stack overflowed, or the work panicked.
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
        // Signalled on drop, so that a panic of the work also ends the wait.
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
    // After the join the thread holds nothing. A thread that panicked has sent nothing.
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

/// Our handler of SIGSEGV, installed while this lives.
struct Handling;

impl Handling {
    fn install() -> Self {
        // SAFETY: a zeroed `sigaction` is valid, and the handler does only what is safe in a signal
        // handler.
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

/// The signal handler. It runs on the alternate stack that the standard library gives each thread.
extern "C" fn on_fault(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel gives a handler with SA_SIGINFO valid information.
    let at = unsafe { (*info).si_addr() } as usize;
    if (GUARD.0.load(Ordering::SeqCst)..GUARD.1.load(Ordering::SeqCst)).contains(&at) {
        end(OVERFLOWN);
        // The thread waits without end: a return would repeat the access, and unwinding needs
        // stack.
        loop {
            futex(&NEVER, libc::FUTEX_WAIT, 0);
        }
    }
    // Another fault. On return the access repeats, and the previous handler gets it.
    restore();
}

/// Records where the stack of this thread ends.
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

/// Waits while the word is `value`, or wakes one waiting thread. Safe in a signal handler.
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
    fn every_stack_overflow_is_an_error() {
        for _ in 0..3 {
            assert_eq!(on_its_own(|| deep(u64::MAX)), Err(Died::Overflow));
            assert_eq!(on_its_own(|| deep(1_000)), Ok(1_000));
        }
    }
}
