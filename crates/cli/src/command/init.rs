//! `remit init`: a folder with a script, its grants and its types.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use clap_complete::engine::ArgValueCompleter;

use super::types::declarations;
use crate::clock::now_ms;
use crate::complete;
use crate::fault::{Fault, doing};
use crate::grants;
use crate::mesh::Place;
use crate::show::out;
use crate::show::question::quoted;

/// What is granted unless something is said.
const GRANT: &str = "files=fs?methods=readOnly";

const SCRIPT: &str = "\
export default async function (remit: Remit, input: unknown) {
  // Write `remit.` here: an editor completes what the grants allow.
  console.log(\"granted:\", Object.keys(remit));
  return { input };
}
";

/// `lib` has no DOM: a script has no `fetch` and no `setTimeout`.
const TSCONFIG: &str = r#"{
  "compilerOptions": {
    "target": "ES2022",
    "lib": ["ES2023"],
    "types": [],
    "module": "ESNext",
    "moduleResolution": "Bundler",
    "allowImportingTsExtensions": true,
    "resolveJsonModule": true,
    "isolatedModules": true,
    "strict": true,
    "noEmit": true
  },
  "include": ["**/*.ts"]
}
"#;

/// Make a folder with a script, its grants, types and a tsconfig.json
///
/// Nothing that is there is overwritten. After a change of the grants, `remit types` writes the types
/// again.
#[derive(Debug, Args)]
pub(super) struct Init {
    /// The folder, which may exist
    dir: PathBuf,

    /// A capability of the script: name=tool[@version][:path][?caveat&...], as for `remit run`; by
    /// default files=fs?methods=readOnly
    #[arg(long, value_name = "NAME=TOOL")]
    #[arg(add = ArgValueCompleter::new(complete::grants))]
    grant: Vec<String>,
}

impl Init {
    pub(super) async fn execute(self, place: &Place) -> Result<(), Fault> {
        let flags = if self.grant.is_empty() { vec![GRANT.to_owned()] } else { self.grant };
        let granted = grants::collect(&flags, None, Path::new(""), now_ms())?;
        let types = declarations(&granted, place).await?;
        let files = [
            ("main.ts", SCRIPT.to_owned()),
            ("main.grants.toml", grants_file(&flags)),
            ("remit.d.ts", types),
            ("tsconfig.json", TSCONFIG.to_owned()),
        ];
        write(&self.dir, &files)?;
        let shown = self.dir.display().to_string();
        let script = quoted(&self.dir.join("main.ts").to_string_lossy());
        out::note(&format!(
            "remit: made {shown}. Run it: remit run {script}; check it: tsc -p {}",
            quoted(&shown)
        ));
        Ok(())
    }
}

/// Writes the files, or none of them if one is there already.
fn write(dir: &Path, files: &[(&str, String)]) -> Result<(), Fault> {
    std::fs::create_dir_all(dir).map_err(doing(dir.display()))?;
    let paths: Vec<PathBuf> = files.iter().map(|(name, _)| dir.join(name)).collect();
    if let Some(there) = paths.iter().find(|path| path.symlink_metadata().is_ok()) {
        return Err(Fault::Usage(format!(
            "{} is there already: name another folder, or remove it",
            there.display()
        )));
    }
    for (path, (_, text)) in paths.iter().zip(files) {
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(doing(path.display()))?;
    }
    Ok(())
}

/// Grants as flags, as a file of grants.
fn grants_file(flags: &[String]) -> String {
    let named = flags.iter().filter_map(|flag| flag.split_once('='));
    let table: toml::Table = named
        .map(|(name, grant)| (name.to_owned(), toml::Value::String(grant.to_owned())))
        .collect();
    format!("[grants]\n{table}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_are_read_as_they_were_typed() {
        let dir = tempfile::tempdir().unwrap();
        let flags = ["a=fs:x?arg.path=glob:\"*.rs\"".to_owned(), "ä=git".to_owned()];
        let file = dir.path().join("main.grants.toml");
        std::fs::write(&file, grants_file(&flags)).unwrap();
        let read = grants::from_file(&file, 0).unwrap();
        let typed = grants::collect(&flags, None, Path::new(""), 0).unwrap();
        assert_eq!(format!("{read:?}"), format!("{typed:?}"));
    }

    #[test]
    fn file_that_is_there_is_kept_and_no_other_is_made() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("b"), "mine").unwrap();
        let files = [("a", "1".to_owned()), ("b", "2".to_owned())];
        let refused = write(dir.path(), &files).unwrap_err().to_string();
        assert!(refused.contains("is there already"), "{refused}");
        assert!(!dir.path().join("a").exists());
        assert_eq!(std::fs::read_to_string(dir.path().join("b")).unwrap(), "mine");
    }
}
