//! Peers that speak the protocol by hand, to break the whole process and not only their own
//! connection.
#![expect(clippy::unwrap_used, reason = "a test that unwraps says what it expected")]

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use capnp::traits::HasTypeId as _;
use capnp_rpc::rpc_capnp::{message, message_target, return_};
use remit_core::{Code, Value};
use remit_schema::object_capnp::object;
use remit_vat::connection::{Connection, ConnectionOptions};
use remit_vat::exception::to_failure;
use remit_vat::limits::{
    CALLS_HELD_BYTES, ConnectionLimits, OBJECTS_HELD, OBJECTS_PER_MESSAGE, PIPELINE_DEPTH,
    PROMISED_DEPTH, PROMISES_OF_PROMISES,
};
use remit_vat::wire;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::Notify;
use tokio::task::LocalSet;

/// Objects in one answer of the shelf.
const ARMFUL: u32 = 512;

/// An object whose call never ends, or returns an armful of objects.
#[derive(Default)]
struct Shelf {
    gives: bool,
    begun: Cell<usize>,
    calls: Notify,
}

struct Place(Rc<Shelf>);

impl object::Server for Place {
    async fn call(
        self: Rc<Self>,
        _params: object::CallParams,
        mut results: object::CallResults,
    ) -> Result<(), capnp::Error> {
        self.0.begun.set(self.0.begun.get() + 1);
        self.0.calls.notify_one();
        if !self.0.gives {
            std::future::pending::<()>().await;
        }
        let new = |_| capnp_rpc::new_client(Place(Rc::clone(&self.0)));
        let table: Vec<object::Client> = (0..ARMFUL).map(new).collect();
        let value = Value::List((0..ARMFUL).map(Value::Object).collect());
        wire::value::write(results.get().init_value(), &value, &table);
        Ok(())
    }
}

/// A peer that speaks the protocol by hand.
struct Raw(DuplexStream);

