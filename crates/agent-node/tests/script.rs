//! The world as a script sees it, against an owner that answers from a list.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that unwraps says clearly enough what it expected"
)]

#[path = "script/errors.rs"]
mod errors;
#[path = "script/owner.rs"]
mod owner;
#[path = "script/values.rs"]
mod values;
#[path = "script/web.rs"]
mod web;

use owner::{Run, run};
use remit_core::{Code, Failure, Outcome, Value};

fn text(text: &str) -> Value<u32> {
    Value::Text(text.into())
}

#[track_caller]
fn result(run: &Run) -> &Value<u32> {
    match &run.outcome {
        Outcome::Value { value, .. } => value,
        Outcome::Failure(failure) => panic!("{failure}\n{}", failure.detail),
    }
}

#[track_caller]
fn failure(run: &Run) -> &Failure {
    match &run.outcome {
        Outcome::Failure(failure) => failure,
        Outcome::Value { value, .. } => panic!("{value:?}"),
    }
}

#[tokio::test]
async fn a_chain_is_sent_before_its_first_answer() {
    let run = run(&[(
        "main.ts",
        r#"export default async function (remit: any, input: any): Promise<string> {
             return await remit.repo.dir("src").file("lib.rs").read();
           }"#,
    )])
    .await;
    assert_eq!(*result(&run), text("/dir/file/read"));
    assert_eq!(
        run.calls,
        [
            "1 /dir List([Text(\"src\")])",
            "2 /dir/file List([Text(\"lib.rs\")])",
            "3 /dir/file/read Null"
        ]
    );
    assert_eq!(run.most_open, 3);
}

#[tokio::test]
async fn the_depth_of_an_unawaited_chain_is_bounded() {
    let script = |from: &str| {
        format!(
            r#"export default async function (remit: any): Promise<number> {{
                 let dir = remit.repo;
                 let deep = 0;
                 try {{
                   for (;;) {{ dir = dir.dir({from}); deep += 1; }}
                 }} catch (error) {{
                   if (!(error instanceof RangeError)) throw error;
                   const next = await dir;
                   await next.dir("more");
                   return deep;
                 }}
               }}"#
        )
    };
    for from in ["\"down\"", "remit.repo, dir"] {
        let run = run(&[("main.ts", script(from).as_str())]).await;
        assert_eq!(*result(&run), Value::Integer(64));
    }
}

#[tokio::test]
async fn awaited_objects_can_be_called() {
    let run = run(&[(
        "main.ts",
        "export default async (remit) => { const d = await remit.repo.dir('a'); return await d.read({ all: true }); }",
    )])
    .await;
    assert_eq!(*result(&run), text("/dir/read"));
    assert_eq!(run.calls[1], "2 /dir/read Fields([(\"all\", Bool(true))])");
}

#[tokio::test]
async fn calls_run_side_by_side() {
    let run = run(&[(
        "main.ts",
        "export default async (remit) => Promise.all([1, 2, 3].map((n) => remit.repo.echo(n, 'x')))",
    )])
    .await;
    let one = |n| Value::List(vec![Value::Integer(n), text("x")]);
    assert_eq!(*result(&run), Value::List(vec![one(1), one(2), one(3)]));
    assert_eq!(run.most_open, 3);
}

#[tokio::test]
async fn values_come_back_as_they_went() {
    let run = run(&[(
        "main.js",
        "export default async (remit, input) => remit.repo.echo([null, true, 1, -0.5, 9007199254740993n, 'ü', new Uint8Array([0, 255]), { __proto__: null, a: { b: [] } }, input])",
    )])
    .await;
    let Value::List(outer) = result(&run) else { panic!() };
    let Value::List(items) = &outer[0] else { panic!("{outer:?}") };
    assert_eq!(items[2], Value::Integer(1));
    assert_eq!(items[3], Value::Float(-0.5));
    assert_eq!(items[4], Value::Integer(9_007_199_254_740_993));
    assert_eq!(items[6], Value::Data(vec![0, 255]));
    assert_eq!(items[8], Value::Fields(vec![("from".into(), text("input"))]));
}

#[tokio::test]
async fn values_that_cannot_be_passed_are_refused_by_name() {
    let run = run(&[(
        "main.ts",
        "export default async (remit) => remit.repo.echo({ a: [1, new Map()] })",
    )])
    .await;
    assert!(failure(&run).message.contains("a[1]"), "{}", failure(&run));
    assert!(run.calls.is_empty());
}

#[tokio::test]
async fn errors_carry_code_grant_method_and_caveat() {
    let run = run(&[(
        "main.ts",
        "export default async (remit) => {
           try { await remit.repo.deny(); } catch (e) {
             return [e instanceof Error, e.name, e.code, e.message, e.grant, e.method, e.caveat];
           }
         }",
    )])
    .await;
    let all = [
        text("RemitError"),
        text("denied"),
        text("no"),
        text("repo"),
        text("deny"),
        text("calls=0"),
    ];
    assert_eq!(*result(&run), Value::List([vec![Value::Bool(true)], all.to_vec()].concat()));
}

