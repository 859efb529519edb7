//! Joining a mesh with an invite, and renewing what was got by it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::credential::Credential;
use crate::tls::Refused;

/// One line that lets its holder join once: `remit-join:<host:port>,<CA hash>,<secret>`,
/// hash and secret in base64url.
#[derive(Clone, PartialEq, Eq)]
pub struct Invite {
    /// Where the orchestrator listens, host:port.
    pub address: String,
    /// SHA-256 of the authority's certificate.
    pub authority_hash: [u8; 32],
    /// The single-use secret.
    pub secret: [u8; 32],
}

impl fmt::Display for Invite {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}

impl FromStr for Invite {
    type Err = Refused;
    fn from_str(_line: &str) -> Result<Self, Refused> {
        todo!()
    }
}

/// Redeems an invite: a fresh key is made here and never leaves.
pub async fn redeem(_invite: &Invite, _limit: Duration) -> Result<Credential, Refused> {
    todo!()
}

/// What a joiner sent.
pub struct Request {
    /// The secret of its invite.
    pub secret: Vec<u8>,
    /// PKCS #10, DER.
    pub signing_request: Vec<u8>,
}

/// Reads the one request of a joiner, bounded in size; the caller bounds the time.
pub async fn read_request<S: AsyncRead + Unpin>(_stream: &mut S) -> Result<Request, Refused> {
    todo!()
}

/// Answers it: with (leaf, authority), both DER, or with the reason of a refusal.
pub async fn write_reply<S: AsyncWrite + Unpin>(
    _stream: &mut S,
    _reply: Result<(Vec<u8>, Vec<u8>), String>,
) -> Result<(), Refused> {
    todo!()
}

/// A fresh key with its signing request, for a renewal.
pub struct Renewal {}

impl Renewal {
    /// A fresh key for the holder of `old`.
    pub fn prepare(_old: &Credential) -> Result<Self, Refused> {
        todo!()
    }

    /// What to send to `Credentials.renew`.
    pub fn signing_request(&self) -> &[u8] {
        todo!()
    }

    /// The new credential from the answer: leaf and authority, DER. Checked against the key, the
    /// identity and the authority of the old one.
    pub fn complete(self, _leaf: &[u8], _authority: &[u8]) -> Result<Credential, Refused> {
        todo!()
    }
}
