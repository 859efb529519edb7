//! The sandbox of a worker: the limits of its process, should its script break out of its realm.
//!
//! The process applies it to itself before it reads the script, while it has one thread.

mod numbers;

use std::collections::BTreeMap;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _,
    RulesetStatus, Scope,
};
use rustix::process::{Resource, Rlimit, setrlimit};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, SeccompRule, TargetArch};

use crate::limits;

/// The bounds of the process.
#[derive(Debug, Clone, Copy)]
pub struct SandboxLimits {
    /// Memory of its script, in bytes.
    pub memory_bytes: u64,
}

/// Applies the sandbox to this process. Returns the parts that this machine could not apply, a
/// sentence each; empty means all were applied.
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

/// The parts of the sandbox that this machine lacks, a sentence each. Applies nothing.
pub fn probe() -> Vec<String> {
    let landlock = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V1))
        .map_err(|error| format!("landlock: {error}"));
    let seccomp = allowed().map_err(|error| format!("seccomp: {error}"));
    [landlock.err(), seccomp.err(), filters().err()].into_iter().flatten().collect()
}

/// Whether the kernel can filter system calls. A kernel may be built without these filters.
fn filters() -> Result<(), String> {
    let known = std::fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail");
    match known {
        Ok(actions) if actions.contains("errno") => Ok(()),
        Ok(_) => Err("seccomp: this kernel cannot refuse a call".into()),
        Err(error) => Err(format!("seccomp: this kernel has no filters ({error})")),
    }
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

/// No files, no ports, no signals to other processes.
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
    // The list of allowed calls comes last, because it allows no further filter.
    for filter in [absent()?].into_iter().chain(other_numbers()).chain([allowed()?]) {
        seccompiler::apply_filter(&filter).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// The filter that allows the system calls a running worker needs. All others fail with EPERM.
fn allowed() -> Result<BpfProgram, String> {
    let conditional = numbers::conditional().map_err(|error| error.to_string())?;
    let whole = numbers::allowed().into_iter().map(|number| (number, Vec::new()));
    compile(whole.chain(conditional).collect(), &Otherwise::Refuse(libc::EPERM))
}

/// The filter for `clone3`, whose flags no filter can read. It fails with ENOSYS, so libraries fall
/// back to `clone` for a thread.
fn absent() -> Result<BpfProgram, String> {
    compile(BTreeMap::from([(libc::SYS_clone3, Vec::new())]), &Otherwise::Allow(libc::ENOSYS))
}

/// The filter for the second numbers: some kernels know every system call by a second number with
/// this bit set, for programs of another kind. A worker needs none of them, so they fail with
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

/// Other processors have no second numbers.
#[cfg(not(target_arch = "x86_64"))]
fn other_numbers() -> Option<BpfProgram> {
    None
}

/// The result of calls without a rule in the filter.
enum Otherwise {
    /// They fail with this error. Calls with a matching rule are allowed.
    Refuse(i32),
    /// They are allowed. Calls with a matching rule fail with this error.
    Allow(i32),
}

fn compile(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    otherwise: &Otherwise,
) -> Result<BpfProgram, String> {
    let arch = std::env::consts::ARCH;
    let arch = TargetArch::try_from(arch)
        .map_err(|_| format!("there is no list of system calls for this processor ({arch})"))?;
    let refusal = |errno: &i32| SeccompAction::Errno(errno.unsigned_abs());
    let (mismatch, matched) = match otherwise {
        Otherwise::Refuse(errno) => (refusal(errno), SeccompAction::Allow),
        Otherwise::Allow(errno) => (SeccompAction::Allow, refusal(errno)),
    };
    let filter =
        SeccompFilter::new(rules, mismatch, matched, arch).map_err(|error| error.to_string())?;
    BpfProgram::try_from(filter).map_err(|error| error.to_string())
}
