//! Chaos: a busy mesh, random faults from a seed, and at the end a comparison of the tools' effects
//! with the journals.

pub mod audit;
pub mod faults;
pub mod load;
pub mod person;
