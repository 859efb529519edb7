//! CEL expressions: the escape hatch of the vocabulary, bounded in source, shape and work.
//!
//! Nothing grows inside an expression: `map`, functions beyond a few, and loops within loops are
//! refused when it is compiled. So the work of an evaluation is known before it begins.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr};
use cel::parser::PrattParser;
use cel::{Context, Env, IdedExpr};

use crate::limits;
use crate::value::Value;

/// What an expression may call, operators aside.
const FUNCTIONS: [&str; 9] =
    ["size", "contains", "startsWith", "endsWith", "string", "int", "uint", "double", "dyn"];

/// The variables that an expression sees.
const VARIABLES: [&str; 5] = ["method", "args", "paths", "user", "now"];

/// A compiled expression.
#[derive(Clone)]
pub struct Program {
    source: String,
    expr: Arc<IdedExpr>,
    env: Arc<Env>,
    shape: Shape,
}

/// What an expression looks at.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// `method`.
    pub method: &'a str,
    /// `args`: the arguments by name. `None`: nobody knows their names.
    pub args: Option<&'a Value>,
    /// `paths`: where the call acts, seen from the grant's root.
    pub paths: &'a [String],
    /// `user`: who calls.
    pub user: &'a str,
    /// `now`, in milliseconds since 1970.
    pub now_ms: u64,
}

/// What bounds the work of an evaluation.
#[derive(Debug, Clone, Copy, Default)]
struct Shape {
    /// Nodes that are evaluated once.
    once: u64,
    /// Nodes that are evaluated for each element of some list.
    each: u64,
    /// Operators and literals that put values together.
    joins: u64,
    /// Whether it names the arguments.
    args: bool,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Program").field(&self.source).finish()
    }
}

impl Program {
    /// Compiles an expression; an error says what is wrong with it.
    pub fn compile(source: &str) -> Result<Self, String> {
        if source.len() > limits::MAX_PATTERN_BYTES {
            return Err(format!("an expression of more than {} bytes", limits::MAX_PATTERN_BYTES));
        }
        if depth(source) > limits::MAX_CEL_DEPTH {
            return Err(format!("nested more than {} deep", limits::MAX_CEL_DEPTH));
        }
        let parsed = catch_unwind(|| {
            PrattParser::new()
                .max_recursion_depth(limits::MAX_CEL_DEPTH)
                .max_expression_node_count(limits::MAX_CEL_NODES)
                .error_recovery_limit(0)
                .error_reporting_limit(1)
                .parse(source)
        });
        let expr = match parsed {
            Ok(Ok(expr)) => expr,
            Ok(Err(errors)) => {
                let first = errors.errors.first().map_or("", |error| error.msg.as_str());
                // No mistake is read over, and of the first one the parser then says just that.
                let why = match first.starts_with("error recovery") {
                    true => "look at its operators, quotes and parentheses",
                    false => first,
                };
                return Err(format!("not a CEL expression: {why}"));
            }
            Err(_) => return Err("not a CEL expression".into()),
        };
        let mut shape = Shape::default();
        shape.take(&expr, &mut Scope::default())?;
        let env = Arc::new(Env::stdlib());
        Ok(Self { source: source.to_owned(), expr: Arc::new(expr), env, shape })
    }

    /// Whether the expression is true of these facts; if it is not, fails, or could take too long
    /// to tell, why.
    pub fn check(&self, facts: &Facts<'_>) -> Result<(), String> {
        if self.shape.args && facts.args.is_none() {
            return Err("nobody can tell what the arguments are called".into());
        }
        let steps = self.shape.steps(facts, self.source.len());
        if steps > limits::MAX_CEL_STEPS {
            return Err("the arguments are too large for this expression".into());
        }
        let evaluated = catch_unwind(AssertUnwindSafe(|| self.evaluate(facts)));
        match evaluated {
            Ok(Ok(cel::Value::Bool(true))) => Ok(()),
            Ok(Ok(cel::Value::Bool(false))) => Err("the expression is false".into()),
            Ok(Ok(_)) => Err("the expression is neither true nor false".into()),
            Ok(Err(error)) => Err(format!("the expression fails: {error}")),
            Err(_) => Err("the expression fails".into()),
        }
    }

