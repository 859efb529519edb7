//! The tests of real projects run under the default confinement, offline, with what
//! `docs/tools.md` says to open for each toolchain. One that is not installed is skipped, in words.

use std::process::Command;

use super::*;

/// Runs a program of a section in a project of these files; gives its status and what it wrote.
async fn built(
    dir: &TempDir,
    files: &[(&str, &str)],
    section: &str,
    run_args: serde_json::Value,
) -> (Option<i32>, String) {
    for (name, content) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    let config = format!("root = {:?}\ntimeout_ms = 300000\n{section}", dir.path());
    let tool = tool(&toml::from_str(&config).unwrap(), Path::new("/"), &confiner(), &[]).unwrap();
    let shell = tool.open().unwrap().handle();
    let ran = run(&shell, run_args).await.unwrap();
    (ran.status, format!("{}{}", text(&ran.stdout), text(&ran.stderr)))
}

/// What a program of this machine prints, if it is there and succeeds.
fn printed(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[test]
fn a_project_is_tested_by_cargo() {
    check(|dir| async move {
        let Some(sysroot) = printed("rustc", &["--print", "sysroot"]) else {
            println!("skipped: there is no rustc");
            return;
        };
        let files = [
            ("Cargo.toml", "[package]\nname = 'adds'\nversion = '0.1.0'\nedition = '2021'\n"),
            ("build.rs", "fn main() { println!(\"cargo:rustc-env=BUILT=yes\"); }"),
            (
                "src/lib.rs",
                "pub fn add(a: u8, b: u8) -> u8 { a + b }\n#[test]\nfn adds() { \
                 assert_eq!(add(1, 2), 3); assert_eq!(env!(\"BUILT\"), \"yes\"); }",
            ),
        ];
        let section = format!(
            "read = [{sysroot:?}]\npath = ['{sysroot}/bin', '/usr/bin', '/bin']\n\
             env = {{ CARGO_HOME = '/tmp/cargo', CARGO_NET_OFFLINE = 'true' }}\n\
             [[program]]\nname = 'cargo'\nargs = [['test']]"
        );
        let args = json!({"program": "cargo", "args": ["test"]});
        let (status, said) = built(&dir, &files, &section, args).await;
        assert!(status == Some(0) && said.contains("test adds ... ok"), "{said}");
    });
}

#[test]
fn a_project_is_tested_by_npm() {
    check(|dir| async move {
        let Some(npm) =
            ["/usr/bin/npm", "/usr/local/bin/npm"].into_iter().find(|npm| Path::new(npm).exists())
        else {
            println!("skipped: there is no npm below /usr");
            return;
        };
        let files = [
            ("package.json", r#"{"name": "adds", "scripts": {"test": "node --test"}}"#),
            (
                "adds.test.js",
                "require('node:test')('adds', () => require('node:assert').equal(1 + 2, 3));",
            ),
        ];
        let section = "env = { HOME = '/tmp' }\n[[program]]\nname = 'npm'\nargs = [['test']]";
        let args = json!({"program": "npm", "args": ["test"]});
        let (status, said) = built(&dir, &files, section, args).await;
        assert!(status == Some(0) && said.contains("pass 1"), "{npm}: {said}");
    });
}

#[test]
fn a_project_is_tested_by_pytest() {
    check(|dir| async move {
        let asks = "import pytest, sys; print(sys.executable, sys.prefix, sys.base_prefix)";
        let Some(found) = printed("python3", &["-c", asks]) else {
            println!("skipped: python3 has no pytest");
            return;
        };
        let [python, prefix, base] = found.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{found}")
        };
        let files = [("test_adds.py", "def test_adds():\n    assert 1 + 2 == 3\n")];
        let section = format!(
            "read = [{prefix:?}, {base:?}]\n[[program]]\nname = 'python3'\npath = {python:?}\n\
             args = [['-m', 'pytest', '-q']]"
        );
        let args = json!({"program": "python3", "args": ["-m", "pytest", "-q"]});
        let (status, said) = built(&dir, &files, &section, args).await;
        assert!(status == Some(0) && said.contains("1 passed"), "{said}");
    });
}
