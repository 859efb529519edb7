//! The interfaces that a tool node implements, one file each: read, decide, write.

pub(crate) mod direct;
pub(crate) mod host;
pub(crate) mod object;
pub(crate) mod registration;
pub(crate) mod state;

#[cfg(test)]
mod tests;
