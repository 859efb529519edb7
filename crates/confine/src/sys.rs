//! System calls that no library here wraps, with errors as values.
//!
//! Only processes with one thread make them, so a fork copies a consistent memory.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Duration;

fn checked(answer: i64) -> io::Result<i64> {
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| io::ErrorKind::InvalidInput.into())
}

/// The process in which a fork returned.
pub(crate) enum Forked {
    Parent(libc::pid_t),
    Child,
}

/// Forks this process, which must have one thread.
pub(crate) fn fork() -> io::Result<Forked> {
    // SAFETY: with one thread, no other thread can hold a lock in the child.
    match checked(i64::from(unsafe { libc::fork() }))? {
        0 => Ok(Forked::Child),
        pid => libc::pid_t::try_from(pid).map(Forked::Parent).map_err(io::Error::other),
    }
}

/// Ends this process at once, without the handlers that libraries registered for its end.
pub(crate) fn exit(code: i32) -> ! {
    // SAFETY: it takes a number and does not return.
    unsafe { libc::_exit(code) }
}

/// Leaves the namespaces in `flags` for new ones.
pub(crate) fn unshare(flags: i32) -> io::Result<()> {
    // SAFETY: it takes a number.
    checked(i64::from(unsafe { libc::unshare(flags) })).map(drop)
}

/// `prctl` with integer arguments.
pub(crate) fn prctl(option: i32, one: u64, two: u64) -> io::Result<()> {
    // SAFETY: none of the options used here takes a pointer.
    checked(i64::from(unsafe { libc::prctl(option, one, two, 0, 0) })).map(drop)
}

/// Starts a session, which has no terminal.
pub(crate) fn setsid() -> io::Result<()> {
    // SAFETY: it takes nothing.
    checked(i64::from(unsafe { libc::setsid() })).map(drop)
}

/// Gives up all supplementary groups.
pub(crate) fn drop_groups() -> io::Result<()> {
    // SAFETY: an empty list is not read.
    checked(i64::from(unsafe { libc::setgroups(0, std::ptr::null()) })).map(drop)
}

/// Gives up all capabilities for good, also those that a program of root gets when it starts.
pub(crate) fn drop_capabilities() -> io::Result<()> {
    const NO_ROOT: u64 = 0b11;
    // An unprivileged process is refused, and has none to give up.
    let _unprivileged = prctl(libc::PR_SET_SECUREBITS, NO_ROOT, 0);
    keep_capabilities(0)
}

/// Gives up all capabilities without a bit in `kept`, in this process and in everything that it
/// starts.
pub(crate) fn keep_capabilities(kept: u64) -> io::Result<()> {
    const VERSION_3: u32 = 0x2008_0522;
    for capability in (0..u64::from(u64::BITS)).filter(|capability| kept >> capability & 1 == 0) {
        // An unprivileged process is refused, and has none to give up. The kernel knows only some
        // of the numbers.
        let _none = prctl(libc::PR_CAPBSET_DROP, capability, 0);
    }
    let clear = u64::from(libc::PR_CAP_AMBIENT_CLEAR_ALL.unsigned_abs());
    let _old_kernel = prctl(libc::PR_CAP_AMBIENT, clear, 0);
    let header = [VERSION_3, 0];
    // The effective, permitted and inheritable sets, first the lower 32 bits of each.
    let mut sets = [0_u32; 6];
    // SAFETY: both arrays have the form and length of version 3.
    checked(unsafe { libc::syscall(libc::SYS_capget, header.as_ptr(), sets.as_mut_ptr()) })?;
    let [low, high] = [kept & u64::from(u32::MAX), kept >> 32];
    let [low, high] = [low, high].map(|half| u32::try_from(half).unwrap_or(0));
    let sets = [sets[1] & low, sets[1] & low, 0, sets[4] & high, sets[4] & high, 0];
    // SAFETY: as above.
    checked(unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()) }).map(drop)
}

/// `mount`.
pub(crate) fn mount(what: &str, at: &Path, flags: u64, data: &str) -> io::Result<()> {
    let invalid = |_| io::Error::from(io::ErrorKind::InvalidInput);
    let (at, what) = (c_path(at)?, CString::new(what).map_err(invalid)?);
    let data = CString::new(data).map_err(invalid)?;
    // SAFETY: the strings outlive the call.
    let done = unsafe {
        libc::mount(what.as_ptr(), at.as_ptr(), what.as_ptr(), flags, data.as_ptr().cast())
    };
    checked(i64::from(done)).map(drop)
}

/// A copy of the mounts at and below a path, which is not mounted yet.
pub(crate) fn clone_tree(path: &Path) -> io::Result<OwnedFd> {
    const CLONE: i64 = 1;
    const RECURSIVE: i64 = 0x8000;
    let path = c_path(path)?;
    let flags = CLONE | RECURSIVE | i64::from(libc::O_CLOEXEC);
    // SAFETY: the string outlives the call.
    let fd = checked(unsafe {
        libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags)
    })?;
    // SAFETY: the kernel has just given this descriptor to this process.
    Ok(unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).map_err(io::Error::other)?) })
}

