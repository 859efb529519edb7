//! The system calls that a running worker may make, by number.
//!
//! A worker reads and writes its sockets, waits, reads the time, takes memory, and starts threads.
//! A call with a new name, number or meaning is refused until it is listed here.

use seccompiler::{
    BackendError, SeccompCmpArgLen as Len, SeccompCmpOp as Op, SeccompCondition, SeccompRule,
};

/// The calls that are allowed with any arguments.
pub(super) fn allowed() -> Vec<i64> {
    let mut numbers = [sockets(), waiting(), memory(), itself()].concat();
    #[cfg(target_arch = "x86_64")]
    numbers.extend(older());
    numbers
}

/// For using its sockets and receiving those that it is handed.
fn sockets() -> Vec<i64> {
    vec![
        libc::SYS_read,
        libc::SYS_readv,
        libc::SYS_write,
        libc::SYS_writev,
        libc::SYS_recvfrom,
        libc::SYS_recvmsg,
        libc::SYS_sendto,
        libc::SYS_sendmsg,
        libc::SYS_shutdown,
        libc::SYS_getsockopt,
        libc::SYS_getsockname,
        libc::SYS_getpeername,
        libc::SYS_fstat,
        libc::SYS_close,
        libc::SYS_dup,
    ]
}

/// For waiting on sockets and on the time.
fn waiting() -> Vec<i64> {
    vec![
        libc::SYS_epoll_create1,
        libc::SYS_epoll_ctl,
        libc::SYS_epoll_pwait,
        libc::SYS_epoll_pwait2,
        libc::SYS_eventfd2,
        libc::SYS_ppoll,
        libc::SYS_futex,
        libc::SYS_nanosleep,
        libc::SYS_clock_nanosleep,
        libc::SYS_clock_gettime,
        libc::SYS_clock_getres,
        libc::SYS_gettimeofday,
        libc::SYS_sched_yield,
        libc::SYS_restart_syscall,
    ]
}

/// For memory. [`conditional`] has the rest.
fn memory() -> Vec<i64> {
    vec![libc::SYS_brk, libc::SYS_munmap, libc::SYS_mremap, libc::SYS_madvise, libc::SYS_membarrier]
}

/// For its own threads, signals and end.
fn itself() -> Vec<i64> {
    vec![
        libc::SYS_exit,
        libc::SYS_exit_group,
        libc::SYS_getpid,
        libc::SYS_gettid,
        libc::SYS_getrandom,
        libc::SYS_getcpu,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_sigaltstack,
        libc::SYS_set_robust_list,
        libc::SYS_rseq,
        // The C library needs it to find the stack of a thread.
        libc::SYS_sched_getaffinity,
        // Another filter makes this one fail with ENOSYS.
        libc::SYS_clone3,
    ]
}

/// Older forms of the same calls, which not every processor has.
#[cfg(target_arch = "x86_64")]
fn older() -> Vec<i64> {
    vec![libc::SYS_epoll_wait, libc::SYS_poll, libc::SYS_time]
}

/// The calls that are allowed with certain arguments only.
pub(super) fn conditional() -> Result<Vec<(i64, Vec<SeccompRule>)>, BackendError> {
    let own = u64::from(std::process::id());
    Ok(vec![
        (libc::SYS_clone, vec![thread()?]),
        // A worker may signal itself, as `abort` does to its own thread, and read or set its own
        // limits, but not those of another process of the same user.
        (libc::SYS_tgkill, equal(0, &[own])?),
        (libc::SYS_prlimit64, equal(0, &[0])?),
        // No memory becomes executable, so nothing that is written becomes code.
        (libc::SYS_mmap, vec![without(2, libc::PROT_EXEC)?]),
        (libc::SYS_mprotect, vec![without(2, libc::PROT_EXEC)?]),
        // F_SETOWN is missing: with it the kernel would signal a process of the worker's choice.
        (
            libc::SYS_fcntl,
            equal_to(
                1,
                &[
                    libc::F_GETFD,
                    libc::F_SETFD,
                    libc::F_GETFL,
                    libc::F_SETFL,
                    libc::F_DUPFD_CLOEXEC,
                ],
            )?,
        ),
        (libc::SYS_ioctl, equal(1, &[libc::FIONBIO, libc::FIOCLEX])?),
        (libc::SYS_prctl, equal_to(0, &[libc::PR_SET_NAME, libc::PR_GET_NAME, PR_SET_VMA])?),
    ])
}

/// Names a range of memory, as allocators do.
const PR_SET_VMA: i32 = 0x5356_4d41;

/// Allows a new thread in the current namespaces, and no new process.
fn thread() -> Result<SeccompRule, BackendError> {
    let namespaces = [
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWNS,
        libc::CLONE_NEWPID,
        libc::CLONE_NEWNET,
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWUTS,
        libc::CLONE_NEWCGROUP,
    ];
    let thread = bits(libc::CLONE_THREAD);
    let looked_at = namespaces.into_iter().map(bits).fold(thread, |all, one| all | one);
    rule(SeccompCondition::new(0, Len::Dword, Op::MaskedEq(looked_at), thread)?)
}

fn without(argument: u8, flag: i32) -> Result<SeccompRule, BackendError> {
    rule(SeccompCondition::new(argument, Len::Dword, Op::MaskedEq(bits(flag)), 0)?)
}

fn equal(argument: u8, values: &[u64]) -> Result<Vec<SeccompRule>, BackendError> {
    let one = |value: &u64| rule(SeccompCondition::new(argument, Len::Dword, Op::Eq, *value)?);
    values.iter().map(one).collect()
}

fn equal_to(argument: u8, values: &[i32]) -> Result<Vec<SeccompRule>, BackendError> {
    let values: Vec<u64> = values.iter().map(|value| bits(*value)).collect();
    equal(argument, &values)
}

fn bits(flags: i32) -> u64 {
    u64::from(flags.cast_unsigned())
}

fn rule(condition: SeccompCondition) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(vec![condition])
}
