//! A credential: the certificate, key and authority with which a process proves its identity.

mod files;
mod pem;

use std::fmt;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use remit_core::Identity;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

pub use files::{check_private, check_writable, make_private_dir, write_private};

/// A certificate with its private key, and the authority that its holder trusts.
#[derive(Clone)]
pub struct Credential {
    certificate: Vec<u8>,
    key: Vec<u8>,
    authority: Vec<u8>,
    described: Described,
}

/// The contents of a certificate.
#[derive(Clone)]
pub(crate) struct Described {
    pub(crate) identity: Identity,
    pub(crate) not_before: SystemTime,
    pub(crate) not_after: SystemTime,
    pub(crate) membership: Option<MembershipId>,
}

const FILE: &str = "credential.pem";

/// How far the clocks of members may be behind. Certificates begin earlier by as much.
pub const SKEW: Duration = Duration::from_secs(60);

/// The membership that a certificate belongs to. It begins the serial number and survives renewals,
/// so when a member joins again, all its older certificates become void.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MembershipId(pub [u8; 8]);

/// The first byte of a serial number that begins with a membership. It keeps the number positive.
const OF_MEMBERSHIP: u8 = 1;

/// Bytes of such a serial number: the mark, the membership, and eight random bytes.
const SERIAL_BYTES: usize = 17;

impl MembershipId {
    /// A random membership.
    pub fn fresh() -> Self {
        Self(rand::random())
    }

    /// A new serial number, of 17 bytes, for a certificate of this membership.
    pub fn fresh_serial(self) -> Vec<u8> {
        let by_chance: [u8; 8] = rand::random();
        [&[OF_MEMBERSHIP][..], &self.0, &by_chance].concat()
    }

    /// The membership in a serial number. `None`: the number holds none.
    pub(crate) fn of_serial(serial: &[u8]) -> Option<Self> {
        let bytes: &[u8; SERIAL_BYTES] = serial.try_into().ok()?;
        (bytes[0] == OF_MEMBERSHIP).then(|| bytes[1..9].try_into().ok().map(Self)).flatten()
    }
}

impl Credential {
    /// A credential of these DER parts: certificate, PKCS #8 key, authority.
    pub fn new(certificate: Vec<u8>, key: Vec<u8>, authority: Vec<u8>) -> Result<Self, String> {
        let described = describe(&certificate)?;
        Ok(Self { certificate, key, authority, described })
    }

    /// Reads the credential in `dir`. `None`: there is none. A file that others can read is
    /// refused, since it holds the key.
    pub fn load(dir: &Path) -> io::Result<Option<Self>> {
        let path = dir.join(FILE);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io::Error::other(format!("{}: {error}", path.display()))),
        };
        check_private(&path)?;
        pem::read(&text)
            .and_then(|parts| Self::new(parts.certificate, parts.key, parts.authority))
            .map(Some)
            .map_err(|why| {
                let path = path.display();
                io::Error::other(format!("{path} cannot be used: {why}. Remove it and join again"))
            })
    }

    /// Writes the credential to `dir`, which is made with mode 0700 if it is missing. The one file,
    /// `credential.pem` with mode 0600, replaces the old one atomically.
    pub fn save(&self, dir: &Path) -> io::Result<()> {
        make_private_dir(dir)?;
        let text = pem::write(&self.certificate, &self.authority, &self.key);
        write_private(&dir.join(FILE), text.as_bytes())
    }

    /// The same certificate and key, for a holder that trusts another authority (DER).
    pub fn trusting(self, authority: Vec<u8>) -> Self {
        Self { authority, ..self }
    }

    /// The identity of the holder.
    pub const fn identity(&self) -> &Identity {
        &self.described.identity
    }

    /// The beginning of the certificate's validity.
    pub const fn not_before(&self) -> SystemTime {
        self.described.not_before
    }

    /// The end of the certificate's validity.
    pub const fn not_after(&self) -> SystemTime {
        self.described.not_after
    }

    /// The time of renewal: half of the certificate's life, counted from its issue, which is later
    /// than the beginning of its validity.
    pub fn half_life(&self) -> SystemTime {
        let issued = self.not_before() + SKEW;
        let life = self.not_after().duration_since(issued).unwrap_or_default();
        issued + life / 2
    }

    /// Checks that key and certificate belong together.
    pub(crate) fn check_key(&self) -> Result<(), crate::tls::Refused> {
        crate::tls::Acceptor::new(self, &[]).map(|_| ())
    }

    pub(crate) fn authority(&self) -> &[u8] {
        &self.authority
    }

    pub(crate) fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![self.certificate.clone().into(), self.authority.clone().into()]
    }

    /// The hint that the holder shows in its first message.
    pub(crate) fn hint(&self) -> crate::tls::Hint {
        crate::tls::Hint::of_certificate(&self.certificate)
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

/// Reads a certificate, which must carry exactly one name, a SPIFFE name.
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
        membership: MembershipId::of_serial(parsed.raw_serial()),
    })
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    fn refusal(names: Vec<SanType>) -> String {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        describe(certificate.der()).err().unwrap()
    }

    #[test]
    fn a_certificate_must_carry_exactly_one_name() {
        let uri = |name: &str| SanType::URI(name.try_into().unwrap());
        let good = || uri("spiffe://home/default/client/one");
        let dns = SanType::DnsName("localhost".try_into().unwrap());
        assert!(refusal(vec![]).contains("0 names"));
        assert!(refusal(vec![good(), good()]).contains("2 names"));
        assert!(refusal(vec![good(), dns.clone()]).contains("2 names"));
        assert!(refusal(vec![dns]).contains("1 names"));
        assert!(!refusal(vec![uri("https://home/default/client/one")]).is_empty());
    }
}
