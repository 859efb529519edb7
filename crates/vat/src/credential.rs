//! A credential: the certificate, key and authority by which a process proves who it is.

use std::io;
use std::path::Path;
use std::time::SystemTime;

use remit_core::Identity;

/// A certificate chain with its private key, and the authority that its holder trusts.
#[derive(Clone)]
pub struct Credential {}

impl Credential {
    /// Reads a credential from `identity.pem` and `key.pem` and `authority.pem` in `dir`.
    /// `None`: there is none.
    pub fn load(_dir: &Path) -> io::Result<Option<Self>> {
        todo!()
    }

    /// Writes it to `dir`, which is made with mode 0700; files get mode 0600, each replaced at once.
    pub fn save(&self, _dir: &Path) -> io::Result<()> {
        todo!()
    }

    /// Whose it is.
    pub fn identity(&self) -> &Identity {
        todo!()
    }

    /// When it begins to be good.
    pub fn not_before(&self) -> SystemTime {
        todo!()
    }

    /// When it ends.
    pub fn not_after(&self) -> SystemTime {
        todo!()
    }
}
