//! Renewal of a member's certificate, for the identity of its connection.

use remit_core::Identity;
use remit_schema::join_capnp::credentials;

use super::good;
use crate::services::context::Site;

/// Answers a renewal.
pub(super) fn renew(
    site: &Site,
    identity: &Identity,
    params: &credentials::RenewParams,
    results: &mut credentials::RenewResults,
) -> Result<(), capnp::Error> {
    let request = params.get()?.get_signing_request()?;
    let (leaf, authority) = good(site.renew(request, identity))?;
    let mut chain = results.get().init_certificate();
    chain.set_leaf(&leaf);
    chain.set_authority(&authority);
    tracing::info!(%identity, "a certificate was renewed");
    Ok(())
}

/// Implements what every bootstrap object has: `ping`, and `renew` for the connection's identity.
macro_rules! member {
    ($server:ty) => {
        impl remit_schema::peer_capnp::peer::Server for $server {
            async fn ping(
                self: std::rc::Rc<Self>,
                _: remit_schema::peer_capnp::peer::PingParams,
                _: remit_schema::peer_capnp::peer::PingResults,
            ) -> Result<(), capnp::Error> {
                Ok(())
            }
        }

        impl remit_schema::join_capnp::credentials::Server for $server {
            async fn renew(
                self: std::rc::Rc<Self>,
                params: remit_schema::join_capnp::credentials::RenewParams,
                mut results: remit_schema::join_capnp::credentials::RenewResults,
            ) -> Result<(), capnp::Error> {
                $crate::serve::credentials::renew(&self.site, &self.who, &params, &mut results)
            }
        }
    };
}

pub(super) use member;
