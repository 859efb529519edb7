//! The hold on all that a mesh keeps, and the sink of its backups.

use std::rc::Rc;

use remit_core::{Code, Failure};
use remit_schema::keeper_capnp::{backup_sink, keeper, kept};
use remit_vat::exception::{to_exception, to_failure};
use tokio::sync::mpsc;

use super::read;
use crate::keeper::{Compacted, Kept};

pub(crate) async fn backup(
    keeper: keeper::Client,
    pieces: mpsc::Sender<Vec<u8>>,
) -> Result<Kept, Failure> {
    let mut request = keeper.backup_request();
    request.get().set_sink(capnp_rpc::new_client(Sink { pieces }));
    // No deadline: it takes as long as it takes, and a connection that is lost ends it.
    let response = request.send().promise.await.map_err(|error| to_failure(&error))?;
    let kept = response.get().and_then(|results| results.get_kept());
    kept.map(read_kept).map_err(|error| to_failure(&error))
}

pub(crate) async fn verify(keeper: keeper::Client) -> Result<(Kept, Vec<String>), Failure> {
    let response = keeper.verify_request().send().promise.await;
    let response = response.map_err(|error| to_failure(&error))?;
    let results = response.get().map_err(|error| to_failure(&error))?;
    let kept = results.get_kept().map(read_kept).map_err(|error| to_failure(&error))?;
    let list = results.get_damaged().map_err(|error| to_failure(&error))?;
    Ok((kept, list.iter().map(read::text).collect::<Result<_, _>>()?))
}

pub(crate) async fn compact(keeper: keeper::Client) -> Result<Compacted, Failure> {
    let response = keeper.compact_request().send().promise.await;
    let response = response.map_err(|error| to_failure(&error))?;
    let results = response.get().map_err(|error| to_failure(&error))?;
    Ok(Compacted { before: results.get_before(), after: results.get_after() })
}

fn read_kept(kept: kept::Reader<'_>) -> Kept {
    Kept {
        tasks: kept.get_tasks(),
        events: kept.get_events(),
        bodies: kept.get_bodies(),
        snapshots: kept.get_snapshots(),
    }
}

/// Where the pieces of a backup come in.
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
