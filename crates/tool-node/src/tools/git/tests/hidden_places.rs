//! What is hidden is neither shown nor committed.

use super::program::{FIRST, Twins};
use super::*;

const HIDDEN: &str = "root = 'repo'\nwritable = true\nhidden = ['docs', 'key']";

fn hiding(script: &str) -> Twins {
    let twins = Twins::new(FIRST);
    twins.both("echo secret >key; git add key; git commit -qm 'With a key'");
    twins.both(script);
    twins
}

#[test]
fn hidden_files_are_not_shown() {
    let script = "echo secret2 >key; echo secret3 >docs/b.txt; echo y >c.txt; echo s >docs/new; git commit -qam Both; \
        echo secret4 >key; git add key; echo secret5 >docs/b.txt; echo z >c.txt; git init -q docs/inner; cd docs/inner; \
        echo x >x; git add x; git commit -qm x";
    check(hiding(script), |twins| async move {
        let git = twins.configured(HIDDEN).open().unwrap().handle();
        for (method, args) in [
            ("status", json!({})),
            ("diff", json!({})),
            ("diff", json!({"from": "HEAD~2", "to": "HEAD"})),
            ("diff", json!({"from": "HEAD~2", "to": "HEAD", "path": "docs"})),
            ("diff", json!({"from": "HEAD~2"})),
            ("show", json!(["HEAD"])),
            ("show", json!(["HEAD~1"])),
            ("list", json!(["HEAD"])),
        ] {
            let answer = ask(&git, method, args.clone()).await.unwrap().to_string();
            for word in ["secret", "docs", "\"key\"", "key\\n"] {
                assert!(!answer.contains(word), "{method} {args}: {answer}");
            }
        }
        for (method, path) in [("file", "key"), ("file", "docs/b.txt"), ("list", "docs")] {
            let failure = ask(&git, method, json!(["HEAD", path])).await.unwrap_err();
            assert_eq!(failure.code, Code::NotFound, "{failure}");
        }
        let status = ask(&git, "status", json!({})).await.unwrap();
        assert_eq!(words(&status["files"], "path"), ["c.txt"]);
    });
}

#[test]
fn hidden_files_are_not_committed() {
    let script = "echo new >key; git add key; echo new >docs/b.txt; echo n >docs/n; git add docs/n; echo y >c.txt; \
        ln key linked; git add linked; git rm -q --cached linked";
    check(hiding(script), |twins| async move {
        let git = twins.configured(HIDDEN).open().unwrap().handle();
        ask(&git, "commit", json!({"message": "All"})).await.unwrap();
        let shown = "git show --name-only --format= HEAD";
        assert_eq!(twins.run("tool", shown), "c.txt\n");
        // What others staged is as it was.
        assert_eq!(
            twins.run("tool", "git status --porcelain -uno"),
            " M docs/b.txt\nA  docs/n\nM  key\n"
        );
        twins.run("tool", "echo z >c.txt");
        let done = ask(&git, "commit", json!({"message": "All", "paths": ["."]})).await.unwrap();
        assert_eq!(twins.run("tool", shown), "c.txt\n");
        assert_eq!(words(&done["skipped"], "path"), ["linked"]);
        for path in ["key", "docs", "docs/b.txt"] {
            let args = json!({"message": "Key", "paths": [path]});
            let failure = ask(&git, "commit", args).await.unwrap_err();
            assert_eq!(failure.code, Code::NotFound, "{failure}");
        }
    });
}

#[test]
fn a_refused_checkout_does_not_name_hidden_files() {
    let script = "git checkout -q -b topic; echo t >key; git commit -qam t; git checkout -q main; echo local >key";
    check(hiding(script), |twins| async move {
        let git = twins.configured(HIDDEN).open().unwrap().handle();
        let failure = ask(&git, "checkout", json!(["topic"])).await.unwrap_err();
        assert!(failure.message.contains("a hidden file"), "{failure}");
        assert!(!failure.message.contains("key"), "{failure}");
    });
}
