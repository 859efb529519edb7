//! The inside of the client's vat: the connection, the calls on it, and the objects that the mesh
//! calls back. All of it is private to the crate.

pub(crate) mod admin;
pub(crate) mod authority;
pub(crate) mod callback;
pub(crate) mod dial;
pub(crate) mod facets;
#[cfg(test)]
mod fake;
pub(crate) mod follow;
pub(crate) mod members;
pub(crate) mod mesh;
pub(crate) mod nodes;
pub(crate) mod object;
pub(crate) mod questions;
pub(crate) mod read;
pub(crate) mod refs;
pub(crate) mod restored;
pub(crate) mod session;
pub(crate) mod task;
#[cfg(test)]
mod tests;
pub(crate) mod triggers;
pub(crate) mod write;