#[tokio::test]
async fn an_uncaught_error_fails_with_the_authors_lines() {
    let run = run(&[
        ("main.ts", "import { f } from './lib/f';\nexport default async (remit: any) => {\n  await remit.repo.echo(1);\n  f();\n};\n"),
        ("lib/f.ts", "interface X { a: string }\nexport function f(): void {\n  throw new TypeError('on purpose');\n}\n"),
    ])
    .await;
    let failure = failure(&run);
    assert_eq!((failure.code, failure.message.as_str()), (Code::Failed, "TypeError: on purpose"));
    assert!(failure.detail.contains("lib/f.ts:3:"), "{}", failure.detail);
    assert!(failure.detail.contains("main.ts:4:"), "{}", failure.detail);
    assert!(!failure.detail.contains("prelude"), "{}", failure.detail);
}

#[tokio::test]
async fn a_failed_call_fails_the_task_with_its_own_code() {
    let run = run(&[("main.ts", "export default (remit) => remit.repo.deny()")]).await;
    assert_eq!(failure(&run).code, Code::Denied);
    assert!(failure(&run).detail.contains("main.ts:1:"), "{}", failure(&run).detail);
}

#[tokio::test]
async fn an_unhandled_rejection_fails_the_task() {
    for script in [
        "export default async (remit) => { remit.repo.deny(); await remit.sleep(5); return 1; }",
        "export default async (remit) => { Promise.reject(new Error('denied by hand')); await remit.sleep(5); return 1; }",
    ] {
        let run = run(&[("main.ts", script)]).await;
        let message = &failure(&run).message;
        assert!(message == "no" || message.contains("by hand"), "{message}");
    }
}

#[tokio::test]
async fn output_becomes_numbered_lines() {
    let run = run(&[(
        "main.ts",
        "export default async (remit) => { console.log('a', { b: [1, 'x'] }); console.warn(new Error('w')); console.debug(remit.repo); }",
    )])
    .await;
    assert_eq!(
        run.lines,
        ["1 Info a { b: [1, \"x\"] }", "2 Warn Error: w", "3 Debug [object of repo]"]
    );
}

#[tokio::test]
async fn clock_and_randomness_repeat() {
    let script = "export default async (remit) => {
        const before = [Date.now(), new Date().getTime(), remit.now(), new Date(0).getTime(), new (new Date().constructor)().getTime()];
        await remit.sleep(1000);
        return [before, Date.now(), Math.random(), remit.random(), typeof clearTimeout, typeof performance, typeof WeakRef];
    }";
    let (one, two) = (run(&[("main.ts", script)]).await, run(&[("main.ts", script)]).await);
    assert_eq!(result(&one), result(&two));
    let Value::List(items) = result(&one) else { panic!() };
    let at = Value::Integer(1_000_000);
    let before = vec![at.clone(), at.clone(), at.clone(), Value::Integer(0), at];
    assert_eq!(items[0], Value::List(before));
    assert_eq!(items[1], Value::Integer(1_000_001), "the time of the event that ended the sleep");
    assert_eq!(items[4..], vec![text("undefined"); 3]);
}

#[tokio::test]
async fn a_loop_over_inputs_requests_one_per_round() {
    let run = run(&[(
        "main.ts",
        "export default async (remit) => {
           const got = [];
           for await (const message of remit.inputs()) {
             got.push(message);
             await remit.sleep(1);
             if (got.length === 2) break;
           }
           const inputs = remit.inputs();
           got.push((await inputs.next()).value, (await inputs.return('left')).value);
           got.push((await inputs.next()).done);
           return got;
         }",
    )])
    .await;
    let hello = || text("hello");
    let got = vec![hello(), hello(), hello(), text("left"), Value::Bool(true)];
    assert_eq!(*result(&run), Value::List(got));
    assert_eq!(run.calls, ["1 input", "3 input", "5 input"], "none is asked for and not used");
}

#[tokio::test]
async fn input_is_awaited() {
    let run =
        run(&[("main.ts", "export default async (remit) => (await remit.input()) + '!'")]).await;
    assert_eq!(*result(&run), text("hello!"));
}

#[tokio::test]
async fn a_requested_capability_works_before_and_after_it_is_granted() {
    let run = run(&[(
        "main.ts",
        "export default async (remit) => {
           const asked = remit.request({ tool: 'git', reason: 'to look' });
           const early = asked.log();
           const git = await asked;
           return [await early, await git.log(), `${typeof git.then}`];
         }",
    )])
    .await;
    let log = text("given-git/log");
    assert_eq!(*result(&run), Value::List(vec![log.clone(), log, text("undefined")]));
    assert_eq!(run.calls[0], "1 request git: to look");
    assert_eq!(run.calls.len(), 3);
}

