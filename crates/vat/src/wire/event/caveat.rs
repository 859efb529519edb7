//! Caveats.

use remit_core::Caveat;
use remit_schema::event_capnp::caveat;

use crate::wire::{Malformed, text, texts, write_texts};

/// Reads a caveat. One of a kind that this version does not know is kept as unknown, and refuses.
pub fn read(reader: caveat::Reader<'_>) -> Result<Caveat, Malformed> {
    let which = match reader.which() {
        Ok(which) => which,
        Err(capnp::NotInSchema(kind)) => {
            return Ok(Caveat::Unknown(format!("a caveat of a newer version (kind {kind})")));
        }
    };
    Ok(match which {
        caveat::Unknown(written) => Caveat::Unknown(text(written)?),
        caveat::Methods(methods) => Caveat::Methods(texts(methods?)?),
        caveat::Path(path) => Caveat::Path(text(path)?),
        caveat::Calls(most) => Caveat::Calls(most),
        caveat::ExpiresMs(at) => Caveat::Expires(at),
    })
}

/// Writes a caveat.
pub fn write(mut builder: caveat::Builder<'_>, caveat: &Caveat) {
    match caveat {
        Caveat::Unknown(written) => builder.set_unknown(written),
        Caveat::Methods(methods) => write_texts(methods, |count| builder.init_methods(count)),
        Caveat::Path(path) => builder.set_path(path),
        Caveat::Calls(most) => builder.set_calls(*most),
        Caveat::Expires(at) => builder.set_expires_ms(*at),
    }
}
