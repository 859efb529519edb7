//! Commits in every state of a repository: as the `git` program makes them, or refused.

use super::program::{FIRST, Twins};
use super::*;

/// A state, by the script that leads to it after a first commit.
const DONE: &[(&str, &str)] = &[
    ("a changed file", "echo x >src/a.txt"),
    ("nothing staged is lost", "echo x >n.txt; git add n.txt; echo y >c.txt; git rm -q docs/b.txt"),
    ("a sparse checkout", "git sparse-checkout set --cone src; test ! -e docs; echo x >src/a.txt"),
    (
        "a sparse checkout without a cone",
        "git sparse-checkout set --no-cone /src; test ! -e docs; echo x >src/a.txt",
    ),
    (
        "a file that a sparse checkout leaves out and that is there",
        "git sparse-checkout set --cone src; mkdir docs; echo x >docs/b.txt; echo x >src/a.txt",
    ),
    (
        "files outside of a sparse checkout, without a mark",
        "git sparse-checkout set --cone src; mkdir docs; echo x >docs/b.txt; git status -s; git update-index --no-skip-worktree \
         docs/b.txt; echo x >src/a.txt; echo n >src/n; echo n >docs/n; git add --sparse src/n docs/n; echo m >>docs/n",
    ),
    (
        "a nested cone",
        "mkdir -p a/b/c a/d; echo 1 >a/f; echo 1 >a/b/f; echo 1 >a/b/c/f; echo 1 >a/d/f; git add a; git commit -qm a; \
         git sparse-checkout set --cone a/b; test ! -e a/d; echo x >a/f; echo x >a/b/f; echo x >a/b/c/f; mkdir a/d; echo x >a/d/f",
    ),
    (
        "skip-worktree, changed and deleted",
        "git update-index --skip-worktree c.txt docs/b.txt; echo x >c.txt; rm docs/b.txt; echo x >src/a.txt",
    ),
    (
        "assume-unchanged, changed and deleted",
        "git update-index --assume-unchanged c.txt docs/b.txt; echo x >c.txt; rm docs/b.txt; echo x >src/a.txt",
    ),
    ("intent to add", "echo x >n.txt; git add -N n.txt; echo y >c.txt"),
    ("a mode and a link", "chmod +x c.txt; rm src/a.txt; ln -s ../c.txt src/a.txt"),
    ("a directory in the place of a file", "rm c.txt; mkdir c.txt; echo x >c.txt/x; git add c.txt"),
    ("a file in the place of a directory", "rm -r src; echo x >src; git add src"),
    ("a rename", "git mv c.txt d.txt; echo more >>d.txt"),
    ("a rename of the case alone", "git mv c.txt C.txt"),
    (
        "a name that is not UTF-8",
        "n=$(printf 'n\\374'); echo x >$n; git add $n; git commit -qm n; echo y >$n",
    ),
    (
        "line ends by attribute",
        "printf '*.txt text eol=crlf\\n*.bin -text\\n' >.gitattributes; printf '\\r\\n' >x.bin; git add .; \
         git commit -qm a; printf '1\\r\\n2\\r\\n' >c.txt; printf '\\r\\n\\r\\n' >x.bin",
    ),
    (
        "line ends by text=auto",
        "echo '* text=auto' >.gitattributes; git add .; git commit -qm a; printf '1\\r\\n2\\r\\n' >c.txt; \
         printf '\\0\\r\\n' >src/a.txt",
    ),
    (
        "text=auto over a file that has them already",
        "printf '1\\r\\n' >c.txt; git commit -qam a; echo '* text=auto' >.gitattributes; git add .gitattributes; \
         git commit -qm b; printf '1\\r\\n2\\r\\n' >c.txt",
    ),
    (
        "an identity in a file",
        "echo '* ident' >.gitattributes; printf '$Id: x$\\n' >c.txt; git add .",
    ),
    ("core.autocrlf", "git config core.autocrlf input; printf '1\\r\\n2\\r\\n' >c.txt"),
    ("core.autocrlf=true", "git config core.autocrlf true; printf '1\\r\\n2\\r\\n' >c.txt"),
    ("core.fileMode off", "git config core.fileMode false; chmod +x c.txt; echo x >docs/b.txt"),
    (
        "attributes of the repository alone",
        "echo '*.txt eol=crlf' >.git/info/attributes; printf '1\\r\\nx\\r\\n' >c.txt",
    ),
    ("a detached HEAD", "git checkout -q --detach; echo x >c.txt"),
    ("a bisection", "git bisect start -q; echo x >c.txt"),
    ("packed references", "git pack-refs --all; echo x >c.txt"),
    ("an index of version 4", "git update-index --index-version 4; echo x >c.txt"),
    (
        "a cache of untracked files",
        "git update-index --untracked-cache; git status -s; echo x >c.txt",
    ),
    (
        "a submodule that moved",
        "git init -qb main ../sub; cd ../sub; echo 1 >s; git add s; git commit -qm s; cd ../repo; \
         git -c protocol.file.allow=always submodule --quiet add \"$PWD/../sub\" sub; \
         git config -f .gitmodules submodule.sub.url ../sub; git add .gitmodules; git commit -qm sub; \
         cd sub; echo 2 >s; git commit -qam s2; cd ..",
    ),
    (
        "a submodule whose directory is gone, and one that was not fetched",
        "git update-index --add --cacheinfo 160000,$(git rev-parse HEAD),gone --cacheinfo 160000,$(git rev-parse HEAD),sub; \
         mkdir sub; git commit -qm subs",
    ),
    (
        "a submodule that was just added",
        "git init -qb main ../sub; cd ../sub; echo 1 >s; git add s; git commit -qm s; cd ../repo; \
         git -c protocol.file.allow=always submodule --quiet add \"$PWD/../sub\" sub; \
         git config -f .gitmodules submodule.sub.url ../sub; git add .gitmodules",
    ),
    (
        "a repository inside",
        "git init -q inner; cd inner; echo x >x; git add x; git commit -qm x; cd ..; echo x >c.txt",
    ),
];

