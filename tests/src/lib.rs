//! What the end to end tests and the benchmarks share: a mesh of real processes on loopback.
//!
//! Every process is a child of the test that started it, ends with it, and is stopped by its id.

pub mod binary;
pub mod mesh;
pub mod process;
pub mod relay;
