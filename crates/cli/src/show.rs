//! What people see: colours, lines, tables, and a spinner while a call is out.

pub(crate) mod event;
pub(crate) mod json;
pub(crate) mod listed;
mod lookalike;
pub(crate) mod out;
pub(crate) mod paint;
pub(crate) mod question;
pub(crate) mod screen;
pub(crate) mod table;
pub(crate) mod text;
pub(crate) mod tree;
