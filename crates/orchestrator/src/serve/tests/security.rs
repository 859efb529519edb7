//! What must fail, one file per property, over both transports.

mod another_family;
mod approval;
mod audited;
mod bent_back;
mod budget;
mod bulk;
mod callback;
mod detached;
mod direct;
mod dishonest_tool;
mod expiry;
mod forge;
mod leaving_a_folder;
mod manifest_changed;
mod obtained_before;
mod replay;
mod sibling;
mod spokesman;
mod unwritten;
mod use_after_revoke;
mod widen;
