//! A tool node for tests: a tool whose effects can be counted from outside.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use remit_faults::crash;
use remit_tests::mesh::CHANGED;
use remit_tool_node::kit::{CallContext, Failure, Interface, Method, NoArgs, Tool, Value, fail};
use remit_tool_node::{offload, run, start};
use remit_vat::vat::Vat;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The number of names that the counter file keeps: more than count between two reads of the file.
const KEPT_NAMES: usize = 1024;

/// The highest cost of one call of `burn`.
const MOST_BURNT: u64 = 10;

/// The root of the tool. Its effects are lines of one file.
struct Probe {
    effects: PathBuf,
    /// Held while a line is appended, so that lines are in the order of their calls.
    appending: tokio::sync::Mutex<()>,
    /// Held while the counter is read and written.
    counting: Arc<Mutex<()>>,
    began: Instant,
}

#[derive(Deserialize, JsonSchema)]
struct Line {
    text: String,
}

#[derive(Deserialize, JsonSchema)]
struct Spend {
    units: u64,
}

#[derive(Deserialize, JsonSchema)]
struct Burn {
    who: String,
    units: u64,
    ms: u64,
}

#[derive(Deserialize, JsonSchema)]
struct By {
    name: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
struct Size {
    bytes: usize,
}

#[derive(Deserialize, JsonSchema)]
struct Wait {
    ms: u64,
}

impl Probe {
    /// Appends a line. Returns when the line is synced.
    async fn append(self: Rc<Self>, line: Line, _: CallContext) -> Result<(), Failure> {
        let _in_order = self.appending.lock().await;
        let path = self.effects.clone();
        let written = offload(move || {
            let mut file = OpenOptions::new().create(true).append(true).open(path)?;
            let before = file.metadata()?.len();
            let written = file.write_all(format!("{}\n", line.text).as_bytes());
            // A line is complete or absent: a partial write is truncated.
            written.or_else(|error| file.set_len(before).and(Err(error)))?;
            file.sync_data()
        });
        written.await.and_then(|done| done).map_err(|error| fail::failed(error.to_string()))
    }

    /// Appends a line, and marks the point of no return just before.
    async fn careful(self: Rc<Self>, line: Line, call: CallContext) -> Result<(), Failure> {
        call.point_of_no_return().await?;
        self.append(line, call).await
    }

    /// Increments the number in a file, and records the caller's name there. The file is synced
    /// before this returns.
    async fn count(self: Rc<Self>, by: By, _: CallContext) -> Result<u64, Failure> {
        let (path, one) = (self.effects.with_file_name("counter.txt"), Arc::clone(&self.counting));
        let counted = offload(move || {
            let _alone = one.lock().unwrap_or_else(PoisonError::into_inner);
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let mut lines = text.lines();
            let next = lines.next().and_then(|number| number.parse().ok()).unwrap_or(0_u64) + 1;
            let first = [next.to_string(), by.name.unwrap_or_default()];
            let kept = lines.take(KEPT_NAMES).map(str::to_owned);
            let text = first.into_iter().chain(kept).collect::<Vec<_>>().join("\n");
            let fresh = path.with_extension("fresh");
            let mut file = std::fs::File::create(&fresh)?;
            file.write_all(text.as_bytes())?;
            file.sync_data()?;
            std::fs::rename(&fresh, &path)?;
            Ok::<_, std::io::Error>(next)
        });
        counted.await.and_then(|done| done).map_err(|error| fail::failed(error.to_string()))
    }

    async fn lines(self: Rc<Self>, _: NoArgs, _: CallContext) -> Result<Vec<String>, Failure> {
        let _in_order = self.appending.lock().await;
        let text = std::fs::read_to_string(&self.effects).unwrap_or_default();
        Ok(text.lines().map(str::to_owned).collect())
    }

    async fn next(self: Rc<Self>, _: NoArgs, _: CallContext) -> Result<Rc<Self>, Failure> {
        Ok(self)
    }

    async fn look(self: Rc<Self>, _: NoArgs, _: CallContext) -> Result<u32, Failure> {
        Ok(1)
    }

