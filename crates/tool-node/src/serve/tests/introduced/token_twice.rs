//! A value is given out once.

use remit_core::{Code, Value};

use super::{Site, kept, over_both_transports};
use crate::limits::KEPT_FROM_BYTES;

over_both_transports!(
    token_that_was_used_gives_nothing,
    two_that_use_a_token_at_once_get_one_value,
    token_that_was_never_given_gives_nothing,
);

async fn token_that_was_used_gives_nothing(site: Site) {
    let (introduced, direct) = site.met("one").await;
    let token = kept(&introduced.object, b"k").await;
    assert_eq!(direct.body(&token).await.unwrap(), Value::Text("x".repeat(KEPT_FROM_BYTES)));
    assert_eq!(direct.body(&token).await.unwrap_err().code, Code::NotFound);
}

async fn two_that_use_a_token_at_once_get_one_value(site: Site) {
    let (introduced, direct) = site.met("one").await;
    let token = kept(&introduced.object, b"k").await;
    let (one, two) = tokio::join!(direct.body(&token), direct.body(&token));
    assert_eq!(usize::from(one.is_ok()) + usize::from(two.is_ok()), 1);
}

async fn token_that_was_never_given_gives_nothing(site: Site) {
    let (introduced, direct) = site.met("one").await;
    let token = kept(&introduced.object, b"k").await;
    for forged in [&[][..], &token[..31], &[0; 32], &remit_identity::ticket::hash(&token), b"k"] {
        assert_eq!(direct.body(forged).await.unwrap_err().code, Code::NotFound);
    }
    direct.body(&token).await.expect("it is there still");
}
