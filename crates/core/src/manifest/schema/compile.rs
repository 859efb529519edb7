//! From the text of a schema to rules.

use std::collections::BTreeSet;

use regex::{Regex, RegexBuilder};
use serde_json::{Map, Value as Json};

use super::keyword::{self, Keyword};
use super::{FieldRules, Kinds, Node, NumberRule, Others, Range, Rule};
use crate::{json, limits};

/// A schema while it is compiled.
struct Compiler<'a> {
    root: &'a Json,
    /// Rules and values so far.
    nodes: usize,
    /// Schemas that were looked through for the names that they declare.
    looks: usize,
    patterns: usize,
    /// The references on the way to here, so that none leads to itself.
    within: Vec<String>,
}

/// Who refuses fields that nothing declares.
#[derive(Clone)]
enum Closing {
    /// This schema, but for these, which the schemas around it declare of the same value.
    Here(BTreeSet<String>),
    /// A schema around it, for the same value.
    Outside,
}

/// The field names that a schema and those in it that speak of the same value declare.
#[derive(Default)]
struct Declared {
    names: BTreeSet<String>,
    /// Whether it says that there may be others.
    others: bool,
    /// Whether it speaks of fields at all.
    speaks: bool,
}

/// Compiles the schema of a method's arguments. `params` are declared by the manifest.
pub(super) fn arguments<'p>(
    text: &str,
    params: impl Iterator<Item = &'p str>,
) -> Result<(Node, usize), String> {
    let params: BTreeSet<String> = params.map(str::to_owned).collect();
    if text.is_empty() {
        let rules = FieldRules { others: only(params), ..FieldRules::default() };
        let rules = vec![Rule::Fields(Box::new(rules))];
        return Ok((Node { kinds: Kinds::FIELDS, rules }, 0));
    }
    if text.len() > limits::MAX_SCHEMA_BYTES {
        return Err(format!("it has more than {} bytes", limits::MAX_SCHEMA_BYTES));
    }
    // The parser bounds the nesting of JSON at 128 by itself.
    let root = json::parse(text).map_err(|error| format!("it is no JSON: {}", error.message))?;
    let mut compiler =
        Compiler { root: &root, nodes: 0, looks: 0, patterns: 0, within: Vec::new() };
    let mut node = compiler.schema(&root, Closing::Here(params.clone()), 0)?;
    let mut declared = Declared::default();
    compiler.declared(&root, &mut declared, 0)?;
    // At the top nothing said is no arguments but the parameters: a method that takes whatever it is
    // given must say so.
    if !declared.speaks && root.is_object() {
        let rules = FieldRules { others: only(params), ..FieldRules::default() };
        node.rules.push(Rule::Fields(Box::new(rules)));
    }
    node.kinds = node.kinds.and(Kinds::FIELDS);
    Ok((node, compiler.patterns))
}

fn only(names: BTreeSet<String>) -> Others {
    Others::Only(names.into_iter().collect())
}

impl<'a> Compiler<'a> {
    fn count(&mut self, nodes: usize, depth: usize) -> Result<(), String> {
        self.nodes += nodes;
        if self.nodes > limits::MAX_SCHEMA_NODES {
            return Err(format!("it has more than {} parts", limits::MAX_SCHEMA_NODES));
        }
        if depth > limits::MAX_SCHEMA_DEPTH {
            return Err(format!("it nests more than {} deep", limits::MAX_SCHEMA_DEPTH));
        }
        Ok(())
    }

