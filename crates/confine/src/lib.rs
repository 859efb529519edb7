//! Runs a program with the files, the network and the resources that it was given, and no more.
//!
//! For: whatever a node starts on behalf of an agent. A node never forks by itself: it starts its
//! own executable once more as a *launcher* ([`launch`]), a process with one thread, which makes the
//! namespaces and the program's root folder, starts the program below them, watches what it uses,
//! and ends all of it. Not for: deciding what a program may reach, which is the operator's
//! configuration, nor for the worker of a script, which starts no program.
//! Beside it, [`give_up`]: what every process of a mesh lets go of when it starts.

mod calls;
pub mod child;
mod init;
mod launcher;
mod layers;
pub mod limits;
mod messages;
mod paths;
mod policy;
mod privileges;
mod program;
mod root;
mod sys;
mod watch;

pub use child::{Child, Ended, Launcher, Order};
pub use launcher::{LAUNCH, launch};
pub use layers::{Layer, Layers};
pub use policy::{Bounds, Network, PROXY, Policy};
pub use privileges::{Duty, give_up};
