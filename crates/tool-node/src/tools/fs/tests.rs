//! Every method of the fs tool, and every way out of its root.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use proptest::prelude::*;
use remit_core::{Code, Failure};
use serde::Serialize;
use serde_json::json;
use tempfile::TempDir;

use super::{Config, tool};
use crate::kit::{Content, Handle, RelPath};

mod text;

fn config() -> Config {
    toml::from_str("root = '.'\nhidden = ['.remit']\nwritable = true").unwrap()
}

fn serve(dir: &Path) -> Handle {
    tool(&config(), dir).unwrap().open().unwrap().handle()
}

/// A root beside a secret, with a hidden place.
fn ground() -> (TempDir, Handle) {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("root/.remit")).unwrap();
    fs::create_dir(dir.path().join("root/src")).unwrap();
    fs::write(dir.path().join("secret"), "outside").unwrap();
    fs::write(dir.path().join("root/.remit/key"), "hidden").unwrap();
    fs::write(dir.path().join("root/src/a.txt"), "one\ntwo\n").unwrap();
    let handle = serve(&dir.path().join("root"));
    (dir, handle)
}

async fn value<A: Serialize>(
    on: &Handle,
    method: &str,
    args: A,
) -> Result<serde_json::Value, Failure> {
    on.call(method, &args).await?.decode()
}

async fn read(on: &Handle, path: &str) -> Result<String, Failure> {
    on.call("read", &(path,)).await?.decode()
}

async fn refused<A: Serialize>(on: &Handle, method: &str, args: A) -> Code {
    on.call(method, &args).await.map(|_| ()).expect_err("it must be refused").code
}

#[tokio::test]
async fn files_are_reached_through_objects() {
    let (_dir, root) = ground();
    let src = root.call("dir", &("src",)).await.unwrap().object().unwrap();
    let file = src.call("file", &("a.txt",)).await.unwrap().object().unwrap();
    let text: String = file.call("read", &()).await.unwrap().decode().unwrap();
    assert_eq!(text, "one\ntwo\n");
    let new = root.call("file", &("src/new",)).await.unwrap().object().unwrap();
    new.call("write", &("x",)).await.unwrap();
    new.call("append", &("y",)).await.unwrap();
    new.call("edit", &("xy", "z")).await.unwrap();
    assert_eq!(read(&root, "src/new").await.unwrap(), "z");
    assert_eq!(value(&new, "stat", ()).await.unwrap()["size"], 1);
    new.call("remove", &()).await.unwrap();
    assert_eq!(refused(&new, "read", ()).await, Code::NotFound);
    assert_eq!(refused(&src, "dir", ("..",)).await, Code::InvalidArgument);
}

#[tokio::test]
async fn reading_takes_parts() {
    let (dir, root) = ground();
    let part = json!({ "path": "src/a.txt", "offset": 4.0, "length": 3 });
    assert_eq!(value(&root, "read", part).await.unwrap(), "two");
    let beyond = json!({ "path": "src/a.txt", "offset": 99 });
    assert_eq!(value(&root, "read", beyond).await.unwrap(), "");
    let large = fs::File::create(dir.path().join("root/large")).unwrap();
    large.set_len(64 << 20).unwrap();
    assert_eq!(refused(&root, "read", ("large",)).await, Code::Limit);
    let piece = json!({ "path": "large", "offset": 60 << 20, "length": 10 });
    root.call("read", &piece).await.unwrap();
}

#[tokio::test]
async fn writing_replaces_whole_files_and_keeps_their_mode() {
    let (dir, root) = ground();
    let script = dir.path().join("root/run.sh");
    fs::write(&script, "old").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o750)).unwrap();
    root.call("write", &("run.sh", Content::Data(vec![1, 255]))).await.unwrap();
    assert_eq!(fs::read(&script).unwrap(), [1, 255]);
    assert_eq!(fs::metadata(&script).unwrap().permissions().mode() & 0o777, 0o750);
    assert_eq!(fs::read_dir(dir.path().join("root")).unwrap().count(), 3, "nothing is left over");
    assert_eq!(refused(&root, "write", ("src", "x")).await, Code::Failed);
    let gone = root.call("write", &("no/such/file", "x")).await.map(|_| ()).unwrap_err();
    assert!(gone.message.contains("mkdir"), "{gone}");
}

#[tokio::test]
async fn editing_needs_exactly_one_place_or_all() {
    let (dir, root) = ground();
    fs::write(dir.path().join("root/f"), "a b a").unwrap();
    assert_eq!(refused(&root, "edit", ("f", "c", "d")).await, Code::NotFound);
    assert_eq!(refused(&root, "edit", ("f", "a", "d")).await, Code::InvalidArgument);
    assert_eq!(refused(&root, "edit", ("f", "", "d")).await, Code::InvalidArgument);
    root.call("edit", &("f", "b", "c")).await.unwrap();
    let all = json!({ "path": "f", "old": "a", "new": "d", "all": true });
    assert_eq!(value(&root, "edit", all).await.unwrap()["replaced"], 2);
    assert_eq!(read(&root, "f").await.unwrap(), "d c d");
}

