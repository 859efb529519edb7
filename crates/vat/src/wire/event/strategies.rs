//! Any event at all, for property tests.

mod caveat;
mod person;

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use remit_core::event::{
    CallDenied, CallRequested, CancelRequested, Delegate, Derivation, Grant, Introduced, Level,
    OffloadedResult, Origin, SourceFile, TaskCreated, TaskForked, TaskUpgraded, TimeLimits,
};
use remit_core::manifest::{Interface, Method, Param};
use remit_core::{
    Attempt, CallNumber, Code, Event, EventNumber, Fact, Failure, GrantId, InputId, Manifest,
    ObjectId, Outcome, TaskId, Value,
};

use caveat::budgets;
pub(super) use caveat::caveat;

pub(super) fn event() -> impl Strategy<Value = Event> {
    (any::<u64>(), any::<u64>(), fact()).prop_map(|(number, time_ms, fact)| Event {
        number: EventNumber(number),
        time_ms,
        fact,
    })
}

fn introduction() -> impl Strategy<Value = Fact> {
    prop_oneof![
        (grant_id(), attempt(), word(), word()).prop_map(|(grant, attempt, agent, node)| {
            Fact::Introduced(Box::new(Introduced { grant, attempt, agent, node }))
        }),
        (grant_id(), attempt(), word()).prop_map(|(grant, attempt, reason)| {
            Fact::NotIntroduced { grant, attempt, reason }
        }),
    ]
}

fn fact() -> impl Strategy<Value = Fact> {
    let call = || any::<u64>().prop_map(CallNumber);
    prop_oneof![
        created().prop_map(|created| Fact::TaskCreated(Box::new(created))),
        (attempt(), word()).prop_map(|(attempt, node)| Fact::AttemptStarted { attempt, node }),
        (attempt(), word(), any::<bool>()).prop_map(|(attempt, reason, fruitless)| {
            Fact::AttemptEnded { attempt, reason, fruitless }
        }),
        grant().prop_map(|grant| Fact::GrantAdded(Box::new(grant))),
        (grant_id(), manifest(), any::<[u8; 32]>()).prop_map(|(grant, manifest, accepted)| {
            Fact::GrantRepinned { grant, manifest: Arc::new(manifest), accepted }
        }),
        (grant_id(), word()).prop_map(|(grant, reason)| Fact::GrantEnded { grant, reason }),
        (grant_id(), word(), word()).prop_map(|(grant, reason, by)| Fact::GrantRevoked {
            grant,
            reason,
            by
        }),
        requested().prop_map(|request| Fact::CallRequested(std::sync::Arc::new(request))),
        (call(), outcome(), any::<u64>(), any::<bool>()).prop_map(
            |(call, outcome, cost, refused)| Fact::CallCompleted { call, outcome, cost, refused }
        ),
        denied().prop_map(|denied| Fact::CallDenied(Box::new(denied))),
        (call(), word()).prop_map(|(call, reason)| Fact::CallUnknown { call, reason }),
        (call(), vec(any::<u8>(), 0..24), any::<[u8; 32]>(), any::<u64>()).prop_map(
            |(call, key, digest, bytes)| Fact::ResultOffloaded(Box::new(OffloadedResult {
                call,
                key,
                digest,
                bytes
            }))
        ),
        introduction(),
        (call(), call()).prop_map(|(call, from)| Fact::CallRecalled { call, from }),
        (any::<u64>(), level(), word()).prop_map(|(line, level, text)| Fact::LogEmitted {
            line,
            level,
            text
        }),
        (any::<u64>(), value(), word(), word(), any::<bool>()).prop_map(
            |(input, value, sender, key, steer)| Fact::InputAccepted {
                input: InputId(input),
                value,
                sender,
                key,
                steer
            }
        ),
        (call(), any::<bool>())
            .prop_map(|(operation, wait)| Fact::SteersRequested { operation, wait }),
        (call(), vec(any::<u64>().prop_map(InputId), 0..4))
            .prop_map(|(operation, inputs)| Fact::SteersDelivered { operation, inputs }),
        call().prop_map(|operation| Fact::InputRequested { operation }),
        (call(), any::<u64>()).prop_map(|(operation, input)| Fact::InputDelivered {
            operation,
            input: InputId(input)
        }),
        (call(), any::<u64>()).prop_map(|(operation, due_ms)| Fact::TimerSet { operation, due_ms }),
        call().prop_map(|operation| Fact::TimerFired { operation }),
        person::fact(),
        value().prop_map(Fact::TaskCompleted),
        failure().prop_map(Fact::TaskFailed),
        word().prop_map(Fact::TaskCancelled),
        control(),
    ]
}

