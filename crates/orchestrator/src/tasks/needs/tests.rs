//! A grant that requires another task ends with it, whichever of them is in memory.

use std::sync::Arc;

use remit_core::event::{Grant, SourceFile};
use remit_core::grant::{Budgets, Caveat, Need};
use remit_core::{Code, Failure, GrantId, Manifest, Role, Value};
use remit_journal::audit::Audit;
use remit_journal::{Journal, MemoryJournal};
use tokio::task::LocalSet;

use super::*;
use crate::admission::tickets::Tickets;
use crate::runtime::services::Timing;
use crate::scheduler::registry::Registry;
use crate::serve::fakes::who;
use crate::tasks::TaskSpec;

fn open(journal: &Arc<MemoryJournal>) -> Rc<Tasks> {
    let journal: Arc<dyn Journal> = Arc::<MemoryJournal>::clone(journal);
    let registry = Registry::new(Box::new(|| 7));
    let audit = Audit::in_memory(Box::new(|| 7));
    Tasks::open(journal, audit, registry, Tickets::new(), Timing::default(), Box::new(|| 7))
        .unwrap()
}

async fn task(tasks: &Tasks) -> Rc<Owner> {
    let spec = TaskSpec {
        name: "one of two".into(),
        agent: "script".into(),
        source: vec![SourceFile { path: "main.js".into(), text: "export default () => 1".into() }],
        entry: "main.js".into(),
        input: Value::Null,
        ..TaskSpec::default()
    };
    tasks.create(spec, &who(Role::Client, "me")).await.unwrap()
}

/// Grants a task something that requires another one.
async fn needy(owner: &Rc<Owner>, needed: TaskId) -> GrantId {
    let grant = Grant {
        grant: GrantId(0),
        parent: None,
        name: format!("g{}", owner.with(|task| task.grants().count())),
        tool: "fs".into(),
        version: "1".into(),
        node: "spiffe://mesh/default/tool-node/files".into(),
        path: String::new(),
        caveats: vec![Caveat::Requires(Need::Task(needed))],
        manifest: Arc::new(Manifest::default()),
        holder: "task".into(),
        derived: None,
        origin: None,
        interface: String::new(),
        reserve: Budgets::NONE,
        on_unknown: remit_core::event::OnUnknown::Inherit,
        by: String::new(),
    };
    owner.record_durably(&Command::AddGrant(Box::new(grant))).await.unwrap();
    owner.with(|task| task.grants().last().unwrap().grant.grant)
}

fn is_over(owner: &Owner, grant: GrantId) -> bool {
    owner.with(|task| task.is_revoked(grant))
}

async fn end(owner: &Rc<Owner>) {
    owner.cancel(Failure::new(Code::Cancelled, "enough"), "").await.unwrap();
    owner.over().await;
}

#[tokio::test(start_paused = true)]
async fn a_grant_ends_with_the_task_that_it_requires() {
    let test = async {
        let tasks = open(&Arc::new(MemoryJournal::new()));
        let (one, two) = (task(&tasks).await, task(&tasks).await);
        let grant = needy(&one, two.key().task).await;
        assert!(!is_over(&one, grant));
        let mut progress = one.progress();
        end(&two).await;
        while !is_over(&one, grant) {
            progress.changed().await.unwrap();
        }
        let late = needy(&one, two.key().task).await;
        assert!(is_over(&one, late), "what it requires is over already");
        let lost = needy(&one, TaskId::new(1, [7; 10])).await;
        assert!(is_over(&one, lost), "what it requires never was");
        let own = needy(&one, one.key().task).await;
        assert!(!is_over(&one, own));
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn a_grant_ends_at_the_next_start_if_its_task_ended_meanwhile() {
    let test = async {
        let journal = Arc::new(MemoryJournal::new());
        let tasks = open(&journal);
        let (one, two) = (task(&tasks).await, task(&tasks).await);
        let (grant, key) = (needy(&one, two.key().task).await, one.key().clone());
        // The one that needs is out of sight while the other ends.
        tasks.let_go(&one);
        end(&two).await;
        tasks.shutdown().await;
        drop((one, two, tasks));
        let tasks = open(&journal);
        let owner = tasks.get(&key).unwrap();
        assert!(is_over(&owner, grant));
    };
    LocalSet::new().run_until(test).await;
}
