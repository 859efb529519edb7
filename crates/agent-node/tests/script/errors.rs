//! The errors that a script and its owner get.

use remit_core::{Code, Value};

use super::owner::run;
use super::{failure, result, text};

#[tokio::test]
async fn a_script_sees_what_it_holds() {
    let script = "export default async (remit) => [
        'repo' in remit, 'nope' in remit, 'sleep' in remit, Object.keys(remit).join(),
        remit.nope === undefined, typeof remit.repo, Object.entries(remit).length,
        (remit.nope ?? remit.repo) === remit.repo,
      ]";
    let run = run(&[("main.ts", script)]).await;
    let (yes, no) = (Value::Bool(true), Value::Bool(false));
    let expected = [
        yes.clone(),
        no,
        yes.clone(),
        text("repo"),
        yes.clone(),
        text("object"),
        Value::Integer(1),
        yes,
    ];
    assert_eq!(*result(&run), Value::List(expected.to_vec()));
}

#[tokio::test]
async fn a_call_on_an_absent_grant_says_what_is_held() {
    for script in [
        "export default async (remit) => remit.nope.read()",
        "export default async ({ nope }) => {\n  await nope.read();\n}",
        "export default async (remit) => { const { nope } = remit; nope(1); }",
    ] {
        let run = run(&[("main.ts", script)]).await;
        assert_eq!(failure(&run).code, Code::NotFound, "{script}: {}", failure(&run));
        let message = &failure(&run).message;
        assert!(message.contains("`nope`") && message.contains("it holds repo"), "{message}");
    }
    let other = "export default async (remit) => { if (remit.nope) return 1;\n const x = undefined; return x.y; }";
    let run = run(&[("main.ts", other)]).await;
    assert_eq!(failure(&run).code, Code::Failed, "another error is not taken for it");
}

#[tokio::test]
async fn causes_and_parts_of_an_error_are_kept() {
    let script = "export default async (remit) => {
        try { await remit.repo.deny(); } catch (why) {
          const cause = new TypeError('inner', { cause: why });
          console.error(new Error('shown', { cause }));
          throw new AggregateError([new RangeError('one'), 'two'], 'both', { cause });
        }
      }";
    let run = run(&[("main.ts", script)]).await;
    let causes = "caused by TypeError: inner\n  caused by RemitError denied: no";
    let expected = format!("AggregateError: both\n- RangeError: one\n- \"two\"\n{causes}");
    assert_eq!(failure(&run).message, expected);
    assert!(run.lines[0].ends_with(&format!("Error: shown\n{causes}")), "{}", run.lines[0]);
    let ring = "export default () => { const e = new Error('a'); e.cause = e; throw e; }";
    let ring = super::run(&[("main.ts", ring)]).await;
    assert!(failure(&ring).message.starts_with("Error: a\ncaused by Error: a"));
}

#[tokio::test]
async fn an_error_that_cannot_be_shown_still_ends_the_task() {
    for odd in [
        "Object.defineProperty(new Error('a'), 'stack', { get() { throw 1; } })",
        "Object.assign(new Error('a'), { name: Symbol('x') })",
        "new Proxy(new Error('a'), { get() { throw 1; } })",
        "{ get a() { throw 1; } }",
    ] {
        let run = run(&[("main.js", &format!("export default () => {{ throw {odd} }}"))]).await;
        assert!(failure(&run).message.contains("cannot be shown"), "{odd}: {}", failure(&run));
    }
}

#[tokio::test]
async fn overlong_output_is_cut_and_says_so() {
    let script = "export default async (remit) => {
        console.log('ä'.repeat(50_000));
        console.log('next');
        throw new RangeError('ö'.repeat(50_000), { cause: 'x'.repeat(50_000) });
      }";
    let run = run(&[("main.ts", script)]).await;
    let message = &failure(&run).message;
    assert!(
        message.starts_with("RangeError: öö") && message.len() <= 16 << 10,
        "{}",
        message.len()
    );
    assert!(message.ends_with("… (150025 bytes in all)"), "{}", &message[message.len() - 28..]);
    assert!(run.lines[0].ends_with("ä… (100000 bytes in all)") && run.lines[0].len() < 17_000);
    assert_eq!(run.lines[1], "2 Info next");
}

#[tokio::test]
async fn absent_interfaces_name_their_replacement() {
    for (call, instead) in [
        ("fetch('https://example.org')", "http"),
        ("setTimeout(() => {}, 1)", "remit.sleep"),
        ("setInterval(() => {}, 1)", "remit.sleep"),
        ("require('fs')", "import"),
    ] {
        let run = run(&[("main.js", &format!("export default () => {call}"))]).await;
        assert!(failure(&run).message.contains(instead), "{call}: {}", failure(&run));
    }
}

#[tokio::test]
async fn json_is_imported() {
    let main = "import data from './data.json';\nimport again from './data.json' with { type: 'json' };
        export default () => [data, data.id === again.id, Object.getPrototypeOf(data) === Object.prototype];";
    let data = r#"{ "id": 1234567890123456789, "__proto__": 1, "text": "\ud83d" }"#;
    let ran = run(&[("main.ts", main), ("data.json", data)]).await;
    let fields = vec![
        ("id".into(), Value::Integer(1_234_567_890_123_456_789)),
        ("__proto__".into(), Value::Integer(1)),
        ("text".into(), text("\u{fffd}")),
    ];
    let yes = Value::Bool(true);
    assert_eq!(*result(&ran), Value::List(vec![Value::Fields(fields), yes.clone(), yes]));
    let wrong = run(&[("main.ts", main), ("data.json", "{\n \"a\": 18446744073709551616 }")]).await;
    assert!(failure(&wrong).message.starts_with("data.json:2:7: "), "{}", failure(&wrong));
}

#[tokio::test]
async fn a_program_that_nests_too_deep_is_refused_and_kills_no_worker() {
    let nested = |open: &str, close: &str| {
        let times = 100_000;
        format!("export default () => {{ {}1{} }}", open.repeat(times), close.repeat(times))
    };
    for (open, close) in [("(", ")"), ("if (1) {", "}"), ("[", "]"), ("!", ""), ("a => ", "")] {
        for path in ["main.ts", "main.js"] {
            let run = run(&[(path, &nested(open, close))]).await;
            let failure = failure(&run);
            assert_eq!(failure.code, Code::InvalidArgument, "{path} {open}: {failure}");
            assert!(failure.message.starts_with(&format!("{path}:1:")), "{open}: {failure}");
        }
    }
    let deep = "[".repeat(100_000);
    for script in [
        format!("export default () => JSON.parse({deep:?})"),
        format!("export default () => new RegExp({:?})", "(".repeat(100_000)),
        format!("export default () => eval({deep:?})"),
    ] {
        let run = run(&[("main.js", &script)]).await;
        assert_eq!(failure(&run).code, Code::Failed, "{}", failure(&run));
    }
}
