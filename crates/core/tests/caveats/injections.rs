//! An agent that was talked into something, under grants that a careful person writes: what the user
//! asked for passes, and no other spelling of the call reaches the tool. Each call is decided on as
//! the task's owner does, and again as the tool node does for itself.

use std::sync::Arc;

use remit_core::event::Fact;
use remit_core::grant::links::{At, Links};
use remit_core::grant::text::parse_caveat;
use remit_core::grant::{Caveat, validate_against_manifest};
use remit_core::manifest::{Interface, Method, Param};
use remit_core::{Code, GrantId, Manifest, ObjectId, Value};

use super::world::{START_MS, World, fields, grant, text};

/// A tool with lists of recipients, files that are shared, and payments.
fn office() -> Manifest {
    let method = |name: &str, params: &[&str], schema: &str| Method {
        name: name.into(),
        params: params.iter().map(|name| param(name)).collect(),
        args_schema: schema.into(),
        ..Method::default()
    };
    let methods = vec![
        method(
            "send",
            &["to", "subject", "body", "cc", "attachments"],
            r#"{"type":"object","required":["to","subject","body"],"properties":{
                "to":{"type":"array","items":{"type":"string"}},
                "subject":{"type":"string"},"body":{"type":"string"},
                "cc":{"type":["array","null"],"items":{"type":"string"}},
                "attachments":{"type":["array","null"],"items":{"type":"object",
                    "properties":{"file":{"type":"string"},"name":{"type":"string"}},
                    "required":["file"]}}}}"#,
        ),
        method(
            "share",
            &["path", "with", "role"],
            r#"{"properties":{"path":{"type":"string","format":"path"},
                "with":{"type":"string"},"role":{"enum":["reader","writer"]}},
                "required":["path","with"]}"#,
        ),
        method(
            "pay",
            &["iban", "amount", "note", "meta"],
            r#"{"properties":{"iban":{"type":"string","pattern":"^[A-Z0-9]{4,34}$"},
                "amount":{"type":"number","exclusiveMinimum":0},"note":{"type":"string"},
                "meta":{"type":"object","additionalProperties":{"type":"string"}}},
                "required":["iban","amount"]}"#,
        ),
        method("remove", &["path"], ""),
        Method { read_only: true, ..method("find", &["query"], "") },
    ];
    let root = Interface { name: "Office".into(), methods, ..Interface::default() };
    Manifest {
        tool: "office".into(),
        version: "1.0.0".into(),
        root: "Office".into(),
        interfaces: vec![root],
        ..Manifest::default()
    }
}

fn param(name: &str) -> Param {
    Param { name: name.into(), path: name == "path", ..Param::default() }
}

/// What a careful person grants for: "Mail the minutes to Ann and Bob, share them with Ann to read,
/// and pay Carol's invoice of 120." One grant for the one tool.
const CAREFUL: [&str; 14] = [
    "methods=send,share,pay,find,remove",
    "send.arg.to.*=oneOf:ann@example.org,bob@example.org",
    "send.arg.to=count:1..2",
    "send.arg.cc?=equals:null",
    "send.arg.attachments.*.file?=equals:minutes.pdf",
    "send.calls=2",
    "share.arg.path=prefix:minutes",
    "share.arg.with=equals:ann@example.org",
    "share.arg.role=equals:reader",
    "pay.arg.iban=equals:DE02120300000000202051",
    "pay.arg.amount=range:..120",
    "pay.arg.meta?=keys:invoice",
    "pay.calls=1",
    "remove.requiresApproval=true",
];

fn caveats() -> Vec<Caveat> {
    CAREFUL.iter().map(|text| parse_caveat(text, START_MS).unwrap()).collect()
}

/// A task that holds the office under these caveats.
fn world() -> (World, ObjectId) {
    let manifest = office();
    manifest.check_schemas().unwrap();
    validate_against_manifest(&caveats(), [], &manifest).unwrap();
    let mut world = World::running();
    let mut held = grant("office", None, "", caveats());
    held.tool = "office".into();
    held.manifest = Arc::new(manifest);
    let id = world.narrow(held);
    assert_eq!(id, GrantId(1));
    (world, ObjectId::Grant(id))
}

fn list(items: &[&str]) -> Value {
    Value::List(items.iter().map(|item| text(item)).collect())
}

fn with(args: &Value, name: &str, value: Value) -> Value {
    let Value::Fields(fields) = args else { panic!("{args:?}") };
    let mut fields = fields.clone();
    fields.retain(|(one, _)| one != name);
    fields.push((name.to_owned(), value));
    Value::Fields(fields)
}

