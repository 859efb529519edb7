//! What must fail, one file per property, over both transports.

mod audited;
mod forge;
mod manifest_changed;
mod use_after_revoke;
