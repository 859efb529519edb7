//! The `git` program, which the tool is compared with.

use std::process::Command;

use super::*;

/// Two repositories that one script made alike: one for the tool, one for the program.
pub(super) struct Twins {
    dir: TempDir,
}

/// A repository with a commit, made by the program.
pub(super) const FIRST: &str = "git init -qb main .; mkdir src docs; echo 1 >src/a.txt; \
    echo 2 >docs/b.txt; echo 3 >c.txt; git add -A; git commit -qm First";

impl Twins {
    /// Runs `script` in two empty directories.
    pub(super) fn new(script: &str) -> Self {
        unsafe_settings::isolate().unwrap();
        let dir = tempfile::tempdir().unwrap();
        for twin in ["tool", "program"] {
            fs::create_dir_all(dir.path().join(twin).join("repo")).unwrap();
        }
        let twins = Self { dir };
        twins.both(script);
        twins
    }

    /// Runs `script` in both.
    pub(super) fn both(&self, script: &str) {
        for twin in ["tool", "program"] {
            self.run(twin, &format!("set -e; {script}"));
        }
    }

    /// Runs `script` in one, and gives what it printed.
    pub(super) fn run(&self, twin: &str, script: &str) -> String {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).current_dir(self.dir.path().join(twin).join("repo"));
        shell.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("LC_ALL", "C.UTF-8");
        shell.envs([
            ("HOME", "/nonexistent"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_EDITOR", "true"),
        ]);
        for who in ["AUTHOR", "COMMITTER"] {
            shell.env(format!("GIT_{who}_NAME"), "Ada");
            shell.env(format!("GIT_{who}_EMAIL"), "ada@example.com");
            shell.env(format!("GIT_{who}_DATE"), "1700000000 +0000");
        }
        let output = shell.output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{twin}: {script}\n{error}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The tool over one of them.
    pub(super) fn git(&self) -> Handle {
        self.configured("root = 'repo'\nwritable = true").open().unwrap().handle()
    }

    pub(super) fn configured(&self, text: &str) -> Tool {
        let text = format!("{text}\nauthor = 'Ada <ada@example.com>'");
        tool(&toml::from_str(&text).unwrap(), &self.dir.path().join("tool"), None).unwrap()
    }

    /// A path beside the tool's repository.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join("tool").join(path)
    }

    /// What the program says of a repository.
    pub(super) fn look(&self, twin: &str) -> String {
        self.run(twin, LOOK)
    }

    /// Fails if the program sees a difference between the two.
    #[track_caller]
    pub(super) fn compare(&self, what: &str) {
        assert_eq!(self.difference(what), "");
    }

    /// What the program sees of a difference between the two; empty if there is none.
    pub(super) fn difference(&self, what: &str) -> String {
        let (tool, program) = (self.look("tool"), self.look("program"));
        if tool == program {
            return String::new();
        }
        format!("\n{what}, by the tool:\n{tool}{what}, by the program:\n{program}")
    }
}

/// The history, HEAD, the files, and the index with its marks. `diff` comes first: it refreshes the
/// times in the index, which are no difference.
const LOOK: &str = "git diff --stat; git symbolic-ref -q HEAD; git log --topo-order --format='%T %an %ae %s' --all; \
    git log -1 --format=%p HEAD | wc -w; git reflog -1 --format=%gs HEAD; git for-each-ref --format='%(refname)'; \
    git status --porcelain -uall; git ls-files -s -v; ls -A; cat $(git ls-files) 2>/dev/null | md5sum; \
    ls .git 2>/dev/null | grep -e lock -e HEAD; true";