    fn schema(&mut self, json: &Json, closing: Closing, depth: usize) -> Result<Node, String> {
        self.count(1, depth)?;
        let map = match json {
            Json::Bool(true) => return Ok(Node::default()),
            Json::Bool(false) => return Ok(Node { kinds: Kinds::ALL, rules: vec![Rule::Never] }),
            Json::Object(map) => map,
            Json::Null | Json::Number(_) | Json::String(_) | Json::Array(_) => {
                return Err("a schema is an object, true or false".into());
            }
        };
        let mut node = Node { kinds: kinds(map)?, rules: Vec::new() };
        let closed = match &closing {
            Closing::Outside => None,
            Closing::Here(around) => {
                let mut declared = Declared::default();
                self.declared(json, &mut declared, depth)?;
                let names = &declared.names | around;
                (declared.speaks && !declared.others).then_some(names)
            }
        };
        if let Some(rules) = self.fields(map, closed, depth)? {
            node.rules.push(Rule::Fields(Box::new(rules)));
        }
        // What a choice among schemas may hold beside its own names: what is said around it.
        let chooses = map.contains_key("anyOf") || map.contains_key("oneOf");
        let around = match chooses {
            true => self.said_beside_choices(map, &closing, depth)?,
            false => Closing::Outside,
        };
        for (name, value) in map {
            let rule = match keyword::of(name)? {
                Keyword::Read | Keyword::Note => continue,
                Keyword::Ref => self.reference(value, depth)?,
                Keyword::All => Rule::All(self.each(name, value, &Closing::Outside, depth)?),
                Keyword::Any => Rule::Any(self.each(name, value, &around, depth)?),
                Keyword::One => Rule::One(self.each(name, value, &around, depth)?),
                Keyword::Not => {
                    Rule::Not(Box::new(self.schema(value, Closing::Outside, depth + 1)?))
                }
                Keyword::If => self.condition(map, depth)?,
                Keyword::OneOf => self.values(value)?,
                Keyword::Number(rule) => Rule::Number(rule, number(name, value)?),
                Keyword::Pattern => Rule::Pattern(Box::new(self.pattern(value)?)),
                Keyword::RequiredWith => {
                    let Json::Object(each) = value else { return Err(wrong(name, "an object")) };
                    let each = each.iter().map(|(field, names)| {
                        Ok(Rule::RequiredWith(field.clone(), texts(name, names)?))
                    });
                    node.rules.extend(each.collect::<Result<Vec<_>, String>>()?);
                    continue;
                }
                Keyword::Required => Rule::Required(texts(name, value)?),
                Keyword::Unique if value == &Json::Bool(true) => Rule::Unique,
                Keyword::Unique => continue,
            };
            node.rules.push(rule);
        }
        node.rules.extend(ranges(map)?);
        node.rules.extend(self.elements(map, depth)?);
        Ok(node)
    }

    /// `$ref`, to a definition of this very schema.
    fn reference(&mut self, value: &Json, depth: usize) -> Result<Rule, String> {
        let (to, target) = self.target(value)?;
        if self.within.contains(&to) {
            return Err(format!("`{to}` refers to itself"));
        }
        self.within.push(to);
        let node = self.schema(target, Closing::Outside, depth + 1);
        self.within.pop();
        Ok(Rule::All(vec![node?]))
    }

    fn target(&self, value: &Json) -> Result<(String, &'a Json), String> {
        let Json::String(to) = value else { return Err(wrong("$ref", "text")) };
        let local = to.strip_prefix('#').filter(|rest| rest.is_empty() || rest.starts_with('/'));
        let Some(pointer) = local else {
            let shown: String = to.chars().take(80).collect();
            return Err(format!("`{shown}` is outside of it: a schema may refer to itself only"));
        };
        match self.root.pointer(pointer) {
            Some(target) => Ok((to.clone(), target)),
            None => Err(format!("`{to}` is not in it")),
        }
    }

    fn each(
        &mut self,
        name: &str,
        value: &Json,
        closing: &Closing,
        depth: usize,
    ) -> Result<Vec<Node>, String> {
        let Json::Array(items) = value else { return Err(wrong(name, "a list of schemas")) };
        items.iter().map(|item| self.schema(item, closing.clone(), depth + 1)).collect()
    }

    fn condition(&mut self, map: &Map<String, Json>, depth: usize) -> Result<Rule, String> {
        let mut part = |name: &str| match map.get(name) {
            Some(json) => self.schema(json, Closing::Outside, depth + 1),
            None => Ok(Node::default()),
        };
        Ok(Rule::If(Box::new([part("if")?, part("then")?, part("else")?])))
    }

    fn values(&mut self, value: &Json) -> Result<Rule, String> {
        let values = match value {
            Json::Array(values) => values.clone(),
            one @ (Json::Null
            | Json::Bool(_)
            | Json::Number(_)
            | Json::String(_)
            | Json::Object(_)) => vec![one.clone()],
        };
        self.count(values.len(), 0)?;
        Ok(Rule::OneOf(values))
    }

