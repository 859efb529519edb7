//! `remit completions`: what a shell needs to complete the command line.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::Line;
use crate::fault::Fault;
use crate::show::out;

/// Print completions for a shell, for example: remit completions bash > ~/.bash_completion
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// Which shell
    shell: Shell,
}

impl Completions {
    pub(super) fn execute(self) -> Result<(), Fault> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Line::command(), "remit", &mut script);
        out::raw(String::from_utf8_lossy(&script).trim_end())
    }
}
