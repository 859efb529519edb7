//! The natives behind the prelude, and the prelude itself.

use std::rc::Rc;

use remit_core::event::Level;
use remit_core::{Code, Failure, Outcome, Value, limits};
use remit_vat::limits::PIPELINE_DEPTH;
use rquickjs::context::EvalOptions;
use rquickjs::{Array, Ctx, Exception, Function, IntoJs as _, Object, Persistent};

use super::engine::{Ask, Call, Completion, OURS, PRELUDE, Shared};
use super::text::{Text, shortened};
use super::{values, web};

/// Evaluates the prelude in the realm.
pub(super) fn install<'js>(ctx: &Ctx<'js>, shared: &Rc<Shared>) -> rquickjs::Result<()> {
    let mut options = EvalOptions::default();
    options.strict = true;
    options.filename = Some(PRELUDE.to_owned());
    let make: Function<'js> = ctx.eval_with_options(include_str!("prelude.js"), options)?;
    let prelude: Object<'js> = make.call((natives(ctx, shared)?,))?;
    *shared.prelude.borrow_mut() = Some(Persistent::save(ctx, prelude));
    Ok(())
}

/// The functions that the prelude exports.
pub(super) fn prelude<'js>(ctx: &Ctx<'js>, shared: &Shared) -> rquickjs::Result<Object<'js>> {
    match &*shared.prelude.borrow() {
        Some(prelude) => prelude.clone().restore(ctx),
        None => Err(Exception::throw_internal(ctx, "the prelude is gone")),
    }
}

fn natives<'js>(ctx: &Ctx<'js>, shared: &Rc<Shared>) -> rquickjs::Result<Object<'js>> {
    let host = Object::new(ctx.clone())?;
    let own = Rc::clone(shared);
    let call = move |ctx: Ctx<'js>, target: usize, method: Text, args: Array<'js>| {
        ask_call(&ctx, &own, target, method.0, args)
    };
    host.set("call", Function::new(ctx.clone(), call)?)?;
    let own = Rc::clone(shared);
    let result = move |operation: f64| own.results.borrow().get(&whole(operation)).copied();
    host.set("result", Function::new(ctx.clone(), result)?)?;
    let own = Rc::clone(shared);
    let sleep = move |ms: f64| {
        let operation = own.next_operation();
        let duration_ms = whole(ms.ceil());
        own.asks.borrow_mut().push(Ask::Sleep { operation, duration_ms });
        number(operation)
    };
    host.set("sleep", Function::new(ctx.clone(), sleep)?)?;
    let own = Rc::clone(shared);
    let input = move || {
        let operation = own.next_operation();
        own.asks.borrow_mut().push(Ask::Input { operation });
        number(operation)
    };
    host.set("input", Function::new(ctx.clone(), input)?)?;
    let own = Rc::clone(shared);
    let steers = move |wait: bool| {
        let operation = own.next_operation();
        own.asks.borrow_mut().push(Ask::Steers { operation, wait });
        number(operation)
    };
    host.set("steers", Function::new(ctx.clone(), steers)?)?;
    let own = Rc::clone(shared);
    let request = move |Text(tool): Text, Text(reason): Text| {
        let (operation, result) = own.next_result();
        own.depths.borrow_mut().insert(result, 1);
        own.asks.borrow_mut().push(Ask::CapabilityRequest { operation, tool, reason, result });
        number(operation)
    };
    host.set("request", Function::new(ctx.clone(), request)?)?;
    let own = Rc::clone(shared);
    host.set("now", Function::new(ctx.clone(), move || number(own.now_ms.get()))?)?;
    let own = Rc::clone(shared);
    let random = move || own.chance.borrow_mut().next_float();
    host.set("random", Function::new(ctx.clone(), random)?)?;
    let own = Rc::clone(shared);
    host.set(
        "log",
        Function::new(ctx.clone(), move |level: u8, text: Text| log(&own, level, text.0))?,
    )?;
    let own = Rc::clone(shared);
    let make_web = move |ctx: Ctx<'js>| web::make(&ctx, &own);
    host.set("web", Function::new(ctx.clone(), make_web)?)?;
    let own = Rc::clone(shared);
    let mentioned = move |stack: Text, names: Vec<Text>| {
        let line = own.line_of(&stack.0)?;
        names.into_iter().map(|name| name.0).find(|name| mentions(&line, name))
    };
    host.set("mentioned", Function::new(ctx.clone(), mentioned)?)?;
    endings(ctx, shared, &host)?;
    Ok(host)
}

