//! Switching between branches: as the `git` program does it, or refused.

use super::program::{FIRST, Twins};
use super::*;

/// A branch `topic` that changes, adds and removes files.
const TOPIC: &str = "git checkout -q -b topic; echo topic >c.txt; mkdir new; echo n >new/n.txt; git rm -qr docs; \
    git add -A; git commit -qm Topic; git checkout -q main";

const DONE: &[(&str, &str)] = &[
    ("nothing else", "true"),
    ("a local change elsewhere", "echo x >src/a.txt"),
    (
        "something staged elsewhere",
        "echo x >src/a.txt; git add src/a.txt; echo n >n; git add n; echo m >>n",
    ),
    ("something that is as it is to be", "echo topic >c.txt; git add c.txt"),
    ("an untracked file elsewhere", "echo x >untracked"),
    ("a branch at the same commit", "git branch -f topic main; echo x >c.txt"),
    ("a detached HEAD", "git checkout -q --detach"),
    ("packed references", "git pack-refs --all"),
    ("a deleted file", "rm src/a.txt"),
    (
        "a link, a mode, a directory in the place of a file",
        "git checkout -q topic; rm c.txt; mkdir c.txt; echo x >c.txt/x; rm src/a.txt; ln -s ../new src/a.txt; \
         chmod +x new/n.txt; git add -A; git commit -qm Odd; git checkout -q main",
    ),
    (
        "line ends",
        "git checkout -q topic; echo y >docs; git add -A; git commit -qm y; \
         echo '*.txt eol=crlf' >.git/info/attributes; git checkout -q main; rm c.txt; git checkout c.txt",
    ),
    (
        "attributes that concern no content",
        "git checkout -q topic; echo '*.txt diff=x' >.gitattributes; git add -A; git commit -qm x; git checkout -q main",
    ),
    (
        "a submodule at another commit",
        "git init -qb main ../sub; cd ../sub; echo 1 >s; git add s; git commit -qm s; cd ../repo; \
         git -c protocol.file.allow=always submodule --quiet add \"$PWD/../sub\" sub; \
         git config -f .gitmodules submodule.sub.url ../sub; git add .gitmodules; git commit -qm sub; \
         git checkout -q -b t2; git update-index --cacheinfo 160000,$(git rev-parse HEAD),sub; git commit -qm sub2; \
         git branch -f topic; git checkout -q main",
    ),
    (
        "a name that is not UTF-8",
        "git checkout -q topic; n=$(printf 'n\\374'); echo x >$n; git add -A; git commit -qm n; git checkout -q main",
    ),
];

#[test]
fn a_checkout_is_as_the_program_does_it() {
    for (state, script) in DONE {
        let twins = Twins::new(FIRST);
        twins.both(TOPIC);
        twins.both(script);
        check(twins, |twins| async move {
            let done = ask(&twins.git(), "checkout", json!(["topic"])).await;
            let done = done.unwrap_or_else(|failure| panic!("{state}: {failure}"));
            assert_eq!((&done["branch"], &done["madeAt"]), (&json!("topic"), &Json::Null));
            twins.run("program", "git checkout -q topic");
            twins.compare(state);
            // And back, which the program does in both.
            twins.both("git checkout -q main");
            twins.compare(state);
        });
    }
}

const REFUSED: &[(&str, &str)] = &[
    ("echo x >c.txt", "c.txt"),
    ("echo x >c.txt; git add c.txt; git show HEAD:c.txt >c.txt", "c.txt"),
    ("mkdir new; echo x >new/n.txt", "new/n.txt"),
    ("mkdir new; echo x >new/n.txt; git add new; rm -r new", "new/n.txt"),
    ("echo new >.git/info/exclude; mkdir new; echo x >new/n.txt", "new/n.txt"),
    ("git update-index --assume-unchanged c.txt", "assume-unchanged"),
    ("git sparse-checkout set --cone src", "only a part"),
    ("echo '*.txt filter=lfs' >.git/info/attributes", "lfs"),
    (
        "git checkout -q topic; echo '*.txt filter=lfs' >.gitattributes; git add -A; git commit -qm lfs; \
      git checkout -q main",
        "filters",
    ),
    (
        "git checkout -q topic; echo '*.txt eol=crlf' >.gitattributes; git add -A; git commit -qm eol; \
      git checkout -q main",
        "line ends",
    ),
    ("touch .git/index.lock", "index.lock"),
    ("touch .git/HEAD.lock", "HEAD.lock"),
    ("git worktree add -q ../w topic", "another working directory"),
    (
        "git worktree add -q ../w topic; cd ../w; ! git rebase --exec false main >/dev/null 2>&1",
        "another working directory",
    ),
    ("git merge -q --no-commit --no-ff topic", "merge"),
    ("git bisect start -q", "bisect"),
    ("git update-index --split-index", "--no-split-index"),
];