impl Raw {
    async fn send(&mut self, build: impl FnOnce(message::Builder<'_>)) {
        let mut message = capnp::message::Builder::new_default();
        build(message.init_root());
        let bytes = capnp::serialize::write_message_to_words(&message);
        // The other side may have cut the connection.
        self.0.write_all(&bytes).await.ok();
    }

    /// Sends a call on the bootstrap object, or on the result of the call before it.
    async fn call(
        &mut self,
        question: u32,
        on: Option<u32>,
        more: impl FnOnce(message::Builder<'_>),
    ) {
        self.send(|mut message| {
            let mut call = message.reborrow().init_call();
            call.set_question_id(question);
            call.set_interface_id(object::Client::TYPE_ID);
            target(call.init_target(), on);
            more(message);
        })
        .await;
    }

    async fn finish(&mut self, question: u32) {
        self.send(|message| message.init_finish().set_question_id(question)).await;
    }

    /// Reads up to the next answer that is a failure, and returns its question and the failure.
    async fn failure(&mut self) -> (u32, remit_core::Failure) {
        loop {
            let mut bytes = vec![0; 4];
            self.0.read_exact(&mut bytes).await.unwrap();
            let segments = u32::from_le_bytes(bytes[..].try_into().unwrap()) as usize + 1;
            // The table of segments: their number less one, their lengths, and a filler.
            bytes.resize(4 * (segments / 2 * 2 + 2), 0);
            self.0.read_exact(&mut bytes[4..]).await.unwrap();
            let lengths = bytes[4..].chunks_exact(4).take(segments);
            let words: u32 = lengths.map(|l| u32::from_le_bytes(l.try_into().unwrap())).sum();
            let table = bytes.len();
            bytes.resize(table + 8 * words as usize, 0);
            self.0.read_exact(&mut bytes[table..]).await.unwrap();
            let options = capnp::message::ReaderOptions::new();
            let message = capnp::serialize::read_message(&*bytes, options).unwrap();
            let Ok(message::Return(answer)) =
                message.get_root::<message::Reader<'_>>().unwrap().which()
            else {
                continue;
            };
            let answer = answer.unwrap();
            if let return_::Exception(exception) = answer.which().unwrap() {
                let reason = exception.unwrap().get_reason().unwrap().to_string().unwrap();
                let failure = to_failure(&capnp::Error::overloaded(reason));
                return (answer.get_answer_id(), failure);
            }
        }
    }
}

fn target(target: message_target::Builder<'_>, on: Option<u32>) {
    let mut answer = target.init_promised_answer();
    answer.set_question_id(on.unwrap_or_default());
    if on.is_some() {
        answer.init_transform(1).get(0).set_get_pointer_field(1);
    }
}

fn params(message: message::Builder<'_>) -> capnp_rpc::rpc_capnp::payload::Builder<'_> {
    let Ok(message::Call(Ok(call))) = message.which() else { panic!("no call") };
    call.init_params()
}

async fn serve(gives: bool) -> (Raw, Connection, Rc<Shelf>) {
    let (here, there) = tokio::io::duplex(1 << 20);
    let limits = ConnectionLimits {
        silence: Duration::ZERO,
        ping_every: Duration::ZERO,
        ..ConnectionLimits::default()
    };
    let options = ConnectionOptions { peer: "the other".into(), limits };
    let shelf = Rc::new(Shelf { gives, ..Shelf::default() });
    let place: object::Client = capnp_rpc::new_client(Place(Rc::clone(&shelf)));
    let served = Connection::serve(there, place.client, options);
    let mut raw = Raw(here);
    raw.send(|message| message.init_bootstrap().set_question_id(0)).await;
    (raw, served, shelf)
}

async fn local(test: impl Future<Output = ()>) {
    LocalSet::new().run_until(test).await;
}

async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_chain_of_calls_that_is_too_deep_fails_alone() {
    local(async {
        let (mut raw, served, shelf) = serve(false).await;
        raw.call(1, None, |_| {}).await;
        for question in 2..=1000 {
            raw.call(question, Some(question - 1), |_| {}).await;
        }
        let (question, failure) = raw.failure().await;
        assert_eq!((question, failure.code), (PIPELINE_DEPTH + 1, Code::Limit), "{failure}");
        assert!(failure.message.contains("await one of them first"), "{failure}");
        // The other calls are dropped with the one that they depend on, and the connection is free
        // again.
        for question in 1..=1000 {
            raw.finish(question).await;
        }
        raw.call(1001, None, |_| {}).await;
        while shelf.begun.get() < 2 {
            shelf.calls.notified().await;
        }
        assert!(!served.is_closed());
    })
    .await;
}

#[tokio::test]
async fn a_result_that_is_passed_on_as_an_argument_counts_as_well() {
    local(async {
        let (mut raw, served, _shelf) = serve(false).await;
        raw.call(1, None, |_| {}).await;
        for question in 2..=1000 {
            raw.call(question, None, |message| {
                let mut answer = params(message).init_cap_table(1).get(0).init_receiver_answer();
                answer.set_question_id(question - 1);
                answer.init_transform(1).get(0).set_get_pointer_field(1);
            })
            .await;
        }
        let (question, failure) = raw.failure().await;
        assert_eq!((question, failure.code), (PIPELINE_DEPTH + 1, Code::Limit), "{failure}");
        assert!(!served.is_closed());
    })
    .await;
}

#[tokio::test]
async fn a_chain_of_promises_ends_its_own_connection() {
    local(async {
        let (mut raw, served, _shelf) = serve(false).await;
        let promises = u32::try_from(PROMISES_OF_PROMISES).unwrap() + 2;
        raw.call(1, None, |message| {
            let mut table = params(message).init_cap_table(promises);
            // The last promise comes first, so that dropping them drops the whole chain from its
            // beginning.
            for place in 0..promises {
                table.reborrow().get(place).set_sender_promise(promises - place - 1);
            }
        })
        .await;
        for promise in 0..promises - 1 {
            raw.send(|message| {
                let mut resolve = message.init_resolve();
                resolve.set_promise_id(promise);
                resolve.init_cap().set_sender_promise(promise + 1);
            })
            .await;
        }
        let ended = served.ended().await.cause;
        assert_eq!(
            ended,
            format!(
                "the peer made {} promises of promises, and the bound is {PROMISES_OF_PROMISES}",
                promises - 1
            )
        );
    })
    .await;
}

#[tokio::test]
async fn a_ring_of_promises_ends_its_own_connection() {
    for around in 1..4 {
        local(async {
            let (mut raw, served, _shelf) = serve(false).await;
            raw.call(1, None, |message| {
                let mut table = params(message).init_cap_table(around);
                for promise in 0..around {
                    table.reborrow().get(promise).set_sender_promise(promise);
                }
            })
            .await;
            for promise in 0..around {
                raw.send(|message| {
                    let mut resolve = message.init_resolve();
                    resolve.set_promise_id(promise);
                    resolve.init_cap().set_sender_promise((promise + 1) % around);
                })
                .await;
            }
            assert_eq!(served.ended().await.cause, "the peer's promise leads back to itself");
        })
        .await;
    }
}

#[tokio::test]
async fn a_promise_cannot_resolve_deeper_than_it_counted() {
    local(async {
        let (mut raw, served, _shelf) = serve(false).await;
        raw.call(1, None, |_| {}).await;
        for question in 2..=PROMISED_DEPTH + 1 {
            raw.call(question, Some(question - 1), |_| {}).await;
        }
        raw.call(100, None, |message| {
            params(message).init_cap_table(1).get(0).set_sender_promise(7);
        })
        .await;
        raw.send(|message| {
            let mut resolve = message.init_resolve();
            resolve.set_promise_id(7);
            resolve.init_cap().init_receiver_answer().set_question_id(PROMISED_DEPTH + 1);
        })
        .await;
        let ended = served.ended().await.cause;
        let why = "the peer's promise hangs on 17 calls, one on the next, and the bound is 16";
        assert_eq!(ended, why);
    })
    .await;
}

#[tokio::test]
async fn a_peer_that_gives_too_many_objects_is_cut_off() {
    let at_once = u32::try_from(OBJECTS_PER_MESSAGE).unwrap();
    local(async {
        let (mut raw, served, _shelf) = serve(false).await;
        raw.call(1, None, |message| {
            params(message).init_cap_table(at_once + 1);
        })
        .await;
        settle().await;
        assert!(!served.is_closed(), "an empty place in the table is no object");
        raw.call(2, None, |message| {
            let mut table = params(message).init_cap_table(at_once + 1);
            for object in 0..=at_once {
                table.reborrow().get(object).set_sender_hosted(object);
            }
        })
        .await;
        assert_eq!(
            served.ended().await.cause,
            "the peer gave 4097 objects at once, and the bound is 4096"
        );
    })
    .await;
    local(async {
        let (mut raw, served, _shelf) = serve(false).await;
        let messages = u32::try_from(OBJECTS_HELD).unwrap() / at_once + 1;
        for question in 1..=messages {
            raw.call(question, None, |message| {
                let mut table = params(message).init_cap_table(at_once);
                for object in 0..at_once {
                    table.reborrow().get(object).set_sender_hosted(question * at_once + object);
                }
            })
            .await;
        }
        let held = OBJECTS_HELD + OBJECTS_PER_MESSAGE;
        let why = format!(
            "the peer gave objects until {held} of its own were held here, and the bound is {OBJECTS_HELD}"
        );
        assert_eq!(served.ended().await.cause, why);
    })
    .await;
}

#[tokio::test]
async fn a_peer_that_releases_no_object_is_cut_off() {
    local(async {
        let (raw, served, _shelf) = serve(true).await;
        let (mut answers, mut requests) = tokio::io::split(raw.0);
        let reading = tokio::task::spawn_local(async move {
            let mut heard = Vec::new();
            answers.read_to_end(&mut heard).await.ok();
        });
        for question in 1..=u32::try_from(OBJECTS_HELD).unwrap() / ARMFUL + 1 {
            let mut message = capnp::message::Builder::new_default();
            let mut call = message.init_root::<message::Builder<'_>>().init_call();
            call.set_question_id(question);
            call.set_interface_id(object::Client::TYPE_ID);
            target(call.init_target(), None);
            let bytes = capnp::serialize::write_message_to_words(&message);
            requests.write_all(&bytes).await.ok();
            let mut message = capnp::message::Builder::new_default();
            let mut finish = message.init_root::<message::Builder<'_>>().init_finish();
            finish.set_question_id(question);
            finish.set_release_result_caps(false);
            // The peer finishes the question, and keeps the objects that came with the answer.
            settle().await;
            let bytes = capnp::serialize::write_message_to_words(&message);
            requests.write_all(&bytes).await.ok();
        }
        let held = OBJECTS_HELD + 1;
        let why = format!("the peer took objects and let none go until it held {held}, and the bound is {OBJECTS_HELD}");
        assert_eq!(served.ended().await.cause, why);
        reading.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn released_objects_do_not_count_towards_the_bound() {
    local(async {
        let (here, there) = tokio::io::duplex(1 << 20);
        let options = |limits| ConnectionOptions { peer: "the other".into(), limits };
        let limits = ConnectionLimits {
            silence: Duration::ZERO,
            ping_every: Duration::ZERO,
            ..ConnectionLimits::default()
        };
        let shelf = Rc::new(Shelf { gives: true, ..Shelf::default() });
        let place: object::Client = capnp_rpc::new_client(Place(Rc::clone(&shelf)));
        let served = Connection::serve(there, place.client, options(limits));
        let (client, own): (object::Client, _) = Connection::connect(here, None, options(limits));
        for round in 0..OBJECTS_HELD / ARMFUL as usize + 2 {
            let mut request = client.call_request();
            if round % 2 == 1 {
                // Objects given to the other side are released there as well.
                let lent: object::Client = capnp_rpc::new_client(Place(Rc::clone(&shelf)));
                let value = Value::Object(0);
                wire::value::write(request.get().init_args(), &value, &[lent]);
            }
            let mut sent = Some(request.send());
            if round % 7 == 3 {
                // The call is cancelled, so the objects of its answer are not taken.
                drop(sent.take());
            }
            if let Some(sent) = sent {
                sent.promise.await.unwrap();
            }
        }
        assert!(!served.is_closed() && !own.is_closed());
    })
    .await;
}

#[tokio::test]
async fn arguments_of_calls_in_flight_are_bounded_together() {
    const LARGE: usize = 8 << 20;
    local(async {
        let (mut raw, served, shelf) = serve(false).await;
        let most = CALLS_HELD_BYTES / LARGE;
        let sending = tokio::task::spawn_local(async move {
            for question in 1..=u32::try_from(2 * most).unwrap() {
                raw.call(question, None, |message| {
                    let content = params(message).init_content();
                    content.initn_as::<capnp::data::Builder<'_>>(u32::try_from(LARGE).unwrap());
                })
                .await;
                if question == 1 {
                    raw.finish(question).await;
                }
            }
        });
        while shelf.begun.get() < most + 1 {
            shelf.calls.notified().await;
        }
        settle().await;
        assert_eq!(shelf.begun.get(), most + 1, "one was cancelled, the rest is as much as may be");
        assert!(!served.is_closed() && !sending.is_finished());
        sending.abort();
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_answers_nothing_ends_the_call() {
    for elsewhere in [false, true] {
        local(async move {
            let (here, there) = tokio::io::duplex(1 << 20);
            let limits = ConnectionLimits {
                silence: Duration::ZERO,
                ping_every: Duration::ZERO,
                ..ConnectionLimits::default()
            };
            let options = ConnectionOptions { peer: "the other".into(), limits };
            let (client, own): (object::Client, _) = Connection::connect(there, None, options);
            let called = tokio::task::spawn_local(client.call_request().send().promise);
            settle().await;
            // The bootstrap is the client's first question, the call its second.
            let answer = |message: message::Builder<'_>| {
                let mut answer = message.init_return();
                answer.set_answer_id(1);
                if elsewhere {
                    answer.set_results_sent_elsewhere(());
                } else {
                    answer.set_canceled(());
                }
            };
            let mut raw = Raw(here);
            raw.send(answer).await;
            let ended = tokio::time::timeout(Duration::from_secs(9), called).await;
            let failure = to_failure(&ended.unwrap().unwrap().err().unwrap());
            assert_eq!(failure.code, Code::Unknown, "{failure}");
            drop((raw, own));
        })
        .await;
    }
}
