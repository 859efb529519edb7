//! Manifests.

use remit_core::Manifest;
use remit_core::manifest::{Interface, Method, Param};
use remit_schema::object_capnp::manifest;

use super::{Malformed, len, text};

/// The most interfaces, methods of one interface, or parameters of one method: more is a mistake
/// or an attack, and each costs memory for as long as the tool is registered.
pub const MAX_ITEMS: u32 = 256;

/// Reads a manifest.
pub fn read(reader: manifest::Reader<'_>) -> Result<Manifest, Malformed> {
    let interfaces = reader.get_interfaces()?;
    bounded(interfaces.len(), "interfaces in a manifest")?;
    Ok(Manifest {
        tool: text(reader.get_tool())?,
        version: text(reader.get_version())?,
        description: text(reader.get_description())?,
        root: text(reader.get_root())?,
        descend: text(reader.get_descend())?,
        interfaces: interfaces.iter().map(read_interface).collect::<Result<_, _>>()?,
    })
}

/// Writes a manifest.
pub fn write(mut builder: manifest::Builder<'_>, manifest: &Manifest) {
    builder.set_tool(&manifest.tool);
    builder.set_version(&manifest.version);
    builder.set_description(&manifest.description);
    builder.set_root(&manifest.root);
    builder.set_descend(&manifest.descend);
    let mut list = builder.init_interfaces(len(manifest.interfaces.len()));
    for (at, interface) in (0..).zip(&manifest.interfaces) {
        let mut builder = list.reborrow().get(at);
        builder.set_name(&interface.name);
        builder.set_description(&interface.description);
        let mut methods = builder.init_methods(len(interface.methods.len()));
        for (at, method) in (0..).zip(&interface.methods) {
            write_method(methods.reborrow().get(at), method);
        }
    }
}

fn bounded(count: u32, what: &str) -> Result<(), Malformed> {
    if count <= MAX_ITEMS {
        return Ok(());
    }
    Err(Malformed(format!("{count} {what}; at most {MAX_ITEMS} are taken")))
}

fn read_interface(reader: manifest::interface::Reader<'_>) -> Result<Interface, Malformed> {
    let methods = reader.get_methods()?;
    bounded(methods.len(), "methods in an interface")?;
    Ok(Interface {
        name: text(reader.get_name())?,
        description: text(reader.get_description())?,
        methods: methods.iter().map(read_method).collect::<Result<_, _>>()?,
    })
}

fn read_method(reader: manifest::method::Reader<'_>) -> Result<Method, Malformed> {
    let params = reader.get_params()?;
    bounded(params.len(), "parameters of a method")?;
    let read_param = |reader: manifest::param::Reader<'_>| {
        Ok(Param {
            name: text(reader.get_name())?,
            required: reader.get_required(),
            path: reader.get_path(),
            fields: reader.get_fields(),
        })
    };
    Ok(Method {
        name: text(reader.get_name())?,
        description: text(reader.get_description())?,
        params: params.iter().map(read_param).collect::<Result<_, Malformed>>()?,
        args_schema: text(reader.get_args_schema())?,
        result_schema: text(reader.get_result_schema())?,
        returns: text(reader.get_returns())?,
        read_only: reader.get_read_only(),
        idempotent: reader.get_idempotent(),
        destructive: reader.get_destructive(),
        pure_: reader.get_pure(),
        timeout_ms: reader.get_timeout_ms(),
        max_cost: reader.get_max_cost(),
        ..Method::default()
    })
}

fn write_method(mut builder: manifest::method::Builder<'_>, method: &Method) {
    builder.set_name(&method.name);
    builder.set_description(&method.description);
    builder.set_args_schema(&method.args_schema);
    builder.set_result_schema(&method.result_schema);
    builder.set_returns(&method.returns);
    builder.set_read_only(method.read_only);
    builder.set_idempotent(method.idempotent);
    builder.set_destructive(method.destructive);
    builder.set_pure(method.pure_);
    builder.set_timeout_ms(method.timeout_ms);
    builder.set_max_cost(method.max_cost);
    let mut params = builder.init_params(len(method.params.len()));
    for (at, param) in (0..).zip(&method.params) {
        let mut builder = params.reborrow().get(at);
        builder.set_name(&param.name);
        builder.set_required(param.required);
        builder.set_path(param.path);
        builder.set_fields(param.fields);
    }
}