#[test]
fn a_commit_is_as_the_program_makes_it() {
    let wrong = std::cell::RefCell::new(String::new());
    for (state, script) in DONE {
        let twins = Twins::new(FIRST);
        twins.both(script);
        check(twins, |twins| async {
            let twins = twins;
            // As in an editor: the message ends without a line feed.
            let done = ask(&twins.git(), "commit", json!({"message": "Work"})).await;
            let done = match done {
                Ok(done) => done,
                Err(failure) => return *wrong.borrow_mut() += &format!("\n{state}: {failure}"),
            };
            twins.run("program", "git commit -qam Work");
            *wrong.borrow_mut() += &twins.difference(state);
            let id = twins.run("tool", "git rev-parse HEAD");
            assert_eq!(done["id"], id.trim(), "{state}");
            twins.run("tool", "git fsck --strict");
        });
    }
    assert!(wrong.borrow().is_empty(), "{}", wrong.borrow());
}

#[test]
fn a_first_commit_is_as_the_program_makes_it() {
    let twins = Twins::new("git init -qb main .; echo 1 >a; echo 2 >b; git add a");
    check(twins, |twins| async move {
        ask(&twins.git(), "commit", json!({"message": "Work"})).await.unwrap();
        twins.run("program", "git commit -qam Work");
        twins.compare("an unborn branch");
    });
}

#[test]
fn a_commit_in_a_linked_or_shallow_repository_is_as_the_program_makes_it() {
    let more = "echo x >c.txt; git commit -qam Second; git branch topic";
    for (state, script, root) in [
        ("a linked working directory", "git worktree add -q ../w topic; echo y >../w/c.txt", "w"),
        ("a shallow clone", "git clone -q --depth 1 file://$PWD ../w; echo y >../w/c.txt", "w"),
    ] {
        let twins = Twins::new(FIRST);
        twins.both(more);
        twins.both(script);
        check(twins, |twins| async move {
            let tool = twins.configured(&format!("root = '{root}'\nwritable = true"));
            let git = tool.open().unwrap().handle();
            ask(&git, "commit", json!({"message": "Work"})).await.unwrap();
            twins.run("program", "cd ../w; git commit -qam Work");
            let look = "cd ../w; git log --format='%T %s'; git status --porcelain; git branch -a";
            assert_eq!(twins.run("tool", look), twins.run("program", look), "{state}");
            let log = ask(&git, "log", json!({})).await.unwrap();
            let seen = twins.run("tool", "cd ../w; git log --format=%H");
            assert_eq!(words(&log, "id").join("\n"), seen.trim(), "{state}");
        });
    }
}

