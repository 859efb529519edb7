//! What must fail, one file per property, over both transports.

mod manifest_changed;
