//! What a person sees in a terminal of 80 columns: no table is wider, no message comes twice, and
//! Ctrl-C leaves a task in peace.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says clearly enough what it expected")]

use remit_client::{Role, TaskFilter};
use remit_tests::mesh::Mesh;
use remit_tests::terminal::{COLUMNS, Terminal};
use remit_tests::typed::Typed;

fn write(mesh: &Mesh, name: &str, text: &str) -> String {
    let path = mesh.dir().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

async fn seen(typed: &Typed, args: &[&str]) -> (String, Option<i32>) {
    let terminal = Terminal::start(&typed.command(args));
    let (shown, status) = tokio::task::block_in_place(|| terminal.ended());
    (shown, status.code())
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_fit_a_terminal_of_80_columns() {
    let mesh = Mesh::start(1).await;
    let typed = Typed::new(&mesh).await;
    let file =
        write(&mesh, "long.ts", "export default () => { throw new Error('x'.repeat(300)); }");
    let name = format!("{} 日本語", "long name ".repeat(9));
    typed.output(&["run", &file, "--name", &name]).await;
    typed.run(&["trigger", "put", "nightly-report", "--cron", "@daily", &file]).await;
    typed.run(&["save", &name, "--label", &"label ".repeat(20)]).await;
    let minute = std::time::Duration::from_secs(60);
    mesh.client.invite(Role::ToolNode, "another-tool-node", minute).await.unwrap();
    for list in [
        &["ps"][..],
        &["ps", "--tree"],
        &["nodes"],
        &["members"],
        &["invites"],
        &["refs"],
        &["trigger", "list"],
    ] {
        let (shown, code) = seen(&typed, list).await;
        assert_eq!(code, Some(0), "{list:?}: {shown}");
        assert!(shown.lines().count() > 1, "{list:?}: {shown}");
        for line in shown.lines().map(str::trim_end) {
            let cells: usize = line.chars().map(|c| if c >= '\u{3000}' { 2 } else { 1 }).sum();
            assert!(cells <= usize::from(COLUMNS), "{list:?}: {cells} cells: {line}");
        }
        assert!(!shown.contains('\u{1b}'), "no colour was wanted: {shown:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failure_of_a_followed_task_is_said_once() {
    let mesh = Mesh::start(1).await;
    let typed = Typed::new(&mesh).await;
    let file = write(&mesh, "bad.ts", "export default () => { throw new Error('no luck'); }");
    let (shown, code) = seen(&typed, &["run", &file]).await;
    assert_eq!(code, Some(1), "{shown}");
    assert_eq!(shown.matches("no luck").count(), 1, "{shown}");
    assert!(shown.contains("bad.ts:1"), "the stack is shown: {shown}");
    let (shown, _) = seen(&typed, &["result", "bad"]).await;
    assert_eq!(shown.matches("no luck").count(), 1, "{shown}");
    assert_eq!(shown.matches("failed").count(), 1, "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_detaches_and_the_task_goes_on() {
    let mesh = Mesh::start(1).await;
    let typed = Typed::new(&mesh).await;
    let file = write(&mesh, "open.ts", "export default (remit) => remit.input()");
    let mut terminal = Terminal::start(&typed.command(&["run", &file]));
    let (shown, status) = tokio::task::block_in_place(|| {
        terminal.until("waits for input");
        terminal.interrupt();
        terminal.ended()
    });
    assert_eq!(status.code(), Some(130), "{shown}");
    assert_eq!(shown.matches("detached, the task goes on").count(), 1, "{shown}");
    let tasks = mesh.client.tasks(TaskFilter::default()).await.unwrap();
    assert!(!tasks[0].has_ended(), "{tasks:?}");
}
