//! What the git tool must do, and what no repository must make it do.

use std::fs;
use std::future::Future;

use git2::{Oid, Repository, Signature, Time};
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use super::*;
use crate::kit::{Code, Handle, Value};

mod checkouts;
mod commits;
mod hidden_places;
mod hostile;
mod odd;
mod program;

/// A repository in a directory, with what a test does to it from outside.
struct Bench {
    dir: TempDir,
}

impl Bench {
    fn new() -> Self {
        unsafe_settings::isolate().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let mut options = git2::RepositoryInitOptions::new();
        Repository::init_opts(dir.path().join("repo"), options.initial_head("main")).unwrap();
        fs::create_dir(dir.path().join("clones")).unwrap();
        Self { dir }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join("repo").join(path)
    }

    fn repo(&self) -> Repository {
        Repository::open(self.path("")).unwrap()
    }

    fn write(&self, path: &str, text: &str) {
        fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        fs::write(self.path(path), text).unwrap();
    }

    fn commit(&self, message: &str, time_s: i64) -> Oid {
        let repo = self.repo();
        let mut index = repo.index().unwrap();
        index.add_all(["*"], git2::IndexAddOption::DEFAULT, None).unwrap();
        index.write().unwrap();
        let tree = repo.find_tree(index.write_tree().unwrap()).unwrap();
        let who = Signature::new("Ada", "ada@example.com", &Time::new(time_s, 0)).unwrap();
        let parent = repo.head().ok().map(|head| head.peel_to_commit().unwrap());
        let parents: Vec<_> = parent.iter().collect();
        repo.commit(Some("HEAD"), &who, &who, message, &tree, &parents).unwrap()
    }

    fn configured(&self, more: &str) -> Result<Tool, String> {
        let confiner = Rc::new(Confiner::find(false).unwrap());
        let text = format!("root = 'repo'\nauthor = 'Bot <bot@example.com>'\n{more}");
        tool(&toml::from_str(&text).unwrap(), self.dir.path(), Some(&confiner))
    }

    fn git(&self) -> Handle {
        let clones = "writable = true\nclone_root = 'clones'\nclone_from = ['repo', 'https://example.com/allowed']";
        self.configured(clones).unwrap().open().unwrap().handle()
    }
}

/// A repository with two commits, a tag on the first and a branch.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.write("README.md", "one\n");
    bench.write("src/lib.rs", "fn a() {}\n");
    let first = bench.commit("First\n\nThe body\nof it.", 1_000);
    bench.write("src/lib.rs", "fn a() {}\nfn b() {}\n");
    bench.commit("Second", 2_000);
    let repo = bench.repo();
    repo.tag_lightweight("v1", &repo.find_object(first, None).unwrap(), false).unwrap();
    repo.branch("side", &repo.find_commit(first).unwrap(), false).unwrap();
    bench
}

fn check<B, F: Future<Output = ()>>(bench: B, test: impl FnOnce(B) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(test(bench));
}

async fn ask(git: &Handle, method: &str, args: Json) -> Result<Json, Failure> {
    Ok(as_json(git.call(method, &args).await?.value()))
}

/// JSON has no bytes: they become a list of numbers.
fn as_json(value: &Value<u32>) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(value) => json!(value),
        Value::Integer(value) => json!(value),
        Value::Unsigned(value) => json!(value),
        Value::Float(value) => json!(value),
        Value::Text(value) => json!(value),
        Value::Data(value) => json!(value),
        Value::List(values) => values.iter().map(as_json).collect(),
        Value::Fields(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), as_json(value))).collect()
        }
        Value::Object(_) => panic!("an object"),
    }
}

