//! Work that completes even if its caller has gone.
//!
//! A call that its caller gives up, or whose connection is lost, is dropped at its current
//! `.await`. Work whose steps belong together must not stop between them.

use remit_core::{Code, Failure};
use tracing::Instrument as _;

use crate::contain::contain;

/// Runs the work in a task of its own and returns its result. Dropping the future does not stop the
/// work. Returns the failure `failed` if the work panics or the vat ends.
pub async fn run_detached<R: 'static>(
    work: impl Future<Output = Result<R, Failure>> + 'static,
) -> Result<R, Failure> {
    let broken =
        |why: String| Failure::new(Code::Failed, format!("a defect stopped the work: {why}"));
    match crate::turn::spawn("detached work", contain(work).in_current_span()).await {
        Ok(done) => done.map_err(broken)?,
        Err(ended) => Err(broken(ended.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use futures::FutureExt as _;
    use tokio::sync::Notify;
    use tokio::task::LocalSet;

    use super::*;

    #[tokio::test]
    async fn detached_work_outlives_its_caller() {
        let test = async {
            let (go, done) = (Rc::new(Notify::new()), Rc::new(Cell::new(false)));
            let over = Rc::new(Notify::new());
            let work = {
                let (go, done, over) = (Rc::clone(&go), Rc::clone(&done), Rc::clone(&over));
                async move {
                    go.notified().await;
                    done.set(true);
                    over.notify_one();
                    Ok(())
                }
            };
            let mut asked = Box::pin(run_detached(work));
            assert!(asked.as_mut().now_or_never().is_none());
            drop(asked);
            go.notify_one();
            over.notified().await;
            assert!(done.get());
        };
        LocalSet::new().run_until(test).await;
    }

    #[tokio::test]
    async fn detached_work_returns_its_result_or_its_panic() {
        let test = async {
            assert_eq!(run_detached(async { Ok(1) }).await, Ok(1));
            let broken = run_detached(async { panic!("on purpose") }).await;
            let broken: Failure = broken.map(|(): ()| ()).unwrap_err();
            assert!(broken.message.contains("on purpose"), "{broken}");
        };
        LocalSet::new().run_until(test).await;
    }
}