/// The natives through which the script ends.
fn endings<'js>(ctx: &Ctx<'js>, shared: &Rc<Shared>, host: &Object<'js>) -> rquickjs::Result<()> {
    let own = Rc::clone(shared);
    let done = move |ctx: Ctx<'js>, value: rquickjs::Value<'js>| -> rquickjs::Result<()> {
        let classify: Function<'js> = prelude(&ctx, &own)?.get("classify")?;
        let mut handles = Vec::new();
        let value = values::read(&value, &classify, &mut handles)?;
        if !handles.is_empty() {
            let why =
                "the script returned an object of remit: a result is data, without references";
            return Err(Exception::throw_type(&ctx, why));
        }
        own.outcome.borrow_mut().get_or_insert(Outcome::value(value));
        Ok(())
    };
    host.set("done", Function::new(ctx.clone(), done)?)?;
    let own = Rc::clone(shared);
    let failed = move |code: Text, message: Text, stack: Text| {
        own.end(failure(&code.0, &message.0, &stack.0));
    };
    host.set("failed", Function::new(ctx.clone(), failed)?)?;
    let own = Rc::clone(shared);
    let unhandled = move |ctx: Ctx<'js>, error: rquickjs::Value<'js>| -> rquickjs::Result<()> {
        let failure = describe(&ctx, &own, error)?;
        own.unhandled.borrow_mut().get_or_insert(failure);
        Ok(())
    };
    host.set("unhandled", Function::new(ctx.clone(), unhandled)?)
}

fn ask_call<'js>(
    ctx: &Ctx<'js>,
    shared: &Shared,
    target: usize,
    method: String,
    args: Array<'js>,
) -> rquickjs::Result<f64> {
    let classify: Function<'js> = prelude(ctx, shared)?.get("classify")?;
    let mut handles = Vec::new();
    let args = match values::read(&args.into_value(), &classify, &mut handles)? {
        Value::List(items) if items.is_empty() => Value::Null,
        // A single plain object means arguments by name.
        Value::List(mut items) if matches!(items[..], [Value::Fields(_)]) => items.remove(0),
        items => items,
    };
    let depth = depth(ctx, shared, handles.iter().chain([&target]))?;
    let (operation, result) = shared.next_result();
    shared.depths.borrow_mut().insert(result, depth);
    let call = Call { operation, target, method, args, handles, result };
    shared.asks.borrow_mut().push(Ask::Call(call));
    Ok(number(operation))
}

/// The depth of a call that uses the objects of these handles. A result counts as settled once the
/// script was told of it, not when it arrives, so that a replay gets the same depth.
fn depth<'a>(
    ctx: &Ctx<'_>,
    shared: &Shared,
    used: impl Iterator<Item = &'a usize>,
) -> rquickjs::Result<u32> {
    let depths = shared.depths.borrow();
    let depth = used.filter_map(|handle| depths.get(handle)).max().copied().unwrap_or_default();
    if depth >= PIPELINE_DEPTH {
        let why = format!(
            "this would be {} calls, each on the result of the one before, none of them answered \
             yet: await one of them first",
            depth + 1
        );
        return Err(Exception::throw_range(ctx, &why));
    }
    Ok(depth + 1)
}

fn log(shared: &Shared, level: u8, text: String) {
    shared.lines.set(shared.lines.get() + 1);
    let level = match level {
        0 => Level::Debug,
        1 => Level::Info,
        2 => Level::Warn,
        _ => Level::Error,
    };
    // The owner refuses a line that is too long, and the lines after it would be lost as well.
    let text = shortened(text, limits::MAX_LINE_BYTES);
    shared.asks.borrow_mut().push(Ask::Log { line: shared.lines.get(), level, text });
}

