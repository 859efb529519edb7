//! Schemas that tools have, and those of a tool that means harm.

use super::*;
use crate::manifest::Param;

fn method(schema: &str, params: &[&str]) -> Method {
    let param = |name: &&str| Param { name: (*name).into(), ..Param::default() };
    let params = params.iter().map(param).collect();
    Method { name: "send".into(), params, args_schema: schema.into(), ..Method::default() }
}

fn text(text: &str) -> Value<u32> {
    Value::Text(text.into())
}

fn list(items: &[&str]) -> Value<u32> {
    Value::List(items.iter().map(|item| text(item)).collect())
}

fn fields(fields: &[(&str, Value<u32>)]) -> Value<u32> {
    Value::Fields(fields.iter().map(|(name, value)| ((*name).into(), value.clone())).collect())
}

/// Where arguments are refused; `None`: they pass. What need not be given is the priority.
fn refused(schema: &str, args: &Value<u32>) -> Option<String> {
    let failure = method(schema, &["priority"]).check_args(args).err()?;
    assert_eq!(failure.code, crate::Code::InvalidArgument);
    Some(failure.detail)
}

const MAIL: &str = r#"{"type":"object","required":["to","subject"],"properties":{
    "to":{"type":"array","items":{"type":"string","maxLength":40},"minItems":1,"maxItems":5},
    "cc":{"anyOf":[{"type":"array","items":{"type":"string"}},{"type":"null"}]},
    "subject":{"type":"string","pattern":"^[A-Za-z ]*$"},
    "parts":{"type":"array","items":{"type":"object","properties":{
        "name":{"type":"string"},"data":{"type":"string","contentEncoding":"base64"}}}},
    "headers":{"type":"object","additionalProperties":{"type":"string"}},
    "priority":{"type":"integer","minimum":1,"maximum":5},
    "kind":{"enum":["plain",7,null]},
    "via":{"oneOf":[{"type":"object","properties":{"smtp":{"type":"string"}},"required":["smtp"]},
                    {"type":"object","properties":{"queue":{"type":"string"}},"required":["queue"]}]}
    }}"#;

fn mail(more: &[(&str, Value<u32>)]) -> Value<u32> {
    let mut all = vec![("to", list(&["ann"])), ("subject", text("Hello"))];
    all.retain(|(name, _)| more.iter().all(|(other, _)| other != name));
    all.extend(more.iter().cloned());
    fields(&all)
}

#[test]
fn what_a_schema_describes_passes() {
    for more in [
        vec![],
        vec![("cc", Value::Null)],
        vec![("priority", Value::Null)],
        vec![("priority", Value::Float(3.0))],
        vec![("kind", Value::Integer(7))],
        vec![("kind", Value::Null)],
        vec![("headers", fields(&[("Anything", text("x"))]))],
        vec![("parts", Value::List(vec![fields(&[("data", Value::Data(vec![1]))])]))],
        vec![("via", fields(&[("queue", text("q"))]))],
    ] {
        assert_eq!(refused(MAIL, &mail(&more)), None, "{more:?}");
    }
}

#[test]
fn undeclared_arguments_are_refused_wherever_they_stand() {
    let x = || text("x");
    for (more, at) in [
        (("Recipients", list(&["eve"])), "Recipients"),
        (("To", list(&["eve"])), "To"),
        (("to ", list(&["eve"])), "to "),
        (("__proto__", fields(&[("to", list(&["eve"]))])), "__proto__"),
        (("constructor", x()), "constructor"),
        (("", x()), ""),
        (("parts", Value::List(vec![fields(&[]), fields(&[("Data", x())])])), "parts[1].Data"),
        (("via", fields(&[("queue", x()), ("smtp", x())])), "via.queue"),
        (("via", fields(&[("smtp", x()), ("Smtp", x())])), "via.Smtp"),
    ] {
        let failure = method(MAIL, &[]).check_args(&mail(std::slice::from_ref(&more)));
        let failure = failure.unwrap_err();
        assert!(failure.message.contains("has no argument") || at.starts_with("via"), "{failure}");
        assert!(failure.detail == at || at.starts_with("via"), "{more:?}: {failure:?}");
    }
}

