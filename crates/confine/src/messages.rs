//! What a node and its launcher tell each other: one order, with a file, and one report, as a line.

use std::io::{self, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use serde::{Deserialize, Serialize};

use crate::child::Order;
use crate::layers::Layers;

/// What a launcher is to do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Task {
    /// Run a program.
    Run(Box<Order>),
    /// Find out which layers there are.
    Probe,
}

/// What became of it. The first report counts.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// The program ended, with this status of `wait`.
    Ended(i32),
    /// The program never began.
    NotStarted(String),
    /// It was killed at a bound, which is said in words: "used more than ...".
    Killed(String),
    /// The layers of this machine.
    Layers(Layers),
}

impl Report {
    /// Tells the node. Nothing is lost if it is gone.
    pub(crate) fn send(&self, mut node: &UnixStream) {
        if let Ok(mut line) = serde_json::to_vec(self) {
            line.push(b'\n');
            let _gone = node.write_all(&line);
        }
    }

    /// Reads the first report of all that a launcher said.
    pub(crate) fn first(said: &[u8]) -> Option<Self> {
        serde_json::from_slice(said.split(|byte| *byte == b'\n').next()?).ok()
    }
}

/// Hands `files` over to the process at the other end.
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

/// Takes the files that [`send_files`] handed over. One byte comes with them; without files it is the
/// first of a report, and `None` is the end of all.
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