#[test]
fn a_checkout_that_is_refused_changes_nothing() {
    for (script, word) in REFUSED {
        let twins = Twins::new(FIRST);
        twins.both(TOPIC);
        twins.both(script);
        check(twins, |twins| async move {
            let look = "git status -s >/dev/null 2>&1; find . -path ./.git/objects -prune -o -type f -print0 | sort -z | xargs -0 md5sum";
            let before = twins.run("tool", look);
            let failure = ask(&twins.git(), "checkout", json!(["topic"])).await.unwrap_err();
            assert_eq!(failure.code, Code::Failed, "{script}: {failure}");
            assert!(failure.message.contains(word), "{script}: {failure}");
            assert_eq!(twins.run("tool", look), before, "{script}");
        });
    }
}

#[test]
fn a_new_branch_that_cannot_be_made_or_used_is_not_left_behind() {
    let twins = Twins::new(FIRST);
    twins.both(TOPIC);
    twins.both(
        "git update-ref refs/remotes/o/far topic; git config remote.o.url ../o; echo x >c.txt",
    );
    check(twins, |twins| async move {
        let git = twins.git();
        ask(&git, "checkout", json!(["far"])).await.unwrap_err();
        let args = json!({"branch": "topic/below", "create": true});
        ask(&git, "checkout", args).await.unwrap_err();
        let look = "git for-each-ref --format='%(refname)' refs/heads; git symbolic-ref HEAD";
        let heads = "refs/heads/main\nrefs/heads/topic\nrefs/heads/main\n";
        assert_eq!(twins.run("tool", look), heads);
        // Nothing differs, so local changes are no hindrance.
        ask(&git, "checkout", json!({"branch": "new", "create": true})).await.unwrap();
        assert_eq!(
            twins.run("tool", "git symbolic-ref HEAD; git status -s"),
            "refs/heads/new\n M c.txt\n"
        );
    });
}

#[test]
fn a_branch_of_the_original_is_made_where_it_is() {
    let twins = Twins::new(FIRST);
    twins.both(TOPIC);
    check(twins, |twins| async move {
        let (here, clones) = (twins.path("repo"), twins.path("clones"));
        fs::create_dir(clones).unwrap();
        let tool = twins.configured(
            "root = 'repo'\nwritable = true\nclone_root = 'clones'\nclone_from = ['repo']",
        );
        let git = tool.open().unwrap().handle();
        let args = json!({"url": here.canonicalize().unwrap(), "path": "c"});
        let clone = git.call("clone", &args).await.unwrap().object().unwrap();
        let args = json!({"branch": "topic", "create": true});
        let failure = ask(&clone, "checkout", args.clone()).await.unwrap_err();
        assert!(failure.message.contains("origin/topic"), "{failure}");
        let done = ask(&clone, "checkout", json!(["topic"])).await.unwrap();
        assert_eq!(done["madeAt"], "origin/topic");
        let look = "cd ../clones/c; git log -1 --format=%s; git status --porcelain; cat c.txt";
        assert_eq!(twins.run("tool", look), "Topic\ntopic\n");
        // Done twice is as done once.
        ask(&clone, "checkout", json!(["topic"])).await.unwrap();
        ask(&clone, "checkout", args).await.unwrap();
        // What two others have is not guessed.
        let more = "cd ../clones/c; git remote add two ../x; git update-ref refs/remotes/two/t HEAD; \
            git update-ref refs/remotes/origin/t HEAD~1";
        twins.run("tool", more);
        let failure = ask(&clone, "checkout", json!(["t"])).await.unwrap_err();
        assert!(failure.message.contains("`origin/t`, `two/t`"), "{failure}");
    });
}

#[test]
fn a_clone_is_as_the_program_makes_it() {
    let twins = Twins::new(FIRST);
    twins.both(
        "printf '*.txt eol=crlf\\n-x ident\\n*.raw filter=lfs\\n' >.gitattributes; printf '$Id$\\n' >./-x; \
         echo raw >a.raw; chmod +x c.txt; ln -s c.txt link; git add -A; git commit -qm Attributes; mkdir ../clones",
    );
    check(twins, |twins| async move {
        let tool = twins.configured(
            "root = 'repo'\nwritable = true\nclone_root = 'clones'\nclone_from = ['repo']",
        );
        let git = tool.open().unwrap().handle();
        let here = twins.path("repo").canonicalize().unwrap();
        git.call("clone", &json!({"url": here, "path": "c"})).await.unwrap();
        twins.run("program", "git clone -q . ../clones/c");
        let look = "cd ../clones/c; git status --porcelain; git branch; ls -lA | tail -n +2 | cut -c1-10; \
            for f in $(git ls-files); do echo $f; md5sum <$f; done";
        assert_eq!(twins.run("tool", look), twins.run("program", look));
        twins.run(
            "tool",
            "echo 'd.txt working-tree-encoding=UTF-16' >.gitattributes; git commit -qam Coded",
        );
        let args = json!({"url": here, "path": "new/below/d"});
        let failure = git.call("clone", &args).await.err().unwrap();
        assert!(failure.message.contains("working-tree-encoding"), "{failure}");
        // Another one's is not removed.
        fs::create_dir(twins.path("clones/.e.part")).unwrap();
        let failure = git.call("clone", &json!({"url": here, "path": "e"})).await.err().unwrap();
        assert!(failure.message.contains(".e.part"), "{failure}");
        fs::remove_dir(twins.path("clones/.e.part")).unwrap();
        assert_eq!(twins.run("tool", "ls -A ../clones"), "c\n");
    });
}