    fn evaluate(&self, facts: &Facts<'_>) -> Result<cel::Value, String> {
        let mut context = Context::with_env(self.env.clone());
        let args = facts.args.map_or(cel::Value::Null, to_cel);
        let paths = facts.paths.iter().map(|path| cel::Value::from(path.clone())).collect();
        let now = i64::try_from(facts.now_ms).unwrap_or(i64::MAX);
        let values = [
            cel::Value::from(facts.method),
            args,
            cel::Value::List(Arc::new(paths)),
            cel::Value::from(facts.user),
            cel::Value::Int(now),
        ];
        for (name, value) in VARIABLES.into_iter().zip(values) {
            context.add_variable_from_value(name, value);
        }
        context.resolve(&self.expr).map_err(|error| {
            error.to_string().chars().take(limits::MAX_CAVEAT_TEXT_BYTES).collect()
        })
    }
}

/// Where a node stands.
#[derive(Debug, Clone, Default)]
struct Scope {
    depth: u16,
    in_loop: bool,
    /// The variables of the loops around it.
    variables: Vec<String>,
}

impl Shape {
    /// The most steps that an evaluation could take, one of them some hundred nanoseconds.
    fn steps(&self, facts: &Facts<'_>, source: usize) -> u64 {
        let args = facts.args.filter(|_| self.args);
        let paths: usize = facts.paths.iter().map(|path| path.len() + 16).sum();
        let bytes = args.map_or(0, Value::weight) + paths + facts.method.len() + facts.user.len();
        let values = args.map_or(0, count) + facts.paths.len();
        let growth = 1 + self.joins;
        let bytes = (bytes as u64).saturating_mul(growth).saturating_add(source as u64);
        let rounds = (values as u64).saturating_mul(growth).saturating_add(self.once);
        let nodes = self.once.saturating_add(self.each.saturating_mul(rounds));
        // Making the variables takes time as well.
        nodes.saturating_mul(1 + bytes / 256).saturating_add(values as u64 + bytes / 256)
    }

    fn take(&mut self, node: &IdedExpr, scope: &mut Scope) -> Result<(), String> {
        if scope.depth >= limits::MAX_CEL_TREE_DEPTH {
            return Err(format!("nested more than {} deep", limits::MAX_CEL_TREE_DEPTH));
        }
        scope.depth += 1;
        if scope.in_loop {
            self.each += 1;
        } else {
            self.once += 1;
        }
        match &node.expr {
            Expr::Call(call) => self.take_call(call, scope)?,
            Expr::Comprehension(comprehension) => self.take_loop(comprehension, scope)?,
            Expr::Ident(name) => {
                self.args |= name == "args";
                if !VARIABLES.contains(&name.as_str()) && !scope.variables.contains(name) {
                    return Err(format!("there is no `{name}`, only {}", VARIABLES.join(", ")));
                }
            }
            Expr::List(list) => {
                for element in &list.elements {
                    self.joins += 1;
                    self.take(element, scope)?;
                }
            }
            Expr::Map(map) => {
                for entry in &map.entries {
                    let EntryExpr::MapEntry(entry) = &entry.expr else {
                        return Err("a map has keys and values".into());
                    };
                    self.joins += 2;
                    self.take(&entry.key, scope)?;
                    self.take(&entry.value, scope)?;
                }
            }
            Expr::Select(select) => self.take(&select.operand, scope)?,
            Expr::Literal(_) => {}
            Expr::Struct(_) | Expr::Unspecified => {
                return Err("structures are not available".into());
            }
        }
        scope.depth -= 1;
        Ok(())
    }

    fn take_call(&mut self, call: &CallExpr, scope: &mut Scope) -> Result<(), String> {
        let name = call.func_name.as_str();
        let operator = !name.starts_with(|c: char| c.is_ascii_alphabetic());
        if !operator && !FUNCTIONS.contains(&name) {
            return Err(format!("`{name}` is not available, only {}", FUNCTIONS.join(", ")));
        }
        if name == "_+_" {
            self.joins += 1;
        }
        let parts = call.target.as_deref().into_iter().chain(&call.args);
        parts.into_iter().try_for_each(|part| self.take(part, scope))
    }

