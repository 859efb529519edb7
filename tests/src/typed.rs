//! The command line, as a person who joined a mesh uses it.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use remit_client::{Facets, Invite, Role};

use crate::binary;
use crate::mesh::Mesh;

/// A person with a credential of their own, for one mesh.
pub struct Typed {
    home: PathBuf,
    address: String,
    name: String,
}

impl Typed {
    /// A person called `typist` with every permission.
    pub async fn new(mesh: &Mesh) -> Self {
        Self::with(mesh, "typist", Facets::ALL).await
    }

    /// A person called `name` with the permissions of a plain member.
    pub async fn named(mesh: &Mesh, name: &str) -> Self {
        Self::with(mesh, name, Facets::MEMBER).await
    }

    /// A person called `name` with the permissions `may`.
    pub async fn with(mesh: &Mesh, name: &str, may: Facets) -> Self {
        let home = mesh.dir().join(format!("home-{name}"));
        let invite = Invite { may, ..Invite::new(Role::Client, name) };
        let line = mesh.client.invite_as(&invite).await.unwrap();
        let typed = Self { home, address: mesh.address().to_owned(), name: name.to_owned() };
        let joined = typed.command(&["join", &line]).output().unwrap();
        assert!(joined.status.success(), "{joined:?}");
        typed
    }

    /// The folder with their credential.
    pub fn home(&self) -> &std::path::Path {
        &self.home
    }

    /// The person's SPIFFE identity.
    pub fn identity(&self) -> String {
        format!("spiffe://home/default/client/{}", self.name)
    }

    /// A command, not started yet.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary::remit());
        command.arg("--home").arg(&self.home);
        if args[0] != "join" {
            command.args(["--mesh", &self.address]);
        }
        command.args(args);
        command
    }

    /// The output of a command, which may fail.
    pub async fn output(&self, args: &[&str]) -> Output {
        let mut command = self.command(args);
        tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap()
    }

    /// Standard output and standard error of a command that must succeed.
    pub async fn run(&self, args: &[&str]) -> (String, String) {
        let output = self.output(args).await;
        assert!(output.status.success(), "{args:?}: {output:?}");
        (text(output.stdout), text(output.stderr))
    }

    /// Standard error of a command that must fail.
    pub async fn fail(&self, args: &[&str]) -> String {
        let output = self.output(args).await;
        assert!(!output.status.success(), "{args:?}: {output:?}");
        text(output.stderr)
    }

    /// Starts a command in the background, with its output piped.
    pub fn start(&self, args: &[&str]) -> Child {
        let mut command = self.command(args);
        let (out, err) = (Stdio::piped(), Stdio::piped());
        command.stdin(Stdio::null()).stdout(out).stderr(err).spawn().unwrap()
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap().trim().to_owned()
}
