//! A program in a terminal of 80 columns without colour, as a person sees it.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// How wide the terminal is, in cells.
pub const COLUMNS: u16 = 80;

/// The key that interrupts a program.
const CTRL_C: &[u8] = b"\x03";

/// A program in a terminal. Dropping it kills the program.
pub struct Terminal {
    child: Child,
    keyboard: File,
    seen: String,
}

impl Terminal {
    /// Starts `command` with its standard streams on a terminal of its own.
    pub fn start(command: &Command) -> Self {
        let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&keyboard).unwrap();
        unlockpt(&keyboard).unwrap();
        let name = ptsname(&keyboard, Vec::new()).unwrap();
        let screen = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let size = Winsize { ws_row: 24, ws_col: COLUMNS, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&screen, size).unwrap();
        let copy = || Stdio::from(OwnedFd::from(screen.try_clone().unwrap()));
        // Keys such as Ctrl-C reach only the session whose controlling terminal this is.
        let mut session = Command::new("setsid");
        session.args(["--ctty", "--wait"]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => session.env(name, value),
                None => session.env_remove(name),
            };
        }
        session.env("NO_COLOR", "1").env("TERM", "xterm");
        let child = session.stdin(copy()).stdout(copy()).stderr(copy()).spawn().unwrap();
        Self { child, keyboard: File::from(keyboard), seen: String::new() }
    }

    /// Reads until `wanted` appears, and returns all text shown so far.
    pub fn until(&mut self, wanted: &str) -> &str {
        while !self.seen.contains(wanted) {
            assert!(self.read(), "never shown: {wanted}; shown was: {}", self.seen);
        }
        &self.seen
    }

    /// Types Ctrl-C.
    pub fn interrupt(&mut self) {
        self.keyboard.write_all(CTRL_C).unwrap();
    }

    /// Waits for the end, and returns all text shown and the exit status.
    pub fn ended(mut self) -> (String, ExitStatus) {
        while self.read() {}
        let status = self.child.wait().unwrap();
        (std::mem::take(&mut self.seen), status)
    }

    /// Reads the next output. Returns `false` once the program has ended.
    fn read(&mut self) -> bool {
        let mut bytes = [0; 4096];
        match self.keyboard.read(&mut bytes) {
            Ok(count) if count > 0 => {
                self.seen.push_str(&String::from_utf8_lossy(&bytes[..count]));
                true
            }
            // The last program with the terminal open has closed it.
            _ => false,
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // The program may have ended by itself.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}
