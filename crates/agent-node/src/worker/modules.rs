//! Modules: the files of the submitted program, and no others.

use std::collections::HashMap;
use std::rc::Rc;

use rquickjs::loader::{ImportAttributes, Loader, Resolver};
use rquickjs::module::Declared;
use rquickjs::{Ctx, Exception, Module};

/// The program's files as JavaScript, by path.
#[derive(Clone)]
pub(super) struct Modules {
    files: Rc<HashMap<String, String>>,
}

impl Modules {
    pub(super) fn new(files: HashMap<String, String>) -> Self {
        Self { files: Rc::new(files) }
    }

    pub(super) fn get(&self, path: &str) -> Option<&String> {
        self.files.get(path)
    }

    /// The path of the file that `base` imports as `name`. Only relative names are found.
    fn find(&self, base: &str, name: &str) -> Option<String> {
        if !name.starts_with("./") && !name.starts_with("../") {
            return None;
        }
        let mut parts: Vec<&str> = base.split('/').collect();
        parts.pop();
        for part in name.split('/') {
            match part {
                "." | "" => {}
                ".." => {
                    parts.pop()?;
                }
                part => parts.push(part),
            }
        }
        let path = parts.join("/");
        let tries =
            [path.clone(), format!("{path}.ts"), format!("{path}.js"), format!("{path}/index.ts")];
        // TypeScript programs import `./x.js` when the source is `./x.ts`.
        let typed = path.strip_suffix(".js").map(|stem| format!("{stem}.ts"));
        tries.into_iter().chain(typed).find(|path| self.files.contains_key(path))
    }
}

impl Resolver for Modules {
    fn resolve<'js>(
        &mut self,
        ctx: &Ctx<'js>,
        base: &str,
        name: &str,
        _: Option<ImportAttributes<'js>>,
    ) -> rquickjs::Result<String> {
        self.find(base, name).ok_or_else(|| {
            let mut known: Vec<&str> = self.files.keys().map(String::as_str).collect();
            known.sort_unstable();
            let why = format!(
                "{base} imports `{name}`, which is none of the program's files ({})",
                known.join(", ")
            );
            Exception::throw_reference(ctx, &why)
        })
    }
}

impl Loader for Modules {
    fn load<'js>(
        &mut self,
        ctx: &Ctx<'js>,
        name: &str,
        _: Option<ImportAttributes<'js>>,
    ) -> rquickjs::Result<Module<'js, Declared>> {
        match self.files.get(name) {
            Some(text) => Module::declare(ctx.clone(), name, text.as_str()),
            None => Err(Exception::throw_reference(ctx, &format!("there is no file `{name}`"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_programs_own_files_are_found() {
        let files = ["main.ts", "lib/a.ts", "lib/index.ts", "b.js"];
        let modules =
            Modules::new(files.iter().map(|path| ((*path).into(), String::new())).collect());
        for (base, name, found) in [
            ("main.ts", "./lib/a", Some("lib/a.ts")),
            ("main.ts", "./lib/a.ts", Some("lib/a.ts")),
            ("main.ts", "./lib/a.js", Some("lib/a.ts")),
            ("main.ts", "./lib", Some("lib/index.ts")),
            ("lib/a.ts", "../b", Some("b.js")),
            ("main.ts", "../../etc/passwd", None),
            ("main.ts", "fs", None),
            ("main.ts", "/b.js", None),
        ] {
            assert_eq!(modules.find(base, name).as_deref(), found, "{base} {name}");
        }
    }
}