/// Attributes that restrict a mount.
pub(crate) const READ_ONLY: u64 = 1;
pub(crate) const NO_SETUID: u64 = 2;
pub(crate) const NO_DEVICES: u64 = 4;
pub(crate) const NO_EXECUTE: u64 = 8;

/// Restricts a tree of mounts, or only its root if not `deep`.
pub(crate) fn restrict_mount(tree: BorrowedFd<'_>, attributes: u64, deep: bool) -> io::Result<()> {
    const RECURSIVE: i64 = 0x8000;
    #[repr(C)]
    struct MountAttr([u64; 4]);
    let attr = MountAttr([attributes, 0, 0, 0]);
    let flags = i64::from(libc::AT_EMPTY_PATH) | if deep { RECURSIVE } else { 0 };
    // SAFETY: the path and the attributes outlive the call, and the length is that of the
    // attributes.
    checked(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attr,
            size_of::<MountAttr>(),
        )
    })
    .map(drop)
}

/// Mounts a copied tree of mounts at a path.
pub(crate) fn move_mount(tree: BorrowedFd<'_>, to: &Path) -> io::Result<()> {
    const FROM_EMPTY_PATH: i64 = 4;
    let to = c_path(to)?;
    // SAFETY: the strings outlive the call.
    checked(unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_FDCWD,
            to.as_ptr(),
            FROM_EMPTY_PATH,
        )
    })
    .map(drop)
}

/// Makes a mount the root folder of this process, and detaches the old root.
pub(crate) fn change_root(to: &Path) -> io::Result<()> {
    std::env::set_current_dir(to)?;
    let here = c".".as_ptr();
    // SAFETY: the string is a constant.
    checked(unsafe { libc::syscall(libc::SYS_pivot_root, here, here) })?;
    // SAFETY: as above. The old root now lies over the new one, so it is detached first.
    checked(i64::from(unsafe { libc::umount2(here, libc::MNT_DETACH) }))?;
    std::env::set_current_dir("/")
}

/// Brings the loopback of this network namespace up.
pub(crate) fn loopback_up() -> io::Result<()> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
    // SAFETY: all zeros are a valid value of this struct.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(c"lo".to_bytes()) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = i16::try_from(libc::IFF_UP).map_err(io::Error::other)?;
    // SAFETY: the request outlives the call, and has the form that this call reads.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    checked(i64::from(done)).map(drop)
}

/// Marks every file from `first` on to close on `exec`.
pub(crate) fn close_on_exec_from(first: u32) -> io::Result<()> {
    const CLOSE_ON_EXEC: i64 = 4;
    // SAFETY: it takes numbers, and closes nothing before `exec`.
    checked(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, CLOSE_ON_EXEC) })
        .map(drop)
}

/// The version of landlock. An error means that this kernel has none.
pub(crate) fn landlock_abi() -> io::Result<i32> {
    const VERSION: i64 = 1;
    let none = std::ptr::null::<u8>();
    // SAFETY: with this flag the kernel reads no attributes.
    let abi = checked(unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, none, 0_usize, VERSION)
    })?;
    i32::try_from(abi).map_err(io::Error::other)
}

/// Waits for any child. `None`: there is none.
pub(crate) fn wait_any() -> Option<(libc::pid_t, i32)> {
    let mut status = 0;
    loop {
        // SAFETY: the status outlives the call.
        match unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL) } {
            -1 if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
            -1 => return None,
            pid => return Some((pid, status)),
        }
    }
}

/// Waits until one of `files` is readable or has ended, or the time is up. Returns whether one is
/// ready.
pub(crate) fn readable(files: &[BorrowedFd<'_>], at_most: Duration) -> io::Result<bool> {
    let polled = |file: &BorrowedFd<'_>| libc::pollfd {
        fd: file.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    let mut polled: Vec<_> = files.iter().map(polled).collect();
    let count = libc::nfds_t::try_from(polled.len()).map_err(io::Error::other)?;
    let millis = i32::try_from(at_most.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the list outlives the call, and the count is its length.
    match checked(i64::from(unsafe { libc::poll(polled.as_mut_ptr(), count, millis) })) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
        answer => answer.map(|ready| ready > 0),
    }
}

/// Makes `file` the standard input of this process.
pub(crate) fn make_stdin(file: &OwnedFd) -> io::Result<()> {
    // SAFETY: both files are open, and no value here owns the file that this closes.
    checked(i64::from(unsafe { libc::dup2(file.as_raw_fd(), 0) })).map(drop)
}

/// The first two numbers of the kernel's version.
pub(crate) fn kernel_version() -> (u32, u32) {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split('.').map_while(|number| number.parse::<u32>().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}
