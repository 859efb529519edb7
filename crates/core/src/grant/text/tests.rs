//! What is written reads back as it was, and what a person writes is read as it is meant.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::TaskId;
use crate::event::OnUnknown;
use crate::grant::{Guard, Literal, Need, Number, Rate, Span, Step, Test};
use crate::value::Value;

fn parse(text: &str) -> Caveat {
    parse_caveat(text, 5).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn guard(text: &str) -> Guard {
    match parse(text) {
        Caveat::Argument(guard) => guard,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn the_form_reads_as_a_person_means_it() {
    let text = "fs:workspace/src?methods=read,list&calls=100&until=10m&arg.url=prefix:https://example.org/&rate=10/s&cost=1000";
    let grant = GrantText::parse(text, 5).unwrap();
    assert_eq!((grant.tool.as_str(), grant.path.as_str()), ("fs", "workspace/src"));
    let url = Guard {
        at: vec![Step::Name("url".into())],
        optional: false,
        test: Test::Prefix("https://example.org/".into()),
    };
    assert_eq!(
        grant.caveats,
        vec![
            Caveat::Methods(vec!["read".into(), "list".into()]),
            Caveat::Calls(100),
            Caveat::Expires(600_005),
            Caveat::Argument(url),
            Caveat::Rate(Rate { count: 10, per_ms: 1_000 }),
            Caveat::Cost(1_000),
        ]
    );
    assert_eq!(grant.to_string(), text.replace("until=10m", "until=1970-01-01T00:10:00.005Z"));
    assert_eq!(GrantText::parse("git", 0).unwrap().path, "");
}

#[test]
fn guards_read_as_a_person_means_them() {
    assert_eq!(guard("arg.n=equals:5").test, Test::Equals(Literal::Number(Number::Integer(5))));
    assert_eq!(guard("arg.n=equals:\"5\"").test, Test::Equals(Literal::Text("5".into())));
    assert_eq!(
        guard("arg.n=oneOf:main,null,true").test,
        Test::OneOf(vec![Literal::Text("main".into()), Literal::Null, Literal::Bool(true)])
    );
    let each = guard("arg.paths.*?=glob:src/**");
    assert_eq!(each.at, [Step::Name("paths".into()), Step::Each]);
    assert!(each.optional);
    assert_eq!(guard("arg.t=length:..20").test, Test::Length(Span { min: 0, max: 20 }));
    assert_eq!(guard("arg.t=count:3").test, Test::Count(Span { min: 3, max: 3 }));
    let half = Some(Number::Float(0.5));
    assert_eq!(guard("arg.t=range:0.5..").test, Test::Range(half, None));
    assert_eq!(parse("rate=5/10m"), Caveat::Rate(Rate { count: 5, per_ms: 600_000 }));
    assert_eq!(parse("idleExpiry=2h"), Caveat::IdleExpiry(7_200_000));
    assert_eq!(parse("requires=grant:repo"), Caveat::Requires(Need::Grant("repo".into())));
    assert_eq!(parse("cel=size(args.a)<2,3"), Caveat::Cel("size(args.a)<2,3".into()));
}

#[test]
fn what_is_not_a_grant_is_refused_with_a_hint() {
    for text in [
        "",
        ":src",
        "fs?calls",
        "fs?calls=many",
        "fs?calls=-1",
        "fs?until=soon",
        "fs?until=90",
        "fs:../up",
        "fs?path=%zz",
        "fs?path=%+1",
        "fs?rate=10",
        "fs?rate=x/s",
        "fs?noObjects=no",
        "fs?arg.a=almost:b",
        "fs?arg.a=b",
        "fs?arg.a=range:1",
        "fs?arg.a=length:x",
        "fs?requires=repo",
        "fs?idleExpiry=soon",
        "fs?concurrency=99999999999",
    ] {
        let error = GrantText::parse(text, 0).unwrap_err();
        assert!(error.to_string().len() > 20, "{text}: {error}");
    }
}

#[test]
fn a_caveat_of_another_version_is_kept() {
    let grant = GrantText::parse("fs?moon=full", 0).unwrap();
    assert_eq!(grant.caveats, vec![Caveat::Unknown("moon=full".into())]);
}

#[test]
fn a_script_writes_the_same_vocabulary() {
    let text = |text: &str| Value::Text(text.into());
    let fields = |fields: Vec<(&str, Value)>| {
        Value::Fields(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    };
    let arg = fields(vec![
        ("url", fields(vec![("prefix", text("https://e.org/?a=b,c&d")), ("length", text("..90"))])),
        ("n", fields(vec![("range", Value::List(vec![Value::Integer(1), Value::Float(5.0)]))])),
        ("unit", fields(vec![("oneOf", Value::List(vec![text("C"), text("5"), Value::Null]))])),
        ("to.*", text("regex:[a,b]+")),
    ]);
    let written = fields(vec![
        ("methods", Value::List(vec![text("read"), text("list")])),
        ("calls", Value::Integer(10)),
        ("cost", Value::Float(7.0)),
        ("until", text("10m")),
        ("rate", text("10/s")),
        ("noObjects", Value::Bool(true)),
        ("requiresApproval", Value::Bool(true)),
        ("label", text("a & b")),
        ("arg", arg),
        ("arg.x?", text("equals:a")),
    ]);
    let form = "methods=read,list&calls=10&cost=7&until=10m&rate=10/s&noObjects=true&requiresApproval=*&label=a%20%26%20b&arg.url=prefix:https://e.org/?a=b%2Cc%26d&arg.url=length:..90&arg.n=range:1..5&arg.unit=oneOf:C,\"5\",null&arg.to.*=regex:[a%2Cb]%2B&arg.x?=equals:a";
    let read: Vec<Caveat> = form.split('&').map(parse).collect();
    assert_eq!(caveats_from_value(&written, 5).unwrap(), read);
    for wrong in [
        Value::Null,
        fields(vec![("moon", text("full"))]),
        fields(vec![("calls", text("many"))]),
        fields(vec![("calls", Value::Integer(-1))]),
        fields(vec![("methods", Value::Data(vec![1]))]),
        fields(vec![("arg", fields(vec![("a", fields(vec![("almost", text("b"))]))]))]),
    ] {
        assert!(caveats_from_value(&wrong, 5).is_err(), "{wrong:?}");
    }
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof!["[a-zA-Z0-9,&=%é *.?:\"/]{1,8}", Just("true".to_owned()), Just("-5".to_owned())]
}

fn any_guard() -> impl Strategy<Value = Guard> {
    let step = prop_oneof![3 => word().prop_map(Step::Name), 1 => Just(Step::Each)];
    let number = || {
        prop_oneof![
            any::<i64>().prop_map(Number::Integer),
            (prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL | prop::num::f64::ZERO)
                .prop_map(Number::Float),
        ]
    };
    let literal = || {
        prop_oneof![
            Just(Literal::Null),
            any::<bool>().prop_map(Literal::Bool),
            number().prop_map(Literal::Number),
            prop_oneof![word(), any::<String>()].prop_map(Literal::Text),
        ]
    };
    let edge = || prop_oneof![Just(0), Just(u64::MAX), any::<u64>()];
    let span = || (edge(), edge()).prop_map(|(min, max)| Span { min, max });
    let bound = || prop::option::of(number());
    let test = prop_oneof![
        literal().prop_map(Test::Equals),
        vec(literal(), 0..4).prop_map(Test::OneOf),
        any::<String>().prop_map(Test::Prefix),
        word().prop_map(Test::Glob),
        word().prop_map(Test::Regex),
        (bound(), bound()).prop_map(|(min, max)| Test::Range(min, max)),
        span().prop_map(Test::Length),
        span().prop_map(Test::Count),
        vec(literal(), 0..4).prop_map(Test::List),
        vec(word(), 0..4).prop_map(Test::Keys),
    ];
    (vec(step, 1..4), any::<bool>(), test).prop_map(|(at, optional, test)| Guard {
        at,
        optional,
        test,
    })
}

fn caveat() -> impl Strategy<Value = Caveat> {
    let words = || vec(word(), 0..4);
    let span = || prop_oneof![any::<u64>(), (0..100_u64).prop_map(|n| n * 60_000)];
    let need = prop_oneof![
        word().prop_map(Need::Grant),
        any::<[u8; 16]>().prop_map(|id| Need::Task(TaskId::from_bytes(id))),
    ];
    prop_oneof![
        words().prop_map(Caveat::Methods),
        "[a-z?&%]{1,5}(/[a-z=,@:]{1,5}){0,3}".prop_map(Caveat::Path),
        any_guard().prop_map(Caveat::Argument),
        any::<String>().prop_map(Caveat::Cel),
        any::<u64>().prop_map(Caveat::ResultBytes),
        Just(Caveat::NoObjects),
        words().prop_map(Caveat::Facet),
        any::<u64>().prop_map(Caveat::NotBefore),
        (0..400_000_000_000_000_u64).prop_map(Caveat::Expires),
        span().prop_map(Caveat::IdleExpiry),
        any::<u64>().prop_map(Caveat::Calls),
        any::<u64>().prop_map(Caveat::BytesIn),
        any::<u64>().prop_map(Caveat::BytesOut),
        (any::<u32>(), span()).prop_map(|(count, per_ms)| Caveat::Rate(Rate { count, per_ms })),
        any::<u32>().prop_map(Caveat::Concurrency),
        any::<u64>().prop_map(Caveat::Cost),
        words().prop_map(Caveat::Audience),
        any::<u32>().prop_map(Caveat::DelegationDepth),
        words().prop_map(Caveat::RequiresApproval),
        need.prop_map(Caveat::Requires),
        any::<String>().prop_map(Caveat::Label),
        Just(Caveat::Direct),
        (word(), any::<u64>()).prop_map(|(m, n)| Caveat::Only(m, Box::new(Caveat::Calls(n)))),
        (word(), any_guard()).prop_map(|(m, g)| Caveat::Only(m, Box::new(Caveat::Argument(g)))),
        prop_oneof![any::<String>(), "[a-z]{1,9}=[a-z&=,%]{0,4}"].prop_map(Caveat::Unknown),
    ]
}

proptest! {
    #![proptest_config(crate::property::config())]

    #[test]
    fn what_is_written_reads_back(
        tool in "[a-z@:?]{1,8}",
        version in "[0-9.]{0,6}",
        path in "([a-z&?%:]{1,4}(/[a-z ]{1,4}){0,2})?",
        caveats in vec(caveat(), 0..5),
        on_unknown in proptest::sample::select(vec![OnUnknown::Inherit, OnUnknown::Ask, OnUnknown::Retry]),
    ) {
        let grant = GrantText { tool, version, path, caveats, on_unknown };
        prop_assert_eq!(GrantText::parse(&grant.to_string(), 77), Ok(grant));
    }

    #[test]
    fn no_text_at_all_makes_the_reader_panic(text in any::<String>(), name in "[a-zA-Z.*?]{0,12}") {
        drop(GrantText::parse(&text, 77));
        drop(parse_caveat(&format!("{name}={text}"), u64::MAX));
        drop(parse_caveat(&format!("arg.{name}=regex:{text}"), 0));
    }
}
