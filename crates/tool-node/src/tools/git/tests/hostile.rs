//! Repositories that try to run something, or to be something else than they are.

use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;

/// A repository in which everything that git could run leaves a mark.
fn trapped(bench: &Bench) -> PathBuf {
    let mark = bench.dir.path().join("mark");
    let trap = bench.dir.path().join("trap");
    fs::write(&trap, format!("#!/bin/sh\necho \"$0 $@\" >> {}\ncat\n", mark.display())).unwrap();
    executable(&trap);
    let hooks = bench.path(".git/hooks");
    fs::create_dir_all(&hooks).unwrap();
    for hook in [
        "pre-commit",
        "prepare-commit-msg",
        "commit-msg",
        "post-commit",
        "post-checkout",
        "post-merge",
        "pre-auto-gc",
        "reference-transaction",
        "post-index-change",
        "fsmonitor-watchman",
        "upload-pack",
        "pre-push",
    ] {
        fs::copy(&trap, hooks.join(hook)).unwrap();
        executable(&hooks.join(hook));
    }
    let included = bench.dir.path().join("included");
    let config = format!(
        "[core]\n\tfsmonitor = {trap}\n\thooksPath = {hooks}\n\tpager = {trap}\n\teditor = {trap}\n\
         \tsshCommand = {trap}\n\tattributesFile = {attributes}\n\
         [filter \"trap\"]\n\tclean = {trap}\n\tsmudge = {trap}\n\tprocess = {trap}\n\trequired = true\n\
         [diff \"trap\"]\n\tcommand = {trap}\n\ttextconv = {trap}\n\
         [diff]\n\texternal = {trap}\n[merge \"trap\"]\n\tdriver = {trap}\n\
         [credential]\n\thelper = !{trap}\n[uploadpack]\n\tpackObjectsHook = {trap}\n\
         [gpg]\n\tprogram = {trap}\n[commit]\n\tgpgSign = true\n[alias]\n\tlog = !{trap}\n",
        trap = trap.display(),
        hooks = hooks.display(),
        attributes = bench.dir.path().join("attributes").display(),
    );
    fs::write(&included, config).unwrap();
    fs::write(bench.dir.path().join("attributes"), "* filter=trap diff=trap merge=trap\n").unwrap();
    let config = bench.path(".git/config");
    let mut text = fs::read_to_string(&config).unwrap();
    text.push_str(&fs::read_to_string(&included).unwrap());
    text.push_str(&format!("[include]\n\tpath = {}\n", included.display()));
    fs::write(config, text).unwrap();
    mark
}

fn executable(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn hooks_filters_and_configuration_are_never_executed() {
    let bench = Bench::new();
    bench.write(".gitattributes", "*.raw filter=trap\n* diff=trap merge=trap\n");
    bench.write("a.txt", "one\n");
    bench.write("a.raw", "one\n");
    bench.commit("First", 1_000);
    let mark = trapped(&bench);
    check(bench, |bench| async move {
        let git = bench.git();
        bench.write("a.txt", "two\n");
        bench.write("b.txt", "new\n");
        for (method, args) in [
            ("status", json!({})),
            ("diff", json!({})),
            ("log", json!({"path": "a.txt"})),
            ("commit", json!({"message": "Second", "paths": ["a.txt", "b.txt"]})),
            ("show", json!(["HEAD"])),
            ("diff", json!({"from": "HEAD~1", "to": "HEAD"})),
            ("checkout", json!({"branch": "side", "create": true})),
            ("checkout", json!(["main"])),
            ("file", json!(["HEAD", "a.txt"])),
            ("branches", json!({})),
        ] {
            ask(&git, method, args).await.unwrap_or_else(|failure| panic!("{method}: {failure}"));
        }
        let url = bench.path("").canonicalize().unwrap();
        git.call("clone", &json!({"url": url, "path": "copy"})).await.unwrap();
        let copied = fs::read_to_string(bench.dir.path().join("clones/copy/a.txt")).unwrap();
        assert_eq!(copied, "two\n");
        // What only the filter could tell is refused.
        bench.write("a.raw", "two\n");
        let failure = ask(&git, "commit", json!({"message": "Third"})).await.unwrap_err();
        assert!(failure.message.contains("`trap`"), "{failure}");
        let skipped = ask(&git, "status", json!({})).await.unwrap()["skipped"].clone();
        assert_eq!(words(&skipped, "path"), ["a.raw"]);
        let ran = fs::read_to_string(&mark).unwrap_or_default();
        assert_eq!(ran, "", "something was run");
    });
}

#[test]
fn a_configured_working_directory_elsewhere_is_not_taken() {
    let bench = bench();
    let elsewhere = bench.dir.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join("secret"), "secret").unwrap();
    bench.repo().config().unwrap().set_str("core.worktree", elsewhere.to_str().unwrap()).unwrap();
    check(bench, |bench| async move {
        let status = ask(&bench.git(), "status", json!({})).await.unwrap();
        assert_eq!(status["clean"], true, "{status}");
    });
}

