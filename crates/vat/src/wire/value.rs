//! Values, with live objects in a table beside the tree, or with object ids in a journal.

use remit_core::{CallNumber, GrantId, ObjectId, Value};
use remit_schema::object_capnp::{object, object_id, value};

use super::{MAX_DEPTH, Malformed, len, text};

/// Reads a value from a peer. Its objects are numbered from 0 in reading order; each number is an
/// index into the returned table.
pub fn read(reader: value::Reader<'_>) -> Result<(Value<u32>, Vec<object::Client>), Malformed> {
    let mut table = Vec::new();
    let value = read_with(reader, MAX_DEPTH, &mut |leaf| match leaf {
        Leaf::Live(client) => {
            table.push(client);
            Ok(len(table.len() - 1))
        }
        Leaf::Held(_) => Err(Malformed("a journal's object id in a live value".into())),
    })?;
    Ok((value, table))
}

/// How deep values in a journal may nest: as deep as those of a peer, with room for the levels that
/// naming the arguments adds.
pub(crate) const HELD_DEPTH: usize = MAX_DEPTH + 4;

/// Reads a value from a journal.
pub fn read_held(reader: value::Reader<'_>) -> Result<Value, Malformed> {
    read_with(reader, HELD_DEPTH, &mut |leaf| match leaf {
        Leaf::Held(id) => Ok(id),
        Leaf::Live(_) => Err(Malformed("a live object in a journal's value".into())),
    })
}

/// Writes a value for a peer, with its objects from `table`. An index outside the table becomes null.
pub fn write(mut builder: value::Builder<'_>, value: &Value<u32>, table: &[object::Client]) {
    write_with(
        builder.reborrow(),
        value,
        &mut |mut builder, index| match table.get(*index as usize) {
            Some(client) => builder.set_object(client.clone()),
            None => builder.set_null(()),
        },
    );
}

/// Writes a value of a journal for a peer, with each of its objects as the live one that `live` gives.
pub fn write_live(
    builder: value::Builder<'_>,
    value: &Value,
    live: &mut impl FnMut(ObjectId) -> object::Client,
) {
    write_with(builder, value, &mut |mut builder, id| builder.set_object(live(*id)));
}

/// Writes a value for a journal.
pub fn write_held(builder: value::Builder<'_>, value: &Value) {
    write_with(builder, value, &mut |builder, id| write_id(builder.init_held(), *id));
}

/// Reads an object id.
pub fn read_id(reader: object_id::Reader<'_>) -> Result<ObjectId, Malformed> {
    Ok(match reader.which()? {
        object_id::Grant(grant) => ObjectId::Grant(GrantId(grant)),
        object_id::Result(call) => ObjectId::Result(CallNumber(call)),
        object_id::Part(part) => ObjectId::Part(CallNumber(part.get_call()), part.get_index()),
        object_id::CallerCapability(guest) => {
            ObjectId::CallerCapability(CallNumber(guest.get_call()), guest.get_index())
        }
    })
}

/// Writes an object id.
pub fn write_id(mut builder: object_id::Builder<'_>, id: ObjectId) {
    match id {
        ObjectId::Grant(grant) => builder.set_grant(grant.0),
        ObjectId::Result(call) => builder.set_result(call.0),
        ObjectId::Part(call, index) => {
            let mut part = builder.init_part();
            part.set_call(call.0);
            part.set_index(index);
        }
        ObjectId::CallerCapability(call, index) => {
            let mut guest = builder.init_caller_capability();
            guest.set_call(call.0);
            guest.set_index(index);
        }
    }
}

enum Leaf {
    Live(object::Client),
    Held(ObjectId),
}

fn read_with<O>(
    reader: value::Reader<'_>,
    depth: usize,
    leaf: &mut impl FnMut(Leaf) -> Result<O, Malformed>,
) -> Result<Value<O>, Malformed> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(Malformed(format!("a value nested more than {MAX_DEPTH} deep")));
    };
    Ok(match reader.which()? {
        value::Null(()) => Value::Null,
        value::Bool(b) => Value::Bool(b),
        value::Integer(i) => Value::Integer(i),
        value::Unsigned(n) => Value::unsigned(n),
        value::Float(x) => Value::Float(x),
        value::Text(t) => Value::Text(text(t)?),
        value::Data(d) => Value::Data(d?.to_vec()),
        value::List(items) => {
            Value::List(items?.iter().map(|v| read_with(v, depth, leaf)).collect::<Result<_, _>>()?)
        }
        value::Fields(fields) => Value::Fields(read_fields(fields?, depth, leaf)?),
        value::Object(client) => Value::Object(leaf(Leaf::Live(client?))?),
        value::Held(id) => Value::Object(leaf(Leaf::Held(read_id(id?)?))?),
    })
}

fn read_fields<O>(
    list: capnp::struct_list::Reader<'_, value::field::Owned>,
    depth: usize,
    leaf: &mut impl FnMut(Leaf) -> Result<O, Malformed>,
) -> Result<Vec<(String, Value<O>)>, Malformed> {
    let mut names = std::collections::HashSet::new();
    list.iter()
        .map(|field| {
            let name = text(field.get_name())?;
            if !names.insert(name.clone()) {
                return Err(Malformed(format!("the field `{name}` twice")));
            }
            Ok((name, read_with(field.get_value()?, depth, leaf)?))
        })
        .collect()
}

fn write_with<O>(
    mut builder: value::Builder<'_>,
    value: &Value<O>,
    leaf: &mut impl FnMut(value::Builder<'_>, &O),
) {
    match value {
        Value::Null => builder.set_null(()),
        Value::Bool(b) => builder.set_bool(*b),
        Value::Integer(i) => builder.set_integer(*i),
        Value::Unsigned(n) => builder.set_unsigned(*n),
        Value::Float(x) => builder.set_float(*x),
        Value::Text(t) => builder.set_text(t),
        Value::Data(d) => builder.set_data(d),
        Value::List(items) => {
            let mut list = builder.init_list(len(items.len()));
            for (at, item) in (0..).zip(items) {
                write_with(list.reborrow().get(at), item, leaf);
            }
        }
        Value::Fields(fields) => {
            let mut list = builder.init_fields(len(fields.len()));
            for (at, (name, value)) in (0..).zip(fields) {
                let mut field = list.reborrow().get(at);
                field.set_name(name);
                write_with(field.init_value(), value, leaf);
            }
        }
        Value::Object(object) => leaf(builder, object),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_value_reads_back_as_it_was_written() {
        let value = Value::Fields(vec![
            ("a".into(), Value::List(vec![Value::Null, Value::Bool(true), Value::Float(0.5)])),
            ("b".into(), Value::Object(ObjectId::Part(CallNumber(7), 2))),
            ("c".into(), Value::Data(vec![0, 255])),
            ("d".into(), Value::Integer(i64::MIN)),
            ("e".into(), Value::Unsigned(u64::MAX)),
        ]);
        let mut message = capnp::message::Builder::new_default();
        write_held(message.init_root(), &value);
        assert_eq!(read_held(message.get_root_as_reader().unwrap()).unwrap(), value);
        let live = read(message.get_root_as_reader().unwrap());
        assert!(live.is_err(), "a journal's object id is refused on the tool plane");
    }

    #[test]
    fn a_value_that_nests_too_deep_is_refused() {
        let mut value = Value::<u32>::Null;
        for _ in 0..MAX_DEPTH {
            value = Value::List(vec![value]);
        }
        let mut message = capnp::message::Builder::new_default();
        write(message.init_root(), &value, &[]);
        assert!(read(message.get_root_as_reader().unwrap()).is_err());
    }
}