    fn take_loop(&mut self, node: &ComprehensionExpr, scope: &mut Scope) -> Result<(), String> {
        if scope.in_loop {
            return Err("a loop within a loop".into());
        }
        if matches!(node.accu_init.expr, Expr::List(_)) && !only_keeps(node) {
            return Err("`map` is not available; use all, exists, exists_one or filter".into());
        }
        self.take(&node.iter_range, scope)?;
        let before = scope.variables.len();
        scope.variables.extend([node.iter_var.clone(), node.accu_var.clone()]);
        scope.variables.extend(node.iter_var2.clone());
        scope.in_loop = true;
        for part in [&node.accu_init, &node.loop_cond, &node.loop_step, &node.result] {
            self.take(part, scope)?;
        }
        scope.in_loop = false;
        scope.variables.truncate(before);
        Ok(())
    }
}

/// Whether a loop that makes a list, as `filter` does, puts nothing into it but its elements.
fn only_keeps(node: &ComprehensionExpr) -> bool {
    let is = |expr: &IdedExpr, name: &str| matches!(&expr.expr, Expr::Ident(n) if n == name);
    let Expr::Call(choice) = &node.loop_step.expr else { return false };
    let [_, kept, left] = choice.args.as_slice() else { return false };
    let Expr::Call(sum) = &kept.expr else { return false };
    let [before, added] = sum.args.as_slice() else { return false };
    let Expr::List(added) = &added.expr else { return false };
    choice.func_name == "_?_:_"
        && is(left, &node.accu_var)
        && sum.func_name == "_+_"
        && is(before, &node.accu_var)
        && matches!(added.elements.as_slice(), [one] if is(one, &node.iter_var))
}

/// How deep the parser could recurse at most: by brackets that are open at once, and by signs and
/// choices, which nest without any. Those in texts count as well: it is a bound.
fn depth(source: &str) -> u16 {
    let (mut open, mut most, mut signs) = (0_u16, 0_u16, 0_u16);
    for byte in source.bytes() {
        match byte {
            b'(' | b'[' | b'{' => open = open.saturating_add(1),
            b')' | b']' | b'}' => open = open.saturating_sub(1),
            b'?' | b'!' | b'-' => signs = signs.saturating_add(1),
            _ => {}
        }
        most = most.max(open);
    }
    // A closing bracket in a text could hide an open one.
    let hidden = source.contains(['\'', '"']);
    let brackets = if hidden { source.matches(['(', '[', '{']).count() } else { usize::from(most) };
    u16::try_from(brackets).unwrap_or(u16::MAX).max(most).saturating_add(signs)
}

/// How many values a value is made of.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::List(items) => items.iter().map(count).sum(),
        Value::Fields(fields) => fields.iter().map(|(_, part)| count(part)).sum(),
        Value::Null
        | Value::Bool(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Text(_)
        | Value::Data(_)
        | Value::Object(_)
        | Value::Unsigned(_) => 0,
    }
}

/// A value as CEL sees it. An object is an empty map: it is not null, and has nothing to look at.
fn to_cel(value: &Value) -> cel::Value {
    match value {
        Value::Null => cel::Value::Null,
        Value::Bool(b) => cel::Value::Bool(*b),
        Value::Integer(i) => cel::Value::Int(*i),
        Value::Unsigned(n) => cel::Value::UInt(*n),
        Value::Float(x) => cel::Value::Float(*x),
        Value::Text(t) => cel::Value::String(Arc::new(t.clone())),
        Value::Data(d) => cel::Value::Bytes(Arc::new(d.clone())),
        Value::List(items) => cel::Value::List(Arc::new(items.iter().map(to_cel).collect())),
        Value::Fields(fields) => {
            let fields = fields.iter().map(|(name, part)| (name.clone(), to_cel(part)));
            cel::Value::Map(fields.collect::<HashMap<_, _>>().into())
        }
        Value::Object(_) => cel::Value::Map(HashMap::<String, cel::Value>::new().into()),
    }
}
