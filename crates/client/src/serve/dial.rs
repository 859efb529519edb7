//! Dialling the orchestrator over TLS, and renewing the client's certificate.

use std::cell::RefCell;
use std::path::PathBuf;
use std::time::SystemTime;

use capnp::capability::FromClientHook as _;
use futures::future::LocalBoxFuture;
use remit_core::Failure;
use remit_identity::credential::Credential;
use remit_identity::join::Renewal;
use remit_identity::tls::{self, Purpose};
use remit_schema::join_capnp::credentials;
use remit_schema::mesh_capnp::mesh;
use remit_vat::connection::{Connection, ConnectionOptions, within};
use remit_vat::exception::to_failure;
use remit_vat::limits::ConnectionLimits;

use super::session::{Dial, Link};
use crate::client::expired;
use crate::error::Error;
use crate::limits;

/// Dials one address with one credential.
pub(crate) struct Dialer {
    address: String,
    credential: RefCell<Credential>,
    /// The folder to which a renewed credential is written; `None`: memory only.
    home: Option<PathBuf>,
}

impl Dialer {
    pub(crate) const fn new(
        address: String,
        credential: Credential,
        home: Option<PathBuf>,
    ) -> Self {
        Self { address, credential: RefCell::new(credential), home }
    }

    async fn connect(&self) -> Result<Link, Error> {
        let credential = self.credential.borrow().clone();
        if credential.not_after() <= SystemTime::now() {
            return Err(Error::Refused(expired(&credential)));
        }
        let (stream, peer) = tls::dial(&self.address, &credential, Purpose::Peer, limits::CONNECT)
            .await
            .map_err(|refused| {
                Error::Unreachable(format!(
                    "no connection to the mesh at {}: {refused}",
                    self.address
                ))
            })?;
        let options =
            ConnectionOptions { peer: peer.to_string(), limits: ConnectionLimits::default() };
        let (mesh, connection) = Connection::connect::<mesh::Client, _>(stream, None, options);
        let link = Link::new(mesh, connection);
        // A client that connects rarely and briefly never runs `renew`, so it renews here.
        if credential.half_life() <= SystemTime::now() {
            match renewed(&credential, &link).await {
                Ok(new) => self.take(new),
                Err(failure) => tracing::warn!(%failure, "the certificate was not renewed"),
            }
        }
        Ok(link)
    }

    /// Waits until half of the certificate's lifetime has passed, and renews it.
    async fn renew(&self, link: &Link) {
        loop {
            let old = self.credential.borrow().clone();
            if old.half_life() <= SystemTime::now() {
                match renewed(&old, link).await {
                    Ok(new) => return self.take(new),
                    Err(failure) => tracing::warn!(%failure, "the certificate was not renewed"),
                }
            }
            // One long wait would be wrong after a clock change or a suspended machine.
            let left = old.half_life().duration_since(SystemTime::now()).unwrap_or_default();
            let soonest = limits::RENEWAL_RETRY;
            tokio::time::sleep(left.clamp(soonest, limits::RENEWAL_CHECK)).await;
        }
    }

    fn take(&self, credential: Credential) {
        if let Some(home) = &self.home
            && let Err(error) = credential.save(home)
        {
            let home = home.display();
            tracing::warn!(%error, %home, "the renewed certificate could not be kept");
        }
        self.credential.replace(credential);
    }
}

impl Dial for Dialer {
    fn dial(&self) -> LocalBoxFuture<'_, Result<Link, Error>> {
        Box::pin(self.connect())
    }

    fn attend<'a>(&'a self, link: &'a Link) -> LocalBoxFuture<'a, ()> {
        Box::pin(self.renew(link))
    }
}

async fn renewed(old: &Credential, link: &Link) -> Result<Credential, Failure> {
    let failed = |why: String| Failure::new(remit_core::Code::Failed, why);
    let renewal = Renewal::prepare(old).map_err(|refused| failed(refused.to_string()))?;
    let credentials: credentials::Client = link.mesh.clone().cast_to();
    let mut request = credentials.renew_request();
    request.get().set_signing_request(renewal.signing_request());
    let response = within(limits::CALL, request.send()).await?;
    let chain = response.get().and_then(|r| r.get_certificate()).map_err(|e| to_failure(&e))?;
    let (leaf, authority) = chain
        .get_leaf()
        .and_then(|l| Ok((l, chain.get_authority()?)))
        .map_err(|e| to_failure(&e))?;
    renewal.complete(leaf, authority).map_err(|refused| failed(refused.to_string()))
}
