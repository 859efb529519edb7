//! The hold on all that is kept: backups of it, and checks.

use std::rc::Rc;

use remit_core::{Code, Failure, Identity};
use remit_journal::backup::{JournalTotals, NoBackup, write_backup};
use remit_journal::verify::verify;
use remit_journal::{JournalError, SledJournal};
use remit_schema::admin_capnp::{admin, backup_sink, kept};
use remit_vat::connection::within;
use remit_vat::exception::to_exception;
use tokio::sync::mpsc;

use super::caller::Caller;
use crate::limits;
use crate::quota::jobs::Jobs;

/// The hold on a journal.
pub(super) struct AdminServer {
    journal: SledJournal,
    jobs: Rc<Jobs>,
    who: Identity,
}

/// The hold on the journal for this client; if it can have none, each call says why.
pub(super) fn of(caller: &Rc<Caller>) -> admin::Client {
    let site = &caller.site;
    let refuse =
        |code, why: String| capnp_rpc::new_broken_cap(to_exception(&Failure::new(code, why)));
    // It holds the tasks of all tenants.
    if caller.who.tenant() != crate::node::TENANT {
        let why = format!("only clients of the tenant `{}` keep the mesh", crate::node::TENANT);
        return admin::Client { client: refuse(Code::Denied, why) };
    }
    match site.journal.on_disk() {
        Some(journal) => capnp_rpc::new_client(AdminServer {
            journal,
            jobs: Rc::clone(&site.tasks.services().jobs),
            who: caller.who.clone(),
        }),
        None => {
            let why = "this journal is not on a disk, and cannot be backed up or checked";
            admin::Client { client: refuse(Code::Unavailable, why.to_owned()) }
        }
    }
}

impl admin::Server for AdminServer {
    async fn backup(
        self: Rc<Self>,
        params: admin::BackupParams,
        mut results: admin::BackupResults,
    ) -> Result<(), capnp::Error> {
        let sink = params.get()?.get_sink()?;
        let (pieces, mut taken) = mpsc::channel(limits::BACKUP_PIECES);
        let journal = self.journal.clone();
        let reading = self.jobs.offload(&self.who, move || {
            write_backup(&journal, |piece| {
                pieces.blocking_send(piece).map_err(|_| NoBackup::Unwanted)
            })
        });
        let sending = async {
            while let Some(piece) = taken.recv().await {
                send(&sink, piece).await?;
            }
            Ok(())
        };
        // Whichever fails ends the other: what they share is dropped.
        let (read, ()) = tokio::try_join!(reading, sending)
            .map_err(|failure: Failure| to_exception(&failure))?;
        let kept = read.map_err(|error| to_exception(&no_backup(error)))?;
        write_totals(results.get().init_kept(), kept);
        Ok(())
    }

    async fn verify(
        self: Rc<Self>,
        _: admin::VerifyParams,
        mut results: admin::VerifyResults,
    ) -> Result<(), capnp::Error> {
        let journal = self.journal.clone();
        let checked = self.jobs.offload(&self.who, move || verify(&journal)).await;
        let checked = checked.map_err(|failure| to_exception(&failure))?;
        let report = checked.map_err(|error| to_exception(&error.into_failure()))?;
        let mut results = results.get();
        write_totals(results.reborrow().init_kept(), report.kept);
        let count = u32::try_from(report.damaged.len()).unwrap_or(u32::MAX);
        let mut list = results.init_damaged(count);
        for (at, what) in (0..count).zip(&report.damaged) {
            list.set(at, what);
        }
        Ok(())
    }

    async fn compact(
        self: Rc<Self>,
        _: admin::CompactParams,
        mut results: admin::CompactResults,
    ) -> Result<(), capnp::Error> {
        let turn = self.jobs.begin(&self.who).await;
        let _turn = turn.map_err(|failure| to_exception(&failure))?;
        let compacted = self.journal.compact().await;
        let failed = |error: JournalError| to_exception(&error.into_failure());
        let compacted = compacted.map_err(failed)?;
        results.get().set_before(compacted.before);
        results.get().set_after(compacted.after);
        Ok(())
    }
}

async fn send(sink: &backup_sink::Client, piece: Vec<u8>) -> Result<(), Failure> {
    let mut request = sink.take_request();
    request.get().set_piece(&piece);
    within(limits::FOLLOWER, request.send()).await.map(|_| ())
}

fn write_totals(mut to: kept::Builder<'_>, kept: JournalTotals) {
    to.set_tasks(kept.tasks);
    to.set_events(kept.events);
    to.set_bodies(kept.bodies);
    to.set_snapshots(kept.snapshots);
}

fn no_backup(error: NoBackup) -> Failure {
    match error {
        NoBackup::Unwanted => Failure::new(Code::Cancelled, error.to_string()),
        NoBackup::Journal(error) => error.into_failure(),
    }
}
