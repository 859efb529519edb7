//! Declarations of schemas, methods and whole tools.

use remit_client::GrantSpec;
use remit_core::manifest::{Interface, Manifest, Method, Param};

use super::*;

#[test]
fn a_schema_becomes_a_type() {
    for (schema, given, returned) in [
        ("", "unknown", "unknown"),
        ("no json", "unknown", "unknown"),
        ("{}", "unknown", "unknown"),
        ("false", "never", "never"),
        (r#"{"type":"string"}"#, "string", "string"),
        (r#"{"type":"integer"}"#, "number | bigint", "number"),
        (r#"{"type":["string","null"]}"#, "string | null", "string | null"),
        (r#"{"enum":["a","b",null,1]}"#, r#""a" | "b" | null | 1"#, r#""a" | "b" | null | 1"#),
        (r#"{"const":18446744073709551615}"#, "18446744073709551615n", "18446744073709551615n"),
        (r#"{"const":-9007199254740991}"#, "-9007199254740991", "-9007199254740991"),
        (r#"{"const":1.5}"#, "number", "number"),
        (
            r#"{"type":"array","items":{"type":"string","contentEncoding":"base64"}}"#,
            "(string | Uint8Array)[]",
            "(string | Uint8Array)[]",
        ),
        (
            r#"{"type":"string","format":"text-or-bytes"}"#,
            "string | Uint8Array",
            "string | Uint8Array",
        ),
        (r#"{"format":"object"}"#, "RemitObject", "RemitObject"),
        (
            r#"{"oneOf":[{"type":"number"},{"type":"array","items":{"type":"boolean"}},{"type":"number"}]}"#,
            "number | boolean[]",
            "number | boolean[]",
        ),
        (
            r#"{"type":"object","properties":{"a b":{"type":"string"},"__proto__":{"type":"null"},"new":{}},"required":["a b"]}"#,
            r#"{ "a b": string; __proto__?: null; "new"?: unknown }"#,
            r#"{ "a b": string; __proto__?: null; "new"?: unknown }"#,
        ),
        (r#"{"type":"object","properties":{},"additionalProperties":false}"#, "{}", "{}"),
        (
            r#"{"type":"object","additionalProperties":{"type":"number"}}"#,
            "{ [name: string]: number }",
            "{ [name: string]: number }",
        ),
        (
            r#"{"prefixItems":[{"type":"string"},{"type":"null"}],"minItems":1,"items":false}"#,
            "[string, null?]",
            "[string, null?]",
        ),
        (
            r##"{"$ref":"#/$defs/A","$defs":{"A":{"anyOf":[{"type":"null"},{"$ref":"#/$defs/B"}]},"B":{"type":"boolean"}}}"##,
            "null | boolean",
            "null | boolean",
        ),
        (
            r#"{"type":"object","properties":{"k":{"type":"string"}},"additionalProperties":false,"oneOf":[{"required":["k"]},{"type":"null"}]}"#,
            "{ k?: string }",
            "{ k?: string }",
        ),
        (
            r#"{"allOf":[{"type":"string"},{"enum":["a","b"]}]}"#,
            r#"string & ("a" | "b")"#,
            r#"string & ("a" | "b")"#,
        ),
    ] {
        let read = Schema::read(schema);
        assert_eq!(read.spelled(Direction::Given), given, "{schema}");
        assert_eq!(read.spelled(Direction::Returned), returned, "{schema}");
    }
}

#[test]
fn schema_that_names_itself_or_grows_is_cut() {
    let itself = r##"{"type":"array","items":{"$ref":"#"}}"##;
    assert!(Schema::read(itself).spelled(Direction::Given).contains("unknown"));
    // Each definition names the next one ten times: ten to the power of twenty.
    let each = |n: usize| {
        let next = format!(r##"{{"$ref":"#/$defs/d{}"}}"##, n + 1);
        format!(r#""d{n}":{{"type":"array","prefixItems":[{}]}}"#, vec![next; 10].join(","))
    };
    let all: Vec<String> = (0..20).map(each).collect();
    let grows = format!(r##"{{"$ref":"#/$defs/d0","$defs":{{{}}}}}"##, all.join(","));
    assert!(Schema::read(&grows).spelled(Direction::Given).len() < 1 << 20);
}

fn param(name: &str, required: bool) -> Param {
    Param { name: name.into(), required, ..Param::default() }
}

fn method(name: &str, params: Vec<Param>, schema: &str) -> Method {
    Method { name: name.into(), params, args_schema: schema.into(), ..Method::default() }
}

#[test]
fn arguments_are_given_as_scripts_give_them() {
    let fields = Param { fields: true, ..param("filter", true) };
    for (params, ways) in [
        (vec![], vec![""]),
        (
            vec![param("path", true), param("max", false)],
            vec![
                "path: string, options?: { max?: number | bigint }",
                "path: string, max?: number | bigint",
                "options: { path: string; max?: number | bigint }",
            ],
        ),
        (
            vec![param("max", false)],
            vec!["options?: { max?: number | bigint }", "max?: number | bigint"],
        ),
        (vec![fields], vec!["filter: unknown"]),
        (
            vec![param("max", false), param("path", true)],
            vec![
                "options: { max?: number | bigint; path: string }",
                "max?: number | bigint, options?: { path: string }",
            ],
        ),
    ] {
        let schema = r#"{"properties":{"path":{"type":"string"},"max":{"type":"integer"}}}"#;
        let method = method("m", params, schema);
        assert_eq!(Signature::of(&method).ways(), ways);
    }
}

#[test]
fn names_that_are_no_identifiers_stay_distinct() {
    let mut names = Names::default();
    let taken: Vec<String> =
        ["a-b", "a.b", "class", "1x", "", "日", "Called"].map(|name| names.take(name)).into();
    assert_eq!(taken, ["a_b", "a_b_2", "_class", "_1x", "_", "__2", "_Called"]);
    assert_eq!(property("it's \"x\"\u{202e}"), r#""it's \"x\"\u202e""#);
    assert_eq!(property("constructor"), "\"constructor\"");
}

#[test]
fn description_cannot_end_its_comment() {
    let shown = comment("a */ evil(); /*\n\u{2028}*/ declare const x: any", "");
    let text = shown.join("\n");
    assert_eq!(text.matches("*/").count(), 1, "{text}");
    assert!(text.ends_with("*/") && !text.contains('\u{2028}'), "{text}");
}

#[test]
fn script_is_declared_with_what_its_grants_leave() {
    let read = Method {
        description: "Reads.".into(),
        read_only: true,
        result_schema: r#"{"type":"string"}"#.into(),
        ..method("read", vec![param("path", true)], r#"{"properties":{"path":{"type":"string"}}}"#)
    };
    let dir = Method { returns: "Dir".into(), read_only: true, ..method("dir", vec![], "") };
    let remove = Method { destructive: true, ..method("remove", vec![], "") };
    let interface = |name: &str, methods| Interface {
        name: name.into(),
        description: format!("A {name}."),
        methods,
    };
    let manifest = Manifest {
        tool: "my-files".into(),
        version: "1".into(),
        description: "Files.".into(),
        root: "Root".into(),
        descend: "dir".into(),
        interfaces: vec![interface("Root", vec![dir]), interface("Dir", vec![read, remove])],
    };
    let spec = GrantSpec::parse("class", "my-files?methods=readOnly", 0).unwrap();
    let grants = [
        Granted { name: "class", manifest: &manifest, path: "", caveats: &spec.caveats },
        Granted { name: "src", manifest: &manifest, path: "src", caveats: &[] },
    ];
    let text = script(&grants);
    let (_, own) = text.split_once("toJSON(): string;\n}\n").unwrap();
    let expected = r"
/** my-files 1: Files. */
declare namespace Grants._class {
  /** A Root. */
  interface Root extends RemitObject {
    /** (read-only) */
    dir(): Called<Dir>;
  }
  /** A Dir. */
  interface Dir extends RemitObject {
    /**
     * Reads.
     * (read-only)
     */
    read(path: string): Promise<string>;
    read(options: { path: string }): Promise<string>;
  }
}

/** my-files 1: Files. */
declare namespace Grants.src {
  /** A Root. */
  interface Root extends RemitObject {
    /** (read-only) */
    dir(): Called<Dir>;
  }
  /** A Dir. */
  interface Dir extends RemitObject {
    /**
     * Reads.
     * (read-only)
     */
    read(path: string): Promise<string>;
    read(options: { path: string }): Promise<string>;
    /** (destructive) */
    remove(): Promise<unknown>;
  }
}

interface Remit extends RemitOwn {
  readonly class: Grants._class.Root;
  readonly src: Grants.src.Dir;
}
";
    assert_eq!(own, expected);
}
