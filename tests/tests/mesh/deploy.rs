//! What `deploy/README.md` tells an operator to type, typed: on one machine whose folders are below a
//! temporary one, with stand-ins for the programs that only root may run.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says clearly enough what it expected")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use remit_tests::binary;

/// Folders of an operator's machine that stand below the temporary one here.
const FOLDERS: [&str; 7] = [
    "/var/lib/remit",
    "/etc/remit",
    "/etc/systemd/system",
    "/usr/lib/sysusers.d",
    "/usr/lib/tmpfiles.d",
    "/srv/remit",
    "/backup",
];

/// As `sudo -u NAME`, without becoming another.
const SUDO: &str = "[ \"$1\" = -u ] && shift 2\nexec \"$@\"\n";

/// As systemd does it: the state folder, the program of the unit, and its end.
const SYSTEMCTL: &str = r#"
units() { for unit in "$@"; do echo "$unit"; done | grep ^remit-; }
for unit in $(units "$@"); do
    file="$MACHINE/etc/systemd/system/$unit.service" run="$MACHINE/run/$unit"
    case "$1" in
    enable | start)
        state=$(sed -n 's/^StateDirectory=//p' "$file")
        [ -d "$MACHINE/var/lib/$state" ] || mkdir -m 700 -p "$MACHINE/var/lib/$state"
        program=$(sed -n 's/^ExecStart=//p' "$file")
        setsid bash -c "exec $program" < /dev/null > "$run.log" 2>&1 &
        echo $! > "$run.pid"
        for _ in $(seq 600); do grep -q ready "$run.log" && break; sleep 0.1; done
        grep -q ready "$run.log" || { cat "$run.log" >&2; exit 1; } ;;
    stop)
        pid=$(cat "$run.pid")
        kill -TERM "$pid"
        while kill -0 "$pid" 2> /dev/null; do sleep 0.1; done
        rm "$run.pid" ;;
    esac
done
"#;

/// Makes what the file in `tmpfiles.d` lists, owned by whoever runs this.
const TMPFILES: &str = r#"
grep ^d "$MACHINE/usr/lib/tmpfiles.d/remit.conf" | while read -r _ path mode _; do
    mkdir -p "$path" && chmod "$mode" "$path"
done
"#;

/// Every account of a unit must be listed.
const SYSUSERS: &str = r#"
for unit in "$MACHINE"/etc/systemd/system/remit-*.service; do
    grep -q "^u $(sed -n 's/^User=//p' "$unit") " "$MACHINE/usr/lib/sysusers.d/remit.conf" || exit 1
done
"#;

/// Ctrl-C as soon as a node says that it is ready.
const UNTIL_READY: &str = r#"
setsid "$@" < /dev/null > "$MACHINE/run/joining.log" 2>&1 &
pid=$!
for _ in $(seq 600); do grep -q ready "$MACHINE/run/joining.log" && break; sleep 0.1; done
grep -q ready "$MACHINE/run/joining.log" || { cat "$MACHINE/run/joining.log" >&2; exit 1; }
kill -INT $pid
wait $pid
"#;

/// A machine on which the files of `deploy/` are where the page says.
struct Machine {
    dir: tempfile::TempDir,
    address: String,
}

