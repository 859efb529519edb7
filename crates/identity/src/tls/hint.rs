//! The hint in a peer's first message, by which the other end recognises a peer that it probably
//! knows.

use rustls::pki_types::ServerName;
use sha2::{Digest as _, Sha256};

use super::{Refused, refused};
use crate::ticket;

/// Shown in the clear, as the server's name, before anything is proved. It gives no authority: it
/// only ranks connections when too many peers dial. Only a party that has seen the ticket or the
/// certificate can make one, since TLS 1.3 encrypts both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hint([u8; 16]);

const SUFFIX: &str = ".hint.invalid";

impl Hint {
    /// The hint of a peer that holds `ticket`.
    pub fn of_ticket(ticket: &[u8]) -> Self {
        Self::of_ticket_hash(&ticket::hash(ticket))
    }

    /// The hint of a peer that holds the ticket with this hash.
    pub fn of_ticket_hash(hash: &[u8; 32]) -> Self {
        Self::digest(b"ticket", hash)
    }

    /// The hint of a peer with this certificate (DER).
    pub fn of_certificate(leaf: &[u8]) -> Self {
        Self::digest(b"certificate", leaf)
    }

    fn digest(what: &[u8], of: &[u8]) -> Self {
        let digest = Sha256::new().chain_update(b"remit hint ").chain_update(what);
        let digest = digest.chain_update(of).finalize();
        let mut short = [0; 16];
        short.copy_from_slice(&digest[..16]);
        Self(short)
    }

    pub(super) fn server_name(self) -> Result<ServerName<'static>, Refused> {
        ServerName::try_from(hex::encode(self.0) + SUFFIX).map_err(refused)
    }

    pub(super) fn of_server_name(name: &str) -> Option<Self> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(name.strip_suffix(SUFFIX)?, &mut bytes).ok()?;
        Some(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_survives_its_way_as_a_name() {
        let hint = Hint::of_ticket(&[7; 32]);
        let name = hint.server_name().unwrap();
        assert_eq!(Hint::of_server_name(&name.to_str()), Some(hint));
        for other in ["", "orchestrator.invalid", "00.hint.invalid", "\u{e9}.hint.invalid"] {
            assert_eq!(Hint::of_server_name(other), None);
        }
        // A sign is not a digit, although a parser of numbers accepts it.
        for odd in ["zz", "+f", "-0", " 1"] {
            assert_eq!(Hint::of_server_name(&format!("{}{SUFFIX}", odd.repeat(16))), None, "{odd}");
        }
    }
}
