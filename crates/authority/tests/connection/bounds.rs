//! The bounds on a connection to a peer that speaks the protocol by hand.

use std::rc::Rc;

use capnp_rpc::rpc_capnp::message;
use remit_schema::peer_capnp::peer;
use remit_vat::connection::Connection;
use remit_vat::limits::{ConnectionLimits, UNFINISHED_FACTOR};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use super::desk::{Desk, Does, LONG, desk, local, pair, ping, quiet, serve};

/// A peer that speaks the protocol by hand.
struct Raw(DuplexStream);

impl Raw {
    async fn send(&mut self, build: impl FnOnce(message::Builder<'_>)) {
        let mut message = capnp::message::Builder::new_default();
        build(message.init_root());
        self.0.write_all(&capnp::serialize::write_message_to_words(&message)).await.unwrap();
    }

    async fn ask_for_bootstrap(&mut self, question: u32) {
        self.send(|message| message.init_bootstrap().set_question_id(question)).await;
    }

    async fn ping(&mut self, question: u32, bootstrap: u32) {
        self.send(|message| {
            use capnp::traits::HasTypeId as _;
            let mut call = message.init_call();
            call.set_question_id(question);
            call.set_interface_id(peer::Client::TYPE_ID);
            call.reborrow().init_target().init_promised_answer().set_question_id(bootstrap);
        })
        .await;
    }

    async fn finish(&mut self, question: u32) {
        self.send(|message| message.init_finish().set_question_id(question)).await;
    }
}

fn raw(desk: &Rc<Desk>, limits: ConnectionLimits) -> (Raw, Connection) {
    let (here, there) = tokio::io::duplex(1 << 20);
    (Raw(here), serve(desk, there, limits))
}

#[tokio::test]
async fn a_peer_that_breaks_the_protocol_is_cut_off() {
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0xff; 64],
        &[0, 0, 0, 0, 1, 0, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9],
    ] {
        local(async {
            let desk = desk(Does::Hang);
            let (mut raw, served) = raw(&desk, quiet());
            raw.ask_for_bootstrap(0).await;
            raw.ping(1, 0).await;
            desk.calls.notified().await;
            raw.0.write_all(bytes).await.unwrap();
            served.ended().await;
            assert_eq!(desk.closed_at_drop.get(), Some(true));
        })
        .await;
    }
}

#[tokio::test]
async fn calls_above_the_bound_wait_and_a_cancelled_one_makes_room() {
    local(async {
        let desk = desk(Does::Hang);
        let (mut raw, served) = raw(&desk, ConnectionLimits { calls_in_flight: 3, ..quiet() });
        raw.ask_for_bootstrap(0).await;
        raw.ping(1, 0).await;
        raw.ping(2, 0).await;
        raw.ping(3, 0).await;
        raw.finish(2).await;
        for question in 4..=6 {
            raw.ping(question, 0).await;
        }
        desk.dropped.notified().await;
        while desk.begun.get() < 4 {
            desk.calls.notified().await;
        }
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(desk.begun.get(), 4);
        assert!(!served.is_closed());
    })
    .await;
}

#[tokio::test]
async fn a_peer_that_never_finishes_its_questions_is_cut_off() {
    local(async {
        let desk = desk(Does::Answer);
        let (mut raw, served) = raw(&desk, ConnectionLimits { calls_in_flight: 2, ..quiet() });
        let most = u32::try_from(2 * UNFINISHED_FACTOR).unwrap();
        for question in 0..=most {
            raw.ask_for_bootstrap(question).await;
        }
        assert_eq!(
            served.ended().await.cause,
            "the peer left 33 questions unfinished, and the bound is 32"
        );
        let mut last_words = Vec::new();
        raw.0.read_to_end(&mut last_words).await.unwrap();
        assert!(String::from_utf8_lossy(&last_words).contains("33 questions unfinished"));
    })
    .await;
}

#[tokio::test]
async fn a_peer_that_finishes_its_questions_may_ask_any_number() {
    local(async {
        let desk = desk(Does::Answer);
        let limits = ConnectionLimits { calls_in_flight: 2, ..quiet() };
        let (client, _own, served) = pair(&desk, limits);
        for _ in 0..10 * UNFINISHED_FACTOR {
            ping(&client).await.unwrap();
        }
        assert!(!served.is_closed());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_no_answers_gets_no_more_calls() {
    local(async {
        let desk = desk(Does::Answer);
        let (here, there) = tokio::io::duplex(64);
        let served = serve(&desk, there, ConnectionLimits { calls_in_flight: 8, ..quiet() });
        let mut raw = Raw(here);
        let asking = async {
            raw.ask_for_bootstrap(0).await;
            for question in 1.. {
                raw.ping(question, 0).await;
                raw.finish(question).await;
            }
        };
        assert!(tokio::time::timeout(LONG, asking).await.is_err());
        // The calls whose answers fit the write buffer are answered, and as many more as the bound
        // allows.
        assert!(desk.begun.get() < 20_000, "{}", desk.begun.get());
        assert!(!served.is_closed());
        served.abort("enough");
        served.ended().await;
    })
    .await;
}
