//! JSON Schemas of arguments and results, and the parameters that follow from them.

use remit_core::manifest::Param;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value as Json, json};

/// The schema of a type that is read.
pub(crate) fn of_args<A: JsonSchema>() -> Json {
    let mut schema = root::<A>(SchemaSettings::draft2020_12().for_deserialize());
    if let Some(object) = schema.as_object_mut()
        && object.get("type") == Some(&json!("object"))
        && !object.contains_key("additionalProperties")
    {
        object.insert("additionalProperties".into(), Json::Bool(false));
    }
    schema
}

/// The schema of a type that is written.
pub(crate) fn of_result<R: JsonSchema>() -> Json {
    root::<R>(SchemaSettings::draft2020_12().for_serialize())
}

fn root<T: JsonSchema>(settings: SchemaSettings) -> Json {
    let settings = settings.with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// The parameters that a schema of arguments describes, in the order of the fields.
pub(crate) fn params(schema: &Json) -> Vec<Param> {
    let required = schema.get("required").and_then(Json::as_array);
    let is_required = |name: &str| required.is_some_and(|all| all.iter().any(|r| r == name));
    let properties = schema.get("properties").and_then(Json::as_object);
    properties
        .into_iter()
        .flatten()
        .map(|(name, schema)| Param {
            name: name.clone(),
            required: is_required(name),
            path: any_of(schema, &|s| s.get("format") == Some(&json!("path"))),
            fields: any_of(schema, &takes_fields),
        })
        .collect()
}

/// Whether `test` holds for a schema or for one of those it chooses from.
fn any_of(schema: &Json, test: &dyn Fn(&Json) -> bool) -> bool {
    let choices = ["anyOf", "oneOf", "allOf"].into_iter();
    let mut choices = choices.filter_map(|name| schema.get(name)?.as_array()).flatten();
    let items = schema.get("items");
    test(schema)
        || choices.any(|choice| any_of(choice, test))
        || items.is_some_and(|items| items.get("format") == Some(&json!("path")) && test(items))
}

fn takes_fields(schema: &Json) -> bool {
    let object = json!("object");
    match schema.get("type") {
        Some(Json::Array(types)) => types.contains(&object),
        Some(one) => one == &object,
        None => {
            let says_more = ["anyOf", "oneOf", "allOf", "enum", "const", "format"];
            !says_more.iter().any(|name| schema.get(name).is_some())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use schemars::JsonSchema;
    use serde::Deserialize;

    use super::*;
    use crate::kit::{Content, RelPath};

    #[derive(Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "only its schema is looked at")]
    struct Args {
        zone: RelPath,
        body: Content,
        #[serde(default)]
        also: Option<RelPath>,
        env: BTreeMap<String, String>,
        any: Option<serde_json::Value>,
        count: Option<u32>,
    }

    #[test]
    fn parameters_follow_the_fields() {
        let params = params(&of_args::<Args>());
        let names: Vec<&str> = params.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["zone", "body", "also", "env", "any", "count"]);
        let which = |test: fn(&Param) -> bool| -> Vec<&str> {
            params.iter().filter(|p| test(p)).map(|p| p.name.as_str()).collect()
        };
        assert_eq!(which(|p| p.required), ["zone", "body", "env"]);
        assert_eq!(which(|p| p.path), ["zone", "also"]);
        assert_eq!(which(|p| p.fields), ["env", "any"]);
    }
}