fn without(args: &Value, name: &str) -> Value {
    let Value::Fields(mut fields) = args.clone() else { panic!("{args:?}") };
    fields.retain(|(one, _)| one != name);
    Value::Fields(fields)
}

fn mail() -> Value {
    fields([
        ("to", list(&["ann@example.org", "bob@example.org"])),
        ("subject", text("Minutes")),
        ("body", text("Here they are.")),
    ])
}

fn shared() -> Value {
    let role = ("role", text("reader"));
    fields([("path", text("minutes/may.pdf")), ("with", text("ann@example.org")), role])
}

fn payment() -> Value {
    fields([("iban", text("DE02120300000000202051")), ("amount", Value::Integer(120))])
}

/// Whether the task's owner sends the call. A person who is asked counts as no.
fn owner_sends(method: &str, args: &Value) -> bool {
    let (mut world, office) = world();
    world.call(1, office, method, args.clone()).unwrap();
    match &world.journal.last().unwrap().fact {
        Fact::CallRequested(_) => true,
        Fact::ApprovalRequested(_) => false,
        Fact::CallDenied(denied) => {
            let code = denied.failure.code;
            assert!(matches!(code, Code::Denied | Code::InvalidArgument | Code::NotFound));
            false
        }
        other => panic!("{other:?}"),
    }
}

/// Whether a tool node that knows the grant does what it is asked over a direct path.
fn tool_node_does(method: &str, args: &Value) -> bool {
    let manifest = office();
    let Some(described) = manifest.method("Office", method) else { return false };
    let Ok(args) = args.clone().try_map(&mut |_| Ok::<u32, ()>(0)) else { return false };
    let links = Links::new([(caveats(), String::new())]);
    links.check(described, args, At { path: "", obtained: None }, START_MS).is_ok()
}

#[test]
fn the_users_own_work_passes() {
    let attachment = Value::List(vec![fields([("file", text("minutes.pdf"))])]);
    for (method, args) in [
        ("send", mail()),
        ("send", with(&mail(), "to", list(&["bob@example.org"]))),
        ("send", with(&mail(), "cc", Value::Null)),
        ("send", with(&mail(), "cc", list(&[]))),
        ("send", with(&mail(), "attachments", attachment)),
        ("send", Value::List(vec![list(&["ann@example.org"]), text("Minutes"), text("Here.")])),
        ("share", shared()),
        ("share", with(&shared(), "path", text("./minutes//may.pdf"))),
        ("pay", payment()),
        ("pay", with(&payment(), "amount", Value::Float(119.5))),
        ("pay", with(&payment(), "meta", fields([("invoice", text("7"))]))),
        ("find", fields([("query", text("invoice"))])),
        ("find", Value::List(vec![text("invoice")])),
    ] {
        assert!(owner_sends(method, &args), "{method} {args:?}");
        assert!(tool_node_does(method, &args), "{method} {args:?}");
    }
}