#[tokio::test]
async fn a_refused_request_is_an_error_with_a_code() {
    let run = run(&[(
        "main.ts",
        "export default async (remit) => {
           const said = [];
           try { await remit.request({ tool: 'vault', reason: 'x' }); } catch (e) {
             said.push(e.name, e.code, e.grant, e.method);
           }
           for (const wrong of [undefined, {}, { tool: 'git' }, { tool: 1, reason: 'x' }]) {
             try { remit.request(wrong); } catch (e) { said.push(e instanceof TypeError); }
           }
           return said;
         }",
    )])
    .await;
    let refused = ["RemitError", "denied", "vault", "request"].map(text).to_vec();
    assert_eq!(*result(&run), Value::List([refused, vec![Value::Bool(true); 4]].concat()));
    assert_eq!(run.calls.len(), 1, "what makes no sense is not sent");
}

#[tokio::test]
async fn an_unawaited_refused_request_fails_the_task() {
    let script = "export default async (remit) => { remit.request({ tool: 'vault', reason: 'x' }); await remit.sleep(5); }";
    let run = run(&[("main.ts", script)]).await;
    assert_eq!(failure(&run).code, Code::Denied);
}

#[tokio::test]
async fn syntax_errors_point_at_the_spot() {
    for (path, source) in
        [("main.ts", "let a = 1;\nlet b = ;\n"), ("main.js", "let a = 1;\nlet b = ;\n")]
    {
        let run = run(&[(path, source)]).await;
        let failure = failure(&run);
        assert_eq!(failure.code, Code::InvalidArgument, "{failure}");
        assert!(failure.message.starts_with(&format!("{path}:2:")), "{failure}");
        assert!(
            failure.message.contains("let b = ;\n") && failure.message.ends_with('^'),
            "{failure}"
        );
    }
}

#[tokio::test]
async fn a_script_without_a_function_is_told_what_to_write() {
    let run = run(&[("main.ts", "export const a = 1;")]).await;
    assert!(failure(&run).message.contains("export default async function"), "{}", failure(&run));
}

#[tokio::test]
async fn only_the_programs_own_files_can_be_imported() {
    let run = run(&[("main.ts", "import fs from 'fs'; export default () => 1")]).await;
    assert!(failure(&run).message.contains("`fs`"), "{}", failure(&run));
}

#[tokio::test]
async fn a_loop_without_end_is_stopped() {
    for script in [
        "export default () => { while (true) {} }",
        "export default async (remit) => { await remit.repo.echo(1); for (;;) {} }",
        "export default async () => { for (;;) await 0; }",
        "while (true) {}",
    ] {
        let run = run(&[("main.ts", script)]).await;
        assert_eq!(failure(&run).code, Code::TimedOut, "{script}: {}", failure(&run));
        assert!(failure(&run).message.starts_with("deadline"), "{}", failure(&run));
    }
}

#[tokio::test]
async fn memory_and_stack_are_bounded() {
    for (script, code) in [
        (
            "export default () => { const a = []; for (;;) a.push(new Uint8Array(1 << 20)); }",
            Code::Limit,
        ),
        ("export default () => { const f = () => f() + 1; return f(); }", Code::Failed),
    ] {
        let run = run(&[("main.ts", script)]).await;
        assert_eq!(failure(&run).code, code, "{script}: {}", failure(&run));
    }
}

#[tokio::test]
async fn a_tools_text_about_memory_is_not_the_scripts_own_limit() {
    let run = run(&[("main.ts", "export default (remit) => remit.repo.exhaust()")]).await;
    assert_eq!(failure(&run).code, Code::Unavailable, "{}", failure(&run));
}

#[tokio::test]
async fn a_wait_that_cannot_end_is_reported() {
    let run = run(&[("main.ts", "export default () => new Promise(() => {})")]).await;
    assert!(failure(&run).message.contains("never come"), "{}", failure(&run));
}

#[tokio::test]
async fn objects_travel_in_arguments() {
    let run = run(&[(
        "main.ts",
        "export default async (remit) => { await remit.repo.echo({ from: remit.repo.file('a') }); }",
    )])
    .await;
    assert_eq!(run.calls[1], "2 /echo Fields([(\"from\", Object(0))])");
    let back = run_returning_an_object().await;
    assert!(failure(&back).message.contains("without references"), "{}", failure(&back));
}

async fn run_returning_an_object() -> Run {
    run(&[("main.ts", "export default async (remit) => ({ file: await remit.repo.file('a') })")])
        .await
}
