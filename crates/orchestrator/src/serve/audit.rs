//! The facet `audit`: what was done with authority.

use std::rc::Rc;

use remit_core::audit::Decision;
use remit_core::{Code, Failure};
use remit_schema::audit_capnp::{audit, audit_filter};
use remit_vat::wire::{self, text};

use super::authority::read_task;
use super::caller::Caller;
use super::good;
use crate::audit::{Filter, Reader};

/// The audit of a client's tenant.
struct AuditServer(Rc<Caller>);

/// The audit of the tenant of this client.
pub(super) fn client(caller: &Rc<Caller>) -> audit::Client {
    capnp_rpc::new_client(AuditServer(Rc::clone(caller)))
}

impl AuditServer {
    fn reader(&self) -> Reader<'_> {
        let site = &self.0.site;
        Reader { audit: &site.audit, journal: &*site.journal, tenant: self.0.who.tenant() }
    }
}

impl audit::Server for AuditServer {
    async fn read(
        self: Rc<Self>,
        params: audit::ReadParams,
        mut results: audit::ReadResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let cursor = text(params.get_cursor())?;
        let _turn = good(self.0.site.tasks.services().jobs.begin(&self.0.who).await)?;
        let filter = good(read_filter(params.get_filter()?))?;
        let page = self.reader().page(&filter, &cursor, params.get_limit() as usize);
        let (records, cursor) = good(page)?;
        results.get().set_cursor(&cursor);
        let count = u32::try_from(records.len()).unwrap_or(u32::MAX);
        let mut list = results.get().init_records(count);
        for (at, record) in (0..count).zip(&records) {
            wire::audit::write(list.reborrow().get(at), record);
        }
        Ok(())
    }

    async fn verify(
        self: Rc<Self>,
        params: audit::VerifyParams,
        mut results: audit::VerifyResults,
    ) -> Result<(), capnp::Error> {
        let cursor = text(params.get()?.get_cursor())?;
        let _turn = good(self.0.site.tasks.services().jobs.begin(&self.0.who).await)?;
        let checked = good(self.reader().verify(&cursor))?;
        let mut results = results.get();
        results.set_checked(checked.count);
        results.set_cursor(&checked.cursor);
        let count = u32::try_from(checked.broken.len()).unwrap_or(u32::MAX);
        let mut broken = results.init_broken(count);
        for (at, line) in (0..count).zip(&checked.broken) {
            broken.set(at, line);
        }
        Ok(())
    }
}

fn read_filter(r: audit_filter::Reader<'_>) -> Result<Filter, Failure> {
    let decision = text(r.get_decision())?;
    Ok(Filter {
        task: read_task(&text(r.get_task())?)?,
        who: text(r.get_who())?,
        tool: text(r.get_tool())?,
        decision: match decision.as_str() {
            "" => None,
            name => Some(Decision::parse(name).ok_or_else(|| {
                let known = Decision::ALL.map(Decision::as_str).join(", ");
                let why = format!("`{name}` is no decision: {known}");
                Failure::new(Code::InvalidArgument, why)
            })?),
        },
        since_ms: r.get_since_ms(),
    })
}
