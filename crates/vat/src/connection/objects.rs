//! How many objects the two sides of a connection hold of each other. capnp-rpc keeps each in a
//! table until it is released, and bounds neither table.

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use capnp_rpc::rpc_capnp::{cap_descriptor, message, payload, resolve, return_};

use crate::limits::{OBJECTS_HELD, OBJECTS_PER_MESSAGE};

/// The objects held, by their number in capnp-rpc's tables.
#[derive(Debug, Default)]
pub(super) struct Objects {
    /// The peer's objects that are held here, each with the number of times it was given.
    theirs: RefCell<HashMap<u32, u64>>,
    /// Our objects that the peer holds, counted likewise.
    ours: RefCell<HashMap<u32, u64>>,
    /// Our objects that came with an answer, by question: the peer's `finish` may release them.
    answers: RefCell<HashMap<u32, Vec<u32>>>,
    /// Our questions that wait for an answer, and whether the answer is still wanted.
    questions: RefCell<HashMap<u32, bool>>,
}

impl Objects {
    /// Records a message of the peer, and returns how many objects it gives. Fails as overloaded if
    /// the peer gives too many.
    pub(super) fn arrived(&self, message: message::Reader<'_>) -> capnp::Result<usize> {
        let given = match message.which() {
            Ok(message::Call(call)) => in_payload(call?.get_params()?)?,
            Ok(message::Return(answer)) => {
                let answer = answer?;
                let wanted = self.questions.borrow_mut().remove(&answer.get_answer_id());
                match answer.which() {
                    Ok(return_::Results(results)) if wanted == Some(true) => in_payload(results?)?,
                    _ => Vec::new(),
                }
            }
            Ok(message::Resolve(resolve)) => in_resolve(resolve?)?,
            Ok(message::Release(release)) => {
                let release = release?;
                take(&self.ours, release.get_id(), release.get_reference_count().into());
                Vec::new()
            }
            Ok(message::Finish(finish)) => {
                let finish = finish?;
                let answered = self.answers.borrow_mut().remove(&finish.get_question_id());
                if finish.get_release_result_caps() {
                    for object in answered.into_iter().flatten() {
                        take(&self.ours, object, 1);
                    }
                }
                Vec::new()
            }
            _ => Vec::new(),
        };
        if given.len() > OBJECTS_PER_MESSAGE {
            let why = format!(
                "the peer gave {} objects at once, and the bound is {OBJECTS_PER_MESSAGE}",
                given.len()
            );
            return Err(capnp::Error::overloaded(why));
        }
        let held = give(&self.theirs, &given);
        if held > OBJECTS_HELD {
            let why = format!(
                "the peer gave objects until {held} of its own were held here, and the bound is {OBJECTS_HELD}"
            );
            return Err(capnp::Error::overloaded(why));
        }
        Ok(given.len())
    }

    /// Records a message to the peer. Fails as overloaded if the peer holds too many of our
    /// objects.
    pub(super) fn sent(&self, message: message::Reader<'_>) -> capnp::Result<()> {
        let given = match message.which() {
            Ok(message::Bootstrap(bootstrap)) => {
                self.questions.borrow_mut().insert(bootstrap?.get_question_id(), true);
                Vec::new()
            }
            Ok(message::Call(call)) => {
                let call = call?;
                self.questions.borrow_mut().insert(call.get_question_id(), true);
                in_payload(call.get_params()?)?
            }
            Ok(message::Return(answer)) => {
                let answer = answer?;
                match answer.which() {
                    Ok(return_::Results(results)) => {
                        let given = in_payload(results?)?;
                        if !given.is_empty() {
                            let question = answer.get_answer_id();
                            self.answers.borrow_mut().insert(question, given.clone());
                        }
                        given
                    }
                    _ => Vec::new(),
                }
            }
            Ok(message::Resolve(resolve)) => in_resolve(resolve?)?,
            Ok(message::Release(release)) => {
                let release = release?;
                take(&self.theirs, release.get_id(), release.get_reference_count().into());
                Vec::new()
            }
            Ok(message::Finish(finish)) => {
                if let Some(wanted) =
                    self.questions.borrow_mut().get_mut(&finish?.get_question_id())
                {
                    // capnp-rpc does not take objects from an answer that comes after `finish`.
                    *wanted = false;
                }
                Vec::new()
            }
            _ => Vec::new(),
        };
        let held = give(&self.ours, &given);
        if held > OBJECTS_HELD {
            let why = format!(
                "the peer took objects and let none go until it held {held}, and the bound is {OBJECTS_HELD}"
            );
            return Err(capnp::Error::overloaded(why));
        }
        Ok(())
    }
}

/// Adds the given objects, and returns how many different ones are held then.
fn give(held: &RefCell<HashMap<u32, u64>>, given: &[u32]) -> usize {
    let mut held = held.borrow_mut();
    for object in given {
        *held.entry(*object).or_default() += 1;
    }
    held.len()
}

fn take(held: &RefCell<HashMap<u32, u64>>, object: u32, times: u64) {
    if let Entry::Occupied(mut entry) = held.borrow_mut().entry(object) {
        *entry.get_mut() = entry.get().saturating_sub(times);
        if *entry.get() == 0 {
            entry.remove();
        }
    }
}

/// The objects that a payload gives, of those that its sender hosts.
fn in_payload(payload: payload::Reader<'_>) -> capnp::Result<Vec<u32>> {
    let mut given = Vec::new();
    for cap in payload.get_cap_table()? {
        given.extend(given_by(cap)?);
    }
    Ok(given)
}

fn in_resolve(resolve: resolve::Reader<'_>) -> capnp::Result<Vec<u32>> {
    match resolve.which()? {
        resolve::Cap(cap) => Ok(given_by(cap?)?.into_iter().collect()),
        resolve::Exception(_) => Ok(Vec::new()),
    }
}

fn given_by(cap: cap_descriptor::Reader<'_>) -> capnp::Result<Option<u32>> {
    Ok(match cap.which()? {
        cap_descriptor::SenderHosted(object) | cap_descriptor::SenderPromise(object) => {
            Some(object)
        }
        _ => None,
    })
}
