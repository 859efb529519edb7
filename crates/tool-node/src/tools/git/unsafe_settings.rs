//! The one place that changes libgit2's settings, which are global: nothing outside a repository
//! is read.

use std::sync::OnceLock;

use git2::ConfigLevel;

static ISOLATED: OnceLock<Result<(), String>> = OnceLock::new();

/// Takes the machine's and the user's git configuration out of play, for the whole process.
pub(super) fn isolate() -> Result<(), String> {
    ISOLATED.get_or_init(|| settle().map_err(|error| error.message().to_owned())).clone()
}

fn settle() -> Result<(), git2::Error> {
    let levels =
        [ConfigLevel::System, ConfigLevel::Global, ConfigLevel::XDG, ConfigLevel::ProgramData];
    for level in levels {
        // SAFETY: called once, before this process opens its first repository.
        unsafe { git2::opts::set_search_path(level, "")? };
    }
    // The owner of a directory is no argument: its operator named it, and nothing in it is run.
    // SAFETY: as above.
    unsafe { git2::opts::set_verify_owner_validation(false) }
}
