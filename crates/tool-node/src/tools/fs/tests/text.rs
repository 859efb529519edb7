//! Text and bytes: what decides is what was asked for, and nothing is lost without a word.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::{fs, iter};

use remit_core::{Code, Value};
use serde_json::json;

use super::{ground, read, refused, value};
use crate::kit::Handle;

/// Reads a file in parts of `size` bytes.
async fn in_parts(root: &Handle, path: &str, size: u64, most: u64) -> String {
    let mut text = String::new();
    for offset in (0..most).step_by(usize::try_from(size).unwrap()) {
        let part = json!({ "path": path, "offset": offset, "length": size });
        text.push_str(value(root, "read", part).await.unwrap().as_str().unwrap());
    }
    text
}

#[tokio::test]
async fn the_parts_of_a_text_add_up_to_it_wherever_they_are_cut() {
    let (dir, root) = ground();
    let text = "茶は€3 🚀\n".repeat(40);
    for (name, bytes) in [
        ("clean", text.clone().into_bytes()),
        ("odd", [b"caf\xe9 ", text.as_bytes(), b"\xff\xf0\x9f\x98"].concat()),
    ] {
        fs::write(dir.path().join("root").join(name), &bytes).unwrap();
        let whole = read(&root, name).await.unwrap();
        assert_eq!(whole, String::from_utf8_lossy(&bytes));
        for size in [1, 2, 5, 64, 10_000] {
            let parts = in_parts(&root, name, size, bytes.len() as u64).await;
            assert_eq!(parts, whole, "{name} in parts of {size}");
        }
    }
}

#[tokio::test]
async fn what_is_asked_for_decides_whether_text_or_bytes_are_given() {
    let (dir, root) = ground();
    for (name, bytes) in [("text", &b"abc"[..]), ("none", b""), ("bytes", b"\xff\0")] {
        fs::write(dir.path().join("root").join(name), bytes).unwrap();
        let text = root.call("read", &(name,)).await.unwrap();
        assert!(matches!(text.value(), Value::Text(_)), "{name}");
        let data = json!({ "path": name, "encoding": "data" });
        let data = root.call("read", &data).await.unwrap();
        assert_eq!(data.value(), &Value::Data(bytes.to_vec()), "{name}");
    }
    assert_eq!(read(&root, "bytes").await.unwrap(), "\u{fffd}\0");
    let strict = json!({ "path": "bytes", "strict": true });
    let why = value(&root, "read", strict).await.unwrap_err();
    assert!(why.code == Code::Failed && why.message.contains("1 places"), "{why}");
}

#[tokio::test]
async fn lines_are_read_one_after_the_other_to_the_end() {
    let (dir, root) = ground();
    let long = "ä".repeat(40_000);
    let lines: Vec<String> =
        (0..25).map(|n| format!("{n} €")).chain(iter::once(long.clone())).collect();
    let text = format!("\u{feff}{}\r\n", lines.join("\r\n"));
    fs::write(dir.path().join("root/f"), text).unwrap();
    let (mut got, mut next) = (Vec::new(), json!({}));
    while !next.is_null() {
        let mut args = json!({ "path": "f", "max": 10 });
        args.as_object_mut().unwrap().extend(next.as_object().unwrap().clone());
        let part = value(&root, "readLines", args).await.unwrap();
        got.extend(part["lines"].as_array().unwrap().clone());
        assert_eq!(part["replaced"], 0);
        assert_eq!(part["cut"], u64::from(got.len() == 26));
        next = part["next"].clone();
    }
    assert_eq!(got[..25], lines[..25]);
    assert!(long.starts_with(got[25].as_str().unwrap()), "{} bytes", got[25].to_string().len());
    let some = json!({ "path": "f", "skip": 3, "max": 2 });
    let some = value(&root, "readLines", some).await.unwrap();
    assert_eq!(some["lines"], json!(["3 €", "4 €"]));
    fs::write(dir.path().join("root/g"), b"\xe9\n\nlast").unwrap();
    let odd = value(&root, "readLines", ("g",)).await.unwrap();
    let lines = json!(["\u{fffd}", "", "last"]);
    assert_eq!(odd, json!({ "lines": lines, "next": null, "replaced": 1, "cut": 0 }));
    let beyond = json!({ "path": "g", "skip": 9 });
    assert_eq!(value(&root, "readLines", beyond).await.unwrap()["lines"], json!([]));
}

#[tokio::test]
async fn an_edit_keeps_the_bytes_that_are_no_text() {
    let (dir, root) = ground();
    let file = dir.path().join("root/latin1");
    fs::write(&file, b"caf\xe9 = \xe4\nprice = 3 \xe2\x82\xac\n").unwrap();
    root.call("edit", &("latin1", "3 €", "4 €")).await.unwrap();
    assert_eq!(fs::read(&file).unwrap(), b"caf\xe9 = \xe4\nprice = 4 \xe2\x82\xac\n");
    assert_eq!(refused(&root, "edit", ("latin1", "\u{fffd}", "x")).await, Code::NotFound);
}