#[tokio::test]
async fn folders_are_made_listed_and_removed() {
    let (_dir, root) = ground();
    root.call("mkdir", &("x/y/z",)).await.unwrap();
    root.call("mkdir", &("x/y/z",)).await.unwrap();
    root.call("write", &("x/y/f", "12345")).await.unwrap();
    let list = value(&root, "list", ("x/y",)).await.unwrap();
    assert_eq!(
        list,
        json!([
            { "name": "f", "kind": "file", "size": 5 },
            { "name": "z", "kind": "folder", "size": list[1]["size"] },
        ])
    );
    assert_eq!(refused(&root, "remove", ("x",)).await, Code::Failed);
    assert_eq!(refused(&root, "remove", (".",)).await, Code::Denied);
    root.call("remove", &json!({ "path": "x", "recursive": true })).await.unwrap();
    assert_eq!(refused(&root, "stat", ("x",)).await, Code::NotFound);
    assert_eq!(refused(&root, "mkdir", ("src/a.txt/b",)).await, Code::Failed);
}

#[tokio::test]
async fn a_folder_that_is_served_read_only_stays_as_it_is() {
    let (dir, _) = ground();
    let config = Config { writable: false, ..config() };
    let root = tool(&config, &dir.path().join("root")).unwrap().open().unwrap().handle();
    assert_eq!(refused(&root, "write", ("f", "x")).await, Code::Denied);
    assert_eq!(refused(&root, "append", ("f", "x")).await, Code::Denied);
    assert_eq!(refused(&root, "edit", ("src/a.txt", "one", "x")).await, Code::Denied);
    assert_eq!(refused(&root, "remove", ("src/a.txt",)).await, Code::Denied);
    assert_eq!(refused(&root, "mkdir", ("d",)).await, Code::Denied);
    assert_eq!(read(&root, "src/a.txt").await.unwrap(), "one\ntwo\n");
}

#[tokio::test]
async fn globs_and_searches_find_what_is_there() {
    let (dir, root) = ground();
    let at = |path: &str| dir.path().join("root").join(path);
    fs::create_dir_all(at("src/deep/target")).unwrap();
    fs::create_dir_all(at(".git")).unwrap();
    fs::write(at(".git/config"), "needle").unwrap();
    fs::write(at(".gitignore"), "target\n*.log\n").unwrap();
    fs::write(at("src/deep/.gitignore"), "!keep.log\n").unwrap();
    fs::write(at("src/deep/b.rs"), "no\nneedle 1\nneedle 2\n").unwrap();
    fs::write(at("src/deep/keep.log"), "needle 3").unwrap();
    fs::write(at("src/deep/drop.log"), "needle 4").unwrap();
    fs::write(at("src/deep/target/c.rs"), "needle 5").unwrap();
    fs::write(at("src/binary"), b"needle\0").unwrap();
    let found = value(&root, "glob", ("src/**/*.rs",)).await.unwrap();
    assert_eq!(found, json!(["src/deep/b.rs", "src/deep/target/c.rs"]));
    let found = value(&root, "search", ("needle",)).await.unwrap();
    let lines = json!([
        { "path": "src/deep/b.rs", "line": 2, "text": "needle 1" },
        { "path": "src/deep/b.rs", "line": 3, "text": "needle 2" },
        { "path": "src/deep/keep.log", "line": 1, "text": "needle 3" },
    ]);
    assert_eq!(found["matches"], lines);
    assert_eq!(found["ignored"], 2, "drop.log and target");
    assert_eq!(found["unsearched"], json!([{ "path": "src/binary", "why": "binary" }]));
    assert_eq!((&found["truncated"], &found["skipped"]), (&json!(false), &json!(1)));
    let below = json!({ "pattern": "needle", "path": "src/deep", "glob": "*.rs", "max": 1 });
    let found = value(&root, "search", below).await.unwrap();
    assert_eq!(found["matches"], json!([lines[0]]));
    assert_eq!(found["truncated"], true);
    assert_eq!(refused(&root, "search", ("(",)).await, Code::InvalidArgument);
}

#[tokio::test]
async fn no_path_leaves_the_root() {
    let (_dir, root) = ground();
    for path in ["../secret", "src/../../secret", "/etc/passwd", "..", "a\0b", "..\\secret"] {
        assert_eq!(refused(&root, "read", (path,)).await, Code::InvalidArgument, "{path:?}");
    }
}

#[tokio::test]
async fn no_symbolic_link_leaves_its_own_folder() {
    let (dir, root) = ground();
    let at = |path: &str| dir.path().join("root").join(path);
    symlink("../../secret", at("src/up")).unwrap();
    symlink(dir.path().join("secret"), at("src/absolute")).unwrap();
    symlink("..", at("src/parent")).unwrap();
    symlink("a.txt", at("src/beside")).unwrap();
    symlink("self", at("self")).unwrap();
    for path in ["src/up", "src/absolute", "src/parent/src/a.txt"] {
        assert_eq!(refused(&root, "read", (path,)).await, Code::Denied, "{path}");
        assert_eq!(refused(&root, "write", (path, "x")).await, Code::Denied, "{path}");
        assert_eq!(refused(&root, "stat", (path,)).await, Code::Denied, "{path}");
    }
    assert_eq!(refused(&root, "read", ("self",)).await, Code::Failed);
    assert_eq!(read(&root, "src/beside").await.unwrap(), "one\ntwo\n");
    root.call("remove", &("src/up",)).await.unwrap();
    assert_eq!(fs::read_to_string(dir.path().join("secret")).unwrap(), "outside");
}

