//! What one client has the orchestrator hold takes nothing from its neighbours.

use super::*;
use crate::account::Resource;
use crate::owner::footprint;
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
