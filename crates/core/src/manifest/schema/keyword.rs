//! The keywords of JSON Schema that are known here.

use super::NumberRule;

/// What a keyword is to the compiler.
pub(super) enum Keyword {
    /// It is read together with another one.
    Read,
    /// It restricts nothing.
    Note,
    Ref,
    All,
    Any,
    One,
    Not,
    If,
    OneOf,
    Number(NumberRule),
    Pattern,
    Required,
    RequiredWith,
    Unique,
}

impl NumberRule {
    /// The keyword whose number divides.
    pub(super) const MULTIPLE_OF: &str = "multipleOf";
}

/// Keywords that restrict a value and are not checked here. To pass one over would be to let in what
/// the tool says that it does not take.
const REFUSED: [&str; 11] = [
    "contains",
    "minContains",
    "maxContains",
    "propertyNames",
    "dependentSchemas",
    "dependencies",
    "unevaluatedItems",
    "$dynamicRef",
    "$dynamicAnchor",
    "$recursiveRef",
    "$anchor",
];

/// The keyword of this name. A name that is none of JSON Schema restricts nothing.
pub(super) fn of(name: &str) -> Result<Keyword, String> {
    Ok(match name {
        "type"
        | "format"
        | "contentEncoding"
        | "properties"
        | "patternProperties"
        | "additionalProperties"
        | "unevaluatedProperties"
        | "minProperties"
        | "maxProperties"
        | "items"
        | "prefixItems"
        | "additionalItems"
        | "minItems"
        | "maxItems"
        | "minLength"
        | "maxLength"
        | "then"
        | "else" => Keyword::Read,
        "$ref" => Keyword::Ref,
        "allOf" => Keyword::All,
        "anyOf" => Keyword::Any,
        "oneOf" => Keyword::One,
        "not" => Keyword::Not,
        "if" => Keyword::If,
        "enum" | "const" => Keyword::OneOf,
        "minimum" => Keyword::Number(NumberRule::Minimum),
        "maximum" => Keyword::Number(NumberRule::Maximum),
        "exclusiveMinimum" => Keyword::Number(NumberRule::ExclusiveMinimum),
        "exclusiveMaximum" => Keyword::Number(NumberRule::ExclusiveMaximum),
        NumberRule::MULTIPLE_OF => Keyword::Number(NumberRule::MultipleOf),
        "pattern" => Keyword::Pattern,
        "required" => Keyword::Required,
        "dependentRequired" => Keyword::RequiredWith,
        "uniqueItems" => Keyword::Unique,
        refused if REFUSED.contains(&refused) => {
            return Err(format!("its keyword `{refused}` is not checked here: say it otherwise"));
        }
        _ => Keyword::Note,
    })
}