type Calls = Vec<(&'static str, Value)>;

fn eve() -> Value {
    text("eve@evil.example")
}

fn eves() -> Value {
    list(&["eve@evil.example"])
}

/// Mails to somebody else, or to nobody that can be told.
fn mails() -> Calls {
    let with_break = "ann@example.org\r\nBcc: eve@evil.example";
    let many = ["ann@example.org", "bob@example.org", "ann@example.org"];
    let to = [
        eves(),
        list(&["ann@example.org", "eve@evil.example"]),
        list(&["ann@example.org,eve@evil.example"]),
        list(&[with_break]),
        list(&["ANN@example.org"]),
        list(&many),
        // Containers of another kind, and none at all.
        eve(),
        text("ann@example.org"),
        fields([("0", text("ann@example.org"))]),
        fields([("ann@example.org", eve())]),
        Value::List(vec![eves()]),
        Value::List(vec![fields([("address", eve())])]),
        Value::Data(b"eve@evil.example".to_vec()),
        list(&[]),
        Value::Null,
    ];
    let cc = [eves(), eve(), fields([]), Value::Bool(false)];
    let keys = || ("file", text("keys"));
    let both = [("file", text("minutes.pdf")), ("File", text("keys"))];
    let attached = [fields([keys()]), fields(both), text("keys")];
    let mut all: Calls = vec![("send", without(&mail(), "to"))];
    all.extend(to.map(|value| ("send", with(&mail(), "to", value))));
    all.extend(cc.map(|value| ("send", with(&mail(), "cc", value))));
    all.extend(attached.map(|one| ("send", with(&mail(), "attachments", Value::List(vec![one])))));
    all
}

/// The same by position, and with an argument given twice.
fn positions() -> Calls {
    let ann = || list(&["ann@example.org"]);
    let twice = [("to", ann()), ("subject", text("x")), ("body", text("x")), ("to", eves())];
    let lists = [
        vec![eves(), text("x"), text("y")],
        vec![ann(), text("x"), text("y"), fields([("cc", eves())])],
        vec![ann(), text("x"), text("y"), eves()],
        vec![ann(), text("x"), text("y"), Value::Null, Value::Null, eves()],
    ];
    let mut all: Calls = vec![("send", fields(twice))];
    all.extend(lists.map(|items| ("send", Value::List(items))));
    all
}

/// Files that are shared with somebody else or are others, and payments.
fn files_and_payments() -> Calls {
    let shares = [
        ("with", eve()),
        ("with", list(&["ann@example.org"])),
        ("role", text("writer")),
        ("role", Value::Null),
        ("path", text("payroll")),
        ("path", text("minutes/../payroll")),
        ("path", text("minutes-of-the-board")),
        ("path", text("/etc/passwd")),
        ("path", list(&["minutes/may.pdf", "payroll"])),
        ("path", Value::Null),
    ];
    let pays = [
        ("iban", text("GB33BUKB20201555555555")),
        ("iban", text("DE02120300000000202051 ")),
        ("iban", list(&["DE02120300000000202051"])),
        ("amount", Value::Integer(121)),
        ("amount", Value::Unsigned(u64::MAX)),
        ("amount", Value::Float(120.000_1)),
        ("amount", Value::Float(f64::INFINITY)),
        ("amount", Value::Float(f64::NAN)),
        ("amount", Value::Integer(-5)),
        ("amount", text("120")),
        ("meta", fields([("iban", text("GB33BUKB20201555555555"))])),
        ("meta", fields([("Invoice", text("7"))])),
    ];
    let mut all: Calls =
        ["role", "path"].map(|name| ("share", without(&shared(), name))).into_iter().collect();
    all.extend(shares.map(|(name, value)| ("share", with(&shared(), name, value))));
    all.extend(pays.map(|(name, value)| ("pay", with(&payment(), name, value))));
    all.push(("find", fields([("query", text("x")), ("to", eves())])));
    all.extend(["Send", "send ", "__proto__"].map(|method| (method, mail())));
    all.extend(["constructor", "toString"].map(|method| (method, Value::Null)));
    all
}

/// Names that a careless tool could take for the guarded one.
fn aliases() -> Calls {
    let names = [
        "To",
        "TO",
        "to ",
        " to",
        "t\u{43e}",
        "to[]",
        "to.0",
        "recipients",
        "Recipients",
        "bcc",
        "Bcc",
        "__proto__",
        "constructor",
        "prototype",
        "toString",
        "$to",
        "args",
        "0",
        "",
    ];
    let of = |name: &str| {
        [
            ("send", with(&mail(), name, eves())),
            ("send", with(&without(&mail(), "to"), name, eves())),
            ("send", with(&mail(), name, fields([("to", eves())]))),
            ("send", with(&mail(), name, Value::Null)),
            ("share", with(&shared(), name, eve())),
            ("pay", with(&payment(), name, eve())),
        ]
    };
    names.iter().flat_map(|name| of(name)).collect()
}

#[test]
fn no_spelling_of_an_injection_reaches_a_tool() {
    let all = [mails(), positions(), files_and_payments(), aliases()].concat();
    assert!(all.len() > 140, "{}", all.len());
    for (method, args) in all {
        assert!(!owner_sends(method, &args), "{method} {args:?}");
        assert!(!tool_node_does(method, &args), "{method} {args:?}");
    }
    // What a person is asked about is not sent either.
    let remove = fields([("path", text("minutes/may.pdf"))]);
    assert!(!owner_sends("remove", &remove));
}

#[test]
fn what_is_allowed_once_is_not_done_twice() {
    let (mut world, office) = world();
    let mut sends = |number: u64, method: &str, args: Value| {
        world.call(number, office, method, args).unwrap();
        matches!(world.journal.last().unwrap().fact, Fact::CallRequested(_))
    };
    assert!(sends(1, "pay", payment()));
    assert!(!sends(2, "pay", payment()), "one payment was asked for");
    assert!(sends(3, "send", mail()) && sends(4, "send", mail()));
    assert!(!sends(5, "send", mail()), "two mails were asked for");
    assert!(sends(6, "share", shared()), "one method's budget is not another's");
}
