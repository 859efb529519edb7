//! Files that only their owner may read.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

/// Makes `dir`, and the missing folders above it, with mode 0700.
pub fn make_private_dir(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Writes a file with mode 0600. It replaces the old file atomically and durably. A missing folder
/// is made with mode 0700.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        make_private_dir(dir)?;
    }
    let fresh = path.with_extension("new");
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // A new file has its mode from the start, and `create_new` follows no link.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    // The rename is durable once the folder is synced.
    match path.parent() {
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

/// Checks that files can be written to `dir`, which is made with mode 0700 if it is missing. For
/// use before something single-use is spent on what the folder will keep.
pub fn check_writable(dir: &Path) -> io::Result<()> {
    let trial = dir.join("trial");
    let named = |error: io::Error| {
        io::Error::new(error.kind(), format!("{} cannot be written: {error}", dir.display()))
    };
    write_private(&trial, b"").and_then(|()| fs::remove_file(&trial)).map_err(named)
}

/// Refuses a key file that others than its owner can read.
pub fn check_private(path: &Path) -> io::Result<()> {
    let mode = fs::metadata(path)?.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        format!(
            "{0} has mode {mode:03o}, so others can read the key: chmod 600 {0}",
            path.display()
        ),
    ))
}