#[test]
fn a_commit_of_paths_is_as_the_program_makes_it() {
    for (state, script, paths) in [
        ("others staged", "echo x >c.txt; echo y >n; git add n c.txt; echo z >src/a.txt", "src"),
        ("deleted", "rm -r src; echo x >c.txt", "src"),
        ("others intended", "echo x >n; git add -N n; echo y >c.txt", "c.txt"),
        ("a part of a sparse checkout", "git sparse-checkout set src; echo x >src/a.txt", "src"),
        (
            "marked files below",
            "git update-index --assume-unchanged src/a.txt; echo x >src/a.txt; echo y >src/n; git add src/n",
            "src",
        ),
    ] {
        let twins = Twins::new(FIRST);
        twins.both(script);
        check(twins, |twins| async move {
            let args = json!({"message": "Work", "paths": [paths]});
            let done = ask(&twins.git(), "commit", args).await;
            done.unwrap_or_else(|failure| panic!("{state}: {failure}"));
            twins.run("program", &format!("git commit -qm Work -- {paths}"));
            twins.compare(state);
        });
    }
}

/// States in which a commit is refused, and a word of the reason.
const REFUSED: &[(&str, &str)] = &[
    (
        "git checkout -q -b t; echo x >n; git add n; git commit -qm t; git checkout -q main; echo y >c.txt; \
      git commit -qam m; git merge -q --no-commit --no-ff t",
        "merge",
    ),
    ("git revert --no-commit HEAD; echo x >c.txt", "revert"),
    (
        "git checkout -q -b t; echo x >c.txt; git commit -qam t; git checkout -q main; echo y >c.txt; git commit -qam m; \
      ! git cherry-pick t >/dev/null 2>&1",
        "cherry-pick",
    ),
    (
        "git checkout -q -b t; echo x >c.txt; git commit -qam t; git checkout -q main; echo y >c.txt; git commit -qam m; \
      ! git rebase t >/dev/null 2>&1",
        "rebase",
    ),
    (
        "git checkout -q -b t; echo x >c.txt; git commit -qam t; git format-patch -q -1; git checkout -q main; echo y >c.txt; \
      git commit -qam m; ! git am 0001* >/dev/null 2>&1",
        "am",
    ),
    // Between two picks.
    (
        "git checkout -q -b t; echo x >c.txt; git commit -qam t; echo z >>c.txt; git commit -qam t2; git checkout -q main; \
      echo y >c.txt; git commit -qam m; ! git cherry-pick t~1 t >/dev/null 2>&1; git add c.txt; git commit -qm picked; \
      echo x >docs/b.txt",
        "sequence",
    ),
    (
        "git checkout -q -b t; echo x >c.txt; git commit -qam t; git checkout -q main; echo y >c.txt; git stash -q; \
      git checkout -q t; ! git stash pop >/dev/null 2>&1",
        "conflict",
    ),
    ("echo '*.txt filter=lfs' >.gitattributes; echo x >c.txt", "lfs"),
    ("echo '*.txt working-tree-encoding=UTF-16' >.gitattributes; echo x >c.txt", "UTF-16"),
    ("git config core.ignoreCase true; echo x >c.txt", "ignoreCase"),
    ("git config core.symlinks false; echo x >c.txt", "symlinks"),
    ("mkdir ../w; git config core.worktree ../../w; echo x >c.txt", "core.worktree"),
    ("git update-index --split-index; echo x >c.txt", "--no-split-index"),
    (
        "git config index.sparse true; git sparse-checkout set --cone --sparse-index src; echo x >src/a.txt",
        "--no-sparse-index",
    ),
    ("echo x >c.txt; touch .git/index.lock", "index.lock"),
    ("echo x >c.txt; touch .git/HEAD.lock", "HEAD.lock"),
    ("echo x >c.txt; touch .git/refs/heads/main.lock", "refs/heads/main"),
    ("git checkout -q --detach; echo x >c.txt; touch .git/HEAD.lock", "HEAD"),
];

#[test]
fn a_commit_that_is_refused_changes_nothing() {
    for (script, word) in REFUSED {
        let twins = Twins::new(FIRST);
        twins.both(script);
        check(twins, |twins| async move {
            // What the program writes when it looks has been written then.
            let look = "git status -s >/dev/null 2>&1; find . -path ./.git/objects -prune -o -type f -print0 | sort -z | xargs -0 md5sum";
            let before = twins.run("tool", look);
            let failure =
                ask(&twins.git(), "commit", json!({"message": "Work"})).await.unwrap_err();
            assert_eq!(failure.code, Code::Failed, "{script}: {failure}");
            assert!(failure.message.contains(word), "{script}: {failure}");
            assert_eq!(twins.run("tool", look), before, "{script}");
        });
    }
}