#[tokio::test]
async fn a_name_that_is_no_text_is_shown_and_goes_with_its_folder() {
    let (dir, root) = ground();
    let build = dir.path().join("root/build");
    fs::create_dir_all(build.join("sub")).unwrap();
    fs::write(build.join("a.o"), "needle").unwrap();
    fs::write(build.join(OsStr::from_bytes(b"caf\xe9.o")), "needle").unwrap();
    fs::create_dir(build.join(OsStr::from_bytes(b"sub/\xff"))).unwrap();
    let list = root.call("list", &("build",)).await.unwrap();
    let Value::List(entries) = list.value() else { panic!() };
    let names: Vec<_> = entries.iter().map(|entry| entry.field("name").unwrap()).collect();
    assert_eq!(names.len(), 3);
    assert_eq!(names[1], &Value::Text("caf\u{fffd}.o".into()));
    assert_eq!(entries[1].field("raw"), Some(&Value::Data(b"caf\xe9.o".to_vec())));
    assert_eq!(entries[0].field("raw"), None);
    let globbed = value(&root, "glob", ("build/*.o",)).await.unwrap();
    assert_eq!(globbed, json!(["build/a.o", "build/caf\u{fffd}.o"]));
    let found = value(&root, "search", ("needle",)).await.unwrap();
    assert_eq!(found["matches"].as_array().unwrap().len(), 2);
    let all = json!({ "path": "build", "recursive": true });
    assert_eq!(value(&root, "remove", all).await.unwrap(), json!({ "entries": 5 }));
    assert!(!build.exists());
}

#[tokio::test]
async fn a_byte_order_mark_is_no_part_of_the_first_line() {
    let (dir, root) = ground();
    let at = |path: &str| dir.path().join("root").join(path);
    fs::write(at("win.py"), "\u{feff}import os\r\nprint(os)\r\n").unwrap();
    fs::write(at(".gitignore"), "\u{feff}secret.txt\r\n").unwrap();
    fs::write(at("secret.txt"), "import os").unwrap();
    let found = value(&root, "search", ("^import os$",)).await.unwrap();
    assert_eq!(found["matches"], json!([{ "path": "win.py", "line": 1, "text": "import os" }]));
    assert_eq!(found["ignored"], 1);
    let lines = value(&root, "readLines", ("win.py",)).await.unwrap();
    assert_eq!(lines["lines"][0], "import os");
    // The text of a file is all of it, so that what is read can be written back.
    assert!(read(&root, "win.py").await.unwrap().starts_with('\u{feff}'));
}

#[tokio::test]
async fn a_search_says_what_it_left_out_and_goes_on_where_it_stopped() {
    let (dir, root) = ground();
    let at = |path: &str| dir.path().join("root").join(path);
    for folder in ["a", "a-b", "b/c"] {
        fs::create_dir_all(at(folder)).unwrap();
        fs::write(at(folder).join("f"), "needle 1\nno\nneedle 2\nneedle \u{e9}\n").unwrap();
    }
    fs::write(at("binary"), b"needle\0").unwrap();
    fs::write(at("odd"), b"needle \xe9\n").unwrap();
    fs::write(at("wide"), format!("needle {}", "€".repeat(300))).unwrap();
    fs::File::create(at("large")).unwrap().set_len(9 << 20).unwrap();
    let all = value(&root, "search", ("needle",)).await.unwrap();
    assert_eq!(all["skipped"], 2);
    let unsearched =
        json!([{ "path": "binary", "why": "binary" }, { "path": "large", "why": "large" }]);
    assert_eq!(all["unsearched"], unsearched);
    assert_eq!((&all["replaced"], &all["next"]), (&json!(1), &json!(null)));
    let whole = all["matches"].as_array().unwrap();
    assert_eq!(whole.len(), 11);
    assert_eq!(whole[10]["cut"], true);
    for most in [1, 2, 5] {
        let (mut parts, mut after) = (Vec::new(), json!(null));
        loop {
            let asked = json!({ "pattern": "needle", "max": most, "after": after });
            let part = value(&root, "search", asked).await.unwrap();
            parts.extend(part["matches"].as_array().unwrap().clone());
            after = part["next"].clone();
            assert_eq!(part["truncated"], !after.is_null());
            if after.is_null() {
                break;
            }
        }
        assert_eq!(&parts, whole, "in parts of {most}");
    }
}

#[tokio::test]
async fn a_tree_that_cannot_be_removed_whole_is_not_touched() {
    let (dir, root) = ground();
    let mut deep = dir.path().join("root/deep");
    fs::create_dir(&deep).unwrap();
    fs::write(deep.join("a"), "").unwrap();
    for _ in 0..crate::limits::FS_DEPTH {
        deep.push("d");
        fs::create_dir(&deep).unwrap();
    }
    let all = json!({ "path": "deep", "recursive": true });
    let why = value(&root, "remove", all).await.unwrap_err();
    assert!(why.message.starts_with("nothing of `deep` was removed"), "{why}");
    assert!(deep.exists() && dir.path().join("root/deep/a").exists());
}

#[tokio::test]
async fn folders_that_were_made_go_when_the_rest_cannot_be_made() {
    let (dir, root) = ground();
    let long = "x".repeat(300);
    let path = format!("new/below/{long}");
    assert!(root.call("mkdir", &(path,)).await.is_err());
    assert!(!dir.path().join("root/new").exists());
}