fn control() -> impl Strategy<Value = Fact> {
    let calls = || vec(any::<u64>().prop_map(CallNumber), 0..4);
    let at = || any::<u64>().prop_map(EventNumber);
    let forked = (task_id(), at(), word(), calls())
        .prop_map(|(task, at, who, dropped)| TaskForked { task, at, who, dropped });
    let upgraded = (vec(file(), 0..3), word(), word(), at(), calls(), any::<u64>()).prop_map(
        |(source, entry, who, at, dropped, lines)| TaskUpgraded {
            source,
            entry,
            who,
            at,
            dropped,
            lines,
        },
    );
    prop_oneof![
        (word(), word(), through()).prop_map(|(reason, who, call)| Fact::TaskPaused {
            reason,
            who,
            call
        }),
        word().prop_map(|who| Fact::TaskResumed { who }),
        (failure(), word())
            .prop_map(|(why, who)| Fact::CancelRequested(Box::new(CancelRequested { why, who }))),
        forked.prop_map(|forked| Fact::TaskForked(Box::new(forked))),
        upgraded.prop_map(|upgraded| Fact::TaskUpgraded(Box::new(upgraded))),
    ]
}

fn file() -> impl Strategy<Value = SourceFile> {
    (word(), word()).prop_map(|(path, text)| SourceFile { path, text })
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[a-z]{1,8}", any::<String>()]
}

fn attempt() -> impl Strategy<Value = Attempt> {
    any::<u32>().prop_map(Attempt)
}

fn grant_id() -> impl Strategy<Value = GrantId> {
    any::<u32>().prop_map(GrantId)
}

fn through() -> impl Strategy<Value = Option<CallNumber>> {
    proptest::option::of((1..u64::MAX).prop_map(CallNumber))
}

fn level() -> impl Strategy<Value = Level> {
    proptest::sample::select(vec![Level::Debug, Level::Info, Level::Warn, Level::Error])
}

fn object() -> impl Strategy<Value = ObjectId> {
    prop_oneof![
        grant_id().prop_map(ObjectId::Grant),
        any::<u64>().prop_map(|call| ObjectId::Result(CallNumber(call))),
        (any::<u64>(), any::<u32>()).prop_map(|(call, at)| ObjectId::Part(CallNumber(call), at)),
        (any::<u64>(), any::<u32>())
            .prop_map(|(call, at)| ObjectId::CallerCapability(CallNumber(call), at)),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Integer),
        any::<u64>().prop_map(Value::unsigned),
        // NaN is equal to nothing, itself included.
        (proptest::num::f64::NORMAL | proptest::num::f64::ZERO).prop_map(Value::Float),
        word().prop_map(Value::Text),
        vec(any::<u8>(), 0..20).prop_map(Value::Data),
        object().prop_map(Value::Object),
    ];
    leaf.prop_recursive(6, 40, 4, |inner| {
        let fields = proptest::collection::btree_map(word(), inner.clone(), 0..4);
        prop_oneof![
            vec(inner, 0..4).prop_map(Value::List),
            fields.prop_map(|fields| Value::Fields(fields.into_iter().collect())),
        ]
    })
}

fn failure() -> impl Strategy<Value = Failure> {
    (proptest::sample::select(&Code::ALL[..]), word(), word())
        .prop_map(|(code, message, detail)| Failure { code, message, detail })
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        (value(), any::<bool>()).prop_map(|(value, object)| Outcome::Value {
            value: std::sync::Arc::new(value),
            object
        }),
        failure().prop_map(Outcome::Failure),
    ]
}

fn created() -> impl Strategy<Value = TaskCreated> {
    let texts = [word(), word(), word(), word(), word()];
    let numbers = (any::<u32>(), any::<u64>(), any::<u64>(), any::<u64>(), any::<u32>());
    let seed = vec(any::<u8>(), 0..40);
    let family = (proptest::option::of(task_id()), any::<bool>());
    (texts, vec(file(), 0..3), value(), seed, vec(word(), 0..3), numbers, family).prop_map(
        |([name, agent, entry, creator, export], source, input, seed, labels, numbers, family)| {
            TaskCreated {
                name,
                agent,
                source,
                entry,
                input,
                seed,
                labels,
                creator,
                deadline_ms: numbers.0,
                memory_bytes: numbers.1,
                export,
                parent: family.0,
                detached: family.1,
                limits: TimeLimits {
                    task_ms: numbers.2,
                    attempt_ms: numbers.3,
                    call_ms: numbers.4,
                    retention_ms: numbers.1.rotate_left(7),
                },
            }
        },
    )
}

