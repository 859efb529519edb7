//! A task's program and inputs: large, needed by an attempt alone, and on disk otherwise.

use std::ops::Bound;
use std::sync::Arc;

use super::Task;
use super::control::Program;
use crate::event::SourceFile;
use crate::id::InputId;
use crate::value::Value;

/// Bytes of an event on disk beside the values and texts in it: number, time, names and checksums.
const EVENT_BYTES: u64 = 256;

/// What of a task's state is not in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Unloaded {
    /// Whether program and first input are not.
    program: bool,
    /// The last of the inputs that are not.
    through: InputId,
    /// Bytes of those inputs.
    input_bytes: u64,
    /// Bytes of the program and the first input.
    program_bytes: u64,
}

impl Task {
    /// Whether program and inputs are in memory.
    pub const fn is_loaded(&self) -> bool {
        !self.unloaded.program
    }

    /// Bytes of the program and the inputs that are in memory.
    pub fn payload_bytes(&self) -> u64 {
        let inputs = self.loaded_inputs().map(|(_, value)| value.weight() as u64).sum::<u64>();
        self.program_bytes().saturating_add(inputs)
    }

    /// Bytes in memory of what can grow: program, inputs, arguments and results.
    pub fn resident_bytes(&self) -> u64 {
        let held = self.held_bytes.saturating_sub(self.unloaded.input_bytes);
        self.program_bytes().saturating_add(held)
    }

    /// About how many bytes its events take on disk.
    pub fn stored_bytes(&self) -> u64 {
        let program = self.program_bytes().saturating_add(self.unloaded.program_bytes);
        let events = self.head.number.0.saturating_mul(EVENT_BYTES);
        let texts = self.held_bytes.saturating_add(self.logged_bytes);
        program.saturating_add(texts).saturating_add(events)
    }

    /// Lets program and inputs go. The caller sees to it that they are on disk, and loads them before
    /// an attempt, a copy or another program needs them.
    pub fn unload(&mut self) {
        let bytes: u64 = self.loaded_inputs().map(|(_, value)| value.weight() as u64).sum();
        let after = Bound::Excluded(self.unloaded.through);
        for value in self.inputs.range_mut((after, Bound::Unbounded)).map(|(_, value)| value) {
            *value = Value::Null;
        }
        self.unloaded = Unloaded {
            program: true,
            through: self.last_input(),
            input_bytes: self.unloaded.input_bytes.saturating_add(bytes),
            program_bytes: self.unloaded.program_bytes.saturating_add(self.program_bytes()),
        };
        let created = Arc::make_mut(&mut self.created);
        created.source = Vec::new();
        created.input = Value::Null;
        if let Some(program) = &self.control.program {
            let entry = program.entry.clone();
            self.control.program = Some(Arc::new(Program { source: Vec::new(), entry }));
        }
    }

    /// Takes program and inputs back from `whole`, the same task as its journal has it. What came
    /// after `whole` was read stays as it is.
    pub fn load(&mut self, whole: Self) {
        if self.unloaded.program {
            self.created = whole.created;
            if self.control.program.as_ref().is_some_and(|program| program.source.is_empty()) {
                self.control.program = whole.control.program;
            }
        }
        for (input, value) in whole.inputs {
            if input <= self.unloaded.through {
                self.inputs.insert(input, value);
            }
        }
        self.unloaded = Unloaded::default();
    }

    fn loaded_inputs(&self) -> impl Iterator<Item = (&InputId, &Value)> {
        self.inputs.range((Bound::Excluded(self.unloaded.through), Bound::Unbounded))
    }

    fn program_bytes(&self) -> u64 {
        let bytes = |files: &[SourceFile]| {
            files.iter().map(|file| file.path.len() + file.text.len()).sum::<usize>() as u64
        };
        let replaced = self.control.program.as_ref().map_or(0, |program| bytes(&program.source));
        let input = if self.unloaded.program { 0 } else { self.created.input.weight() as u64 };
        bytes(&self.created.source).saturating_add(replaced).saturating_add(input)
    }
}
