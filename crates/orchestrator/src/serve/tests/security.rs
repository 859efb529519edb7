//! What must fail, one file per property, over both transports.

mod audited;
mod callback;
mod dishonest_tool;
mod forge;
mod manifest_changed;
mod use_after_revoke;
mod widen;