    fn pattern(&mut self, value: &Json) -> Result<Regex, String> {
        let Json::String(source) = value else { return Err(wrong("pattern", "text")) };
        self.patterns += 1;
        if self.patterns > limits::MAX_SCHEMA_PATTERNS {
            return Err(format!("it has more than {} patterns", limits::MAX_SCHEMA_PATTERNS));
        }
        if source.len() > limits::MAX_PATTERN_BYTES {
            return Err(format!("a pattern of more than {} bytes", limits::MAX_PATTERN_BYTES));
        }
        let built = RegexBuilder::new(source)
            .size_limit(limits::MAX_SCHEMA_PATTERN_MEMORY)
            .dfa_size_limit(limits::MAX_SCHEMA_PATTERN_MEMORY)
            .nest_limit(limits::MAX_PATTERN_DEPTH)
            .build();
        built.map_err(|error| format!("its pattern `{source}` cannot be used: {error}"))
    }

    /// The rules for fields, if there are any. `closed`: the only names that may be there.
    fn fields(
        &mut self,
        map: &Map<String, Json>,
        closed: Option<BTreeSet<String>>,
        depth: usize,
    ) -> Result<Option<FieldRules>, String> {
        let mut rules = FieldRules::default();
        let here = || Closing::Here(BTreeSet::new());
        for (keyword, is_pattern) in [("properties", false), ("patternProperties", true)] {
            let Some(value) = map.get(keyword) else { continue };
            let Json::Object(properties) = value else { return Err(wrong(keyword, "an object")) };
            for (name, json) in properties {
                let node = self.schema(json, here(), depth + 1)?;
                if is_pattern {
                    let pattern = self.pattern(&Json::String(name.clone()))?;
                    rules.matching.push((pattern, node));
                } else {
                    rules.named.push((name.clone(), node));
                }
            }
        }
        rules.named.sort_by(|(one, _), (other, _)| one.cmp(other));
        let more = map.get("additionalProperties").or_else(|| map.get("unevaluatedProperties"));
        rules.others = match (more, closed) {
            (Some(Json::Bool(true)), _) => Others::Any,
            (Some(json), None) if *json != Json::Bool(false) => {
                Others::Each(Box::new(self.schema(json, here(), depth + 1)?))
            }
            (_, Some(names)) => only(names),
            // `additionalProperties: false` speaks of the names beside it alone.
            (Some(_), None) => Others::Only(Vec::new()),
            (None, None) => Others::Any,
        };
        let says_nothing = rules.named.is_empty()
            && rules.matching.is_empty()
            && matches!(rules.others, Others::Any);
        Ok((!says_nothing).then_some(rules))
    }

    /// Collects the names that a schema declares of the fields of a value.
    fn declared(&mut self, json: &Json, into: &mut Declared, depth: usize) -> Result<(), String> {
        let Json::Object(map) = json else { return Ok(()) };
        // One that refers to itself would be looked through for ever, in ever more branches.
        self.looks += 1;
        if self.looks > limits::MAX_SCHEMA_NODES * limits::MAX_SCHEMA_DEPTH {
            return Err("it refers to itself, or too often to the same".into());
        }
        if depth > limits::MAX_SCHEMA_DEPTH {
            return Ok(());
        }
        if let Some(Json::Object(properties)) = map.get("properties") {
            into.speaks = true;
            into.names.extend(properties.keys().cloned());
        }
        into.speaks |= map.contains_key("patternProperties");
        for name in ["additionalProperties", "unevaluatedProperties"] {
            match map.get(name) {
                None => {}
                Some(Json::Bool(false)) => into.speaks = true,
                Some(_) => (into.speaks, into.others) = (true, true),
            }
        }
        for name in ["allOf", "anyOf", "oneOf"] {
            let Some(Json::Array(items)) = map.get(name) else { continue };
            for item in items {
                self.declared(item, into, depth + 1)?;
            }
        }
        for name in ["if", "then", "else"] {
            if let Some(item) = map.get(name) {
                self.declared(item, into, depth + 1)?;
            }
        }
        match map.get("$ref") {
            Some(to) => self.declared(self.target(to)?.1, into, depth + 1),
            None => Ok(()),
        }
    }

