//! Odd items in a list, and lists that are not complete.

use super::program::{FIRST, Twins};
use super::*;

/// Makes a commit of the given text below the last one, and moves `main` to it.
const WRITE: &str = "id=$(printf 'tree %s\\nparent %s\\n%b' $(git rev-parse HEAD^{tree} HEAD) \"$text\" | \
    git hash-object -t commit -w --stdin --literally); git update-ref refs/heads/main $id";

fn with_commit(text: &str) -> Twins {
    let twins = Twins::new(FIRST);
    twins.both(&format!("text='{text}'; {WRITE}; echo x >c.txt; git add c.txt"));
    twins.both(
        "id=$(git write-tree); git update-ref refs/heads/main $(git commit-tree -m Last -p HEAD $id)",
    );
    twins
}

#[test]
fn a_malformed_commit_is_in_the_log_and_hides_no_other() {
    let good = "Ann <a@example.com> 1700000000 +0000";
    for (author, committer) in [
        ("Ann", good),
        ("", good),
        ("Ann <a@example.com 1700000000 +0000", good),
        ("Ann <a@example.com> soon +0000", good),
        ("Ann <a@example.com> 99999999999999999999 +0000", good),
        (good, "Ann"),
        (good, "Ann <a@example.com>"),
        ("A\\0374 <a@example.com> 1700000000 +0000", good),
    ] {
        let text = format!("author {author}\\ncommitter {committer}\\n\\nOdd\\n");
        check(with_commit(&text), |twins| async move {
            let git = twins.git();
            let log = ask(&git, "log", json!({})).await.unwrap();
            assert_eq!(words(&log, "summary"), ["Last", "Odd", "First"], "{author}|{committer}");
            assert!(
                log[1]["raw"].is_array() || log[1]["raw"].is_object() || log[1]["raw"].is_string()
            );
            let paths = ask(&git, "log", json!({"path": "c.txt"})).await.unwrap();
            assert_eq!(words(&paths, "summary"), ["Last", "First"], "{author}");
            let since = ask(&git, "log", json!({"since": "HEAD~1"})).await.unwrap();
            assert_eq!(words(&since, "summary"), ["Last"], "{author}");
            for rev in ["HEAD~1", "main^", "main~1^0", log[1]["id"].as_str().unwrap()] {
                let shown = ask(&git, "show", json!([rev])).await.unwrap();
                assert_eq!(shown["summary"], "Odd", "{author}: {rev}");
                assert_eq!(shown["files"], json!([]));
            }
            ask(&git, "file", json!(["HEAD~1", "c.txt"])).await.unwrap();
            ask(&git, "diff", json!({"from": "HEAD~1", "to": "HEAD"})).await.unwrap();
        });
    }
}

#[test]
fn a_missing_object_is_damage_and_not_a_wrong_name() {
    let twins = Twins::new(FIRST);
    twins.both("git commit -q --allow-empty -m Second; id=$(git rev-parse HEAD:c.txt); rm -f .git/objects/$(echo $id | cut -c1-2)/$(echo $id | cut -c3-)");
    check(twins, |twins| async move {
        let git = twins.git();
        let failure = ask(&git, "file", json!(["HEAD", "c.txt"])).await.unwrap_err();
        assert_eq!(failure.code, Code::Failed, "{failure}");
        assert!(failure.message.contains("damaged"), "{failure}");
        twins.run("tool", "id=$(git rev-parse HEAD~1); rm -f .git/objects/$(echo $id | cut -c1-2)/$(echo $id | cut -c3-)");
        let log = ask(&git, "log", json!({})).await.unwrap();
        assert_eq!(words(&log, "summary"), ["Second", ""]);
        assert!(log[1]["problem"].as_str().unwrap().contains("cannot be read"), "{log}");
    });
}

