//! Messages that are too large fail the call that they belong to and nothing else.
#![expect(clippy::unwrap_used, reason = "a test that unwraps says what it expected")]

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use remit_core::{Code, Failure};
use remit_schema::join_capnp::credentials;
use remit_vat::connection::{Connection, ConnectionOptions, within};
use remit_vat::limits::ConnectionLimits;

const MOST_WORDS: usize = 1 << 10;

/// Answers with as many bytes as the request says, in text.
struct Echo(Rc<Cell<usize>>);

impl credentials::Server for Echo {
    async fn renew(
        self: Rc<Self>,
        params: credentials::RenewParams,
        mut results: credentials::RenewResults,
    ) -> Result<(), capnp::Error> {
        self.0.set(self.0.get() + 1);
        let request = params.get()?.get_signing_request()?;
        let bytes = std::str::from_utf8(request).unwrap().trim().parse().unwrap_or(0);
        results.get().init_certificate().init_leaf(bytes);
        Ok(())
    }
}

async fn ask(client: &credentials::Client, request: &[u8]) -> Result<usize, Failure> {
    let mut call = client.renew_request();
    call.get().set_signing_request(request);
    let response = within(Duration::from_secs(60), call.send()).await?;
    Ok(response.get().unwrap().get_certificate().unwrap().get_leaf().unwrap().len())
}

#[tokio::test]
async fn a_message_that_is_too_large_fails_its_call_alone() {
    let work = async {
        let limits = ConnectionLimits {
            message_words: MOST_WORDS,
            ping_every: Duration::ZERO,
            ..ConnectionLimits::default()
        };
        let options = || ConnectionOptions { peer: "the other".into(), limits };
        let (here, there) = tokio::io::duplex(64 << 10);
        let asked = Rc::new(Cell::new(0));
        let echo: credentials::Client = capnp_rpc::new_client(Echo(Rc::clone(&asked)));
        let served = Connection::serve(there, echo.client, options());
        let (client, own): (credentials::Client, _) = Connection::connect(here, None, options());
        for _ in 0..3 {
            assert_eq!(ask(&client, b"7000").await, Ok(7000));
            let large_answer = ask(&client, b"9000").await.unwrap_err();
            let large_call = ask(&client, &vec![b' '; 9000]).await.unwrap_err();
            for (failure, what) in [(large_answer, "an answer of 9"), (large_call, "a call of 9")] {
                assert_eq!(failure.code, Code::Limit, "{failure}");
                assert!(failure.message.contains(what), "{failure}");
                assert!(failure.message.contains("at most 8192"), "{failure}");
            }
        }
        assert_eq!(ask(&client, &vec![b' '; 7000]).await, Ok(0));
        // The calls with too large arguments did not reach the server.
        assert_eq!(asked.get(), 7);
        assert!(!own.is_closed() && !served.is_closed());
        served.idle().await;
    };
    tokio::task::LocalSet::new().run_until(work).await;
}
