//! The channel through which an agent node hands sockets to a worker process, which cannot make a
//! connection of its own.

use std::cell::Cell;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream as Socket;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use tokio::io::Interest;
use tokio::net::UnixStream;

use crate::limits;

/// The agent node's side of the channel.
pub struct DirectChannel {
    socket: Socket,
    handed_in: Cell<usize>,
}

impl DirectChannel {
    /// A channel, as this side and the worker's descriptor.
    pub(crate) fn pair() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = Socket::pair()?;
        ours.set_nonblocking(true)?;
        Ok((Self { socket: ours, handed_in: Cell::new(0) }, theirs.into()))
    }

    /// Hands in a socket under `number`. Fails beyond [`limits::DIRECT_PATHS`] sockets.
    pub fn hand_in(&self, number: u32, socket: &OwnedFd) -> io::Result<()> {
        if self.handed_in.get() >= limits::DIRECT_PATHS {
            let why = format!("an attempt has at most {} direct paths", limits::DIRECT_PATHS);
            return Err(io::Error::other(why));
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let handed = [socket.as_fd()];
        if !control.push(SendAncillaryMessage::ScmRights(&handed)) {
            return Err(io::Error::other("no room for a descriptor"));
        }
        let number = number.to_be_bytes();
        // NOSIGNAL: writing to a worker that is gone must not end the node.
        sendmsg(&self.socket, &[IoSlice::new(&number)], &mut control, SendFlags::NOSIGNAL)?;
        self.handed_in.set(self.handed_in.get() + 1);
        Ok(())
    }
}

/// On the worker's side, waits for the next socket and its number. `None`: the agent node is gone.
pub(crate) async fn next(direct_channel: &UnixStream) -> io::Result<Option<(u32, UnixStream)>> {
    let received = direct_channel.async_io(Interest::READABLE, || {
        let mut number = [0; 4];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let into = &mut [IoSliceMut::new(&mut number)];
        let read = recvmsg(direct_channel, into, &mut control, RecvFlags::CMSG_CLOEXEC)?.bytes;
        let handed = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        });
        Ok((read, u32::from_be_bytes(number), handed))
    });
    match received.await? {
        (4, number, Some(socket)) => {
            let socket = Socket::from(socket);
            socket.set_nonblocking(true)?;
            Ok(Some((number, UnixStream::from_std(socket)?)))
        }
        _ => Ok(None),
    }
}
