//! Values of every type, in both directions.

use remit_core::Value;

use super::owner::{run, run_with};
use super::{failure, result, text};

fn fields(fields: &[(&str, Value<u32>)]) -> Value<u32> {
    Value::Fields(fields.iter().map(|(n, v)| ((*n).into(), v.clone())).collect())
}

/// Values with their JSON spelling in a script. `None`: JSON cannot spell it.
fn table() -> Vec<(Value<u32>, Option<&'static str>)> {
    let mut table = vec![
        (Value::Null, Some("null")),
        (Value::Bool(true), Some("true")),
        (Value::Text("\u{0}ü🚀\u{2028}\u{fffd}".into()), None),
        (Value::Text(String::new()), Some("\"\"")),
        (Value::Data(vec![]), None),
        (Value::Data(vec![0, 0xff, 0x80]), None),
        (Value::List(vec![]), Some("[]")),
        (Value::Fields(vec![]), Some("{}")),
        (Value::Float(0.1), Some("0.1")),
        (Value::Float(-0.0), Some("0")),
        (Value::Float(5e-324), Some("5e-324")),
        (Value::Float(f64::MAX), Some("1.7976931348623157e+308")),
        (Value::Float(9_007_199_254_740_992.0), Some("9007199254740992")),
        (Value::Float(f64::INFINITY), Some("null")),
        (Value::Float(f64::NEG_INFINITY), Some("null")),
        (fields(&[("a b", Value::Null), ("then", Value::Integer(1))]), None),
    ];
    let whole: [(i64, &str); 10] = [
        (0, "0"),
        (-1, "-1"),
        (i64::from(i32::MAX) + 1, "2147483648"),
        (i64::from(i32::MIN), "-2147483648"),
        ((1 << 53) - 1, "9007199254740991"),
        (1 << 53, "9007199254740992"),
        (-(1 << 53) - 1, "-9007199254740993"),
        (1_234_567_890_123_456_789, "1234567890123456789"),
        (i64::MAX, "9223372036854775807"),
        (i64::MIN, "-9223372036854775808"),
    ];
    table.extend(whole.map(|(number, json)| (Value::Integer(number), Some(json))));
    table.push((Value::Unsigned(1 << 63), Some("9223372036854775808")));
    table.push((Value::Unsigned(u64::MAX), Some("18446744073709551615")));
    let odd = ["__proto__", "constructor", "toString", "toJSON", "then", "0", ""];
    table.extend(odd.map(|name| (fields(&[(name, fields(&[("x", Value::Integer(1))]))]), None)));
    let wide = (0..20_000).map(Value::Integer).collect();
    table.push((Value::List(wide), None));
    // Carrying the value through the test takes three levels of the 48 allowed.
    let deep = (0..43).fold(Value::Integer(1), |inner, _| Value::List(vec![inner]));
    table.push((deep, None));
    table
}

#[tokio::test]
async fn every_value_comes_back_as_it_went_in() {
    let (values, spelled): (Vec<_>, Vec<_>) = table().into_iter().unzip();
    let script = "export default async (remit, input) => ({
        result: input,
        // One list is one argument, and the echo returns the list of arguments.
        args: (await remit.repo.echo(input))[0],
        spelled: input.map((value) => {
          try { return JSON.stringify(value); } catch (error) { return `${error}`; }
        }),
        shown: input.map((value) => { console.log(value); return true; }).length,
      })";
    let run = run_with(&[("main.ts", script)], Value::List(values.clone())).await;
    let got = result(&run);
    for part in ["result", "args"] {
        let Some(Value::List(items)) = got.field(part) else { panic!("{part}") };
        assert_eq!(items.len(), values.len());
        for (item, value) in items.iter().zip(&values) {
            assert_eq!(item, value, "{part}");
        }
    }
    let Some(Value::List(json)) = got.field("spelled") else { panic!() };
    for ((json, expected), value) in json.iter().zip(spelled).zip(&values) {
        if let Some(expected) = expected {
            assert_eq!(json, &text(expected), "{value:?}");
        }
    }
    assert_eq!(run.lines.len(), values.len());
}

