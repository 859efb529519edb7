//! End to end: a mesh of real processes on loopback, one file per subject.
//!
//! One program, so that it is linked once, and so that a test that waits lets another one run.

mod approvals;
mod authority;
mod budgets;
mod caveats;
mod commands;
mod completion;
mod control;
mod crash;
mod deploy;
mod direct;
mod disk;
mod hijacked;
mod idle;
mod keys;
mod ledger;
mod listing;
mod nodes;
mod notifications;
mod operator;
mod order;
mod people;
mod pinning;
mod refs;
mod refusals;
mod rolling;
mod run_detached;
mod slow_readers;
mod terminal;
mod webhooks;
