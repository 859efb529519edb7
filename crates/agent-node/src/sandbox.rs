//! Walls around a worker: what its process may do, should its script break out of its realm.
//!
//! Applied by the process to itself, before it looks at the script, while it has one thread.

mod numbers;

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
    for filter in [refused()?, absent()?].into_iter().chain(other_numbers()) {
        seccompiler::apply_filter(&filter).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// System calls that a worker never needs once it runs. They fail with EPERM.
fn refused() -> Result<BpfProgram, String> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        numbers::refused().into_iter().map(|number| (number, Vec::new())).collect();
    // A thread of its own is fine, a process is not.
    let thread = u64::try_from(libc::CLONE_THREAD).map_err(|error| error.to_string())?;
    let process =
        SeccompCondition::new(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(thread), 0)
            .and_then(|condition| SeccompRule::new(vec![condition]))
            .map_err(|error| error.to_string())?;
    rules.insert(libc::SYS_clone, vec![process]);
    // What it may do to itself it may not do to another process of the same user: signal it, as
    // `abort` does to its own thread, and set its limits.
    rules.insert(libc::SYS_tgkill, vec![unless_first_is(u64::from(std::process::id()))?]);
    rules.insert(libc::SYS_prlimit64, vec![unless_first_is(0)?]);
    compile(rules, libc::EPERM)
}

/// `clone3`, whose flags no filter can read. It fails with ENOSYS: whoever wants a thread then asks
/// `clone` for it.
fn absent() -> Result<BpfProgram, String> {
    compile(BTreeMap::from([(libc::SYS_clone3, Vec::new())]), libc::ENOSYS)
}

/// A rule for calls whose first argument is another than this one.
fn unless_first_is(expected: u64) -> Result<SeccompRule, String> {
    SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, expected)
        .and_then(|condition| SeccompRule::new(vec![condition]))
        .map_err(|error| error.to_string())
}

/// Some kernels know every system call by a second number as well, with this bit set, for programs of
/// another kind. No rule above has those numbers, and a worker needs none of them: they fail with
/// EPERM.
#[cfg(target_arch = "x86_64")]
fn other_numbers() -> Option<BpfProgram> {
    use seccompiler::sock_filter;
    const LOAD_NUMBER: u16 = 0x20;
    const JUMP_IF_AT_LEAST: u16 = 0x35;
    const RETURN: u16 = 0x06;
    const OTHERS_FROM: u32 = 0x4000_0000;
    const ALLOW: u32 = 0x7fff_0000;
    let refuse = 0x0005_0000 | libc::EPERM.unsigned_abs();
    let step = |code, jf, k| sock_filter { code, jt: 0, jf, k };
    Some(vec![
        step(LOAD_NUMBER, 0, 0),
        step(JUMP_IF_AT_LEAST, 1, OTHERS_FROM),
        step(RETURN, 0, refuse),
        step(RETURN, 0, ALLOW),
    ])
}

/// There are no such numbers here.
#[cfg(not(target_arch = "x86_64"))]
fn other_numbers() -> Option<BpfProgram> {
    None
}

fn compile(rules: BTreeMap<i64, Vec<SeccompRule>>, errno: i32) -> Result<BpfProgram, String> {
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(|error| error.to_string())?;
    let refusal = SeccompAction::Errno(errno.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refusal, arch)
        .map_err(|error| error.to_string())?;
    BpfProgram::try_from(filter).map_err(|error| error.to_string())
}
