//! Sturdy references stored beside the client's credential, for another process of the same client.
//! They are files that only their owner may read; a process that can read this folder can use the
//! credential anyway.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::client::Client;
use crate::error::Error;
use crate::limits;
use crate::refs::Reference;

const ENDING: &str = ".ref";

/// The folder of the stored references.
struct Folder(PathBuf);

impl Client {
    /// Stores a reference under a name, in the folder of the client's credential, readable by its
    /// owner only. It replaces a reference of the same name, and is on disk on return. `name`: 1 to
    /// 64 letters, digits, `-`, `_` and `.`, not `.` first.
    ///
    /// ```no_run
    /// # async fn example(mesh: remit_client::Client, task: remit_client::TaskHandle) -> Result<(), remit_client::Error> {
    /// use remit_client::RefSpec;
    ///
    /// mesh.keep("nightly", &task.save(RefSpec::new("nightly run")).await?)?;
    /// // Tomorrow, in another process:
    /// if let Some(reference) = mesh.kept("nightly")? {
    ///     let task = mesh.restore(&reference).await?.into_task()?;
    ///     println!("{}", task.info().await?.status);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] if the name is not allowed, or the client has no folder, or the folder
    /// cannot be written.
    pub fn keep(&self, name: &str, reference: &Reference) -> Result<(), Error> {
        self.folder()?.keep(name, reference)
    }

    /// Reads the reference stored under this name; `None`: there is none.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the client has no folder, or the file cannot be read.
    pub fn kept(&self, name: &str) -> Result<Option<Reference>, Error> {
        self.folder()?.get(name)
    }

    /// Lists the names of all stored references, in order.
    ///
    /// # Errors
    /// As for [`kept`](Self::kept).
    pub fn kept_names(&self) -> Result<Vec<String>, Error> {
        self.folder()?.names()
    }

    /// Deletes the stored reference of this name. The reference itself stays valid:
    /// [`revoke_ref`](Self::revoke_ref) revokes it.
    ///
    /// # Errors
    /// As for [`keep`](Self::keep).
    pub fn forget(&self, name: &str) -> Result<(), Error> {
        self.folder()?.forget(name)
    }

    fn folder(&self) -> Result<Folder, Error> {
        let none =
            || Error::Invalid("a client whose credential is in no folder keeps nothing".into());
        self.home().map(|home| Folder(home.join("refs"))).ok_or_else(none)
    }
}

impl Folder {
    fn path(&self, name: &str) -> Result<PathBuf, Error> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if name.is_empty()
            || name.len() > limits::KEPT_NAME_BYTES
            || name.starts_with('.')
            || !name.chars().all(fits)
        {
            return Err(Error::Invalid(format!(
                "`{}` is no name for a reference: give 1 to {} letters, digits, `-`, `_` or `.`",
                name.chars().take(40).collect::<String>(),
                limits::KEPT_NAME_BYTES
            )));
        }
        Ok(self.0.join(format!("{name}{ENDING}")))
    }

    fn keep(&self, name: &str, reference: &Reference) -> Result<(), Error> {
        let path = self.path(name)?;
        let written = || {
            DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
            // Written under another name and renamed, so that a crash leaves the old file or the
            // new one.
            let part = path.with_extension("part");
            let mut options = File::options();
            let mut file =
                options.create(true).truncate(true).write(true).mode(0o600).open(&part)?;
            writeln!(file, "{}", reference.to_line())?;
            file.sync_all()?;
            fs::rename(&part, &path)?;
            File::open(&self.0)?.sync_all()
        };
        written().map_err(|error: io::Error| self.fault("written", &path, &error))
    }

    fn get(&self, name: &str) -> Result<Option<Reference>, Error> {
        let path = self.path(name)?;
        let line = match fs::read_to_string(&path) {
            Ok(line) => line,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.fault("read", &path, &error)),
        };
        let read = line.parse::<Reference>();
        read.map(Some).map_err(|not| Error::Invalid(format!("{}: {not}", path.display())))
    }

    fn names(&self) -> Result<Vec<String>, Error> {
        let entries = match fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(self.fault("read", &self.0, &error)),
        };
        let named = |entry: io::Result<fs::DirEntry>| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            name.strip_suffix(ENDING).map(str::to_owned)
        };
        let mut names: Vec<String> = entries.filter_map(named).collect();
        names.sort();
        Ok(names)
    }

    fn forget(&self, name: &str) -> Result<(), Error> {
        let path = self.path(name)?;
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(self.fault("removed", &path, &error))
            }
            _ => Ok(()),
        }
    }

    fn fault(&self, what: &str, path: &Path, error: &io::Error) -> Error {
        Error::Invalid(format!("{} cannot be {what}: {error}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use remit_core::reference::{Home, HostKey};

    use super::*;

    fn reference(secret: u8) -> Reference {
        let home = Home { mesh: "home".into(), tenant: "default".into(), address: "a:1".into() };
        Reference::issue(&HostKey::new([1; 32]), home, [secret; 32]).unwrap()
    }

    #[test]
    fn what_is_kept_is_there_for_another_process_of_its_owner_and_nobody_else() {
        let dir = tempfile::tempdir().unwrap();
        let folder = || Folder(dir.path().join("refs"));
        assert_eq!(folder().names().unwrap(), Vec::<String>::new());
        assert_eq!(folder().get("build").unwrap(), None);
        folder().keep("build", &reference(1)).unwrap();
        folder().keep("b-2.x", &reference(2)).unwrap();
        folder().keep("build", &reference(3)).unwrap();
        assert_eq!(folder().get("build").unwrap(), Some(reference(3)));
        assert_eq!(folder().names().unwrap(), ["b-2.x", "build"]);
        let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(dir.path().join("refs/build.ref")), 0o600);
        assert_eq!(mode(dir.path().join("refs")), 0o700);
        folder().forget("build").unwrap();
        folder().forget("build").unwrap();
        assert_eq!(folder().names().unwrap(), ["b-2.x"]);
    }

    #[test]
    fn name_that_leads_elsewhere_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder(dir.path().to_owned());
        for name in ["", "..", "../x", "a/b", ".hidden", "ü", &"x".repeat(65)] {
            assert!(folder.keep(name, &reference(1)).is_err(), "{name}");
            assert!(folder.get(name).is_err() && folder.forget(name).is_err(), "{name}");
        }
        fs::write(dir.path().join("bad.ref"), "remit:secret!").unwrap();
        let said = folder.get("bad").unwrap_err().to_string();
        assert!(said.contains("bad.ref") && !said.contains("secret"), "{said}");
    }
}
