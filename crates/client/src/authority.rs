//! The authority in a mesh: who holds which grant, the audit of its use, and revocation.

use crate::client::Client;
use crate::error::Error;
use crate::info::{AuditCheck, AuditFilter, AuditPage, Holding, Selection};
use crate::serve::authority;
use crate::serve::session::Repeat;

impl Client {
    /// Reads a page of audit records. `cursor` is empty for the first page, then the cursor of the
    /// page before.
    ///
    /// ```no_run
    /// # async fn example(mesh: remit_client::Client) -> Result<(), remit_client::Error> {
    /// use remit_client::AuditFilter;
    ///
    /// let denied = AuditFilter { decision: "denied".into(), ..AuditFilter::default() };
    /// let mut cursor = String::new();
    /// loop {
    ///     let page = mesh.audit(&denied, &cursor).await?;
    ///     for record in &page.records {
    ///         println!("{record:?}");
    ///     }
    ///     cursor = page.cursor;
    ///     if cursor.is_empty() {
    ///         break;
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Failed`] with `invalid-argument` if the filter names an unknown decision.
    pub async fn audit(&self, filter: &AuditFilter, cursor: &str) -> Result<AuditPage, Error> {
        let (filter, cursor) = (filter.clone(), cursor.to_owned());
        self.visit(async move |session| {
            let (filter, cursor) = (&filter, &cursor);
            session.ask(Repeat::Harmless, |m| authority::audit(m, filter, cursor)).await
        })
        .await
    }

    /// Verifies the next part of the audit's hash chains. `cursor` works as in
    /// [`audit`](Self::audit).
    ///
    /// # Errors
    /// As for any call: see [`Error`]. A broken chain is a result, not an error.
    pub async fn verify_audit(&self, cursor: &str) -> Result<AuditCheck, Error> {
        let cursor = cursor.to_owned();
        self.visit(async move |session| {
            let cursor = &cursor;
            session.ask(Repeat::Harmless, |m| authority::verify_audit(m, cursor)).await
        })
        .await
    }

    /// Lists every grant in force that matches `which`, over all tasks.
    ///
    /// # Errors
    /// As for any call: see [`Error`].
    pub async fn holders(&self, which: &Selection) -> Result<Vec<Holding>, Error> {
        let which = which.clone();
        self.visit(async move |session| {
            let which = &which;
            session.ask(Repeat::Harmless, |m| authority::holders(m, which)).await
        })
        .await
    }

    /// Revokes every grant that matches `which`, with all grants narrowed from it, and returns
    /// those that were revoked. On return the revocation is on disk and no further call passes. The
    /// first 1,000 characters of `reason` are kept.
    ///
    /// ```no_run
    /// # async fn example(mesh: remit_client::Client) -> Result<(), remit_client::Error> {
    /// use remit_client::Selection;
    ///
    /// let shells = Selection { tool: "shell".into(), ..Selection::default() };
    /// for cut in mesh.revoke_all(&shells, "nobody runs programs today").await? {
    ///     println!("{} {}", cut.task, cut.grant.name);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Failed`] with `invalid-argument` if `which` is empty: it would match everything.
    pub async fn revoke_all(&self, which: &Selection, reason: &str) -> Result<Vec<Holding>, Error> {
        let (which, reason) = (which.clone(), reason.to_owned());
        self.visit(async move |session| {
            let (which, reason) = (&which, &reason);
            session.ask(Repeat::Harmless, |m| authority::revoke_all(m, which, reason)).await
        })
        .await
    }
}
