//! Input, steers and timers: the facts that a script waits for.

use remit_core::{CallNumber, Fact, InputId};
use remit_schema::event_capnp::{
    event, input_accepted, input_delivered, steers_delivered, steers_requested, timer_set,
};

use crate::wire::value::{read_held, write_held};
use crate::wire::{Malformed, len, text};

pub(super) fn read_input(r: input_accepted::Reader<'_>) -> Result<Fact, Malformed> {
    Ok(Fact::InputAccepted {
        input: InputId(r.get_input()),
        value: read_held(r.get_value()?)?,
        sender: text(r.get_sender())?,
        key: text(r.get_key())?,
        steer: r.get_steer(),
    })
}

pub(super) fn read_delivered(r: input_delivered::Reader<'_>) -> Fact {
    let (operation, input) = (CallNumber(r.get_operation()), InputId(r.get_input()));
    Fact::InputDelivered { operation, input }
}

pub(super) fn read_steers(r: steers_requested::Reader<'_>) -> Fact {
    Fact::SteersRequested { operation: CallNumber(r.get_operation()), wait: r.get_wait() }
}

pub(super) fn read_steers_delivered(r: steers_delivered::Reader<'_>) -> Result<Fact, Malformed> {
    let inputs = r.get_inputs()?.iter().map(InputId).collect();
    Ok(Fact::SteersDelivered { operation: CallNumber(r.get_operation()), inputs })
}

pub(super) fn read_timer(r: timer_set::Reader<'_>) -> Fact {
    Fact::TimerSet { operation: CallNumber(r.get_operation()), due_ms: r.get_due_ms() }
}

/// Writes a fact that a script waits for.
pub(super) fn write(mut builder: event::Builder<'_>, fact: &Fact) {
    match fact {
        Fact::SteersRequested { operation, wait } => {
            let mut b = builder.init_steers_requested();
            b.set_operation(operation.0);
            b.set_wait(*wait);
        }
        Fact::SteersDelivered { operation, inputs } => {
            let mut b = builder.init_steers_delivered();
            b.set_operation(operation.0);
            let mut list = b.init_inputs(len(inputs.len()));
            for (at, input) in (0..).zip(inputs) {
                list.set(at, input.0);
            }
        }
        Fact::InputAccepted { input, value, sender, key, steer } => {
            let mut b = builder.init_input_accepted();
            b.set_steer(*steer);
            b.set_input(input.0);
            b.set_sender(sender);
            b.set_key(key);
            write_held(b.init_value(), value);
        }
        Fact::InputRequested { operation } => builder.set_input_requested(operation.0),
        Fact::InputDelivered { operation, input } => {
            let mut b = builder.init_input_delivered();
            b.set_operation(operation.0);
            b.set_input(input.0);
        }
        Fact::TimerSet { operation, due_ms } => {
            let mut b = builder.init_timer_set();
            b.set_operation(operation.0);
            b.set_due_ms(*due_ms);
        }
        Fact::TimerFired { operation } => {
            builder.init_timer_fired().set_operation(operation.0);
        }
        _ => {}
    }
}
