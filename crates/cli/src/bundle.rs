//! Bundling: a script, and the files of its own that it imports, as one submission.

mod imports;

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

use remit_client::SourceFile;

use crate::fault::{Fault, doing};
use crate::limits;

/// A script with all that it imports.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Bundle {
    /// The files, with paths seen from the bundle's root.
    pub(crate) files: Vec<SourceFile>,
    /// The one among them that is run.
    pub(crate) entry: String,
}

/// Bundles the script at `entry` with what it imports from below `root`, by default its own folder.
pub(crate) fn bundle(entry: &Path, root: Option<&Path>) -> Result<Bundle, Fault> {
    let real = |path: &Path| {
        path.canonicalize().map_err(|error| {
            Fault::Usage(format!("the script {} cannot be read: {error}", path.display()))
        })
    };
    let entry = real(entry)?;
    let root = match root {
        Some(root) => real(root)?,
        None => entry.parent().map(Path::to_owned).unwrap_or_default(),
    };
    let mut bundler = Bundler { root, files: BTreeMap::new(), bytes: 0 };
    let entry = bundler.place(&entry).ok_or_else(|| {
        let (entry, root) = (entry.display(), bundler.root.display());
        Fault::Usage(format!("the script {entry} is not below {root}: choose another --root"))
    })?;
    bundler.take_all(&entry)?;
    let files = bundler.files.into_iter().map(|(path, text)| SourceFile { path, text }).collect();
    Ok(Bundle { files, entry })
}

struct Bundler {
    /// Canonical.
    root: PathBuf,
    files: BTreeMap<String, String>,
    bytes: usize,
}

impl Bundler {
    /// A canonical path as seen from the root, if it is below.
    fn place(&self, path: &Path) -> Option<String> {
        let below = path.strip_prefix(&self.root).ok()?;
        let parts: Option<Vec<&str>> = below.iter().map(|part| part.to_str()).collect();
        parts.map(|parts| parts.join("/"))
    }

    fn take_all(&mut self, entry: &str) -> Result<(), Fault> {
        let mut waiting = VecDeque::from([entry.to_owned()]);
        while let Some(path) = waiting.pop_front() {
            if self.files.contains_key(&path) {
                continue;
            }
            let text = self.read(&path)?;
            for import in imports::of(&text) {
                if import.starts_with("./") || import.starts_with("../") {
                    waiting.push_back(self.resolve(&path, &import)?);
                }
            }
            self.files.insert(path, text);
        }
        Ok(())
    }

    fn read(&mut self, path: &str) -> Result<String, Fault> {
        let shown = self.root.join(path);
        let text = std::fs::read_to_string(&shown)
            .map_err(doing(format_args!("{} cannot be read", shown.display())))?;
        self.bytes += text.len();
        if self.files.len() == limits::BUNDLE_FILES || self.bytes > limits::BUNDLE_BYTES {
            return Err(Fault::Usage(format!(
                "the script and what it imports are more than {} files or {} MiB: bundle it into \
                 one file first",
                limits::BUNDLE_FILES,
                limits::BUNDLE_BYTES >> 20
            )));
        }
        Ok(text)
    }

    /// Where `import`, written in the file `from`, leads. The names are those that the agent node
    /// will look for, so a link keeps its own; but no link may lead out of the root.
    fn resolve(&self, from: &str, import: &str) -> Result<String, Fault> {
        let outside = || {
            Fault::Usage(format!(
                "`{from}` imports `{import}`, which is outside {}: give --root a folder that holds \
                 both",
                self.root.display()
            ))
        };
        let asked = join(from, import).ok_or_else(outside)?;
        let found = candidates(&asked).into_iter().find(|path| self.root.join(path).is_file());
        let found = found.ok_or_else(|| {
            Fault::Usage(format!(
                "`{from}` imports `{import}`, and there is no file {}",
                self.root.join(&asked).display()
            ))
        })?;
        let real = self.root.join(&found).canonicalize();
        let real = real.map_err(doing(format_args!("`{found}` cannot be read")))?;
        if self.place(&real).is_none() {
            return Err(outside());
        }
        Ok(found)
    }
}

/// The path that `import` means in the file `from`, unless it leads out of the root.
fn join(from: &str, import: &str) -> Option<String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in import.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// What an import may mean, in the order in which the agent node tries it.
fn candidates(asked: &str) -> Vec<String> {
    let mut paths = vec![
        asked.to_owned(),
        format!("{asked}.ts"),
        format!("{asked}.js"),
        format!("{asked}/index.ts"),
    ];
    // TypeScript lets a file import `./x.js` and mean `./x.ts`.
    paths.extend(asked.strip_suffix(".js").map(|stem| format!("{stem}.ts")));
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        dir
    }

    fn paths(bundle: &Bundle) -> Vec<&str> {
        bundle.files.iter().map(|file| file.path.as_str()).collect()
    }

    #[test]
    fn a_script_takes_along_what_it_imports() {
        let dir = folder(&[
            ("main.ts", "import { a } from './lib/a';\nimport './b.js';"),
            ("lib/a.ts", "export { c } from '../c.ts';"),
            ("b.ts", "import a from './lib/a.ts'; // a ring is no trouble\nimport './main.ts'"),
            ("c.ts", "export const c = 1;"),
            ("unused.ts", ""),
        ]);
        let bundle = bundle(&dir.path().join("main.ts"), None).unwrap();
        assert_eq!(bundle.entry, "main.ts");
        assert_eq!(paths(&bundle), ["b.ts", "c.ts", "lib/a.ts", "main.ts"]);
    }

    #[test]
    fn the_root_can_be_a_folder_further_up() {
        let dir = folder(&[("jobs/main.ts", "import '../lib/a.ts'"), ("lib/a.ts", "")]);
        let entry = dir.path().join("jobs/main.ts");
        let error = bundle(&entry, None).unwrap_err();
        assert!(error.to_string().contains("--root"), "{error}");
        let bundle = bundle(&entry, Some(dir.path())).unwrap();
        assert_eq!(bundle.entry, "jobs/main.ts");
        assert_eq!(paths(&bundle), ["jobs/main.ts", "lib/a.ts"]);
    }

    #[test]
    fn a_link_that_leaves_the_root_is_refused() {
        let dir = folder(&[("in/main.ts", "import './out.ts'"), ("secret.ts", "")]);
        let link = dir.path().join("in/out.ts");
        std::os::unix::fs::symlink(dir.path().join("secret.ts"), link).unwrap();
        assert!(bundle(&dir.path().join("in/main.ts"), None).is_err());
    }

    #[test]
    fn a_link_within_the_root_keeps_its_name() {
        let dir = folder(&[("main.ts", "import './alias'"), ("real.ts", "")]);
        std::os::unix::fs::symlink("real.ts", dir.path().join("alias.ts")).unwrap();
        let bundle = bundle(&dir.path().join("main.ts"), None).unwrap();
        assert_eq!(paths(&bundle), ["alias.ts", "main.ts"]);
    }

    #[test]
    fn what_is_missing_or_too_much_is_refused() {
        let dir = folder(&[("main.ts", "import './gone.ts'")]);
        let error = bundle(&dir.path().join("main.ts"), None).unwrap_err();
        assert!(error.to_string().contains("./gone.ts"), "{error}");
        assert!(bundle(&dir.path().join("none.ts"), None).is_err());
        let big = folder(&[("main.ts", &"x".repeat(limits::BUNDLE_BYTES + 1))]);
        assert!(bundle(&big.path().join("main.ts"), None).is_err());
    }
}
