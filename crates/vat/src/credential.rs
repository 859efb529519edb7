//! A credential: the certificate, key and authority by which a process proves who it is.

mod files;

use std::fmt;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use remit_core::Identity;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

pub use files::write_private;
pub(crate) use files::{check_private, make_private_dir};

/// A certificate with its private key, and the authority that its holder trusts.
#[derive(Clone)]
pub struct Credential {
    certificate: Vec<u8>,
    key: Vec<u8>,
    authority: Vec<u8>,
    described: Described,
}

/// What a certificate says.
#[derive(Clone)]
pub(crate) struct Described {
    pub(crate) identity: Identity,
    pub(crate) not_before: SystemTime,
    pub(crate) not_after: SystemTime,
}

const CERTIFICATE: &str = "certificate.der";
const KEY: &str = "key.der";
const AUTHORITY: &str = "authority.der";

impl Credential {
    /// A credential from its parts, DER: certificate, PKCS #8 key, authority.
    pub(crate) fn new(
        certificate: Vec<u8>,
        key: Vec<u8>,
        authority: Vec<u8>,
    ) -> Result<Self, String> {
        let described = describe(&certificate)?;
        Ok(Self { certificate, key, authority, described })
    }

    /// Reads a credential from the files of `dir`. `None`: there is none.
    pub fn load(dir: &Path) -> io::Result<Option<Self>> {
        let read = |name: &str| match std::fs::read(dir.join(name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io::Error::other(format!("{}: {error}", dir.join(name).display()))),
        };
        let (Some(certificate), Some(key), Some(authority)) =
            (read(CERTIFICATE)?, read(KEY)?, read(AUTHORITY)?)
        else {
            return Ok(None);
        };
        check_private(&dir.join(KEY))?;
        let wrong = |why| {
            io::Error::other(format!(
                "the credential in {} cannot be used: {why}. Remove the folder and join again",
                dir.display()
            ))
        };
        Self::new(certificate, key, authority).map(Some).map_err(wrong)
    }

    /// Writes it to `dir`, which is made with mode 0700; files get mode 0600, each replaced at once,
    /// the certificate last.
    pub fn save(&self, dir: &Path) -> io::Result<()> {
        make_private_dir(dir)?;
        write_private(&dir.join(AUTHORITY), &self.authority)?;
        write_private(&dir.join(KEY), &self.key)?;
        write_private(&dir.join(CERTIFICATE), &self.certificate)
    }

    /// Whose it is.
    pub const fn identity(&self) -> &Identity {
        &self.described.identity
    }

    /// When it begins to be good.
    pub const fn not_before(&self) -> SystemTime {
        self.described.not_before
    }

    /// When it ends.
    pub const fn not_after(&self) -> SystemTime {
        self.described.not_after
    }

    /// When it is to be renewed: at half of its life.
    pub fn half_life(&self) -> SystemTime {
        let life = self.not_after().duration_since(self.not_before()).unwrap_or_default();
        self.not_before() + life / 2
    }

    /// Makes sure that key and certificate belong together.
    pub(crate) fn check_key(&self) -> Result<(), crate::tls::Refused> {
        crate::tls::Acceptor::new(self, &[]).map(|_| ())
    }

    pub(crate) fn authority(&self) -> &[u8] {
        &self.authority
    }

    pub(crate) fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![self.certificate.clone().into(), self.authority.clone().into()]
    }

    pub(crate) fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.clone()))
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({})", self.identity())
    }
}

/// What the certificate says: exactly one name, a SPIFFE one, and when it is good.
pub(crate) fn describe(certificate: &[u8]) -> Result<Described, String> {
    let (_, parsed) = X509Certificate::from_der(certificate)
        .map_err(|error| format!("not a certificate: {error}"))?;
    let names = parsed
        .subject_alternative_name()
        .map_err(|error| format!("its names cannot be read: {error}"))?
        .map(|names| names.value.general_names.clone())
        .unwrap_or_default();
    let [GeneralName::URI(name)] = names[..] else {
        return Err(format!(
            "it carries {} names, and must carry exactly one SPIFFE name",
            names.len()
        ));
    };
    let moment =
        |seconds: i64| UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
    let validity = parsed.validity();
    Ok(Described {
        identity: name
            .parse()
            .map_err(|error: remit_core::identity::NotAnIdentity| error.to_string())?,
        not_before: moment(validity.not_before.timestamp()),
        not_after: moment(validity.not_after.timestamp()),
    })
}
