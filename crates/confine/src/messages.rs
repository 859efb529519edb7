//! The messages between a node and its launcher: one task, as a file, and one report, as a line.

use std::io::{self, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use serde::{Deserialize, Serialize};

use crate::child::Order;
use crate::layers::Layers;

/// The task of a launcher.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Task {
    /// Run a program.
    Run(Box<Order>),
    /// Find out which layers there are.
    Probe,
}

/// The result of the task. Only the first report counts.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// The program ended with this status of `wait`.
    Ended(i32),
    /// The program never began.
    NotStarted(String),
    /// The program was killed at a bound. The text is: "it used more than ...".
    Killed(String),
    /// The layers of this machine.
    Layers(Layers),
}

impl Report {
    /// Sends the report to the node. A node that is gone needs none.
    pub(crate) fn send(&self, mut node: &UnixStream) {
        if let Ok(mut line) = serde_json::to_vec(self) {
            line.push(b'\n');
            let _gone = node.write_all(&line);
        }
    }

    /// Reads the first report from everything that a launcher sent.
    pub(crate) fn first(said: &[u8]) -> Option<Self> {
        serde_json::from_slice(said.split(|byte| *byte == b'\n').next()?).ok()
    }
}

/// Hands `files` to the process at the other end.
pub(crate) fn send_files(to: &UnixStream, files: &[&OwnedFd]) -> io::Result<()> {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    let files: Vec<_> = files.iter().map(|file| file.as_fd()).collect();
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !ancillary.push(SendAncillaryMessage::ScmRights(&files)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    sendmsg(to, &[io::IoSlice::new(&[0])], &mut ancillary, SendFlags::empty())?;
    Ok(())
}

/// Receives the files that [`send_files`] sent, with one byte. Without files, the byte is the first
/// of a report. `None`: the stream has ended.
pub(crate) fn receive_files(from: impl AsFd) -> io::Result<(Option<u8>, Vec<OwnedFd>)> {
    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let mut into = [io::IoSliceMut::new(&mut byte)];
    let read = recvmsg(from, &mut into, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?.bytes;
    let mut files = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            files.extend(rights);
        }
    }
    Ok(((read > 0).then_some(byte[0]), files))
}
