//! Which programs may be run, and with which arguments.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use regex::{Regex, RegexBuilder};
use rustix::fs::Access;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::Needs;
use crate::kit::{Failure, fail};
use crate::limits;

/// A `[[shell.program]]` section.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProgramConfig {
    /// What it is called.
    pub name: String,
    /// Where it is; without it, it is looked for under its name.
    pub path: Option<PathBuf>,
    /// The arguments of a call must be one of these lists, all of them; without any, all may be
    /// given.
    #[serde(default)]
    pub args: Vec<Vec<Argument>>,
    /// What `args` was once called, for an error message.
    #[serde(default)]
    pub prefixes: Option<toml::Value>,
    /// Whether it changes nothing, whatever it is told.
    #[serde(default)]
    pub read_only: bool,
}

/// What stands in a list of arguments.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Argument {
    /// This argument.
    Exact(String),
    /// One that a regular expression matches as a whole.
    Matches(Matches),
    /// Any number of such, as the last of a list.
    Each(Each),
}

/// `{ matches = "EXPRESSION" }`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Matches {
    /// The expression.
    pub matches: String,
}

/// `{ each = "EXPRESSION" }`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Each {
    /// The expression.
    pub each: String,
}

/// The programs that may be run, by name.
pub(super) struct Allowed(BTreeMap<String, Entry>);

struct Entry {
    path: PathBuf,
    forms: Vec<Form>,
    read_only: bool,
}

/// One list of arguments that may be given.
struct Form {
    first: Vec<Pattern>,
    /// What each further argument must match; without it there may be none.
    rest: Option<Pattern>,
}

enum Pattern {
    Exact(String),
    Matches(Regex),
}

/// A program that may be run.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Listed {
    /// What it is called.
    name: String,
    /// The arguments must be one of these lists as a whole; without any, all may be given. An
    /// expression stands between slashes, with dots after it if any number of arguments may match it.
    args: Vec<Vec<String>>,
    /// Whether `query` runs it as well.
    read_only: bool,
}

impl Allowed {
    /// The programs of `configs`, found now so that none of them can be exchanged by a later
    /// change of the directories that are searched.
    pub(super) fn new(
        configs: &[ProgramConfig],
        search: &[PathBuf],
        base: &Path,
    ) -> Result<Self, String> {
        let mut entries = BTreeMap::new();
        for config in configs {
            let name = config.name.clone();
            if config.prefixes.is_some() {
                return Err(format!(
                    "the program `{name}` has `prefixes`, after which anything could follow: list \
                     whole arguments with `args`, and {{ each = \"EXPRESSION\" }} at the end for more"
                ));
            }
            let path = find(config, search, base)?;
            let forms = config.args.iter().map(|list| Form::new(list)).collect::<Result<_, _>>();
            let forms = forms.map_err(|why| format!("args of the program `{name}`: {why}"))?;
            let entry = Entry { path, forms, read_only: config.read_only };
            if entries.insert(name.clone(), entry).is_some() {
                return Err(format!("the program `{name}` is configured twice"));
            }
        }
        Ok(Self(entries))
    }

    /// Where the program is, if it may be run so.
    pub(super) fn check(
        &self,
        name: &str,
        args: &[String],
        needs: Needs,
    ) -> Result<&Path, Failure> {
        let shown: String = name.chars().take(80).collect();
        let Some(entry) = self.0.get(name) else {
            let names: Vec<&str> = self.0.keys().map(String::as_str).collect();
            let all = if names.is_empty() { "none is".into() } else { names.join(", ") };
            let why = format!("the program `{shown}` is not on the operator's list: {all}");
            return Err(fail::denied(why, "program"));
        };
        if needs == Needs::ReadOnly && !entry.read_only {
            let why = format!(
                "the operator does not say that `{shown}` changes nothing: use `run` instead of `query`"
            );
            return Err(fail::denied(why, "read_only"));
        }
        if entry.forms.is_empty() || entry.forms.iter().any(|form| form.admits(args)) {
            return Ok(&entry.path);
        }
        let may: Vec<String> = entry.forms.iter().map(|form| form.words().join(" ")).collect();
        let why = format!("the arguments of `{shown}` must be {}", may.join(", or "));
        Err(fail::denied(why, "args"))
    }

    pub(super) fn list(&self) -> Vec<Listed> {
        let listed = |(name, entry): (&String, &Entry)| Listed {
            name: name.clone(),
            args: entry.forms.iter().map(Form::words).collect(),
            read_only: entry.read_only,
        };
        self.0.iter().map(listed).collect()
    }

