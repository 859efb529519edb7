//! One piece of work for the commit thread, and the answer to whoever waits for it.

use tokio::sync::oneshot;

use super::commit::Medium;
use super::{DiskError, Write};

/// What the commit thread does with a piece of work, whatever its types.
pub(super) trait Job<M: Medium>: Send {
    /// The writes of this job; none if it refuses.
    fn prepare(&mut self, view: &M::View<'_>) -> Result<Vec<Write>, DiskError>;

    /// Tells whoever waits that the batch is durable, or why it is not.
    fn answer(self: Box<Self>, written: Result<(), DiskError>);
}

type Answer<E> = Result<Result<(), E>, DiskError>;

/// A decision to be made on the commit thread.
pub(super) struct Work<E, F> {
    decide: Option<F>,
    refused: Option<E>,
    reply: oneshot::Sender<Answer<E>>,
}

impl<E, F> Work<E, F> {
    pub(super) fn new(decide: F) -> (Self, oneshot::Receiver<Answer<E>>) {
        let (reply, answer) = oneshot::channel();
        (Self { decide: Some(decide), refused: None, reply }, answer)
    }
}

impl<M, E, F> Job<M> for Work<E, F>
where
    M: Medium,
    E: Send,
    F: FnOnce(&M::View<'_>) -> Result<Result<Vec<Write>, E>, DiskError> + Send,
{
    fn prepare(&mut self, view: &M::View<'_>) -> Result<Vec<Write>, DiskError> {
        let Some(decide) = self.decide.take() else { return Ok(Vec::new()) };
        match decide(view)? {
            Ok(writes) => Ok(writes),
            Err(refused) => {
                self.refused = Some(refused);
                Ok(Vec::new())
            }
        }
    }

    fn answer(self: Box<Self>, written: Result<(), DiskError>) {
        let Self { refused, reply, .. } = *self;
        let answer = written.map(|()| refused.map_or(Ok(()), Err));
        // Whoever asked may have gone.
        let _unheard = reply.send(answer);
    }
}
