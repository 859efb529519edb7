//! Worker processes as their parent sees them. There is no test harness: this program is the
//! worker, too.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says clearly enough what it expected")]

use std::cell::Cell;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::net::UnixStream as Socket;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use remit_agent_node::process::{Bounds, End, Program, Worker};
use remit_agent_node::sandbox::{self, SandboxLimits};
use tokio::io::AsyncReadExt as _;

/// The first argument of this program when it is a worker. The second names its behaviour.
const WORKER: &str = "as-worker";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    if args.next().as_deref() == Some(WORKER) {
        return work(&args.next().unwrap());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        the_end_of_a_process_is_reported().await;
        a_computing_worker_is_killed_and_a_waiting_one_is_not().await;
        a_dropped_worker_is_gone().await;
        nothing_but_the_socket_is_within_reach().await;
    });
    println!("worker processes: ok");
    ExitCode::SUCCESS
}

async fn the_end_of_a_process_is_reported() {
    assert_eq!(end("exit").await, End::Exited);
    let End::Crashed(how) = end("fail").await else { panic!("it failed") };
    assert!(how.contains("exit status: 3") && how.contains("out of luck"), "{how}");
    let End::Crashed(how) = end("abort").await else { panic!("it aborted") };
    assert!(how.contains("signal"), "{how}");
    let End::Crashed(how) = end("chatter").await else { panic!("it failed") };
    assert!(how.len() < 8 << 10, "{} bytes of what it said were kept", how.len());
}

async fn a_computing_worker_is_killed_and_a_waiting_one_is_not() {
    let (mut waiting, socket) = start("wait");
    let (mut slow, _socket) = start("rest");
    let (not_a_word, begun) = (Cell::new(0), Instant::now());
    let End::Deadline(why) = end("spin").await else { panic!("it computed") };
    assert!(why.contains("200 ms"), "{why}");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    // Waiting does not count towards the deadline, however long it lasts, also after some
    // computing.
    assert_eq!(slow.ended(&not_a_word).await, End::Exited);
    drop(socket);
    assert_eq!(waiting.ended(&not_a_word).await, End::Exited);
}

async fn a_dropped_worker_is_gone() {
    let (worker, mut socket) = start("spin");
    drop(worker);
    // The worker's end of the socket closes with its process.
    assert_eq!(socket.read(&mut [0]).await.unwrap_or(0), 0);
    let (mut worker, _socket) = start("spin");
    assert!(!worker.has_ended());
    worker.kill().await;
    assert!(worker.has_ended());
}

async fn nothing_but_the_socket_is_within_reach() {
    let missing = sandbox::probe();
    let ended = end("reach").await;
    assert_eq!(ended, End::Exited, "{missing:?}");
}

fn start(what: &str) -> (Worker, tokio::net::UnixStream) {
    let program =
        Program { path: std::env::current_exe().unwrap(), args: vec![WORKER.into(), what.into()] };
    let bounds =
        Bounds { deadline: Duration::from_millis(200), memory_bytes: 64 << 20, strict: true };
    Worker::start(&program, bounds).unwrap()
}

async fn end(what: &str) -> End {
    let (mut worker, _socket) = start(what);
    worker.ended(&Cell::new(0)).await
}

/// The behaviours of a worker.
fn work(what: &str) -> ExitCode {
    match what {
        "exit" => {}
        "fail" => {
            eprintln!("out of luck");
            return ExitCode::from(3);
        }
        "abort" => std::process::abort(),
        "chatter" => {
            eprintln!("{}", "word ".repeat(100_000));
            return ExitCode::FAILURE;
        }
        "spin" => spin(Duration::MAX),
        // Longer than the bound on wall time, and mostly at rest.
        "rest" => {
            for _ in 0..10 {
                spin(Duration::from_millis(30));
                rest(Duration::from_millis(450));
            }
        }
        "wait" => {
            let _end = std::io::stdin().read(&mut [0]).unwrap();
        }
        "reach" => return reach(),
        other => panic!("{other}"),
    }
    ExitCode::SUCCESS
}

