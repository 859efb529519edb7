//! Calls on the facet `backup`, and the sink that receives a backup.

use std::rc::Rc;

use remit_core::{Code, Failure};
use remit_schema::admin_capnp::{admin, backup_sink, kept};
use remit_vat::exception::{to_exception, to_failure};
use tokio::sync::mpsc;

use super::read;
use crate::admin::{Compacted, JournalTotals};

pub(crate) async fn backup(
    admin: admin::Client,
    pieces: mpsc::Sender<Vec<u8>>,
) -> Result<JournalTotals, Failure> {
    let mut request = admin.backup_request();
    request.get().set_sink(capnp_rpc::new_client(Sink { pieces }));
    // No deadline: a backup may take arbitrarily long, and a lost connection ends it.
    let response = request.send().promise.await.map_err(|error| to_failure(&error))?;
    let kept = response.get().and_then(|results| results.get_kept());
    kept.map(read_totals).map_err(|error| to_failure(&error))
}

pub(crate) async fn verify(admin: admin::Client) -> Result<(JournalTotals, Vec<String>), Failure> {
    let response = admin.verify_request().send().promise.await;
    let response = response.map_err(|error| to_failure(&error))?;
    let results = response.get().map_err(|error| to_failure(&error))?;
    let kept = results.get_kept().map(read_totals).map_err(|error| to_failure(&error))?;
    let list = results.get_damaged().map_err(|error| to_failure(&error))?;
    Ok((kept, list.iter().map(read::text).collect::<Result<_, _>>()?))
}

pub(crate) async fn compact(admin: admin::Client) -> Result<Compacted, Failure> {
    let response = admin.compact_request().send().promise.await;
    let response = response.map_err(|error| to_failure(&error))?;
    let results = response.get().map_err(|error| to_failure(&error))?;
    Ok(Compacted { before: results.get_before(), after: results.get_after() })
}

fn read_totals(kept: kept::Reader<'_>) -> JournalTotals {
    JournalTotals {
        tasks: kept.get_tasks(),
        events: kept.get_events(),
        bodies: kept.get_bodies(),
        snapshots: kept.get_snapshots(),
    }
}

/// Receives the pieces of a backup and passes them to the caller's channel.
struct Sink {
    pieces: mpsc::Sender<Vec<u8>>,
}

impl backup_sink::Server for Sink {
    async fn take(
        self: Rc<Self>,
        params: backup_sink::TakeParams,
        _: backup_sink::TakeResults,
    ) -> Result<(), capnp::Error> {
        let piece = params.get()?.get_piece()?.to_vec();
        let unwanted = |_| to_exception(&Failure::new(Code::Cancelled, "nobody takes the backup"));
        self.pieces.send(piece).await.map_err(unwanted)
    }
}