fn words(list: &Json, field: &str) -> Vec<String> {
    let texts = list.as_array().unwrap().iter();
    texts.map(|item| item[field].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_log_tells_who_did_what_when() {
    check(bench(), |bench| async move {
        let git = bench.git();
        let log = ask(&git, "log", json!({})).await.unwrap();
        assert_eq!(words(&log, "summary"), ["Second", "First"]);
        let first = &log[1];
        assert_eq!(first["body"], "The body\nof it.");
        assert_eq!((&first["author"], &first["email"]), (&json!("Ada"), &json!("ada@example.com")));
        assert_eq!(first["timeMs"], 1_000_000);
        assert!(first["id"].as_str().unwrap().starts_with(first["short"].as_str().unwrap()));
    });
}

#[test]
fn a_log_can_be_narrowed() {
    check(bench(), |bench| async move {
        let git = bench.git();
        for (args, summaries) in [
            (json!({"max": 1}), &["Second"][..]),
            (json!({"path": "README.md"}), &["First"]),
            (json!({"path": "src"}), &["Second", "First"]),
            (json!({"path": "sr"}), &[]),
            (json!({"since": "v1"}), &["Second"]),
            (json!({"since": 1_500_000}), &["Second"]),
            (json!({"from": "side"}), &["First"]),
        ] {
            assert_eq!(
                words(&ask(&git, "log", args.clone()).await.unwrap(), "summary"),
                summaries,
                "{args}"
            );
        }
    });
}

#[test]
fn a_new_repository_has_an_empty_log() {
    check(Bench::new(), |bench| async move {
        let git = bench.git();
        assert_eq!(ask(&git, "log", json!({})).await.unwrap(), json!([]));
        let status = ask(&git, "status", json!({})).await.unwrap();
        assert_eq!((&status["head"], &status["clean"]), (&Json::Null, &json!(true)));
    });
}

#[test]
fn a_commit_is_shown_with_its_patch() {
    check(bench(), |bench| async move {
        let shown = ask(&bench.git(), "show", json!(["HEAD"])).await.unwrap();
        assert_eq!(shown["summary"], "Second");
        let file = json!({"path": "src/lib.rs", "change": "modified", "added": 1, "removed": 0});
        assert_eq!(shown["files"], json!([file]));
        assert!(shown["patch"].as_str().unwrap().contains("\n+fn b() {}\n"));
        assert_eq!(shown["truncated"], false);
    });
}

#[test]
fn differences_are_between_revisions_or_to_the_working_directory() {
    check(bench(), |bench| async move {
        let git = bench.git();
        let between = ask(&git, "diff", json!({"from": "v1", "to": "main"})).await.unwrap();
        assert_eq!(words(&between["files"], "path"), ["src/lib.rs"]);
        bench.write("README.md", "two\n");
        bench.write("src/lib.rs", "");
        let local = ask(&git, "diff", json!({})).await.unwrap();
        assert_eq!(words(&local["files"], "path"), ["README.md", "src/lib.rs"]);
        let one = ask(&git, "diff", json!({"path": "README.md"})).await.unwrap();
        assert_eq!(one["files"][0]["removed"], 1);
        // A path is a path, never a pattern.
        let none = ask(&git, "diff", json!({"path": "*.md"})).await.unwrap();
        assert_eq!(none["files"], json!([]));
    });
}

#[test]
fn a_large_difference_is_cut_short() {
    check(bench(), |bench| async move {
        bench.write("README.md", &"a line of text\n".repeat(200_000));
        let diff = ask(&bench.git(), "diff", json!({})).await.unwrap();
        assert_eq!(diff["truncated"], true);
        assert!(diff["patch"].as_str().unwrap().len() <= limits::GIT_PATCH);
        assert_eq!(diff["files"][0]["added"], 200_000);
    });
}

#[test]
fn branches_tags_files_and_directories_are_read() {
    check(bench(), |bench| async move {
        let git = bench.git();
        let branches = ask(&git, "branches", json!({})).await.unwrap();
        assert_eq!(words(&branches, "name"), ["main", "side"]);
        assert_eq!(branches[0]["current"], true);
        assert_eq!(words(&ask(&git, "tags", json!({})).await.unwrap(), "name"), ["v1"]);
        let old = ask(&git, "file", json!(["v1", "src/lib.rs"])).await.unwrap();
        assert_eq!(old, "fn a() {}\n");
        let list = ask(&git, "list", json!(["HEAD"])).await.unwrap();
        assert_eq!(words(&list, "name"), ["README.md", "src"]);
        assert_eq!(words(&list, "kind"), ["file", "dir"]);
    });
}

#[test]
fn what_names_no_commit_is_refused() {
    check(bench(), |bench| async move {
        let git = bench.git();
        for (rev, code) in [
            ("HEAD:README.md", Code::InvalidArgument),
            (":/Second", Code::InvalidArgument),
            ("HEAD^{/First}", Code::InvalidArgument),
            ("", Code::InvalidArgument),
            ("nowhere", Code::NotFound),
            ("0000000000000000000000000000000000000000", Code::NotFound),
        ] {
            let failure = ask(&git, "show", json!([rev])).await.unwrap_err();
            assert_eq!(failure.code, code, "{rev}: {failure}");
        }
        for path in ["../repo/README.md", "/etc/passwd", "missing", "src"] {
            ask(&git, "file", json!(["HEAD", path])).await.unwrap_err();
        }
    });
}

#[test]
fn a_commit_takes_the_changes_of_tracked_files() {
    check(bench(), |bench| async move {
        let git = bench.git();
        bench.write("README.md", "two\n");
        bench.write("new.txt", "new\n");
        fs::remove_file(bench.path("src/lib.rs")).unwrap();
        let status = ask(&git, "status", json!({})).await.unwrap();
        assert_eq!(words(&status["files"], "path"), ["README.md", "new.txt", "src/lib.rs"]);
        assert_eq!(words(&status["files"], "working"), ["modified", "untracked", "deleted"]);
        let done = ask(&git, "commit", json!({"message": "Third"})).await.unwrap();
        let shown = ask(&git, "show", json!([done["id"]])).await.unwrap();
        assert_eq!(words(&shown["files"], "path"), ["README.md", "src/lib.rs"]);
        assert_eq!((&shown["author"], &shown["email"]), (&json!("Bot"), &json!("bot@example.com")));
        let status = ask(&git, "status", json!({})).await.unwrap();
        assert_eq!(words(&status["files"], "path"), ["new.txt"]);
        let again = ask(&git, "commit", json!({"message": "Fourth"})).await.unwrap_err();
        assert!(again.message.contains("nothing to commit"), "{again}");
    });
}

/// What cannot be undone is said: whoever reads `failed` would do it again.
#[test]
fn what_happened_before_a_failure_is_unknown_and_not_failed() {
    for (kept, method, args) in [
        ("index", "commit", json!({"message": "Third"})),
        ("HEAD", "checkout", json!({"branch": "side"})),
        ("index", "checkout", json!({"branch": "side"})),
    ] {
        check(bench(), |bench| async move {
            let before = bench.repo().head().unwrap().target();
            if method == "commit" {
                bench.write("src/lib.rs", "fn c() {}\n");
            }
            super::lock::faults::keep(bench.repo().path().join(kept));
            let git = bench.git();
            let failure = ask(&git, method, args).await.unwrap_err();
            assert_eq!(failure.code, Code::Unknown, "{kept}, {method}: {failure}");
            let moved = bench.repo().head().unwrap().target() != before;
            assert_eq!(moved, method == "commit", "{failure}");
        });
    }
}

#[test]
fn a_commit_of_paths_takes_those_alone() {
    check(bench(), |bench| async move {
        let git = bench.git();
        bench.write("README.md", "two\n");
        bench.write("src/new.rs", "");
        bench.write("src/lib.rs", "changed\n");
        let repo = bench.repo();
        let mut index = repo.index().unwrap();
        index.add_path("README.md".as_ref()).unwrap();
        index.write().unwrap();
        let args = json!({"message": "Third", "paths": ["src"], "author": "Eve <eve@example.com>"});
        let done = ask(&git, "commit", args).await.unwrap();
        let shown = ask(&git, "show", json!([done["id"]])).await.unwrap();
        assert_eq!(words(&shown["files"], "path"), ["src/lib.rs", "src/new.rs"]);
        assert_eq!(shown["author"], "Eve");
        let status = ask(&git, "status", json!({})).await.unwrap();
        assert_eq!(words(&status["files"], "staged"), ["modified"]);
    });
}

#[test]
fn the_first_commit_has_no_parent() {
    check(Bench::new(), |bench| async move {
        bench.write("a", "a");
        let git = bench.git();
        ask(&git, "commit", json!({"message": "First", "paths": ["a"]})).await.unwrap();
        assert_eq!(words(&ask(&git, "log", json!({})).await.unwrap(), "summary"), ["First"]);
    });
}

#[test]
fn a_checkout_never_overwrites_local_changes() {
    check(bench(), |bench| async move {
        let git = bench.git();
        bench.write("src/lib.rs", "mine\n");
        let failure = ask(&git, "checkout", json!(["side"])).await.unwrap_err();
        assert!(failure.message.contains("src/lib.rs"), "{failure}");
        assert_eq!(fs::read_to_string(bench.path("src/lib.rs")).unwrap(), "mine\n");
        assert_eq!(ask(&git, "status", json!({})).await.unwrap()["branch"], "main");
        bench.write("src/lib.rs", "fn a() {}\nfn b() {}\n");
        ask(&git, "checkout", json!(["side"])).await.unwrap();
        assert_eq!(fs::read_to_string(bench.path("src/lib.rs")).unwrap(), "fn a() {}\n");
        ask(&git, "checkout", json!({"branch": "new", "create": true})).await.unwrap();
        assert_eq!(ask(&git, "status", json!({})).await.unwrap()["branch"], "new");
        let missing = ask(&git, "checkout", json!(["gone"])).await.unwrap_err();
        assert_eq!(missing.code, Code::NotFound);
    });
}

#[test]
fn a_clone_is_a_repository_of_its_own() {
    check(bench(), |bench| async move {
        let git = bench.git();
        let url = bench.path("").canonicalize().unwrap();
        let args = json!({"url": url, "path": "a/b"});
        let clone = git.call("clone", &args).await.unwrap().object().unwrap();
        assert_eq!(words(&ask(&clone, "log", json!({})).await.unwrap(), "summary").len(), 2);
        let file = bench.dir.path().join("clones/a/b/src/lib.rs");
        assert_eq!(fs::read_to_string(&file).unwrap(), "fn a() {}\nfn b() {}\n");
        fs::write(file, "changed").unwrap();
        ask(&clone, "commit", json!({"message": "In the clone"})).await.unwrap();
        let opened = git.call("open", &("a/b",)).await.unwrap().object().unwrap();
        assert_eq!(words(&ask(&opened, "log", json!({})).await.unwrap(), "summary").len(), 3);
        assert_eq!(words(&ask(&git, "log", json!({})).await.unwrap(), "summary").len(), 2);
        let twice = git.call("clone", &args).await.err().unwrap();
        assert!(twice.message.contains("already"), "{twice}");
    });
}

#[test]
fn only_what_is_allowed_is_cloned() {
    check(bench(), |bench| async move {
        let git = bench.git();
        for url in [
            "/",
            "/etc",
            "..",
            "file:///etc",
            "https://example.com/other",
            "https://example.com/allowed/../other",
            "https://example.com@evil.org/allowed",
            "ssh://example.com/allowed",
            "git@example.com:allowed",
            "ext::sh -c id",
        ] {
            let failure = git.call("clone", &json!({"url": url, "path": "x"})).await.err().unwrap();
            let refused = matches!(failure.code, Code::Denied | Code::InvalidArgument);
            assert!(refused, "{url}: {failure}");
        }
        let bare = bench.configured("writable = true").unwrap().open().unwrap().handle();
        let failure = bare.call("clone", &json!({"url": "/", "path": "x"})).await.err().unwrap();
        assert_eq!(failure.code, Code::Denied);
    });
}

#[test]
fn nothing_is_changed_where_the_operator_did_not_allow_it() {
    check(bench(), |bench| async move {
        let git = bench.configured("").unwrap().open().unwrap().handle();
        for (method, args) in [
            ("commit", json!({"message": "x"})),
            ("checkout", json!(["side"])),
            ("clone", json!({"url": "x", "path": "y"})),
        ] {
            let failure = git.call(method, &args).await.err().unwrap();
            assert_eq!((failure.code, failure.detail.as_str()), (Code::Denied, "writable"));
        }
    });
}

#[test]
fn a_section_that_cannot_work_is_refused_with_a_reason() {
    let bench = bench();
    for (more, word) in [
        ("clone_from = ['/no/such/place']\nclone_root = 'clones'", "/no/such/place"),
        ("clone_from = ['http://example.com']\nclone_root = 'clones'", "https"),
        ("clone_from = ['repo']", "clone_root"),
        ("clone_root = 'nowhere'", "nowhere"),
        ("hidden = ['..']", "hidden"),
    ] {
        let why = bench.configured(more).err().unwrap();
        assert!(why.contains(word), "{why}");
    }
    let config = toml::from_str("root = 'elsewhere'").unwrap();
    assert!(tool(&config, bench.dir.path(), None).err().unwrap().contains("elsewhere"));
}