#[test]
fn branches_and_tags_of_every_kind_are_listed() {
    let twins = Twins::new(FIRST);
    twins.both(
        "git branch good; echo nonsense >.git/refs/heads/broken; git update-ref refs/heads/$(printf 'l\\374') HEAD; \
         git symbolic-ref refs/remotes/o/HEAD refs/remotes/o/gone; git tag light; git tag -m note noted; \
         git tag tree HEAD^{tree}; git tag blob HEAD:c.txt; git tag -m t twice noted",
    );
    check(twins, |twins| async move {
        let git = twins.git();
        let branches = ask(&git, "branches", json!({})).await.unwrap();
        assert_eq!(words(&branches, "name"), ["broken", "good", "l\u{fffd}", "main", "o/HEAD"]);
        let broken: Vec<_> =
            branches.as_array().unwrap().iter().map(|b| b["id"].is_null()).collect();
        assert_eq!(broken, [true, false, false, false, true]);
        assert_eq!(branches[2]["raw"], json!(b"l\xfc"));
        assert!(branches[1].get("raw").is_none());
        let tags = ask(&git, "tags", json!({})).await.unwrap();
        assert_eq!(words(&tags, "name"), ["blob", "light", "noted", "tree", "twice"]);
        assert_eq!(words(&tags, "kind"), ["blob", "commit", "commit", "tree", "commit"]);
        let head = twins.run("tool", "git rev-parse HEAD");
        assert_eq!(tags[4]["id"], head.trim());
        let part = ask(&git, "branches", json!({"max": 2, "skip": 1})).await.unwrap();
        assert_eq!(words(&part, "name"), ["good", "l\u{fffd}"]);
    });
}

#[test]
fn a_list_is_never_cut_short_without_a_word() {
    let twins = Twins::new(FIRST);
    twins.both(
        "i=0; while [ $i -lt 10001 ]; do echo \"create refs/tags/t$i HEAD\"; i=$((i+1)); done | git update-ref --stdin; \
         for i in 1 2 3; do git commit -q --allow-empty -m $i; done",
    );
    check(twins, |twins| async move {
        let git = twins.git();
        let failure = ask(&git, "tags", json!({})).await.unwrap_err();
        assert_eq!(failure.code, Code::Limit);
        assert!(failure.message.contains("`skip`"), "{failure}");
        let rest = ask(&git, "tags", json!({"max": 10, "skip": 9_995})).await.unwrap();
        assert_eq!(rest.as_array().unwrap().len(), 6);
        for args in [json!({"max": 1_001}), json!({"max": 5_000, "path": "src"})] {
            let failure = ask(&git, "log", args).await.unwrap_err();
            assert_eq!((failure.code, failure.detail.as_str()), (Code::InvalidArgument, "max"));
        }
        let all = ask(&git, "log", json!({})).await.unwrap();
        let rest = ask(&git, "log", json!({"skip": 2})).await.unwrap();
        assert_eq!(all.as_array().unwrap()[2..], *rest.as_array().unwrap());
    });
}

#[test]
fn a_log_that_went_as_far_as_it_may_says_how_to_go_on() {
    let twins = Twins::new("git init -qb main .");
    // One commit at the bottom has the file.
    let script = "awk 'BEGIN { print \"blob\\nmark :1\\ndata 1\\nx\"; for (i = 1; i <= 2000; i++) { \
         print \"commit refs/heads/main\\ncommitter A <a> \" 1600000000 + i \" +0000\\ndata 1\\nx\"; \
         if (i == 1) print \"M 644 :1 old.txt\" } }' | git fast-import --quiet";
    twins.run("tool", script);
    check(twins, |twins| async move {
        let place = Place::of_operator(&twins.path("repo")).unwrap();
        let open = place.open(&Identity::parse("A <a>").unwrap()).unwrap();
        let log = |args: Json| {
            let args: LogArgs = serde_json::from_value(args).unwrap();
            let found = history::log(&open, &args, &Stop::after(1_500))?;
            Ok::<_, Failure>(serde_json::to_value(found).unwrap().as_array().unwrap().len())
        };
        let failure = log(json!({"path": "old.txt"})).unwrap_err();
        assert_eq!(failure.code, Code::Limit, "{failure}");
        assert!(failure.message.contains("`from: \"HEAD\", skip: 1500`"), "{failure}");
        assert_eq!(log(json!({"path": "old.txt", "skip": 1_500})), Ok(1));
        assert_eq!(log(json!({"path": "old.txt", "skip": 2_000})), Ok(0));
        assert_eq!(log(json!({"max": 1_000, "skip": 1_990})), Ok(10));
        let failure = log(json!({"since": "HEAD~1600"})).unwrap_err();
        assert_eq!(failure.code, Code::Limit, "{failure}");
        assert_eq!(log(json!({"since": "HEAD~600", "max": 1_000})), Ok(600));
        // Recent ones are found without a walk through all.
        assert_eq!(log(json!({"since": 1_600_001_997_000_u64})), Ok(4));
    });
}

