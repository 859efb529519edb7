//! Escapes through the `git` program, which a repository controls: hooks, filters, alternates,
//! submodules.

use std::fs;
use std::process::Command;

use remit_confine::Layers;

use super::world::World;

/// Each escape with a script that tries it in a repository of its own. `$OUTSIDE` contains a key,
/// and a repository with a commit `$COMMIT`. A script that succeeds prints the key.
const TRIES: [(&str, &str); 4] = [
    (
        "have a hook read a key",
        "printf '#!/bin/sh\\ncat $OUTSIDE/key\\n' > .git/hooks/pre-commit; chmod +x .git/hooks/pre-commit
         git commit --quiet --allow-empty -m x",
    ),
    (
        "have a filter read a key",
        "echo '* filter=x' > .gitattributes; git config filter.x.clean 'cat $OUTSIDE/key'
         echo > file; git add file; git show :file",
    ),
    (
        "read another repository's objects",
        "echo $OUTSIDE/repo/.git/objects > .git/objects/info/alternates; git show $COMMIT:key",
    ),
    (
        "clone a submodule from outside",
        "git -c protocol.file.allow=always submodule --quiet add $OUTSIDE/repo sub; cat sub/key",
    ),
];

pub(crate) async fn reaches_nothing(layers: &Layers) {
    let git = "/usr/bin/git";
    if Command::new(git).arg("--version").output().is_err() {
        println!("{:42} skipped: there is no {git}", "repositories");
        return;
    }
    let world = World::make();
    let outside = world.outside.join("repo");
    fs::create_dir(&outside).unwrap();
    fs::copy(world.outside.join("key"), outside.join("key")).unwrap();
    let who = "git -c user.name=a -c user.email=a@example.org";
    let make = format!("git init -q . && git add key && {who} commit -qm x && git rev-parse HEAD");
    let made = Command::new("/bin/sh").args(["-c", &make]).current_dir(&outside).output().unwrap();
    let commit = String::from_utf8_lossy(&made.stdout).trim().to_owned();
    assert!(made.status.success(), "{made:?}");
    for (name, script) in TRIES {
        let whole = format!(
            "export HOME=/tmp COMMIT={commit} GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.org
             export GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.org
             rm -rf repo; git init --quiet repo; cd repo; mkdir -p .git/hooks; {script}"
        );
        // The attempt works without any layer: otherwise its refusal would prove nothing.
        let (_, free, said) =
            world.run(world.policy(), &Layers::default(), "/bin/sh", &["-c", &whole], "").await;
        let free = format!("{free}{said}");
        assert!(free.contains("the key"), "{name}, unconfined: {free}");
        let (_, out, said) =
            world.run(world.policy(), layers, "/bin/sh", &["-c", &whole], "").await;
        let lines =
            || said.lines().filter(|line| line.contains("No such") || line.contains("denied"));
        let why = lines().next().or(said.lines().last()).unwrap_or_default();
        println!("{name:42} {why}");
        let held = !out.contains("the key") && !said.contains("the key");
        assert!(held || !layers.hold_files(), "it could {name}: {out}");
    }
}