    async fn spend(self: Rc<Self>, spend: Spend, call: CallContext) -> Result<(), Failure> {
        call.charge(spend.units);
        Ok(())
    }

    /// Marks its beginning, sleeps, appends the caller and the units, and costs that many units.
    async fn burn(self: Rc<Self>, burn: Burn, call: CallContext) -> Result<(), Failure> {
        self.begins()?;
        tokio::time::sleep(Duration::from_millis(burn.ms)).await;
        call.charge(burn.units);
        let text = format!("{} {}", burn.who, burn.units);
        self.append(Line { text }, call).await
    }

    async fn put(self: Rc<Self>, line: Line, _: CallContext) -> Result<usize, Failure> {
        Ok(line.text.len())
    }

    fn begins(&self) -> Result<(), Failure> {
        let waiting = self.effects.with_file_name("waiting.txt");
        let begun = OpenOptions::new().create(true).append(true).open(waiting);
        begun.and_then(|mut file| file.write_all(b".")).map_err(|e| fail::failed(e.to_string()))
    }

    /// Marks its beginning, and waits.
    async fn wait(self: Rc<Self>, wait: Wait, call: CallContext) -> Result<(), Failure> {
        self.begins()?;
        call.emit("waiting\n");
        tokio::select! {
            biased;
            () = call.cancelled() => {
                let text = "cancelled".to_owned();
                self.append(Line { text }, call).await
            }
            () = tokio::time::sleep(Duration::from_millis(wait.ms)) => Ok(()),
        }
    }

    /// Waits until it is cancelled, and answers only after a delay.
    async fn linger(self: Rc<Self>, wait: Wait, call: CallContext) -> Result<(), Failure> {
        call.cancelled().await;
        tokio::time::sleep(Duration::from_millis(wait.ms)).await;
        Err(fail::cancelled("it took its time"))
    }

    /// Aborts this process.
    async fn die(self: Rc<Self>, _: NoArgs, _: CallContext) -> Result<String, Failure> {
        std::process::abort()
    }

    /// Appends a line although it is annotated as pure, so that a test sees each call that reached
    /// the tool.
    async fn turned(self: Rc<Self>, line: Line, call: CallContext) -> Result<String, Failure> {
        let turned = line.text.chars().rev().collect();
        self.append(line, call).await?;
        Ok(turned)
    }

    /// Nanoseconds since this process began. A script has no clock of its own.
    async fn stamp(self: Rc<Self>, _: NoArgs, _: CallContext) -> Result<u64, Failure> {
        let since = self.began.elapsed().as_nanos();
        u64::try_from(since).map_err(|_| fail::limit("this process is too old"))
    }

    /// Microseconds of the monotonic clock, which all processes of the machine share.
    async fn clock(self: Rc<Self>, _: NoArgs, _: CallContext) -> Result<u64, Failure> {
        let now = remit_tests::monotonic().as_micros();
        u64::try_from(now).map_err(|_| fail::limit("this machine is too old"))
    }

    /// A text of this many bytes, different each time.
    async fn large(self: Rc<Self>, size: Size, _: CallContext) -> Result<String, Failure> {
        let seed: u64 = rand::random();
        Ok(format!("{seed:016x}").repeat(size.bytes / 16))
    }

    /// The same as `large`, with an effect.
    async fn grow(self: Rc<Self>, size: Size, call: CallContext) -> Result<String, Failure> {
        Rc::clone(&self).append(Line { text: format!("grew {}", size.bytes) }, call).await?;
        Ok("g".repeat(size.bytes))
    }

    async fn echo(self: Rc<Self>, line: Line, _: CallContext) -> Result<String, Failure> {
        Ok(line.text)
    }
}

/// The variant of the probe that is offered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Offer {
    Usual,
    /// With another description, another annotation, and one method more.
    Changed,
}

