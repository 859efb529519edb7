//! Walls around a worker: what its process may do, should its script break out of its realm.
//!
//! Applied by the process to itself, before it looks at the script, while it has one thread.

use std::collections::BTreeMap;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _,
    RulesetStatus, Scope,
};
use rustix::process::{Resource, Rlimit, setrlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use crate::limits;

/// What bounds the process.
#[derive(Debug, Clone, Copy)]
pub struct SandboxLimits {
    /// Memory of its script, in bytes.
    pub memory_bytes: u64,
}

/// Puts up the walls. Answers with what this machine could not do, a sentence each; empty: all of it.
pub fn apply(bounds: &SandboxLimits) -> Vec<String> {
    let mut missing = Vec::new();
    let mut note = |what: &str, result: Result<(), String>| {
        if let Err(why) = result {
            missing.push(format!("{what}: {why}"));
        }
    };
    note("limits of the process", limit(bounds));
    note("landlock", restrict_files());
    note("seccomp", restrict_calls());
    missing
}

/// What this machine supports: name, and a sentence on what is missing if it is not all there.
pub fn probe() -> Vec<(&'static str, Result<(), String>)> {
    let landlock = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V1))
        .map(|_| ())
        .map_err(|error| error.to_string());
    let seccomp = refused().and_then(|_| absent()).map(|_| ());
    vec![("landlock", landlock), ("seccomp", seccomp)]
}

fn limit(bounds: &SandboxLimits) -> Result<(), String> {
    let mapped = bounds.memory_bytes.saturating_mul(2) + limits::MAPPED_BEYOND_BYTES;
    for (resource, most) in [
        (Resource::Core, 0),
        (Resource::Nofile, limits::OPEN_FILES),
        (Resource::Fsize, 0),
        (Resource::As, mapped),
    ] {
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })
            .map_err(|error| format!("{resource:?}: {error}"))?;
    }
    Ok(())
}

/// No files, no ports, no signals to others.
fn restrict_files() -> Result<(), String> {
    let restrict = || {
        Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(ABI::V6))?
            .handle_access(AccessNet::from_all(ABI::V6))?
            .scope(Scope::from_all(ABI::V6))?
            .create()?
            .restrict_self()
    };
    let status = restrict().map_err(|error: landlock::RulesetError| error.to_string())?;
    match status.ruleset {
        RulesetStatus::NotEnforced => Err("this kernel does not have it".into()),
        RulesetStatus::PartiallyEnforced | RulesetStatus::FullyEnforced => Ok(()),
    }
}

fn restrict_calls() -> Result<(), String> {
    for filter in [refused()?, absent()?] {
        seccompiler::apply_filter(&filter).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// System calls that a worker never needs once it runs. They fail with EPERM.
fn refused() -> Result<BpfProgram, String> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        numbers().into_iter().map(|number| (number, Vec::new())).collect();
    // A thread of its own is fine, a process is not.
    let thread = u64::try_from(libc::CLONE_THREAD).map_err(|error| error.to_string())?;
    let process =
        SeccompCondition::new(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(thread), 0)
            .and_then(|condition| SeccompRule::new(vec![condition]))
            .map_err(|error| error.to_string())?;
    rules.insert(libc::SYS_clone, vec![process]);
    compile(rules, libc::EPERM)
}

/// `clone3`, whose flags no filter can read. It fails with ENOSYS: whoever wants a thread then asks
/// `clone` for it.
fn absent() -> Result<BpfProgram, String> {
    compile(BTreeMap::from([(libc::SYS_clone3, Vec::new())]), libc::ENOSYS)
}

fn compile(rules: BTreeMap<i64, Vec<SeccompRule>>, errno: i32) -> Result<BpfProgram, String> {
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(|error| error.to_string())?;
    let refusal = SeccompAction::Errno(errno.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refusal, arch)
        .map_err(|error| error.to_string())?;
    BpfProgram::try_from(filter).map_err(|error| error.to_string())
}

/// The numbers of the system calls that are refused: to reach the network, to start programs, to
/// open files, to look into other processes, to change the machine.
fn numbers() -> Vec<i64> {
    let mut numbers = vec![
        libc::SYS_socketpair,
        libc::SYS_memfd_create,
        libc::SYS_userfaultfd,
        libc::SYS_pidfd_open,
        libc::SYS_pidfd_send_signal,
        libc::SYS_rt_sigqueueinfo,
        libc::SYS_rt_tgsigqueueinfo,
        libc::SYS_socket,
        libc::SYS_connect,
        libc::SYS_bind,
        libc::SYS_listen,
        libc::SYS_accept4,
        libc::SYS_execve,
        libc::SYS_execveat,
        libc::SYS_openat,
        libc::SYS_openat2,
        libc::SYS_open_by_handle_at,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_pidfd_getfd,
        libc::SYS_kill,
        libc::SYS_tkill,
        libc::SYS_mount,
        libc::SYS_unshare,
        libc::SYS_setns,
        libc::SYS_bpf,
        libc::SYS_io_uring_setup,
        libc::SYS_perf_event_open,
        libc::SYS_keyctl,
        libc::SYS_add_key,
    ];
    #[cfg(target_arch = "x86_64")]
    numbers.extend([libc::SYS_open, libc::SYS_creat, libc::SYS_fork, libc::SYS_vfork]);
    numbers
}