#[test]
fn a_repository_cannot_turn_into_another_one() {
    let other = Bench::new();
    other.write("secret", "secret");
    let secret = other.commit("Secret", 1_000).to_string();
    let objects = other.path(".git/objects");
    check(bench(), |bench| async move {
        let git = bench.git();
        let info = bench.path(".git/objects/info");
        fs::create_dir_all(&info).unwrap();
        fs::write(info.join("alternates"), objects.to_str().unwrap()).unwrap();
        ask(&git, "show", json!([secret])).await.unwrap_err();
        fs::remove_file(info.join("alternates")).unwrap();
        // Its objects are not taken for this one's by links either.
        for name in ["ab", "pack"] {
            let (own, aside) = (bench.path(".git/objects").join(name), bench.path("aside"));
            let was_there = fs::rename(&own, &aside).is_ok();
            symlink(objects.join(name), &own).unwrap();
            let failure = ask(&git, "log", json!({})).await.unwrap_err();
            assert!(failure.message.contains("points to other places"), "{failure}");
            fs::remove_file(&own).unwrap();
            if was_there {
                fs::rename(&aside, &own).unwrap();
            }
        }
        fs::create_dir_all(bench.path(".git/objects/pack")).unwrap();
        let pack = bench.path(".git/objects/pack/pack-1.pack");
        symlink(objects.join("pack/pack-1.pack"), &pack).unwrap();
        ask(&git, "log", json!({})).await.unwrap_err();
        fs::remove_file(&pack).unwrap();
        ask(&git, "log", json!({})).await.unwrap();
        ask(&git, "status", json!({})).await.unwrap();
        fs::write(bench.path(".git/commondir"), other.path(".git").to_str().unwrap()).unwrap();
        ask(&git, "log", json!({})).await.unwrap_err();
        fs::remove_file(bench.path(".git/commondir")).unwrap();
        fs::rename(bench.path(".git"), bench.path("git")).unwrap();
        symlink(other.path(".git"), bench.path(".git")).unwrap();
        ask(&git, "log", json!({})).await.unwrap_err();
    });
}

#[test]
fn a_commit_does_not_follow_links_out_of_the_repository() {
    check(bench(), |bench| async move {
        let git = bench.git();
        let outside = bench.dir.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("lib.rs"), "secret").unwrap();
        fs::remove_dir_all(bench.path("src")).unwrap();
        symlink(&outside, bench.path("src")).unwrap();
        symlink(outside.join("lib.rs"), bench.path("link")).unwrap();
        let args = json!({"message": "Links", "paths": ["src", "link", "src/lib.rs"]});
        ask(&git, "commit", args).await.unwrap();
        let link = ask(&git, "file", json!(["HEAD", "link"])).await.unwrap();
        assert_eq!(link, outside.join("lib.rs").to_str().unwrap());
        let failure = ask(&git, "file", json!(["HEAD", "src/lib.rs"])).await.unwrap_err();
        assert_eq!(failure.code, Code::NotFound);
        let diff = ask(&git, "diff", json!({"from": "v1"})).await.unwrap();
        assert!(!diff["patch"].as_str().unwrap().contains("secret"), "{diff}");
    });
}

