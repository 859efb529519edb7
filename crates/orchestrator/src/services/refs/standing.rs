//! How long what was restored may be held.

use std::rc::Rc;
use std::time::Duration;

use remit_core::{Code, Failure, Identity, RefId};
use remit_vat::turn;

use super::{Refs, State};

/// By what reference somebody holds a task.
#[derive(Debug, Clone)]
pub struct RefValidity {
    /// The reference.
    pub id: RefId,
    /// Until when it is good with all that its holders appended, in milliseconds since 1970.
    pub until_ms: Option<u64>,
    /// How many milliseconds it may go without being used.
    pub unused_ms: Option<u64>,
    /// Whether it is only for looking.
    pub viewer: bool,
    /// The one for whom it is, if its holder said so: nothing is saved through it for others.
    pub audience: Option<String>,
}

impl Refs {
    /// Refuses to save for `owner` what is held by a reference that is for somebody else.
    pub(super) fn check_audience(standing: &RefValidity, owner: &Identity) -> Result<(), Failure> {
        match &standing.audience {
            Some(only) if *only != owner.to_string() => {
                let why = format!("the reference by which you hold the task is for {only} alone");
                Err(Failure::new(Code::Denied, why))
            }
            _ => Ok(()),
        }
    }

    /// Whether whoever holds a task by this reference still may.
    pub async fn check_validity(
        &self,
        tenant: &str,
        standing: &RefValidity,
    ) -> Result<(), Failure> {
        if standing.until_ms.is_some_and(|until_ms| (self.now_ms)() >= until_ms) {
            return State::Expired.check();
        }
        let Some(saved) = self.find(tenant, standing.id).await? else {
            return State::Revoked.check();
        };
        match self.state(tenant, &saved).await {
            // It is in use, which is on its way to the disk.
            State::Unused => Ok(()),
            state => state.check(),
        }
    }

    /// Waits until whoever holds a task by this reference no longer may.
    pub async fn over(self: &Rc<Self>, tenant: &str, standing: &RefValidity) {
        let mut revoked = self.revoked.subscribe();
        while self.check_validity(tenant, standing).await.is_ok() {
            self.note_use(tenant, standing).await;
            let left = standing.until_ms.map(|until_ms| until_ms.saturating_sub((self.now_ms)()));
            let expired = async {
                match left {
                    Some(left_ms) => tokio::time::sleep(Duration::from_millis(left_ms)).await,
                    None => std::future::pending().await,
                }
            };
            let again = async {
                match standing.unused_ms {
                    Some(unused_ms) => {
                        tokio::time::sleep(Duration::from_millis(unused_ms / 2)).await;
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                changed = revoked.changed() => if changed.is_err() { return },
                () = expired => {}
                () = again => {}
            }
        }
    }

    /// Notes that what was restored is in use, as often as it takes for the reference not to lapse.
    pub async fn note_use(self: &Rc<Self>, tenant: &str, standing: &RefValidity) {
        let Some(unused_ms) = standing.unused_ms else { return };
        let now_ms = (self.now_ms)();
        let fresh = |used_ms: u64| now_ms < used_ms.saturating_add(unused_ms / 4);
        match self.find(tenant, standing.id).await {
            Ok(Some(saved)) if !fresh(saved.used_ms) => {}
            _ => return,
        }
        let (refs, tenant, id) = (Rc::clone(self), tenant.to_owned(), standing.id);
        turn::spawn("a reference", async move {
            let noted = refs.update(&tenant, id, move |saved| {
                saved.used_ms = saved.used_ms.max(now_ms);
            });
            if let Err(failure) = noted.await {
                tracing::warn!(%failure, "that a reference is in use was not noted");
            }
        });
    }
}