#[tokio::test]
async fn what_is_hidden_does_not_exist() {
    let (dir, root) = ground();
    symlink(".remit", dir.path().join("root/link")).unwrap();
    symlink(".remit/key", dir.path().join("root/key")).unwrap();
    fs::hard_link(dir.path().join("root/.remit"), dir.path().join("root/hard")).unwrap_err();
    for path in [".remit/key", ".remit", "src/../.remit/key", "link/key", "link", "key"] {
        assert_eq!(refused(&root, "stat", (path,)).await, Code::NotFound, "{path}");
        assert_eq!(refused(&root, "read", (path,)).await, Code::NotFound, "{path}");
        assert_eq!(refused(&root, "append", (path, "x")).await, Code::NotFound, "{path}");
    }
    assert_eq!(refused(&root, "list", (".remit",)).await, Code::NotFound);
    assert_eq!(refused(&root, "mkdir", (".remit/x",)).await, Code::NotFound);
    assert_eq!(refused(&root, "remove", (".remit",)).await, Code::NotFound);
    let names = value(&root, "list", ()).await.unwrap().to_string();
    assert!(!names.contains(".remit"), "{names}");
    assert_eq!(value(&root, "glob", ("**/key",)).await.unwrap(), json!(["key"]));
    assert_eq!(value(&root, "search", ("hidden",)).await.unwrap()["matches"], json!([]));
    fs::rename(dir.path().join("root/.remit"), dir.path().join("root/was")).unwrap();
    assert_eq!(refused(&root, "mkdir", (".remit",)).await, Code::NotFound);
}

#[tokio::test]
async fn a_folder_that_holds_what_is_hidden_cannot_be_removed() {
    let (dir, _) = ground();
    let config = Config { hidden: vec!["root/.remit".into()], ..config() };
    let root = tool(&config, dir.path()).unwrap().open().unwrap().handle();
    let all = json!({ "path": "root", "recursive": true });
    assert_eq!(refused(&root, "remove", all).await, Code::Denied);
    assert!(dir.path().join("root/src/a.txt").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_race_leaves_the_root() {
    let (dir, root) = ground();
    let at = |path: &str| dir.path().join("root").join(path);
    fs::create_dir(dir.path().join("outside")).unwrap();
    fs::write(dir.path().join("outside/f"), "outside").unwrap();
    fs::create_dir(at("real")).unwrap();
    fs::write(at("real/f"), "inside").unwrap();
    symlink("../outside", at("out")).unwrap();
    symlink(".remit", at("in")).unwrap();
    let (done, base) = (std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false)), at(""));
    let stop = std::sync::Arc::clone(&done);
    let swapper = std::thread::spawn(move || {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        let swap = |a: &str| {
            let (a, b) = (base.join(a), base.join("real"));
            renameat_with(CWD, &a, CWD, &b, RenameFlags::EXCHANGE).unwrap();
        };
        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
            for other in ["out", "out", "in", "in"] {
                swap(other);
            }
        }
    });
    let mut inside = 0;
    for _ in 0..2_000 {
        match read(&root, "real/f").await {
            Ok(text) => {
                assert_eq!(text, "inside");
                inside += 1;
            }
            Err(failure) => assert_ne!(failure.message, "outside"),
        }
        if let Ok(key) = read(&root, "real/key").await {
            panic!("reached the hidden folder: {key}");
        }
    }
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    swapper.join().unwrap();
    assert!(inside > 0, "the race was never won by the reader, so nothing was shown");
}

proptest! {
    #[test]
    fn a_clean_path_stays_below(text in "[a./\\\\\u{0}é-]{0,24}") {
        if let Ok(path) = RelPath::new(&text) {
            prop_assert!(path.parts().all(|part| !matches!(part, "" | "." | "..")));
            prop_assert!(!path.as_str().starts_with('/'));
            prop_assert_eq!(&RelPath::new(path.as_str()).unwrap(), &path);
            let below = RelPath::new("x").unwrap().join(&path).unwrap();
            prop_assert!(remit_core::grant::path::is_within(below.as_str(), "x"));
        }
    }
}

#[tokio::test]
async fn changes_are_made_in_the_order_in_which_they_were_begun() {
    let (_dir, root) = ground();
    for round in 0..20 {
        let path = format!("round{round}");
        let parts = (0..20).map(|n| format!("{n},")).collect::<Vec<_>>();
        let (root, path) = (&root, &path);
        let append = |part| async move { root.call("append", &(path, part)).await };
        let done = futures::future::join_all(parts.iter().map(append)).await;
        assert!(done.iter().all(Result::is_ok));
        assert_eq!(read(root, path).await.unwrap(), parts.concat());
    }
}