fn spin(how_long: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < how_long {
        std::hint::black_box(0);
    }
}

/// Waits on a socket whose peer never writes.
fn rest(how_long: Duration) {
    let (mut quiet, _peer) = Socket::pair().unwrap();
    quiet.set_read_timeout(Some(how_long)).unwrap();
    assert!(quiet.read(&mut [0]).is_err());
}

/// System calls by the numbers of this processor, which no function of the library makes.
fn by_hand(parent: i64) -> Vec<(&'static str, std::io::Result<()>)> {
    let path = c"/tmp".as_ptr() as i64;
    let calls = [
        ("signal another process", [libc::SYS_tgkill, parent, parent, 0]),
        ("set the limits of another process", [libc::SYS_prlimit64, parent, 0, 0]),
        ("slow another process down", [libc::SYS_setpriority, 0, parent, 19]),
        ("change what a file allows", [libc::SYS_fchmodat, libc::AT_FDCWD.into(), path, 0o1777]),
        ("look at a file", [libc::SYS_faccessat, libc::AT_FDCWD.into(), path, 0]),
        ("share memory", [libc::SYS_shmget, 0, 4096, 0o1600]),
        ("have another process signalled", [libc::SYS_fcntl, 0, libc::F_SETOWN.into(), parent]),
        ("write code", [libc::SYS_mmap, 0, 4096, (libc::PROT_WRITE | libc::PROT_EXEC).into()]),
        ("start a process", [libc::SYS_clone, libc::SIGCHLD.into(), 0, 0]),
        ("leave its namespaces", [libc::SYS_clone, 0x1000_0000 | 0x0001_0000, 0, 0]),
        ("start a process in another way", [libc::SYS_clone3, 0, 0, 0]),
        ("ask what the machine is", [libc::SYS_sysinfo, 0, 0, 0]),
        ("ask by a number of tomorrow", [1023, 0, 0, 0]),
        #[cfg(target_arch = "x86_64")]
        ("ask by another number", [0x4000_0000 | libc::SYS_getpid, 0, 0, 0]),
    ];
    let ask = |[number, one, two, three]: [i64; 4]| {
        // SAFETY: none of these calls writes to memory of this process.
        let answer = unsafe { libc::syscall(number, one, two, three, 0) };
        let error = std::io::Error::last_os_error();
        // A call that this machine lacks is not refused by the sandbox: another machine may have
        // it.
        let refusal = if number == libc::SYS_clone3 { libc::ENOSYS } else { libc::EPERM };
        if answer >= 0 || error.raw_os_error() != Some(refusal) { Ok(()) } else { Err(error) }
    };
    calls.into_iter().map(|(what, call)| (what, ask(call))).collect()
}

/// Tries what a script that broke out of its realm would try.
fn reach() -> ExitCode {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let missing = sandbox::apply(&SandboxLimits { memory_bytes: 64 << 20 });
    let tries = [
        ("open a file", File::open("/proc/self/maps").map(drop)),
        ("make a file", File::create("/tmp/remit-worker-reach").map(drop)),
        ("list a folder", std::fs::read_dir("/").map(drop)),
        ("reach the network", std::net::TcpStream::connect(address).map(drop)),
        ("send a datagram", std::net::UdpSocket::bind("127.0.0.1:0").map(drop)),
        ("start a program", std::process::Command::new("/bin/true").spawn().map(drop)),
        ("make a socket", Socket::pair().map(drop)),
    ];
    let parent = std::os::unix::process::parent_id();
    let tries = tries.into_iter().chain(by_hand(i64::from(parent)));
    let mut held = true;
    for (what, tried) in tries {
        if tried.is_ok() {
            eprintln!("it could {what} ({missing:?})");
            held = false;
        }
    }
    // The event loop may need threads.
    let added = std::thread::spawn(|| 1 + 1).join().unwrap();
    if held && added == 2 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