#[tokio::test]
async fn nan_is_a_number_and_stays_nan() {
    let script = "export default async (remit, input) => [input, typeof input, 0 / 0]";
    let run = run_with(&[("main.ts", script)], Value::Float(f64::NAN)).await;
    let Value::List(got) = result(&run) else { panic!() };
    assert!(matches!(got[..], [Value::Float(a), _, Value::Float(b)] if a.is_nan() && b.is_nan()));
    assert_eq!(got[1], text("number"));
}

#[tokio::test]
async fn a_number_that_does_not_fit_is_refused_and_others_are_exact() {
    let script = "export default async (remit) => {
        const said = [];
        for (const n of [2n ** 64n, -(2n ** 63n) - 1n, 10n ** 40n]) {
          try { await remit.repo.echo(n); said.push('sent'); } catch (e) { said.push(`${e.name} ${e.message}`); }
        }
        return [said, 2n ** 64n - 1n, -(2n ** 63n), 5n, 2 ** 53, JSON.stringify({ a: [2n ** 70n] }, null, 1)];
      }";
    let run = run(&[("main.ts", script)]).await;
    let Value::List(got) = result(&run) else { panic!() };
    let Value::List(said) = &got[0] else { panic!() };
    for said in said {
        let said = said.as_text().unwrap();
        assert!(said.starts_with("TypeError") && said.contains("64 bits"), "{said}");
    }
    let exact = [
        Value::Unsigned(u64::MAX),
        Value::Integer(i64::MIN),
        Value::Integer(5),
        Value::Float(9_007_199_254_740_992.0),
        text("{\n \"a\": [\n  1180591620717411303424\n ]\n}"),
    ];
    assert_eq!(got[1..], exact);
}

#[tokio::test]
async fn halves_of_surrogate_pairs_are_replaced_wherever_text_leaves_a_script() {
    let script = r#"export default async (remit) => {
        const half = "a🚀".slice(0, 2), other = "🚀b".slice(1);
        console.log(half, { [half]: other });
        const back = await remit.repo.echo(half, { [half]: other });
        const method = await remit.repo[half]();
        const said = [];
        try { await remit.repo.echo({ "\ud83d": 1, "\ude80": 2 }); } catch (e) { said.push(e.name); }
        try { remit.request({ tool: half, reason: other }); } catch (e) { said.push(e.name); }
        return [back, method, said, half, { [other]: half }, "🚀"];
      }"#;
    let run = run(&[("main.ts", script)]).await;
    let (half, other) = (|| text("a\u{fffd}"), || text("\u{fffd}b"));
    let args = Value::List(vec![half(), fields(&[("a\u{fffd}", other())])]);
    let expected = vec![
        args,
        text("/a\u{fffd}"),
        Value::List(vec![text("TypeError")]),
        half(),
        fields(&[("\u{fffd}b", half())]),
        text("🚀"),
    ];
    assert_eq!(*result(&run), Value::List(expected));
    // Inside a value, the console shows text in its JSON spelling.
    assert!(run.lines[0].contains("Info a\u{fffd} { a\u{fffd}: "), "{}", run.lines[0]);
}

#[tokio::test]
async fn half_a_surrogate_pair_in_an_error_does_not_hide_the_error() {
    for script in [
        r#"export default () => { throw new RangeError("no \ud83d") }"#,
        r#"throw new RangeError("no \ud83d")"#,
        r#"export default async (remit) => { Promise.reject(new RangeError("no \ud83d")); await remit.sleep(1); }"#,
    ] {
        let run = run(&[("main.ts", script)]).await;
        assert_eq!(failure(&run).message, "RangeError: no \u{fffd}", "{script}");
    }
}