#[test]
fn a_clone_through_a_link_is_refused() {
    check(bench(), |bench| async move {
        let git = bench.git();
        let outside = bench.dir.path().join("outside");
        fs::create_dir(&outside).unwrap();
        symlink(&outside, bench.dir.path().join("clones/out")).unwrap();
        let url = bench.path("").canonicalize().unwrap();
        for path in ["out/x", "out", ""] {
            let args = json!({"url": url, "path": path});
            assert!(git.call("clone", &args).await.is_err(), "{path}");
        }
        assert_eq!(fs::read_dir(outside).unwrap().count(), 0);
        symlink(bench.path(""), bench.dir.path().join("clones/repo")).unwrap();
        assert!(git.call("open", &("repo",)).await.is_err());
    });
}

#[test]
fn the_program_that_clones_over_https_gets_a_clean_room() {
    check(bench(), |bench| async move {
        let program = bench.dir.path().join("git");
        let packed = bench.dir.path().join("packed");
        let repo = bench.path("");
        let pack = ["-czf", packed.to_str().unwrap(), "-C", repo.to_str().unwrap(), ".git"];
        assert!(std::process::Command::new("tar").args(pack).status().unwrap().success());
        // Stands in for the program: it writes down what it was told and what it reaches, and
        // unpacks the repository that stands in its own file.
        let script = format!(
            "#!/bin/sh\nfor into in \"$@\"; do :; done\n\
             {{ env; printf 'arg %s\\n' \"$@\"; cat {} && echo reached; }} > \"$into/seen\" 2>&1\n\
             sed '1,/^PACKED$/d' \"$0\" | tar -xz -C \"$into\"\nexit\nPACKED\n",
            bench.path(".git/HEAD").display()
        );
        let script = [script.into_bytes(), fs::read(packed).unwrap()].concat();
        fs::write(&program, script).unwrap();
        executable(&program);
        let more = "writable = true\nclone_root = 'clones'\nprogram = 'git'\nclone_from = ['https://example.com/allowed']";
        let git = bench.configured(more).unwrap().open().unwrap().handle();
        let args = json!({"url": "https://example.com/allowed/it.git", "path": "it"});
        let clone = git.call("clone", &args).await.unwrap().object().unwrap();
        assert!(bench.dir.path().join("clones/it/src/lib.rs").is_file());
        assert_eq!(words(&ask(&clone, "log", json!({})).await.unwrap(), "summary").len(), 2);
        let seen = fs::read_to_string(bench.dir.path().join("clones/it/seen")).unwrap();
        assert!(!seen.lines().any(|line| line == "reached"), "{seen}");
        for line in [
            "GIT_CONFIG_NOSYSTEM=1",
            "GIT_CONFIG_GLOBAL=/dev/null",
            "GIT_TERMINAL_PROMPT=0",
            "arg core.hooksPath=/dev/null",
            "arg protocol.allow=never",
            "arg protocol.https.allow=always",
            "arg --",
            "arg https://example.com/allowed/it.git",
        ] {
            assert!(seen.lines().any(|l| l == line), "{line} is not in {seen}");
        }
        assert!(!seen.contains("CARGO"), "{seen}");
    });
}

