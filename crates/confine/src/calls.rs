//! Seccomp: the system calls that programs do without, because the calls reach into the kernel,
//! into other processes, or around the other layers.

use std::collections::BTreeMap;
use std::io;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Op, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, sock_filter,
};

use crate::layers::{Layer, Layers};
use crate::policy::Network;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// The first system call number that this list has not reviewed. From this number on calls fail as
/// absent, as on an older kernel.
const NOT_REVIEWED: u32 = 463;

/// Restricts this process and everything that it will start.
pub(crate) fn restrict(layers: &Layers, network: Network) -> io::Result<()> {
    let failed = |error: &dyn std::fmt::Display| io::Error::other(error.to_string());
    for filter in [
        refused(layers, network).map_err(|error| failed(&error))?,
        absent().map_err(|error| failed(&error))?,
        newer(),
    ] {
        seccompiler::apply_filter(&filter).map_err(|error| failed(&error))?;
    }
    Ok(())
}

/// The filter of the calls that fail with EPERM.
fn refused(layers: &Layers, network: Network) -> Result<BpfProgram, seccompiler::BackendError> {
    let mut rules: Rules = [KERNEL, PROCESSES, MOUNTS, MACHINE]
        .concat()
        .into_iter()
        .map(|number| (number, Vec::new()))
        .collect();
    let mut namespaces = Vec::new();
    for flag in [
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWNS,
        libc::CLONE_NEWPID,
        libc::CLONE_NEWNET,
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWUTS,
        libc::CLONE_NEWCGROUP,
    ] {
        let flag = u64::from(flag.unsigned_abs());
        namespaces.push(all(vec![when(0, Op::MaskedEq(flag), flag)?])?);
    }
    rules.insert(libc::SYS_clone, namespaces);
    // These requests put characters into a terminal, as if they had been typed.
    let typed = [libc::TIOCSTI, libc::TIOCLINUX];
    let typed: Result<Vec<_>, _> =
        typed.into_iter().map(|request| all(vec![when(1, Op::Eq, request)?])).collect();
    rules.insert(libc::SYS_ioctl, typed?);
    rules.insert(libc::SYS_socket, sockets(layers, network)?);
    compile(rules, libc::EPERM)
}

/// Refuses sockets of all families except Unix, Internet, and requests to the kernel about
/// addresses, each where the policy and the layers allow it.
fn sockets(
    layers: &Layers,
    network: Network,
) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    let mut families = Vec::new();
    // Without a root folder of its own, a program would reach the sockets of this machine's
    // services.
    if layers.has(Layer::Mounts) {
        families.push(libc::AF_UNIX);
    }
    if network == Network::Host || layers.has(Layer::Network) {
        families.extend([libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK]);
    }
    let mut rules = Vec::new();
    if families.contains(&libc::AF_NETLINK) {
        let netlink = u64::from(libc::AF_NETLINK.unsigned_abs());
        let route = u64::from(libc::NETLINK_ROUTE.unsigned_abs());
        rules.push(all(vec![when(0, Op::Eq, netlink)?, when(2, Op::Ne, route)?])?);
    }
    let others: Result<Vec<_>, _> = families
        .into_iter()
        .map(|family| when(0, Op::Ne, u64::from(family.unsigned_abs())))
        .collect();
    let others = others?;
    // With an empty list of rules a call is refused with any arguments.
    if !others.is_empty() {
        rules.push(all(others)?);
    }
    Ok(rules)
}

/// The filter for `clone3`, whose flags no filter can read. It fails with ENOSYS, so libraries call
/// `clone` instead.
fn absent() -> Result<BpfProgram, seccompiler::BackendError> {
    compile(BTreeMap::from([(libc::SYS_clone3, Vec::new())]), libc::ENOSYS)
}

/// The filter for system calls above the reviewed numbers, among them the second set of numbers of
/// x86-64. They fail with ENOSYS.
fn newer() -> BpfProgram {
    const LOAD_NUMBER: u16 = 0x20;
    const JUMP_IF_AT_LEAST: u16 = 0x35;
    const RETURN: u16 = 0x06;
    const ALLOW: u32 = 0x7fff_0000;
    let refuse = 0x0005_0000 | libc::ENOSYS.unsigned_abs();
    let step = |code, jf, k| sock_filter { code, jt: 0, jf, k };
    vec![
        step(LOAD_NUMBER, 0, 0),
        step(JUMP_IF_AT_LEAST, 1, NOT_REVIEWED),
        step(RETURN, 0, refuse),
        step(RETURN, 0, ALLOW),
    ]
}

fn when(argument: u8, is: Op, value: u64) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(argument, Len::Dword, is, value)
}

fn all(conditions: Vec<SeccompCondition>) -> Result<SeccompRule, seccompiler::BackendError> {
    SeccompRule::new(conditions)
}

fn compile(rules: Rules, errno: i32) -> Result<BpfProgram, seccompiler::BackendError> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let refusal = SeccompAction::Errno(errno.unsigned_abs());
    SeccompFilter::new(rules, SeccompAction::Allow, refusal, arch)?.try_into()
}

/// Large interfaces into the kernel, whose arguments a filter cannot inspect.
const KERNEL: &[i64] = &[
    libc::SYS_bpf,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_fanotify_init,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_lookup_dcookie,
    libc::SYS_open_by_handle_at,
    libc::SYS_syslog,
    libc::SYS_vhangup,
];

/// Reading or changing other processes.
const PROCESSES: &[i64] = &[
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
];

/// Namespaces and mounts.
const MOUNTS: &[i64] = &[
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
];

/// The machine as a whole.
const MACHINE: &[i64] = &[
    libc::SYS_acct,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_settime,
    libc::SYS_settimeofday,
    libc::SYS_delete_module,
    libc::SYS_finit_module,
    libc::SYS_init_module,
    libc::SYS_kexec_file_load,
    libc::SYS_kexec_load,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_reboot,
    libc::SYS_setdomainname,
    libc::SYS_sethostname,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
];
