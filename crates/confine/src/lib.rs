//! Runs a program with the files, the network and the resources that it was given, and no more.
//!
//! For: every program that a node starts on behalf of an agent. A node never forks by itself. It
//! starts its own executable again as a *launcher* ([`launch`]), a process with one thread. The
//! launcher makes the namespaces and the program's root folder, starts the program in them, watches
//! its use of resources, and ends all of its processes. Not for: deciding what a program may reach,
//! which the operator configures, nor for the worker of a script, which starts no program. Also
//! here is [`give_up`], which drops the privileges that a process of a mesh does not need when it
//! starts.

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