    /// Says in the schema of a method's arguments which programs it runs, and with which arguments.
    pub(super) fn refine(&self, schema: &mut Json, needs: Needs) {
        let runs = |entry: &Entry| needs == Needs::Any || entry.read_only;
        let programs: Vec<_> = self.0.iter().filter(|(_, entry)| runs(entry)).collect();
        let names: Vec<&String> = programs.iter().map(|(name, _)| *name).collect();
        if names.is_empty() {
            return;
        }
        schema["properties"]["program"]["enum"] = json!(names);
        let bound: Vec<Json> = programs
            .iter()
            .filter(|(_, entry)| !entry.forms.is_empty())
            .map(|(name, entry)| {
                let forms: Vec<Json> = entry.forms.iter().map(Form::schema).collect();
                let mut then = json!({ "properties": { "args": { "anyOf": forms } } });
                if !entry.forms.iter().any(|form| form.admits(&[])) {
                    then["required"] = json!(["args"]);
                }
                json!({ "if": { "properties": { "program": { "const": name } } }, "then": then })
            })
            .collect();
        if !bound.is_empty() {
            schema["allOf"] = Json::Array(bound);
        }
    }
}

impl Form {
    fn new(list: &[Argument]) -> Result<Self, String> {
        let mut form = Self { first: Vec::new(), rest: None };
        for argument in list {
            if form.rest.is_some() {
                return Err("`each` must be the last of a list".into());
            }
            match argument {
                Argument::Exact(text) => form.first.push(Pattern::Exact(text.clone())),
                Argument::Matches(one) => form.first.push(Pattern::matches(&one.matches)?),
                Argument::Each(all) => form.rest = Some(Pattern::matches(&all.each)?),
            }
        }
        Ok(form)
    }

    fn admits(&self, args: &[String]) -> bool {
        let Some((first, rest)) = args.split_at_checked(self.first.len()) else { return false };
        self.first.iter().zip(first).all(|(pattern, arg)| pattern.admits(arg))
            && rest.iter().all(|arg| self.rest.as_ref().is_some_and(|each| each.admits(arg)))
    }

    fn words(&self) -> Vec<String> {
        let rest = self.rest.as_ref().map(|each| format!("{}...", each.word()));
        self.first.iter().map(Pattern::word).chain(rest).collect()
    }

    fn schema(&self) -> Json {
        let first: Vec<Json> = self.first.iter().map(Pattern::schema).collect();
        let rest = self.rest.as_ref().map_or(Json::Bool(false), Pattern::schema);
        let mut schema = json!({ "minItems": first.len(), "items": rest });
        if !first.is_empty() {
            schema["prefixItems"] = Json::Array(first);
        }
        schema
    }
}

impl Pattern {
    fn matches(expression: &str) -> Result<Self, String> {
        let wrong = |error: regex::Error| format!("`{expression}` is no expression: {error}");
        // By itself first: one that is none could get out of what is put around it.
        Regex::new(expression).map_err(wrong)?;
        RegexBuilder::new(&format!(r"\A(?:{expression})\z"))
            .size_limit(limits::FS_PATTERN_BYTES)
            .build()
            .map(Self::Matches)
            .map_err(wrong)
    }

    fn admits(&self, arg: &str) -> bool {
        match self {
            Self::Exact(text) => text == arg,
            Self::Matches(expression) => expression.is_match(arg),
        }
    }

    fn word(&self) -> String {
        match self {
            Self::Exact(text) => text.clone(),
            Self::Matches(expression) => format!("/{}/", inner(expression)),
        }
    }

    fn schema(&self) -> Json {
        match self {
            Self::Exact(text) => json!({ "const": text }),
            Self::Matches(expression) => {
                json!({ "pattern": format!("^(?:{})$", inner(expression)) })
            }
        }
    }
}

/// An expression as its operator wrote it.
fn inner(expression: &Regex) -> &str {
    let text = expression.as_str();
    text.strip_prefix(r"\A(?:").and_then(|text| text.strip_suffix(r")\z")).unwrap_or(text)
}

fn find(config: &ProgramConfig, search: &[PathBuf], base: &Path) -> Result<PathBuf, String> {
    let name = &config.name;
    let whole = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
    let runs = |path: &PathBuf| path.is_file() && rustix::fs::access(path, Access::EXEC_OK).is_ok();
    if let Some(path) = &config.path {
        let path = whole(base.join(path));
        let found = path.canonicalize().ok().filter(runs);
        return found
            .map(|_| path.clone())
            .ok_or_else(|| format!("`{}` of the program `{name}` is no program", path.display()));
    }
    if name.is_empty() || name.contains('/') {
        return Err(format!("`{name}` is no name for a program: say where it is with `path`"));
    }
    search.iter().map(|folder| whole(base.join(folder).join(name))).find(runs).ok_or_else(|| {
        let folders: Vec<String> = search.iter().map(|p| p.display().to_string()).collect();
        format!(
            "the program `{name}` is not in {}: install it, say where it is with `path`, or take it off the list",
            folders.join(", ")
        )
    })
}
