//! What one client has the orchestrator hold takes nothing from its neighbours.

use remit_core::Task;

use super::*;
use crate::quota::account::Resource;
use crate::runtime::{Owner, footprint};
use crate::serve::fakes::tools;

fn held(tasks: &Tasks, who: &Identity) -> u64 {
    tasks.services().accounts.held(Resource::TaskBytes, &who.to_string(), TENANT).identity
}

#[tokio::test]
async fn one_client_that_uses_up_its_account_leaves_its_neighbour_alone() {
    let test = async {
        let tasks = open(&Arc::new(MemoryJournal::new()));
        let (me, neighbour) = (who(Role::Client, "me"), who(Role::Client, "neighbour"));
        let small = tasks.create(spec(), &me).await.unwrap();
        let bound = limits::bound(Resource::TaskBytes).identity;
        let accounts = &tasks.services().accounts;
        let before = held(&tasks, &me);
        assert_eq!(before, small.with(footprint));
        let most = accounts.charge(&me, Resource::TaskBytes, bound - before).unwrap();
        let refused = tasks.create(spec(), &me).await.err().unwrap();
        assert_eq!(refused.code, Code::Limit);
        assert!(refused.message.contains(&bound.to_string()), "{refused}");
        assert_eq!(small.check_account(1).unwrap_err().code, Code::Limit, "nor an input");
        tasks.create(spec(), &neighbour).await.unwrap();
        drop(most);
        tasks.create(spec(), &me).await.unwrap();
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_task_holds_is_charged_until_it_has_ended_and_again_after_a_restart() {
    let test = async {
        let journal = Arc::new(MemoryJournal::new());
        let me = who(Role::Client, "me");
        let tasks = open(&journal);
        let owner = tasks.create(spec(), &me).await.unwrap();
        let before = held(&tasks, &me);
        let (value, sender) = (Value::Text("x".repeat(10_000)), "me".into());
        let sent = Sent { value, sender, key: String::new(), steer: false };
        owner.record_durably(&Command::AcceptInput(Box::new(sent))).await.unwrap();
        let grown = held(&tasks, &me);
        assert!(grown >= before + 10_000);
        let key = owner.key().clone();
        tasks.shutdown().await;
        drop((owner, tasks));
        let tasks = open(&journal);
        tasks.recovered().await;
        assert_eq!(held(&tasks, &me), grown);
        let owner = tasks.get(&key).unwrap();
        owner.cancel(Failure::new(Code::Cancelled, "enough"), "me").await.unwrap();
        drop(owner);
        while held(&tasks, &me) > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn a_task_with_too_much_granted_is_refused() {
    let test = async {
        let tasks = open(&Arc::new(MemoryJournal::new()));
        let mut offer = tools(&[("wide", "1")]);
        offer.tools[0].0.description = "x".repeat(900_000);
        let node = who(Role::ToolNode, "one").to_string();
        let _lease = tasks.services().registry.register_tools(&node, offer).unwrap();
        let grant = |n: usize| GrantSpec {
            name: format!("wide{n}"),
            root: GrantRoot::Tool {
                tool: "wide".into(),
                version: String::new(),
                path: String::new(),
            },
            caveats: Vec::new(),
            on_unknown: Default::default(),
        };
        let me = who(Role::Client, "me");
        let with = |count| TaskSpec { grants: (0..count).map(grant).collect(), ..spec() };
        tasks.create(with(3), &me).await.unwrap();
        let refused = tasks.create(with(1_000), &me).await.err().unwrap();
        assert_eq!(refused.code, Code::Limit, "{refused}");
        assert!(refused.message.contains("32 MiB"), "{refused}");
        assert_eq!(tasks.owned(), 1);
    };
    LocalSet::new().run_until(test).await;
}

/// A task that waits, with a program and inputs of a megabyte each.
async fn large(tasks: &Tasks, me: &Identity) -> Rc<Owner> {
    let text = "x".repeat(1 << 20);
    let source = vec![SourceFile { path: "main.js".into(), text: text.clone() }];
    let input = Value::Text(text.clone());
    let owner = tasks.create(TaskSpec { source, input, ..spec() }, me).await.unwrap();
    let sent =
        Sent { value: Value::Text(text), sender: "me".into(), key: "one".into(), steer: false };
    owner.record_durably(&Command::AcceptInput(Box::new(sent))).await.unwrap();
    owner
}

#[tokio::test(start_paused = true)]
async fn an_idle_task_holds_a_few_kilobytes_and_all_of_it_for_an_attempt() {
    let test = async {
        let journal = Arc::new(MemoryJournal::new());
        let me = who(Role::Client, "me");
        let tasks = open(&journal);
        let owner = large(&tasks, &me).await;
        while held(&tasks, &me) > 2 * limits::IDLE_PAYLOAD_BYTES {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(!owner.with(Task::is_loaded));
        let whole = 3 << 20;
        let stored = |tasks: &Tasks| {
            let accounts = &tasks.services().accounts;
            accounts.held(Resource::DiskBytes, &me.to_string(), TENANT).identity
        };
        assert!(stored(&tasks) >= whole, "its bytes on disk count all the same");
        let loaded = owner.loaded().await.unwrap();
        let same = |owner: &Owner| {
            owner.with(|task| {
                let input = task.input(task.last_input()).unwrap().weight();
                (task.program().0[0].text.len(), task.created().input.weight(), input)
            })
        };
        let all = same(&owner);
        assert!(all.0 == 1 << 20 && all.1 >= 1 << 20 && all.2 >= 1 << 20, "{all:?}");
        assert!(held(&tasks, &me) >= whole);
        drop(loaded);
        assert!(held(&tasks, &me) < 2 * limits::IDLE_PAYLOAD_BYTES);
        let (key, before) = (owner.key().clone(), stored(&tasks));
        tasks.shutdown().await;
        drop((owner, tasks));
        let tasks = open(&journal);
        tasks.recovered().await;
        assert!(held(&tasks, &me) < 2 * limits::IDLE_PAYLOAD_BYTES, "nor after a restart");
        let owner = tasks.get(&key).unwrap();
        let _loaded = owner.loaded().await.unwrap();
        assert_eq!(same(&owner), all);
        assert_eq!(stored(&tasks), before, "and what is on disk counts again");
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn what_tasks_take_on_disk_is_refused_with_the_number_and_given_back_by_their_removal() {
    let test = async {
        let tasks = open(&Arc::new(MemoryJournal::new()));
        let me = who(Role::Client, "me");
        let owner = tasks.create(spec(), &me).await.unwrap();
        let accounts = &tasks.services().accounts;
        let bound = limits::bound(Resource::DiskBytes).identity;
        let mine = || accounts.held(Resource::DiskBytes, &me.to_string(), TENANT).identity;
        let taken = mine();
        assert!(taken > 0);
        accounts.grow(&me.to_string(), TENANT, Resource::DiskBytes, bound - taken);
        let refused = tasks.create(spec(), &me).await.err().unwrap();
        assert_eq!(refused.code, Code::Limit);
        assert!(refused.message.contains(&bound.to_string()), "{refused}");
        assert_eq!(owner.check_account(1).unwrap_err().code, Code::Limit, "nor an input");
        tasks.create(spec(), &who(Role::Client, "neighbour")).await.unwrap();
        accounts.shrink(&me.to_string(), TENANT, Resource::DiskBytes, bound - taken);
        let key = owner.key().clone();
        owner.cancel(Failure::new(Code::Cancelled, "enough"), "me").await.unwrap();
        while tasks.is_owned(&key) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(mine() > taken, "it is kept though it has ended");
        tasks.forget(&key).await.unwrap();
        assert_eq!(mine(), 0);
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn new_work_does_not_wait_for_the_tasks_of_before() {
    let test = async {
        let journal = Arc::new(MemoryJournal::new());
        let me = who(Role::Client, "me");
        let tasks = open(&journal);
        for _ in 0..40 {
            large(&tasks, &me).await;
        }
        tasks.shutdown().await;
        drop(tasks);
        let tasks = open(&journal);
        assert_eq!(tasks.owned(), 0, "they are read after this");
        tasks.create(spec(), &me).await.unwrap();
        assert!(tasks.owned() < 10, "{}", tasks.owned());
        tasks.recovered().await;
        assert_eq!(tasks.owned(), 41);
    };
    LocalSet::new().run_until(test).await;
}