fn manifest() -> impl Strategy<Value = Manifest> {
    let param = (word(), any::<[bool; 3]>()).prop_map(|(name, [required, path, fields])| Param {
        name,
        required,
        path,
        fields,
    });
    let texts = [word(), word(), word(), word(), word()];
    let method = (texts, vec(param, 0..3), any::<[bool; 4]>(), any::<(u32, u64)>()).prop_map(
        |([name, description, args_schema, result_schema, returns], params, flags, numbers)| {
            let (timeout_ms, max_cost) = numbers;
            let [read_only, idempotent, destructive, pure_] = flags;
            Method {
                name,
                description,
                params,
                args_schema,
                result_schema,
                returns,
                read_only,
                idempotent,
                destructive,
                pure_,
                timeout_ms,
                max_cost,
                ..Method::default()
            }
        },
    );
    let interface = (word(), word(), vec(method, 0..3))
        .prop_map(|(name, description, methods)| Interface { name, description, methods });
    let texts = [word(), word(), word(), word(), word()];
    (texts, vec(interface, 0..3)).prop_map(
        |([tool, version, description, root, descend], interfaces)| Manifest {
            tool,
            version,
            description,
            root,
            descend,
            interfaces,
        },
    )
}

fn derivation() -> impl Strategy<Value = Derivation> {
    (object(), through(), any::<[u8; 32]>(), vec(any::<u8>(), 0..24))
        .prop_map(|(object, operation, digest, key)| Derivation { object, operation, digest, key })
}

fn task_id() -> impl Strategy<Value = TaskId> {
    (any::<u64>(), any::<[u8; 10]>()).prop_map(|(at, chance)| TaskId::new(at >> 16, chance))
}

fn origin() -> impl Strategy<Value = Origin> {
    (task_id(), grant_id()).prop_map(|(task, grant)| Origin { task, grant })
}

fn delegate() -> impl Strategy<Value = Option<Delegate>> {
    proptest::option::of(
        (grant_id(), vec(any::<u8>(), 0..24)).prop_map(|(grant, key)| Delegate { grant, key }),
    )
}

fn grant() -> impl Strategy<Value = Grant> {
    let texts = [word(), word(), word(), word(), word(), word(), word(), word()];
    let parent = proptest::option::of((1..u32::MAX).prop_map(GrantId));
    let from = (
        proptest::option::of(derivation()),
        proptest::option::of(origin()),
        budgets(),
        person::on_unknown(),
    );
    (grant_id(), parent, texts, vec(caveat(), 0..4), manifest(), from).prop_map(
        |(
            grant,
            parent,
            [name, tool, version, node, path, holder, interface, by],
            caveats,
            manifest,
            from,
        )| Grant {
            grant,
            parent,
            name,
            tool,
            version,
            node,
            path,
            caveats,
            manifest: Arc::new(manifest),
            holder,
            derived: from.0,
            origin: from.1,
            interface,
            reserve: from.2,
            by,
            on_unknown: from.3,
        },
    )
}

fn requested() -> impl Strategy<Value = CallRequested> {
    let numbers = (any::<u64>(), attempt(), grant_id(), through());
    let texts = [word(), word(), word()];
    let flags = (any::<[bool; 2]>(), delegate(), through(), any::<u64>());
    (numbers, object(), texts, value(), any::<[u8; 32]>(), flags).prop_map(
        |(numbers, object, [method, path, returns], args, digest, rest)| {
            let (flags, delegate, approval, max_cost) = rest;
            CallRequested {
                call: CallNumber(numbers.0),
                attempt: numbers.1,
                object,
                method,
                args,
                digest,
                grant: numbers.2,
                path,
                returns,
                read_only: flags[0],
                idempotent: flags[1],
                through: numbers.3,
                delegate,
                approval,
                max_cost,
            }
        },
    )
}

fn denied() -> impl Strategy<Value = CallDenied> {
    let numbers = (any::<u64>(), attempt(), grant_id(), through());
    (numbers, object(), word(), any::<[u8; 32]>(), failure(), delegate()).prop_map(
        |(numbers, object, method, digest, failure, delegate)| CallDenied {
            call: CallNumber(numbers.0),
            attempt: numbers.1,
            object,
            method,
            digest,
            grant: numbers.2,
            failure,
            through: numbers.3,
            delegate,
        },
    )
}