#[test]
fn without_the_program_an_https_clone_says_what_is_missing() {
    check(bench(), |bench| async move {
        let more = "writable = true\nclone_root = 'clones'\nprogram = '/no/git'\nclone_from = ['https://example.com/']";
        let git = bench.configured(more).unwrap().open().unwrap().handle();
        let args = json!({"url": "https://example.com/it.git", "path": "it"});
        let failure = git.call("clone", &args).await.err().unwrap();
        assert_eq!(failure.code, Code::Unavailable);
        assert!(failure.message.contains("/no/git"), "{failure}");
        assert_eq!(fs::read_dir(bench.dir.path().join("clones")).unwrap().count(), 0);
    });
}

#[test]
fn a_submodule_that_points_elsewhere_is_not_followed() {
    let other = Bench::new();
    other.write("secret", "secret");
    let secret = other.commit("Secret", 1_000).to_string();
    let git_dir = other.path(".git");
    let bench = bench();
    let repo = bench.repo();
    let mut index = repo.index().unwrap();
    let head = repo.head().unwrap().target().unwrap();
    index.add(&stage::entry(b"sub", head, state::MODULE, 0)).unwrap();
    index.write().unwrap();
    bench.write("sub/.git", &format!("gitdir: {}\n", git_dir.display()));
    check(bench, |bench| async move {
        let git = bench.git();
        let status = ask(&git, "status", json!({})).await.unwrap();
        assert!(!status.to_string().contains(&secret), "{status}");
        assert_eq!(words(&status["skipped"], "path"), ["sub"]);
        ask(&git, "commit", json!({"message": "Sub"})).await.unwrap();
        let list = ask(&git, "show", json!(["HEAD"])).await.unwrap();
        assert!(!list.to_string().contains(&secret), "{list}");
        fs::remove_file(bench.path("sub/.git")).unwrap();
        symlink(&git_dir, bench.path("sub/.git")).unwrap();
        let status = ask(&git, "status", json!({})).await.unwrap();
        assert_eq!(words(&status["skipped"], "path"), ["sub"]);
    });
}

#[test]
fn a_planted_lock_index_or_head_leads_nowhere_else() {
    check(bench(), |bench| async move {
        let git = bench.git();
        let outside = bench.dir.path().join("outside");
        fs::write(&outside, "precious").unwrap();
        bench.write("README.md", "two\n");
        for name in ["index.lock", "HEAD.lock"] {
            symlink(&outside, bench.path(".git").join(name)).unwrap();
            let failure = ask(&git, "commit", json!({"message": "x"})).await.unwrap_err();
            assert!(failure.message.contains(name), "{failure}");
            ask(&git, "checkout", json!(["side"])).await.unwrap_err();
            fs::remove_file(bench.path(".git").join(name)).unwrap();
        }
        fs::rename(bench.path(".git/index"), bench.path(".git/index.old")).unwrap();
        symlink(&outside, bench.path(".git/index")).unwrap();
        ask(&git, "commit", json!({"message": "x"})).await.unwrap_err();
        symlink(&outside, bench.path(".git/refs/heads/planted")).unwrap();
        let branches = ask(&git, "branches", json!({})).await.unwrap();
        assert!(!branches.to_string().contains("precious"), "{branches}");
        assert_eq!(fs::read_to_string(&outside).unwrap(), "precious");
    });
}

#[test]
fn settings_of_the_repository_reach_libgit2_as_known_words_alone() {
    let bench = bench();
    let trap = bench.dir.path().join("attributes");
    fs::write(&trap, "* filter=trap\n").unwrap();
    let config = bench.path(".git/config");
    let text = fs::read_to_string(&config).unwrap();
    let planted = format!(
        "{text}\n[core]\n\tautocrlf = \"true\\n\\tattributesFile = {}\"\n\teol = \"lf\\n[x]\"\n",
        trap.display()
    );
    fs::write(config, planted).unwrap();
    check(bench, |bench| async move {
        let git = bench.git();
        bench.write("README.md", "two\r\n");
        ask(&git, "commit", json!({"message": "As it is"})).await.unwrap();
        let file = ask(&git, "file", json!(["HEAD", "README.md"])).await.unwrap();
        assert_eq!(file, "two\r\n");
    });
}