#[test]
fn a_log_is_that_of_the_program() {
    let day = 86_400;
    let commit = |name: &str, authored: u32, committed: u32| {
        format!(
            "echo {name} {authored} >{name}; git add {name}; GIT_AUTHOR_DATE='{} +0000' GIT_COMMITTER_DATE='{} +0000' \
             git commit -qm {name}; ",
            1_500_000_000 + authored * day,
            1_500_000_000 + committed * day,
        )
    };
    let mut script = String::from("git init -qb main .; ");
    // Written long ago and rebased; then a merge of two lines, and clocks that differ.
    for (name, authored, committed) in [("a", 1, 1), ("b", 1, 9), ("c", 9, 8), ("d", 12, 11)] {
        script += &commit(name, authored, committed);
    }
    script += "git checkout -q -b t HEAD~2; ";
    script += &commit("e", 3, 10);
    script += &commit("a", 3, 12);
    script +=
        "git checkout -q main; GIT_COMMITTER_DATE='1501200000 +0000' git merge -q -m merge t; ";
    script += &commit("f", 2, 7);
    let twins = Twins::new(&script);
    check(twins, |twins| async move {
        let git = twins.git();
        let since = 1_500_000_000 + 9 * day;
        for (args, program) in [
            (json!({}), "".to_owned()),
            (json!({"since": u64::from(since) * 1_000}), format!("--since-as-filter={since}")),
            (json!({"path": "a"}), "-- a".to_owned()),
            (json!({"path": "e"}), "-- e".to_owned()),
            (json!({"since": "t"}), "t..HEAD".to_owned()),
            (json!({"since": "HEAD~3"}), "HEAD~3..HEAD".to_owned()),
            (json!({"from": "t", "since": "main"}), "main..t".to_owned()),
            (json!({"max": 3, "skip": 2}), "-3 --skip=2".to_owned()),
        ] {
            let log = ask(&git, "log", args).await.unwrap();
            let seen = twins.run("tool", &format!("git log --format=%s {program}"));
            assert_eq!(words(&log, "summary").join("\n"), seen.trim(), "{program}");
        }
        let log = ask(&git, "log", json!({})).await.unwrap();
        let format = "git log --format='%at000 %ct000 %P'";
        let seen: Vec<_> = log
            .as_array()
            .unwrap()
            .iter()
            .map(|c| {
                let parents = c["parents"].as_array().unwrap().iter().map(|p| p.as_str().unwrap());
                let parents = parents.collect::<Vec<_>>().join(" ");
                format!("{} {} {parents}", c["timeMs"], c["committedMs"])
            })
            .collect();
        assert_eq!(seen.join("\n"), twins.run("tool", format).trim_end_matches('\n'));
    });
}

