//! The ways in which a method's arguments can be given.

use remit_core::manifest::{Method, Param};

use super::spelling::{Names, property};
use super::types::{Direction, Schema};

/// The arguments of a method with their types.
pub(crate) struct Signature<'a> {
    method: &'a Method,
    /// The schema of all arguments.
    pub(crate) schema: Schema,
}

impl<'a> Signature<'a> {
    /// Reads the schema of a method's arguments.
    pub(crate) fn of(method: &'a Method) -> Self {
        Self { method, schema: Schema::read(&method.args_schema) }
    }

    /// The type of an argument.
    pub(crate) fn argument(&self, name: &str) -> String {
        self.schema.property(name, Direction::Given)
    }

    /// The lists of parameters, most usual first: required arguments by position and the others by
    /// name, then more of them by position, then all by name.
    pub(super) fn ways(&self) -> Vec<String> {
        let params = &self.method.params[..];
        let leading = params.iter().take_while(|param| param.required).count();
        let (first, rest) = params.split_at(leading);
        let mut ways = vec![self.positions(first, &[], rest)];
        let optional = rest.iter().take_while(|param| !param.required && !param.fields).count();
        if optional > 0 {
            ways.push(self.positions(first, &rest[..optional], &rest[optional..]));
        }
        // One object alone is the value of a required first parameter that takes fields.
        if leading > 0 && !first[0].fields {
            ways.push(self.positions(&[], &[], params));
        }
        ways
    }

    fn positions(&self, first: &[Param], optional: &[Param], named: &[Param]) -> String {
        let mut names = Names::default();
        let mut list = Vec::new();
        for (params, mark) in [(first, ""), (optional, "?")] {
            for param in params {
                let name = names.take(&param.name);
                list.push(format!("{name}{mark}: {}", self.argument(&param.name)));
            }
        }
        if !named.is_empty() || self.schema.is_open() {
            let is_needed = optional.is_empty() && named.iter().any(|param| param.required);
            let mark = if is_needed { "" } else { "?" };
            list.push(format!("{}{mark}: {}", names.take("options"), self.named(named)));
        }
        list.join(", ")
    }

    fn named(&self, params: &[Param]) -> String {
        let mut parts: Vec<String> = params
            .iter()
            .map(|param| {
                let mark = if param.required { "" } else { "?" };
                format!("{}{mark}: {}", property(&param.name), self.argument(&param.name))
            })
            .collect();
        if self.schema.is_open() {
            parts.push("[name: string]: unknown".into());
        }
        format!("{{ {} }}", parts.join("; "))
    }
}