#[test]
fn what_is_of_another_kind_is_refused_with_its_place() {
    let many = list(&["a", "b", "c", "d", "e", "f"]);
    for (more, at) in [
        (("to", text("ann")), "to"),
        (("to", fields(&[("0", text("eve"))])), "to"),
        (("to", Value::Null), "to"),
        (("to", Value::List(vec![])), "to"),
        (("to", many), "to"),
        (("to", Value::List(vec![text("ann"), Value::Integer(1)])), "to[1]"),
        (("to", Value::List(vec![list(&["eve"])])), "to[0]"),
        (("to", Value::List(vec![Value::Object(0)])), "to[0]"),
        (("to", list(&[&"x".repeat(41)])), "to[0]"),
        (("subject", Value::Data(b"Hello".to_vec())), "subject"),
        (("subject", text("Hello\r\nBcc: eve")), "subject"),
        (("priority", Value::Float(1.5)), "priority"),
        (("priority", Value::Integer(6)), "priority"),
        (("priority", text("3")), "priority"),
        (("kind", text("7")), "kind"),
        (("headers", fields(&[("a", list(&[]))])), "headers.a"),
        (("cc", fields(&[])), "cc"),
    ] {
        assert_eq!(refused(MAIL, &mail(std::slice::from_ref(&more))), Some(at.into()), "{more:?}");
    }
    let without = fields(&[("to", list(&["ann"]))]);
    assert_eq!(refused(MAIL, &without), Some("subject".into()));
    assert_eq!(refused(MAIL, &list(&["ann"])), Some(String::new()));
}

#[test]
fn a_method_takes_what_it_names_and_anything_only_if_it_says_so() {
    let one = fields(&[("path", Value::Integer(1))]);
    let other = fields(&[("Path", Value::Integer(1))]);
    let takes = |schema: &str, params: &[&str], args: &Value<u32>| {
        method(schema, params).check_args(args).is_ok()
    };
    assert!(takes("", &["path"], &one) && !takes("", &["path"], &other));
    assert!(!takes("", &[], &one) && takes("", &[], &fields(&[])));
    for closed in ["{}", r#"{"type":"object"}"#, r#"{"additionalProperties":false}"#] {
        assert!(takes(closed, &["path"], &one), "{closed}");
        assert!(!takes(closed, &["path"], &other), "{closed}");
    }
    for open in ["true", r#"{"additionalProperties":true}"#] {
        assert!(takes(open, &["path"], &other), "{open}");
    }
    let numbers = r#"{"additionalProperties":{"type":"integer"}}"#;
    assert!(takes(numbers, &[], &other));
    assert!(!takes(numbers, &[], &fields(&[("a", text("x"))])));
    assert!(!takes("false", &["path"], &one));
}

#[test]
fn schemas_in_parts_declare_together() {
    let both = r##"{"allOf":[{"$ref":"#/$defs/a"},{"properties":{"b":{"type":"string"}}}],
        "$defs":{"a":{"properties":{"a":{"type":"integer"}},"required":["a"]}}}"##;
    let args = |names: &[&str]| {
        fields(&names.iter().map(|name| (*name, Value::Integer(1))).collect::<Vec<_>>())
    };
    assert_eq!(refused(both, &args(&["a"])), None);
    assert_eq!(refused(both, &args(&["a", "b"])), Some("b".into()));
    assert_eq!(refused(both, &args(&["a", "c"])), Some("c".into()));
    let when = r#"{"properties":{"a":{},"b":{}},
        "if":{"properties":{"a":{"const":1}},"required":["a"]},"then":{"required":["b"]}}"#;
    assert_eq!(refused(when, &args(&["a"])), Some("b".into()));
    assert_eq!(refused(when, &args(&["a", "b"])), None);
    assert_eq!(
        refused(r#"{"properties":{"a":{}},"not":{"required":["a"]}}"#, &args(&["a"])),
        Some(String::new())
    );
}

