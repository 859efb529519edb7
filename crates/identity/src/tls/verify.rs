//! Certificate checks: the chain up to one authority, and the dates. SPIFFE names are read after
//! the handshake; there is no DNS name to compare with.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::Refused;

/// The one TLS provider, named here so that no default of the process is needed.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn roots(authority: &[u8]) -> Result<RootCertStore, Refused> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from(authority.to_vec()))
        .map_err(|error| Refused(format!("the authority's certificate is refused: {error}")))?;
    Ok(roots)
}

/// Trusts clients that have a certificate of one authority.
#[derive(Debug)]
pub(super) struct TrustedClient {
    inner: Arc<dyn ClientCertVerifier>,
}

impl TrustedClient {
    pub(super) fn new(authority: &[u8]) -> Result<Self, Refused> {
        let roots = Arc::new(roots(authority)?);
        let inner = WebPkiClientVerifier::builder_with_provider(roots, provider())
            .build()
            .map_err(|error| Refused(error.to_string()))?;
        Ok(Self { inner })
    }
}

impl ClientCertVerifier for TrustedClient {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // Members know their authority, so a list of authorities would only inform strangers.
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.inner.verify_client_cert(leaf, chain, now).map_err(|error| {
            let who = crate::credential::describe(leaf)
                .map_or_else(|why| why, |described| described.identity.to_string());
            Error::General(format!("the certificate of {who}: {error}"))
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Trusts a server that has a certificate of one authority.
#[derive(Debug)]
pub(super) struct TrustedServer {
    trust: Trust,
    provider: Arc<CryptoProvider>,
}

/// The authority that is trusted.
#[derive(Debug)]
enum Trust {
    /// The authority in this store.
    Known(RootCertStore),
    /// The authority with this hash. The server itself sends its certificate.
    Pinned([u8; 32]),
}

impl TrustedServer {
    pub(super) fn new(authority: &[u8]) -> Result<Self, Refused> {
        Ok(Self { trust: Trust::Known(roots(authority)?), provider: provider() })
    }

    pub(super) fn pinned(hash: [u8; 32]) -> Self {
        Self { trust: Trust::Pinned(hash), provider: provider() }
    }
}

impl ServerCertVerifier for TrustedServer {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.trust {
            Trust::Known(roots) => verify_chain(leaf, roots, chain, now, &self.provider),
            Trust::Pinned(hash) => {
                let roots = pinned_roots(chain, hash)?;
                verify_chain(leaf, &roots, chain, now, &self.provider)
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The authority at the end of the chain, if it has this hash.
fn pinned_roots(chain: &[CertificateDer<'_>], hash: &[u8; 32]) -> Result<RootCertStore, Error> {
    let unknown = || Error::InvalidCertificate(CertificateError::UnknownIssuer);
    let authority = chain.last().ok_or_else(unknown)?;
    let shown: [u8; 32] = Sha256::digest(authority).into();
    if !bool::from(shown.ct_eq(hash)) {
        return Err(Error::General(
            "its authority is not the one the invite names: the invite is of another mesh, or someone stands between".into(),
        ));
    }
    roots(authority).map_err(|_| unknown())
}

fn verify_chain(
    leaf: &CertificateDer<'_>,
    roots: &RootCertStore,
    chain: &[CertificateDer<'_>],
    now: UnixTime,
    provider: &CryptoProvider,
) -> Result<ServerCertVerified, Error> {
    let leaf = ParsedCertificate::try_from(leaf)?;
    let algorithms = provider.signature_verification_algorithms.all;
    verify_server_cert_signed_by_trust_anchor(&leaf, roots, chain, now, algorithms)?;
    Ok(ServerCertVerified::assertion())
}
