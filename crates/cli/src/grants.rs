//! What a script is handed: from flags, or from the file beside it.

use std::path::{Path, PathBuf};

use remit_client::{Caveat, GrantRoot, GrantSpec};
use remit_core::grant::text::caveat_text;
use serde::Deserialize;

use crate::fault::Fault;

/// A file of grants: `[grants]`, then `name = "tool:path?caveats"`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GrantsFile {
    grants: toml::Table,
}

/// The grants for `script`: those of the flags if there are any, else those of `file`, else those
/// of the file beside the script, else none.
pub(crate) fn collect(
    flags: &[String],
    file: Option<&Path>,
    script: &Path,
    now_ms: u64,
) -> Result<Vec<GrantSpec>, Fault> {
    if !flags.is_empty() {
        return flags.iter().map(|flag| from_flag(flag, now_ms)).collect();
    }
    match file {
        Some(file) => from_file(file, now_ms),
        None => {
            let beside = beside(script);
            if beside.is_file() { from_file(&beside, now_ms) } else { Ok(Vec::new()) }
        }
    }
}

/// Where the grants of a script stand by default: `notes.ts` has `notes.grants.toml`.
fn beside(script: &Path) -> PathBuf {
    script.with_extension("grants.toml")
}

fn from_flag(flag: &str, now_ms: u64) -> Result<GrantSpec, Fault> {
    let (name, text) = flag.split_once('=').filter(|(name, _)| is_name(name)).ok_or_else(|| {
        Fault::Usage(format!(
            "--grant {flag}: write name=tool:path?caveats, for example \
             --grant 'src=fs:src?methods=readOnly'"
        ))
    })?;
    read(name, text, now_ms)
}

/// A grant in the text form, as a person writes it.
pub(crate) fn read(name: &str, text: &str, now_ms: u64) -> Result<GrantSpec, Fault> {
    let grant = GrantSpec::parse(name, text, now_ms)?;
    known(&grant.caveats).map_err(|why| Fault::Usage(format!("the grant `{name}`: {why}")))?;
    Ok(grant)
}

/// Refuses a caveat whose name says nothing here. It would refuse every call, which nobody means.
pub(crate) fn known(caveats: &[Caveat]) -> Result<(), String> {
    match caveats.iter().find(|caveat| matches!(caveat, Caveat::Unknown(_))) {
        Some(unknown) => Err(format!(
            "there is no caveat `{}`; docs/caveats.md lists them all",
            caveat_text(unknown)
        )),
        None => Ok(()),
    }
}

/// The grants of a file.
pub(crate) fn from_file(file: &Path, now_ms: u64) -> Result<Vec<GrantSpec>, Fault> {
    let shown = file.display();
    let text = std::fs::read_to_string(file)
        .map_err(|error| Fault::Usage(format!("the grants in {shown} cannot be read: {error}")))?;
    let wrong = |why: String| Fault::Usage(format!("{shown}: {why}"));
    let parsed: GrantsFile = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    let one = |(name, value): (String, toml::Value)| {
        let text = value.as_str().filter(|_| is_name(&name)).ok_or_else(|| {
            wrong(format!("`{name}`: write name = \"tool:path?caveats\" below [grants]"))
        })?;
        read(&name, text, now_ms).map_err(|error| wrong(error.to_string()))
    };
    parsed.grants.into_iter().map(one).collect()
}

/// Whether a script can write `remit.<name>`.
fn is_name(name: &str) -> bool {
    let in_name = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    name.chars().all(in_name) && name.starts_with(|c: char| in_name(c) && !c.is_numeric())
}

/// The tools that must be registered before a task with these grants can begin.
pub(crate) fn tools(grants: &[GrantSpec]) -> Vec<(String, String)> {
    let mut tools: Vec<_> = grants
        .iter()
        .filter_map(|grant| match &grant.root {
            GrantRoot::Tool { tool, version, .. } => Some((tool.clone(), version.clone())),
            GrantRoot::Own(_) => None,
        })
        .collect();
    tools.sort();
    tools.dedup();
    tools
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_win_over_the_file_beside_the_script() {
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("notes.ts");
        assert!(collect(&[], None, &script, 0).unwrap().is_empty(), "no file, no authority");
        std::fs::write(
            dir.path().join("notes.grants.toml"),
            "[grants]\nsrc = \"fs:src?calls=3\"\nrepo = \"git@1.2\"\n",
        )
        .unwrap();
        let grants = collect(&[], None, &script, 0).unwrap();
        assert_eq!(grants.len(), 2);
        let src = grants.iter().find(|grant| grant.name == "src").unwrap();
        assert_eq!(src.caveats, [Caveat::Calls(3)]);
        assert_eq!(tools(&grants), [("fs".into(), String::new()), ("git".into(), "1.2".into())]);
        let grants = collect(&["x=http".to_owned()], None, &script, 0).unwrap();
        assert_eq!(grants[0].name, "x");
    }

    #[test]
    fn what_is_no_grant_is_refused_with_what_would_be_right() {
        for flag in ["fs", "=fs", "1a=fs", "a b=fs", "a=fs?calls=x", "a=:x", "a=fs?moon=full"] {
            let error = from_flag(flag, 0).unwrap_err();
            assert!(matches!(error, Fault::Usage(_)), "{flag}: {error}");
        }
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.toml");
        for text in ["src = \"fs\"", "[grants]\nsrc = 1", "[grants]\nsrc = \"fs?calls=x\"", "["] {
            std::fs::write(&file, text).unwrap();
            assert!(from_file(&file, 0).unwrap_err().to_string().contains("x.toml"), "{text}");
        }
    }
}
