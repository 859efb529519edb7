//! The remit program: its start-up, from arguments to exit code.

mod bundle;
mod clock;
mod command;
mod complete;
mod config;
mod declare;
mod embedded;
mod fault;
mod follow;
mod grants;
mod home;
mod limits;
mod look;
mod memory;
mod mesh;
mod show;
mod store;
mod tools;

use std::process::ExitCode;

use clap::Parser as _;

use crate::command::Line;
use crate::config::Settings;

fn main() -> ExitCode {
    // A launcher of confined programs, which a node starts, reads no environment and writes no log.
    if std::env::args_os().nth(1).is_some_and(|first| first == remit_confine::LAUNCH) {
        return remit_confine::launch();
    }
    memory::give_back_large_blocks();
    if let Some(code) = complete::requested() {
        return code;
    }
    let settings = Settings::read();
    let line = Line::parse();
    settings.start_logging(line.kind());
    // Before there is a second thread, which would keep what this one gives up.
    if let Err(error) = remit_confine::give_up(line.duty()) {
        show::out::note(&format!("remit: privileges could not be given up: {error}"));
        return ExitCode::FAILURE;
    }
    match settings.arm().and_then(|()| line.execute(&settings)) {
        Ok(code) => code,
        Err(fault) => {
            if let Some(message) = fault.message() {
                show::out::note(&format!("remit: {message}"));
            }
            fault.code()
        }
    }
}