/// Tells the script the outcome of one operation.
pub(super) fn settle(
    ctx: &Ctx<'_>,
    shared: &Shared,
    completion: &Completion,
) -> rquickjs::Result<()> {
    let prelude = prelude(ctx, shared)?;
    let settle: Function<'_> = prelude.get("settle")?;
    let operation = number(completion.operation);
    if let Some(result) = shared.results.borrow_mut().remove(&completion.operation) {
        shared.depths.borrow_mut().remove(&result);
    }
    match &completion.outcome {
        Ok(answer) => {
            shared.now_ms.set(answer.time_ms.max(shared.now_ms.get()));
            let grant: Text = prelude.get::<_, Function<'_>>("grantOf")?.call((operation,))?;
            let object: Function<'_> = prelude.get("object")?;
            let mut proxy = |index: u32| {
                let handle = answer.handles.get(index as usize).copied().unwrap_or_default();
                object.call((handle, grant.0.as_str()))
            };
            let value = match (&answer.value, answer.object) {
                (Value::Null, Some(handle)) => object.call((handle, grant.0.as_str()))?,
                (value, _) => values::write(ctx, value, &mut proxy)?,
            };
            settle.call((operation, true, value))
        }
        Err(failure) => {
            let told = Object::new(ctx.clone())?;
            told.set("code", failure.code.as_str())?;
            told.set("message", failure.message.as_str())?;
            told.set("detail", failure.detail.as_str())?;
            settle.call((operation, false, told.into_js(ctx)?))
        }
    }
}

/// Converts a thrown value to a failure.
pub(super) fn describe<'js>(
    ctx: &Ctx<'js>,
    shared: &Shared,
    error: rquickjs::Value<'js>,
) -> rquickjs::Result<Failure> {
    let describe: Function<'js> = prelude(ctx, shared)?.get("describe")?;
    let described: Vec<Text> = describe.call((error,))?;
    match &described[..] {
        [code, message, stack] => Ok(failure(&code.0, &message.0, &stack.0)),
        _ => Ok(Failure::new(Code::Failed, "the script threw")),
    }
}

fn failure(code: &str, message: &str, stack: &str) -> Failure {
    let code = Code::parse(code).unwrap_or(Code::Failed);
    // A failure that is too large to send would leave the script without an end.
    let short = |text: String| shortened(text, limits::MAX_FAILURE_BYTES);
    Failure::new(code, short(message.to_owned())).with_detail(short(own_frames(stack)))
}

/// Whether `name` occurs in `line` as a whole word.
fn mentions(line: &str, name: &str) -> bool {
    let in_name = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$');
    !name.is_empty()
        && line.match_indices(name).any(|(at, _)| {
            !in_name(line[..at].chars().next_back())
                && !in_name(line[at + name.len()..].chars().next())
        })
}

/// The frames of a stack that belong to the script.
pub(super) fn own_frames(stack: &str) -> String {
    let own = |frame: &&str| !frame.contains(OURS) && !frame.contains("(native)");
    stack.lines().filter(own).map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// The place in the first frame of a stack: path, line, column.
pub(super) fn place(stack: &str) -> Option<(String, usize, usize)> {
    let frame = stack.lines().find(|line| !line.trim().is_empty())?;
    let frame = frame.trim().trim_start_matches("at ").trim_end_matches(')');
    let frame = frame.rsplit_once('(').map_or(frame, |(_, place)| place);
    let (rest, column) = frame.rsplit_once(':')?;
    let (path, line) = rest.rsplit_once(':')?;
    Some((path.to_owned(), line.parse().ok()?, column.parse().ok()?))
}

#[expect(clippy::cast_precision_loss, reason = "counts and times stay below 2^53")]
const fn number(count: u64) -> f64 {
    count as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a conversion that saturates is what is wanted of a script's number"
)]
const fn whole(number: f64) -> u64 {
    number as u64
}
