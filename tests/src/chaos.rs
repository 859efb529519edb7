//! Chaos: a busy mesh, faults at random from a seed, and in the end a comparison of what the tools
//! really did with what the journals say.

pub mod audit;
pub mod faults;
pub mod load;
pub mod person;