    /// How the schemas of a choice are closed: each to its own names and to those that are declared
    /// beside the choice, and not to those of the others.
    fn said_beside_choices(
        &mut self,
        map: &Map<String, Json>,
        closing: &Closing,
        depth: usize,
    ) -> Result<Closing, String> {
        let around = match closing {
            Closing::Here(around) => around.clone(),
            Closing::Outside => return Ok(Closing::Outside),
        };
        let beside = map.iter().filter(|(name, _)| !["anyOf", "oneOf"].contains(&name.as_str()));
        let beside: Map<String, Json> = beside.map(|(n, v)| (n.clone(), v.clone())).collect();
        let mut declared = Declared::default();
        self.declared(&Json::Object(beside), &mut declared, depth)?;
        Ok(match declared.others {
            true => Closing::Outside,
            false => Closing::Here(&declared.names | &around),
        })
    }

    fn elements(&mut self, map: &Map<String, Json>, depth: usize) -> Result<Option<Rule>, String> {
        let here = || Closing::Here(BTreeSet::new());
        // Before 2020-12 `items` was a list of schemas, and `additionalItems` what follows.
        let (first, rest) = match (map.get("prefixItems"), map.get("items")) {
            (None, Some(first @ Json::Array(_))) => (Some(first), map.get("additionalItems")),
            (first, rest) => (first, rest),
        };
        if first.is_none() && rest.is_none() {
            return Ok(None);
        }
        let first = match first {
            Some(first) => self.each("prefixItems", first, &here(), depth)?,
            None => Vec::new(),
        };
        let rest = match rest {
            Some(rest) => Some(Box::new(self.schema(rest, here(), depth + 1)?)),
            None => None,
        };
        Ok(Some(Rule::Elements(first, rest)))
    }
}

/// The kinds that `type` and `format` leave.
fn kinds(map: &Map<String, Json>) -> Result<Kinds, String> {
    let format = map.get("format").and_then(Json::as_str);
    let one = |name: &str| match name {
        "null" => Ok(Kinds::NULL),
        "boolean" => Ok(Kinds::BOOL),
        "integer" => Ok(Kinds::WHOLE),
        "number" => Ok(Kinds::WHOLE.or(Kinds::FRACTION)),
        "string" => {
            let bytes = matches!(format, Some("text-or-bytes" | "binary"));
            let bytes = bytes || map.contains_key("contentEncoding");
            Ok(if bytes { Kinds::TEXT.or(Kinds::DATA) } else { Kinds::TEXT })
        }
        "array" => Ok(Kinds::LIST),
        "object" => Ok(Kinds::FIELDS),
        other => Err(format!("there is no type `{other}`")),
    };
    match map.get("type") {
        None if format == Some("object") => Ok(Kinds::OBJECT),
        None => Ok(Kinds::ALL),
        Some(Json::String(name)) => one(name),
        Some(names) => texts("type", names)?
            .iter()
            .try_fold(Kinds::NONE, |kinds, name| Ok(kinds.or(one(name)?))),
    }
}

/// The keywords that bound how much there is of something.
fn ranges(map: &Map<String, Json>) -> Result<Vec<Rule>, String> {
    type Make = fn(Range) -> Rule;
    let bounds: [(&str, &str, Make); 3] = [
        ("minLength", "maxLength", Rule::Length),
        ("minItems", "maxItems", Rule::Count),
        ("minProperties", "maxProperties", Rule::FieldCount),
    ];
    let mut rules = Vec::new();
    for (least, most, make) in bounds {
        let bound = |name: &str, open: u64| match map.get(name) {
            None => Ok(open),
            Some(value) => value.as_u64().ok_or_else(|| wrong(name, "a whole number")),
        };
        if map.contains_key(least) || map.contains_key(most) {
            rules.push(make(Range(bound(least, 0)?, bound(most, u64::MAX)?)));
        }
    }
    Ok(rules)
}

fn number(name: &str, value: &Json) -> Result<f64, String> {
    let number = value.as_f64().filter(|number| number.is_finite());
    let divisor = name == NumberRule::MULTIPLE_OF;
    number.filter(|number| !divisor || *number > 0.0).ok_or_else(|| wrong(name, "a number"))
}

fn texts(name: &str, value: &Json) -> Result<Vec<String>, String> {
    let items = value.as_array().ok_or_else(|| wrong(name, "a list of texts"))?;
    let text = |item: &Json| item.as_str().map(str::to_owned);
    items.iter().map(text).collect::<Option<_>>().ok_or_else(|| wrong(name, "a list of texts"))
}

fn wrong(keyword: &str, takes: &str) -> String {
    format!("`{keyword}` takes {takes}")
}
