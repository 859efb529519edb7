//! Expressions do what a person means, and hostile ones do no harm.

use proptest::prelude::*;

use super::*;

fn args() -> Value {
    let text = |text: &str| Value::Text(text.into());
    let to = Value::List(vec![text("ann@example.org"), text("bob@example.org")]);
    let deep = Value::Fields(vec![("x".into(), Value::Float(1.5))]);
    Value::Fields(vec![
        ("to".into(), to),
        ("n".into(), Value::Integer(7)),
        ("deep".into(), deep),
        ("data".into(), Value::Data(vec![1, 2])),
        ("none".into(), Value::Null),
    ])
}

fn check(source: &str, args: Option<&Value>) -> Result<(), String> {
    let paths = ["src/a".to_owned()];
    let facts = Facts { method: "send", args, paths: &paths, user: "task", now_ms: 1_000 };
    Program::compile(source).unwrap_or_else(|why| panic!("{source}: {why}")).check(&facts)
}

#[test]
fn an_expression_means_what_it_says() {
    for source in [
        "args.n < 10 && method == 'send'",
        "size(args.to) == 2",
        "args.to.all(x, x.endsWith('@example.org'))",
        "args.to.exists(x, x.startsWith('bob'))",
        "args.to.exists_one(x, x.contains('ann'))",
        "size(args.to.filter(x, x.contains('ann'))) == 1",
        "args.deep.x > 1.0",
        "has(args.n) && !has(args.absent)",
        "args.none == null",
        "'src/a' in paths && paths[0].startsWith('src')",
        "user == 'task' && now >= 1000",
        "args.n in [1, 7]",
        "args.n == 7 ? true : false",
        "!('a' in {'b': 1})",
    ] {
        assert_eq!(check(source, Some(&args())), Ok(()), "{source}");
    }
}

#[test]
fn what_is_not_true_refuses() {
    for source in [
        "args.n > 10",
        "args.absent == 1",
        "args.n",
        "'yes'",
        "args.n / 0 == 1",
        "args.to[9] == ''",
    ] {
        assert!(check(source, Some(&args())).is_err(), "{source}");
    }
    assert!(check("args == null", None).is_err(), "nobody knows what the arguments are called");
    assert_eq!(check("method == 'send'", None), Ok(()));
    assert!(check("9223372036854775807 + args.n > 0", Some(&args())).is_err());
}

#[test]
fn what_could_run_away_is_not_compiled() {
    let deep = |open: &str, close: &str| format!("{}1{}", open.repeat(500), close.repeat(500));
    let many = |part: &str| format!("true{}", part.repeat(240));
    let mut hostile = vec![
        deep("(", ")"),
        deep("[", "]"),
        deep("{1:", "}"),
        deep("-", ""),
        format!("{}true", "!".repeat(900)),
        many("&&!1"),
        format!("1{}", "+1".repeat(400)),
        format!("args{}", ".a".repeat(400)),
        format!("args{}", "[0]".repeat(300)),
        format!("true{}", "?true:true".repeat(90)),
        "args.to.map(x, x + x)".into(),
        "args.to.all(x, args.to.all(y, x == y))".into(),
        "args.to.all(x, args.to.filter(y, true) == [x])".into(),
        "'a'.matches('(a*)*b')".into(),
        "secret == 1".into(),
        "a.b.C{d: 1}".into(),
        "type(1) == int".into(),
        String::new(),
        "1 +".into(),
        "'\\".into(),
        "\"\"\"".into(),
        "0x".into(),
        "99999999999999999999".into(),
        "x".repeat(5_000),
    ];
    hostile.push(deep("size(", ")"));
    for source in hostile {
        let shown: String = source.chars().take(60).collect();
        assert!(Program::compile(&source).is_err(), "{shown}");
    }
}

#[test]
fn large_arguments_are_refused_before_they_cost_anything() {
    let many = Value::List(vec![Value::Integer(1); 100_000]);
    let args = Value::Fields(vec![("xs".into(), many)]);
    let why = check("args.xs.all(x, x == 1)", Some(&args)).unwrap_err();
    assert!(why.contains("too large"), "{why}");
    let some = Value::Fields(vec![("xs".into(), Value::List(vec![Value::Integer(1); 100]))]);
    assert_eq!(check("args.xs.all(x, x == 1)", Some(&some)), Ok(()));
}

#[test]
fn the_deepest_expression_fits_a_small_stack() {
    // Found by trying: the longest of each shape that still compiles.
    let shapes = [
        ("(", "true", ")", 60),
        ("[", "1", "]", 15),
        ("!", "true", "", 60),
        ("dyn(", "true", ")", 15),
        ("", "true", "&&true", 60),
        ("", "1", "+1", 15),
    ];
    let run = move || {
        for (before, middle, after, least) in shapes {
            let whole = |n: usize| format!("{}{middle}{}", before.repeat(n), after.repeat(n));
            let deepest =
                (1..200).take_while(|n| Program::compile(&whole(*n)).is_ok()).last().unwrap();
            assert!(deepest >= least, "{before}{after} {deepest}");
            drop(check(&whole(deepest), Some(&args())));
        }
    };
    std::thread::Builder::new().stack_size(3 << 19).spawn(run).unwrap().join().unwrap();
}

proptest! {
    #![proptest_config(crate::property::config())]

    #[test]
    fn no_source_makes_it_panic(parts in prop::collection::vec(part(), 0..24)) {
        // Caught would be too late: what is printed of a panic is noise in somebody's log.
        let source = parts.concat();
        if let Ok(program) = Program::compile(&source) {
            let args = args();
            let facts =
                Facts { method: "m", args: Some(&args), paths: &[], user: "u", now_ms: u64::MAX };
            let told = std::panic::catch_unwind(AssertUnwindSafe(|| program.evaluate(&facts)));
            prop_assert!(told.is_ok(), "{source}");
        }
    }

    #[test]
    fn no_text_makes_it_panic(source in "\\PC{0,40}") {
        drop(Program::compile(&source));
    }
}

fn part() -> impl Strategy<Value = String> {
    const WORDS: &[&str] = &[
        "args",
        ".n",
        ".to",
        ".deep",
        ".data",
        ".none",
        "[0]",
        "[-1]",
        "['a']",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ":",
        ",",
        "?",
        "1",
        "0",
        "7u",
        "1.5",
        "-1",
        "9223372036854775807",
        "'a'",
        "b'\\x00'",
        "true",
        "null",
        "&&",
        "||",
        "!",
        "-",
        "+",
        "*",
        "/",
        "%",
        "==",
        "!=",
        "<",
        ">=",
        " in ",
        "size(",
        "string(",
        "int(",
        "uint(",
        "double(",
        "dyn(",
        "has(args.n)",
        ".contains('a')",
        ".all(x, x",
        ".filter(x, ",
        ".exists_one(x, ",
        "x",
        "now",
        "paths",
        "method",
        "user",
        "1e400",
        "-9223372036854775808",
        "r'\\'",
        "\"\\u00e9\"",
        ".size()",
        "'é'",
    ];
    prop_oneof![8 => prop::sample::select(WORDS).prop_map(str::to_owned), 1 => any::<char>().prop_map(String::from)]
}