#[test]
fn a_repository_of_an_unknown_kind_says_so_on_every_call() {
    for (script, word) in [
        ("git init -qb main --ref-format=reftable .", "reftable"),
        ("git init -qb main --object-format=sha256 .", "sha256"),
        (
            "git init -qb main ../o; cd ../o; echo x >a; git add a; git commit -qm a; git config uploadpack.allowFilter true; \
             cd ../repo; git clone -q --filter=blob:none file://$PWD/../o .",
            "partial clone",
        ),
        ("git init -qb main .; echo nonsense >.git/HEAD", ""),
        ("echo 'gitdir: ../gone' >.git", "gone"),
        ("mkdir .git", ""),
    ] {
        check(Twins::new(script), |twins| async move {
            let git = twins.git();
            for method in ["log", "status", "commit", "branches"] {
                let args = json!({"message": "Work"});
                let args = if method == "commit" { args } else { json!({}) };
                let failure = ask(&git, method, args).await.unwrap_err();
                assert_eq!(failure.code, Code::Failed, "{script}: {failure}");
                assert!(failure.message.contains(word), "{script}: {failure}");
                assert!(failure.message.contains("restart"), "{script}: {failure}");
            }
        });
    }
}

#[test]
fn paths_that_name_nothing_are_refused() {
    let twins = Twins::new(FIRST);
    twins.both("echo x >c.txt; echo ignored >.gitignore; echo x >ignored; mkdir empty");
    check(twins, |twins| async move {
        let git = twins.git();
        for (path, code) in
            [("nowhere", Code::NotFound), ("ignored", Code::Failed), ("empty", Code::Failed)]
        {
            let args = json!({"message": "Work", "paths": ["c.txt", path]});
            let failure = ask(&git, "commit", args).await.unwrap_err();
            assert_eq!(failure.code, code, "{failure}");
            assert!(failure.message.contains(path), "{failure}");
        }
        assert_eq!(twins.run("tool", "git rev-list --count HEAD"), "1\n");
    });
}

#[test]
fn what_a_commit_left_out_is_in_its_answer() {
    let twins = Twins::new(FIRST);
    twins.both(
        "git init -q inner; cd inner; echo x >x; git add x; git commit -qm x; cd ..; echo x >c.txt",
    );
    check(twins, |twins| async move {
        let args = json!({"message": "Work", "paths": ["."]});
        let done = ask(&twins.git(), "commit", args).await.unwrap();
        assert_eq!(words(&done["skipped"], "path"), ["inner/"]);
        assert_eq!(twins.run("tool", "git show --name-only --format="), "c.txt\n");
    });
}

/// A file that was changed in the second in which the index was written, and kept its size and,
/// as far as the git program looks, its times.
const CHANGED_UNSEEN: &str = "git config core.trustctime false; touch -d @1600000000.1 c.txt; \
    git update-index c.txt; touch -d @1600000000.3 .git/index; \
    echo z >c.txt; touch -d @1600000000.2 c.txt";

#[test]
fn a_change_in_the_second_of_the_last_write_of_the_index_is_seen_after_a_commit() {
    let twins = Twins::new(FIRST);
    twins.both(&format!("{CHANGED_UNSEEN}; echo x >src/a.txt"));
    check(twins, |twins| async move {
        let args = json!({"message": "Work", "paths": ["src"]});
        ask(&twins.git(), "commit", args).await.unwrap();
        assert_eq!(twins.run("tool", "git status --porcelain"), " M c.txt\n");
    });
}

#[test]
fn a_change_in_the_second_of_the_last_write_of_the_index_is_seen_after_a_checkout() {
    let twins = Twins::new(FIRST);
    twins.both(
        "git checkout -qb topic; echo n >n; git add n; git commit -qm n; git checkout -q main",
    );
    twins.both(CHANGED_UNSEEN);
    check(twins, |twins| async move {
        ask(&twins.git(), "checkout", json!(["topic"])).await.unwrap();
        assert_eq!(twins.run("tool", "git status --porcelain"), " M c.txt\n");
    });
}

#[test]
fn changes_are_made_one_after_the_other() {
    let twins = Twins::new(FIRST);
    twins.both("echo x >c.txt; echo x >src/a.txt");
    check(twins, |twins| async move {
        let git = twins.git();
        let commit = |path: &str| ask(&git, "commit", json!({"message": path, "paths": [path]}));
        let (one, two) = futures::join!(commit("c.txt"), commit("src"));
        one.unwrap();
        two.unwrap();
        assert_eq!(twins.run("tool", "git log -2 --format=%s"), "src\nc.txt\n");
    });
}
