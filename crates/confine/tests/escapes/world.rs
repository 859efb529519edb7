//! A folder for the program, and around it everything that the program must not reach.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use remit_confine::{Ended, LAUNCH, Launcher, Layers, Network, Order, Policy};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

pub(crate) struct World {
    /// The folder that the program may change.
    pub(crate) folder: PathBuf,
    /// A folder that it must not reach.
    pub(crate) outside: PathBuf,
    port: u16,
    abstract_name: String,
    neighbour: Child,
    _listeners: (TcpListener, UnixListener, UnixListener),
    _dir: TempDir,
}

pub(crate) fn launcher() -> Launcher {
    Launcher { program: std::env::current_exe().unwrap(), args: vec![LAUNCH.into()] }
}

pub(crate) fn succeeded(ended: &Ended) -> bool {
    matches!(ended, Ended::Exited(status) if status.success())
}

impl World {
    pub(crate) fn make() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap();
        let (folder, outside) = (top.join("folder"), top.join("outside"));
        fs::create_dir(&folder).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("key"), "the key").unwrap();
        symlink(outside.join("key"), folder.join("planted")).unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let unix = UnixListener::bind(outside.join("socket")).unwrap();
        let abstract_name = format!("remit-escapes-{}", top.display());
        let address = SocketAddr::from_abstract_name(&abstract_name).unwrap();
        let named = UnixListener::bind_addr(&address).unwrap();
        let neighbour = Command::new("/bin/sleep")
            .arg("600")
            .env("SECRET", "the secret")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let port = tcp.local_addr().unwrap().port();
        let listeners = (tcp, unix, named);
        Self { folder, outside, port, abstract_name, neighbour, _listeners: listeners, _dir: dir }
    }

    pub(crate) fn policy(&self) -> Policy {
        Policy::in_folder(&self.folder)
    }

    pub(crate) fn order(
        &self,
        policy: Policy,
        layers: &Layers,
        program: &Path,
        args: &[&str],
    ) -> Order {
        let metadata = fs::metadata(&self.folder).unwrap();
        let facts = [
            ("FOLDER", self.folder.display().to_string()),
            ("OUTSIDE", self.outside.display().to_string()),
            ("PORT", self.port.to_string()),
            ("ABSTRACT", self.abstract_name.clone()),
            ("NEIGHBOUR", self.neighbour.id().to_string()),
            ("NODE", std::process::id().to_string()),
        ];
        Order {
            policy,
            layers: layers.clone(),
            program: program.to_owned(),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            dir: self.folder.clone(),
            dir_id: (metadata.dev(), metadata.ino()),
            env: BTreeMap::from(facts.map(|(name, value)| (name.to_owned(), value))),
        }
    }

    /// Runs a program to its end. Returns its end, output and errors.
    pub(crate) async fn run(
        &self,
        policy: Policy,
        layers: &Layers,
        program: &str,
        args: &[&str],
        stdin: &str,
    ) -> (io::Result<Ended>, String, String) {
        let order = self.order(policy, layers, Path::new(program), args);
        let mut child = launcher().start(order).unwrap();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let mut feed = child.stdin.take().unwrap();
        feed.write_all(stdin.as_bytes()).await.unwrap();
        drop(feed);
        let read = async {
            // The end of both streams shows that no process is left that could write to them.
            let _ends = tokio::join!(stdout.read_to_end(&mut out), stderr.read_to_end(&mut err));
        };
        let (ended, ()) = tokio::join!(child.ended(), read);
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        (ended, text(out), text(err))
    }

    /// Runs this program inside, with the name of one thing to do.
    pub(crate) async fn run_inside(
        &self,
        policy: Policy,
        layers: &Layers,
        what: &str,
    ) -> (io::Result<Ended>, String, String) {
        let program = std::env::current_exe().unwrap();
        self.run(policy, layers, program.to_str().unwrap(), &["inside", what], "").await
    }

    /// Tries every escape. Each comes with the reason for its refusal, or `None` if it succeeded.
    pub(crate) async fn try_escapes(&self, layers: &Layers) -> Vec<(String, Option<String>)> {
        let policy = Policy { network: Network::None, ..self.policy() };
        fs::write(self.outside.join("removed"), "").unwrap();
        let (ended, out, err) = self.run_inside(policy, layers, "escapes").await;
        let tried: Vec<_> = out
            .lines()
            .filter_map(|line| line.split_once('\t'))
            .map(|(name, how)| (name.to_owned(), (how != "it succeeded").then(|| how.to_owned())))
            .collect();
        assert!(!tried.is_empty(), "{ended:?} {err}");
        tried
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _gone = self.neighbour.kill();
        let _gone = self.neighbour.wait();
    }
}
