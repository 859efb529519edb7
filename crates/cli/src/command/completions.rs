//! `remit completions`: what a shell needs to complete the command line.

use clap::{Args, ValueEnum};
use clap_complete::env::Shells;

use crate::complete::ASKED;
use crate::fault::{Fault, doing};
use crate::show::out;

/// Print what makes a shell complete this program's command line, with the names of tasks and tools
///
/// For example, in ~/.bashrc: source <(remit completions bash). The shell asks the program at each
/// completion; names come from a mesh that runs, and none is started.
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// Which shell
    shell: Shell,
}

/// The shells for which there are completions.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Elvish,
    Fish,
    Powershell,
    Zsh,
}

impl Shell {
    const fn name(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Elvish => "elvish",
            Self::Fish => "fish",
            Self::Powershell => "powershell",
            Self::Zsh => "zsh",
        }
    }
}

impl Completions {
    pub(super) fn execute(self) -> Result<(), Fault> {
        let name = self.shell.name();
        let shells = Shells::builtins();
        let completer = shells
            .completer(name)
            .ok_or_else(|| Fault::Failed(format!("there are no completions for {name}")))?;
        let mut script = Vec::new();
        completer
            .write_registration(ASKED, "remit", "remit", "remit", &mut script)
            .map_err(doing("the completions cannot be written"))?;
        out::raw(String::from_utf8_lossy(&script).trim_end())
    }
}
