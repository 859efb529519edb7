//! Which nodes there are, and which of them an attempt or a call goes to.

pub mod placement;
pub mod registry;
