//! What a method knows of the call that it answers.

use std::cell::Cell;
use std::rc::Rc;

use futures::future::LocalBoxFuture;
use remit_core::Failure;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::limits;

/// One call, as its method sees it.
///
/// ```
/// use std::rc::Rc;
///
/// use remit_tool_node::kit::{CallContext, Failure, NoArgs, fail};
/// # struct Model;
/// # impl Model { async fn next(&self) -> Option<String> { None } }
/// async fn generate(model: Rc<Model>, _: NoArgs, call: CallContext) -> Result<String, Failure> {
///     let mut whole = String::new();
///     loop {
///         tokio::select! {
///             () = call.cancelled() => return Err(fail::cancelled("stopped half-way")),
///             piece = model.next() => match piece {
///                 Some(piece) => {
///                     call.emit(&piece);
///                     call.charge(1);
///                     whole.push_str(&piece);
///                 }
///                 None => return Ok(whole),
///             },
///         }
///     }
/// }
/// ```
#[derive(Clone)]
pub struct CallContext {
    key: Rc<[u8]>,
    cancel: CancellationToken,
    output: Output,
    cost: Rc<Cell<u64>>,
    mark: Option<Mark>,
}

/// Records that the call must not be done again, durably.
pub(crate) type Mark = Rc<dyn Fn() -> LocalBoxFuture<'static, Result<(), Failure>>>;

/// A piece of ephemeral output of the call with this key.
pub(crate) struct Piece {
    pub(crate) key: Rc<[u8]>,
    pub(crate) text: String,
}

/// Where ephemeral output goes; nowhere, if nobody follows.
#[derive(Clone, Default)]
pub(crate) struct Output(Option<mpsc::Sender<Piece>>);

impl Output {
    /// Output with its receiving end.
    pub(crate) fn channel() -> (Self, mpsc::Receiver<Piece>) {
        let (sender, receiver) = mpsc::channel(limits::OUTPUT_QUEUE);
        (Self(Some(sender)), receiver)
    }
}

impl CallContext {
    pub(crate) fn new(key: &[u8], cancel: CancellationToken, output: Output) -> Self {
        Self { key: key.into(), cancel, output, cost: Rc::default(), mark: None }
    }

    /// The same call, which is to say by `mark` from where on it must not be done again.
    pub(crate) fn marking(mut self, mark: Mark) -> Self {
        self.mark = Some(mark);
        self
    }

    /// Records, durably, that from here on the call must not be done again: a method that says
    /// [`marks_point_of_no_return`](super::Method::marks_point_of_no_return) calls this before its
    /// first effect. A call that is interrupted earlier has, for everyone, never begun.
    ///
    /// # Errors
    /// `unavailable` if it cannot be recorded. The method must then do nothing, and fail with it.
    pub async fn point_of_no_return(&self) -> Result<(), Failure> {
        match &self.mark {
            Some(mark) => mark().await,
            None => Ok(()),
        }
    }

    /// The call's idempotency key, the same on every retry; empty: the caller gave none.
    /// The node answers repeated keys by itself. A tool needs this only to hand it on.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// Shows `text` to whoever follows the task, now. It is not kept, and it is dropped when the
    /// reader is slow: the result must carry all that matters. Never waits.
    pub fn emit(&self, text: &str) {
        let Some(sender) = &self.output.0 else { return };
        let mut rest = text;
        while !rest.is_empty() {
            let (text, more) = rest.split_at(cut(rest));
            rest = more;
            let piece = Piece { key: Rc::clone(&self.key), text: text.to_owned() };
            if sender.try_send(piece).is_err() {
                return;
            }
        }
    }

    /// Adds to what the call costs, in units that the tool's description names, for example tokens
    /// of a model or thousandths of a cent. It is charged to the grant of whoever called when the
    /// method returns a result; a repeated key costs the same and is charged once.
    pub fn charge(&self, units: u64) {
        self.cost.set(self.cost.get().saturating_add(units));
    }

    /// What was charged.
    pub(crate) fn cost(&self) -> u64 {
        self.cost.get()
    }

    /// Answers when the caller gave up on the call. A method that does not stop by itself within a
    /// few seconds of that is dropped. Losing the connection is no cancellation: the method then
    /// runs to its end, and its outcome waits in the ledger.
    pub async fn cancelled(&self) {
        self.cancel.cancelled().await;
    }

    /// Whether the caller gave up on the call.
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }
}

/// Where to cut a piece off `text`, between two characters.
fn cut(text: &str) -> usize {
    text.floor_char_boundary(limits::MAX_OUTPUT_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_output_is_cut_between_characters_and_dropped_when_nobody_reads() {
        let (output, mut pieces) = Output::channel();
        let call = CallContext::new(b"k", CancellationToken::new(), output);
        let text = "ä".repeat(limits::MAX_OUTPUT_BYTES);
        call.emit(&text[..text.len() - 2]);
        let mut all = String::new();
        while let Ok(piece) = pieces.try_recv() {
            assert!(piece.text.len() <= limits::MAX_OUTPUT_BYTES);
            all.push_str(&piece.text);
        }
        assert_eq!(all.len(), text.len() - 2);
        for _ in 0..limits::OUTPUT_QUEUE + 5 {
            call.emit("x");
        }
        assert_eq!(pieces.len(), limits::OUTPUT_QUEUE);
    }
}
