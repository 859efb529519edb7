//! Tickets and tokens, which are good for whoever has them, are written nowhere that anybody reads.

use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};

use remit_core::Value;
use remit_vat::wire;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::super::lab::{Lab, create_with, events, over_both_transports, revoke};
use super::direct::{directly, keeps};

over_both_transports!(ticket_or_token_is_in_no_event_and_no_record_and_no_log,);

/// All that is logged at any level.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<String>>);

impl Visit for Heard {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        writeln!(self.0.lock().unwrap(), "{field}={value:?}").unwrap();
    }
}

impl Subscriber for Heard {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut self.clone());
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut self.clone());
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

async fn ticket_or_token_is_in_no_event_and_no_record_and_no_log(lab: Lab) {
    let heard = Heard::default();
    let _listening = tracing::subscriber::set_default(heard.clone());
    tracing::info!(public = "public-marker-4711");
    let value = Value::Text("x".repeat(50));
    keeps(&lab, &value, value.weight() as u64);
    let site = lab.start();
    let owner = create_with(&site, "lab?route=direct").await;
    while site.tickets.borrow().is_empty() {
        tokio::task::yield_now().await;
    }
    let mut secrets = vec![("the token of a value", vec![7; 32])];
    secrets.push(("the ticket of an attempt", site.tickets.borrow()[0].clone()));
    let (_context, granted) = lab.attempt(&site).await;
    let (_, kept) = directly(&lab, &granted).await;
    kept.unwrap();
    revoke(&owner, 1).await;
    let introductions = lab.introductions.borrow().clone();
    assert!(!introductions.is_empty());
    secrets
        .extend(introductions.into_iter().map(|ticket| ("the ticket of an introduction", ticket)));

    let events = events(&lab, owner.key());
    let mut places: Vec<(String, Vec<u8>)> = Vec::new();
    for event in &events {
        places.push((event.fact.name().into(), wire::event::encode(event)));
        places.push((event.fact.name().into(), format!("{event:?}").into_bytes()));
    }
    let audit = site.tasks.services().audit.read("default", 0, 99).unwrap();
    places.push(("the audit".into(), format!("{audit:?}").into_bytes()));
    let log = heard.0.lock().unwrap().clone();
    assert!(log.contains("public-marker-4711"), "what is logged is heard");
    places.push(("the log".into(), log.into_bytes()));
    for (what, secret) in &secrets {
        assert!(secret.len() >= 16, "{what} is too short to be looked for");
        let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        let listed = format!("{secret:?}");
        for (place, bytes) in &places {
            for form in [&secret[..], hex.as_bytes(), listed.as_bytes()] {
                let found = bytes.windows(form.len()).any(|part| part == form);
                assert!(!found, "{what} is in {place}");
            }
        }
    }
}
