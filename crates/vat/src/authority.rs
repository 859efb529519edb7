//! The certificate authority of a mesh, kept by its orchestrator.

use std::io;
use std::path::Path;
use std::time::Duration;

use remit_core::Identity;

use crate::credential::Credential;

/// A small certificate authority.
pub struct Authority {}

impl Authority {
    /// Reads the authority in `dir`, or makes one for `mesh` at the first start. Its key has mode 0600.
    pub fn load_or_create(_dir: &Path, _mesh: &str) -> io::Result<Self> {
        todo!()
    }

    /// The name of the mesh it was made for.
    pub fn mesh(&self) -> &str {
        todo!()
    }

    /// SHA-256 of its certificate, which an invite pins.
    pub fn hash(&self) -> [u8; 32] {
        todo!()
    }

    /// The authority's certificate, DER.
    pub fn certificate(&self) -> &[u8] {
        todo!()
    }

    /// A new key and certificate for `identity`.
    pub fn issue(&self, _identity: &Identity, _lifetime: Duration) -> io::Result<Credential> {
        todo!()
    }

    /// A certificate (DER) for `identity` and the key that made `signing_request` (PKCS #10, DER).
    /// Names and extensions in the request are ignored.
    pub fn sign(
        &self,
        _signing_request: &[u8],
        _identity: &Identity,
        _lifetime: Duration,
    ) -> io::Result<Vec<u8>> {
        todo!()
    }
}