#[test]
fn names_that_are_no_text_are_shown_with_their_bytes() {
    let twins = Twins::new(FIRST);
    twins.both("n=$(printf 'n\\374'); echo x >$n; git add $n; git commit -qm n; echo y >$n");
    check(twins, |twins| async move {
        let git = twins.git();
        for (method, args, list) in [
            ("status", json!({}), "files"),
            ("diff", json!({}), "files"),
            ("show", json!(["HEAD"]), "files"),
        ] {
            let answer = ask(&git, method, args).await.unwrap();
            assert_eq!(words(&answer[list], "path"), ["n\u{fffd}"], "{method}");
            assert_eq!(answer[list][0]["raw"], json!(b"n\xfc"), "{method}");
        }
        let list = ask(&git, "list", json!(["HEAD"])).await.unwrap();
        assert_eq!(words(&list, "name"), ["c.txt", "docs", "n\u{fffd}", "src"]);
        assert_eq!(list[2]["raw"], json!(b"n\xfc"));
    });
}

#[test]
fn a_file_is_text_or_bytes_as_it_was_asked_for() {
    let twins = Twins::new(FIRST);
    twins.both("printf 'a\\374b' >c.txt; git commit -qam bytes");
    check(twins, |twins| async move {
        let git = twins.git();
        let text = ask(&git, "file", json!(["HEAD", "c.txt"])).await.unwrap();
        assert_eq!(text, "a\u{fffd}b");
        let args = json!({"rev": "HEAD", "path": "c.txt", "encoding": "data"});
        assert_eq!(ask(&git, "file", args).await.unwrap(), json!(b"a\xfcb"));
        let args = json!({"rev": "HEAD~1", "path": "c.txt", "encoding": "data"});
        assert_eq!(ask(&git, "file", args).await.unwrap(), json!(b"3\n"));
        let args = json!({"rev": "HEAD", "path": "c.txt", "strict": true});
        let failure = ask(&git, "file", args).await.unwrap_err();
        assert!(failure.message.contains("1 places"), "{failure}");
    });
}

#[test]
fn status_tells_the_state_and_what_it_did_not_look_at() {
    for (script, field, value) in [
        ("true", "waiting", Json::Null),
        (
            "git checkout -q -b t; git commit -q --allow-empty -m t; git checkout -q main; git merge -q --no-commit --no-ff t",
            "waiting",
            json!("merge"),
        ),
        ("git sparse-checkout set src", "sparse", json!(true)),
        ("git sparse-checkout set src", "clean", json!(true)),
        ("git checkout -q --orphan o; git rm -qrf .", "branch", json!("o")),
        ("git checkout -q --detach", "branch", Json::Null),
        ("echo '*.txt filter=lfs' >.git/info/attributes; echo x >c.txt", "clean", json!(false)),
    ] {
        let twins = Twins::new(FIRST);
        twins.both(script);
        check(twins, |twins| async move {
            let status = ask(&twins.git(), "status", json!({})).await.unwrap();
            assert_eq!(status[field], value, "{script}: {status}");
        });
    }
    let twins = Twins::new(FIRST);
    twins.both(
        "echo '*.txt filter=lfs' >.git/info/attributes; echo x >c.txt; git sparse-checkout set src",
    );
    check(twins, |twins| async move {
        for method in ["status", "diff"] {
            let answer = ask(&twins.git(), method, json!({})).await.unwrap();
            assert_eq!(words(&answer["skipped"], "path"), ["c.txt"], "{method}: {answer}");
            assert_eq!(answer["files"], json!([]), "{method}: {answer}");
        }
    });
}

#[test]
fn a_long_status_goes_on_after_its_last_path() {
    let twins = Twins::new(FIRST);
    twins.both("mkdir many; cd many; seq 10000 | xargs touch; cd ..; touch z");
    check(twins, |twins| async move {
        let git = twins.git();
        let status = ask(&git, "status", json!({})).await.unwrap();
        assert_eq!(status["truncated"], true);
        let paths = words(&status["files"], "path");
        let args = json!({"after": paths.last().unwrap()});
        let rest = ask(&git, "status", args).await.unwrap();
        assert_eq!(
            (words(&rest["files"], "path"), &rest["truncated"]),
            (vec!["z".into()], &json!(false))
        );
        let part = ask(&git, "status", json!({"path": "z"})).await.unwrap();
        assert_eq!(words(&part["files"], "path"), ["z"]);
    });
}