impl Machine {
    fn set_up() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap().to_string();
        let machine = Self { dir, address };
        for folder in FOLDERS.iter().chain(&["/bin", "/run", "/person", "/usr/local/bin"]) {
            std::fs::create_dir_all(machine.path(folder)).unwrap();
        }
        std::fs::remove_dir(machine.path("/var/lib/remit")).unwrap();
        machine.copy("systemd", "/etc/systemd/system");
        machine.copy("sysusers.d", "/usr/lib/sysusers.d");
        machine.copy("tmpfiles.d", "/usr/lib/tmpfiles.d");
        machine.copy("", "/etc/remit");
        for (name, text) in [
            ("sudo", SUDO),
            ("systemctl", SYSTEMCTL),
            ("systemd-sysusers", SYSUSERS),
            ("systemd-tmpfiles", TMPFILES),
            ("chown", ""),
            ("until-ready", UNTIL_READY),
        ] {
            let path = machine.path("/bin").join(name);
            std::fs::write(&path, format!("#!/bin/bash\n{text}")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        for place in ["/bin/remit", "/usr/local/bin/remit"] {
            std::os::unix::fs::symlink(binary::remit(), machine.path(place)).unwrap();
        }
        // What the shipped configuration of the tool node names.
        for folder in ["files", "project", "clones"] {
            std::fs::create_dir_all(machine.path("/srv/remit").join(folder)).unwrap();
        }
        std::fs::write(machine.path("/etc/remit/api.token"), "a token for the api\n").unwrap();
        machine
    }

    /// Where something of the operator's machine is here.
    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path.trim_start_matches('/'))
    }

    /// Copies the files of a folder of `deploy/`, as they are for this machine.
    fn copy(&self, from: &str, to: &str) {
        for file in std::fs::read_dir(deploy().join(from)).unwrap().map(Result::unwrap) {
            if file.path().is_file() {
                let text = std::fs::read_to_string(file.path()).unwrap();
                let text =
                    text.replace("/usr/local/bin", &self.path("/usr/local/bin").to_string_lossy());
                std::fs::write(self.path(to).join(file.file_name()), self.here(&text)).unwrap();
            }
        }
    }

    /// A text of the page with the paths and the address of this machine.
    fn here(&self, text: &str) -> String {
        let mut text = text
            .replace("0.0.0.0:7474", &self.address)
            .replace("orchestrator.example:7474", &self.address);
        for folder in FOLDERS {
            text = text.replace(folder, &self.path(folder).to_string_lossy());
        }
        text
    }

    /// What a shell makes of a script.
    fn run(&self, script: &str) -> Output {
        let file = self.path("/run/script");
        std::fs::write(&file, script).unwrap();
        let path = format!("{}:/usr/bin:/bin", self.path("/bin").display());
        let mut shell = Command::new("bash");
        shell.args(["-eu", "-o", "pipefail"]).arg(&file).current_dir(self.path("/person"));
        shell.env("PATH", path).env("MACHINE", self.dir.path()).env_remove("REMIT_MESH");
        shell.env("HOME", self.path("/person")).env_remove("XDG_STATE_HOME");
        shell.output().unwrap()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let units = ["remit-agent-node", "remit-tool-node", "remit-orchestrator"];
        for unit in
            units.iter().filter(|unit| self.path("/run").join(format!("{unit}.pid")).exists())
        {
            let _ended = self.run(&format!("systemctl stop {unit}"));
        }
    }
}

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("deploy")
}

/// The commands of a page, in order: one invite after another is kept for who joins by it.
fn commands(page: &str) -> String {
    let blocks = page.split("```").skip(1).step_by(2);
    let text: String = blocks.filter_map(|block| block.strip_prefix("sh\n")).collect();
    let typed = |line: &str| {
        let invites = line.contains("remit invite ");
        let line = line.replace("'LINE'", "\"$LINE\"");
        match () {
            () if invites => format!("LINE=$({line})"),
            () if line.contains("--join ") => format!("until-ready {line}"),
            () => line,
        }
    };
    let joined = text.replace("\\\n", " ");
    joined.lines().map(|line| typed(line) + "\n").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn page_for_operators_is_followed_word_by_word() {
    let machine = tokio::task::block_in_place(Machine::set_up);
    let page = std::fs::read_to_string(deploy().join("README.md")).unwrap();
    let mut script = machine.here(&commands(&page));
    assert!(script.matches("remit ").count() > 12, "are the commands still found? {script}");
    script += "until [ \"$(remit nodes | grep -c connected)\" = 2 ]; do sleep 0.1; done\n";
    script += "echo 'export default () => 6 * 7' > hello.ts\nremit run hello.ts\n";
    let output = tokio::task::block_in_place(|| machine.run(&script));
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}\n{script}");
    assert_eq!(out.lines().last(), Some("42"), "{out}\n{err}");
}

#[test]
fn units_are_good_to_the_program_that_reads_them() {
    let Ok(version) = Command::new("systemd-analyze").arg("--version").output() else {
        // There is no such program on this machine; the deploy pages are followed all the same.
        return;
    };
    assert!(version.status.success());
    let dir = tempfile::tempdir().unwrap();
    for unit in std::fs::read_dir(deploy().join("systemd")).unwrap().map(Result::unwrap) {
        let text = std::fs::read_to_string(unit.path()).unwrap();
        let remit = binary::remit();
        let text = text.replace("/usr/local/bin/remit", remit.to_str().unwrap());
        let file = dir.path().join(unit.file_name());
        std::fs::write(&file, text).unwrap();
        let verified = Command::new("systemd-analyze").arg("verify").arg(&file).output().unwrap();
        let said = String::from_utf8_lossy(&verified.stderr).into_owned();
        assert!(verified.status.success(), "{said}");
        assert!(!said.contains("Unknown"), "{said}");
    }
}
