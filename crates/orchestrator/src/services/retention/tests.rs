//! What a check finds is known.

use remit_core::TaskId;
use remit_journal::SledJournal;
use remit_journal::audit::Audit;
use remit_store::Disk;
use tempfile::TempDir;

use super::*;
use crate::admission::tickets::Tickets;
use crate::node::TENANT;
use crate::runtime::services::Timing;
use crate::scheduler::registry::Registry;

#[tokio::test(start_paused = true)]
async fn what_the_daily_check_finds_is_known_to_whoever_asks() {
    let body = async {
        let dir = TempDir::new().unwrap();
        let disk = Disk::open_with(dir.path(), SledJournal::settings(8 << 20)).unwrap();
        let audit = Audit::new(disk.clone(), Box::new(|| 7));
        let registry = Registry::new(Box::new(|| 7));
        let journal = Arc::new(SledJournal::new(disk.clone()));
        let timing = Timing::default();
        let tickets = Tickets::new();
        let tasks = Tasks::open(journal, audit, registry, tickets, timing, Box::new(|| 7)).unwrap();
        let task = TaskId::new(1_001, [7; 10]);
        let size = u32::try_from(TENANT.len()).unwrap().to_be_bytes();
        let head = [b"h", &size[..], TENANT.as_bytes(), task.as_bytes()].concat();
        disk.commit(vec![(head, Some(vec![1]))]).await.unwrap();
        let damage = Damage::default();
        let mut known = damage.known();
        tokio::select! {
            () = keep_checking(&tasks, &damage) => {}
            noted = known.changed() => noted.unwrap(),
        }
        let found = known.borrow().clone();
        assert!(found.len() == 1 && found[0].contains(&task.to_string()), "{found:?}");
        tasks.shutdown().await;
    };
    tokio::task::LocalSet::new().run_until(body).await;
}