#[test]
fn a_schema_of_a_hostile_tool_is_refused_when_it_registers() {
    let deep = format!("{}{}", r#"{"items":"#.repeat(40), "{}".to_owned() + &"}".repeat(40));
    let deep = format!(r#"{{"properties":{{"a":{deep}}}}}"#);
    let wide: Vec<String> = (0..5_000).map(|n| format!(r#""a{n}":{{}}"#)).collect();
    let wide = format!(r#"{{"properties":{{{}}}}}"#, wide.join(","));
    let patterns: Vec<String> =
        (0..40).map(|n| format!(r#""a{n}":{{"pattern":"a{n}"}}"#)).collect();
    let patterns = format!(r#"{{"properties":{{{}}}}}"#, patterns.join(","));
    // Each definition refers twice to the one before: small as text, endless when it is followed.
    let bomb: Vec<String> = (1..30)
        .map(|n| {
            let before = n - 1;
            format!(r##""d{n}":{{"anyOf":[{{"$ref":"#/$defs/d{before}"}},{{"$ref":"#/$defs/d{before}"}}]}}"##)
        })
        .collect();
    let bomb = format!(r##"{{"$ref":"#/$defs/d29","$defs":{{"d0":{{}},{}}}}}"##, bomb.join(","));
    for (schema, why) in [
        ("{", "no JSON"),
        ("[]", "a schema is"),
        (r##"{"$ref":"#"}"##, "itself"),
        (r##"{"properties":{"a":{"$ref":"#/properties/a"}}}"##, "itself"),
        (r##"{"anyOf":[{"$ref":"#"},{"$ref":"#"}]}"##, "itself"),
        (r#"{"$ref":"https://example.org/schema"}"#, "outside"),
        (r#"{"$ref":"file:///etc/passwd"}"#, "outside"),
        (r##"{"$ref":"#/nowhere"}"##, "not in it"),
        (r#"{"properties":{"a":{"pattern":"(a+)\\1"}}}"#, "cannot be used"),
        (r#"{"properties":{"a":{"pattern":"\\w{999}{999}"}}}"#, "cannot be used"),
        (r#"{"properties":{"a":{"propertyNames":{}}}}"#, "propertyNames"),
        (r#"{"properties":{"a":{"type":"text"}}}"#, "no type `text`"),
        (r#"{"properties":{"a":{"multipleOf":0}}}"#, "multipleOf"),
        (&deep, "deep"),
        (&wide, "parts"),
        (&patterns, "patterns"),
        (&bomb, ""),
    ] {
        let shown: String = schema.chars().take(80).collect();
        let refused = ArgsSchema::of(&method(schema, &[])).expect_err(&shown);
        assert!(refused.contains(why), "{shown}: {refused}");
        // One that is there all the same lets nothing through.
        assert!(method(schema, &[]).check_args(&fields(&[])).is_err(), "{shown}");
    }
}

#[test]
fn a_check_that_takes_too_long_is_given_up() {
    let unique = r#"{"properties":{"a":{"uniqueItems":true}}}"#;
    let items = (0..20_000).map(Value::Integer).collect();
    let failure = method(unique, &[]).check_args(&fields(&[("a", Value::List(items))]));
    assert!(failure.unwrap_err().message.contains("steps"));
    // What did not hold for want of time must not pass as what may not hold.
    let not = r#"{"properties":{"a":{"not":{"uniqueItems":true}}}}"#;
    let items = (0..20_000).map(Value::Integer).collect();
    assert!(method(not, &[]).check_args(&fields(&[("a", Value::List(items))])).is_err());
}

#[test]
fn the_shape_of_a_place_is_known_without_a_value() {
    let method = method(MAIL, &[]);
    let schema = method.schema().unwrap();
    let at = |way: &[&str]| {
        let mut shape = schema.shape();
        for step in way {
            shape = if *step == "*" { shape.each() } else { shape.named(step)? };
        }
        Some((shape.kinds(), shape.is_open()))
    };
    assert_eq!(at(&[]), Some((Kinds::FIELDS, false)));
    assert_eq!(at(&["to"]), Some((Kinds::LIST, false)));
    assert_eq!(at(&["to", "*"]), Some((Kinds::TEXT, false)));
    assert_eq!(at(&["to", "3"]), Some((Kinds::TEXT, false)));
    assert_eq!(at(&["cc"]), Some((Kinds::LIST.or(Kinds::NULL), false)));
    assert_eq!(at(&["headers"]), Some((Kinds::FIELDS, true)));
    assert_eq!(at(&["headers", "accept"]), Some((Kinds::TEXT, false)));
    assert_eq!(at(&["parts", "*", "name"]), Some((Kinds::TEXT, false)));
    assert_eq!(at(&["via", "smtp"]), Some((Kinds::TEXT, false)));
    assert_eq!(at(&["Recipients"]), None);
    assert_eq!(at(&["parts", "*", "Data"]), None);
}