fn probe(effects: PathBuf, offer: Offer) -> Tool {
    let (look, put) = match offer {
        Offer::Usual => (
            Method::read_only("Looks."),
            Method::idempotent("Puts, which twice is the same as once."),
        ),
        Offer::Changed => (Method::read_only(CHANGED), Method::effect("Puts, and breaks.")),
    };
    let interface = Interface::<Probe>::new("Probe", "Effects that can be counted.")
        .method("append", Method::effect("Appends a line."), Probe::append)
        .method(
            "careful",
            Method::effect("Appends a line, and says when.").marks_point_of_no_return(),
            Probe::careful,
        )
        .method("count", Method::effect("Adds one to a counter."), Probe::count)
        .method("lines", Method::read_only("The lines appended."), Probe::lines)
        .opens("next", Method::idempotent("The same again."), Probe::next)
        .method("look", look, Probe::look)
        .method("put", put, Probe::put)
        .method("spend", Method::effect("Costs something."), Probe::spend)
        .method(
            "burn",
            Method::effect("Costs up to ten units.").costs_at_most(MOST_BURNT),
            Probe::burn,
        )
        .method("wait", Method::effect("Takes a while."), Probe::wait)
        .method("linger", Method::effect("Takes its time to end."), Probe::linger)
        .method("die", Method::effect("Ends the process."), Probe::die)
        .method("turned", Method::pure("The text backwards."), Probe::turned)
        .method("stamp", Method::idempotent("Tells the time."), Probe::stamp)
        .method("clock", Method::idempotent("Tells the machine's time."), Probe::clock)
        .method("large", Method::read_only("A large text."), Probe::large)
        .method("grow", Method::effect("Appends a line, and gives a large text."), Probe::grow)
        .method("echo", Method::read_only("Says the same."), Probe::echo);
    let interface = match offer {
        Offer::Usual => interface,
        Offer::Changed => {
            interface.method("snoop", Method::read_only("Looks further."), Probe::look)
        }
    };
    let root = Probe {
        effects,
        appending: tokio::sync::Mutex::default(),
        counting: Arc::default(),
        began: Instant::now(),
    };
    Tool::new("probe", "1.0.0", "For tests.").interface(interface).root(Rc::new(root))
}

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(remit_confine::LAUNCH) {
        return remit_confine::launch();
    }
    // Privileges are given up before there is a second thread, as in every tool node.
    if let Err(error) = remit_confine::give_up(remit_confine::Duty::ToolNode) {
        eprintln!("privileges could not be given up: {error}");
        return ExitCode::FAILURE;
    }
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .log_internal_errors(false)
        .init();
    let mut line: Vec<String> = std::env::args().skip(1).collect();
    line.retain(|flag| flag != "--until-stdin-closes");
    let offer =
        if line.iter().any(|flag| flag == "--changed") { Offer::Changed } else { Offer::Usual };
    line.retain(|flag| flag != "--changed");
    let served = Vat::run(async move {
        arm()?;
        let end = End::watch().map_err(|e| e.to_string())?;
        let arguments = start::Arguments::parse(line).map_err(|e| e.to_string())?;
        let member = arguments.member().await.map_err(|e| e.to_string())?;
        let tools = vec![probe(arguments.dir.join("effects.txt"), offer)];
        let node = Rc::new(arguments.node(tools).await.map_err(|e| e.to_string())?);
        println!("probe ready");
        run(&member, &node, end.comes()).await;
        Ok::<_, String>(Value::<u32>::Null)
    });
    match served {
        Ok(Ok(_)) => ExitCode::SUCCESS,
        Ok(Err(why)) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Arms the crash point that a test names in the environment.
#[expect(clippy::disallowed_methods, reason = "this file is the whole program")]
fn arm() -> Result<(), String> {
    let point = std::env::var("REMIT_CRASH").ok();
    point.map_or(Ok(()), |point| crash::arm(&point)).map_err(|error| error.to_string())
}

/// The end of this node: a signal, or the end of standard input when the test that started it is
/// gone.
struct End {
    terminate: Signal,
}

impl End {
    fn watch() -> std::io::Result<Self> {
        start::outlive_bounded_files()?;
        Ok(Self { terminate: signal(SignalKind::terminate())? })
    }

    async fn comes(mut self) {
        use tokio::io::AsyncReadExt as _;
        let closed = async {
            let mut ignored = [0; 16];
            while !matches!(tokio::io::stdin().read(&mut ignored).await, Ok(0) | Err(_)) {}
        };
        tokio::select! {
            _ = self.terminate.recv() => {}
            () = closed => {}
        }
    }
}
