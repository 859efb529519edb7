//! The certificate authority of a mesh, kept by its orchestrator.

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData,
    SanType, SerialNumber,
};
use remit_core::Identity;
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer, PrivatePkcs8KeyDer};
use sha2::{Digest as _, Sha256};

use crate::credential::{Credential, check_private, make_private_dir, write_private};

/// A small certificate authority.
pub struct Authority {
    mesh: String,
    certificate: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
}

const CERTIFICATE: &str = "authority.der";
const KEY: &str = "authority-key.der";
const MESH: &str = "mesh";

/// How long the authority itself is good. Replacing it means joining everyone anew.
const LIFE: Duration = Duration::from_secs(10 * 365 * 86_400);

/// How far the clocks of members may be behind.
pub(crate) const SKEW: Duration = Duration::from_secs(60);

/// Which membership of its holder a certificate is of. It stands at the beginning of the serial
/// number and outlives renewals, so that a member who joins anew makes all older certificates void.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MembershipId(pub [u8; 8]);

/// The first byte of a serial number that begins with a membership; such a number is positive.
const OF_MEMBERSHIP: u8 = 1;

/// Bytes of such a serial number: the mark, the membership, and as many again by chance.
const SERIAL_BYTES: usize = 17;

impl MembershipId {
    /// One by chance.
    pub fn fresh() -> Self {
        Self(rand::random())
    }

    fn serial(self) -> SerialNumber {
        let by_chance: [u8; 8] = rand::random();
        SerialNumber::from([&[OF_MEMBERSHIP][..], &self.0, &by_chance].concat())
    }

    /// The membership in a serial number; `None`: it holds none.
    pub(crate) fn of_serial(serial: &[u8]) -> Option<Self> {
        let bytes: &[u8; SERIAL_BYTES] = serial.try_into().ok()?;
        (bytes[0] == OF_MEMBERSHIP).then(|| bytes[1..9].try_into().ok().map(Self)).flatten()
    }
}

impl Authority {
    /// Reads the authority in `dir`, or makes one for `mesh` at the first start. Its key has mode
    /// 0600; one that others can read is refused.
    pub fn load_or_create(dir: &Path, mesh: &str) -> io::Result<Self> {
        make_private_dir(dir)?;
        if !dir.join(CERTIFICATE).exists() {
            create(dir, mesh)?;
        }
        check_private(&dir.join(KEY))?;
        let key = std::fs::read(dir.join(KEY))?;
        let key = KeyPair::from_pkcs8_der_and_sign_algo(
            &PrivatePkcs8KeyDer::from(key),
            &rcgen::PKCS_ECDSA_P256_SHA256,
        )
        .map_err(|error| unusable(dir, &error.to_string()))?;
        let certificate = std::fs::read(dir.join(CERTIFICATE))?;
        let made_for = std::fs::read_to_string(dir.join(MESH))?;
        if made_for != mesh {
            let why = format!("it was made for the mesh `{made_for}`, and `{mesh}` was asked for");
            return Err(unusable(dir, &why));
        }
        let der = CertificateDer::from(certificate.clone());
        let issuer = Issuer::from_ca_cert_der(&der, key)
            .map_err(|error| unusable(dir, &error.to_string()))?;
        Ok(Self { mesh: made_for, certificate, issuer })
    }

    /// The name of the mesh that the authority in `dir` was made for.
    pub fn mesh_of(dir: &Path) -> io::Result<String> {
        std::fs::read_to_string(dir.join(MESH))
    }

    /// The name of the mesh it was made for.
    pub fn mesh(&self) -> &str {
        &self.mesh
    }

    /// SHA-256 of its certificate, which an invite pins.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(&self.certificate).into()
    }

    /// The authority's certificate, DER.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// A new key and certificate for `identity`.
    pub fn issue(&self, identity: &Identity, lifetime: Duration) -> io::Result<Credential> {
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let certificate = self.certify(&key, identity, None, lifetime)?;
        Credential::new(certificate, key.serialize_der(), self.certificate.clone())
            .map_err(io::Error::other)
    }

    /// A certificate (DER) for `identity` and the key that made `signing_request` (PKCS #10, DER).
    /// Names and extensions in the request are ignored. `membership`: of its holder, if it has one.
    pub fn sign(
        &self,
        signing_request: &[u8],
        identity: &Identity,
        membership: Option<MembershipId>,
        lifetime: Duration,
    ) -> io::Result<Vec<u8>> {
        let request = CertificateSigningRequestDer::from(signing_request.to_vec());
        let request = CertificateSigningRequestParams::from_der(&request).map_err(|error| {
            io::Error::new(io::ErrorKind::InvalidData, format!("not a signing request: {error}"))
        })?;
        self.certify(&request.public_key, identity, membership, lifetime)
    }

    fn certify(
        &self,
        key: &impl PublicKeyData,
        identity: &Identity,
        membership: Option<MembershipId>,
        lifetime: Duration,
    ) -> io::Result<Vec<u8>> {
        let mut params = CertificateParams::default();
        params.serial_number = membership.map(MembershipId::serial);
        let name = identity.to_string().try_into().map_err(io::Error::other)?;
        params.subject_alt_names = vec![SanType::URI(name)];
        params.distinguished_name = DistinguishedName::new();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let now = SystemTime::now();
        params.not_before = (now - SKEW).into();
        params.not_after = (now + lifetime).into();
        let certificate = params.signed_by(key, &self.issuer).map_err(io::Error::other)?;
        Ok(certificate.der().to_vec())
    }
}

fn create(dir: &Path, mesh: &str) -> io::Result<()> {
    // A name that no member could have would only fail later, and further from its cause.
    Identity::new(mesh, "default", remit_core::Role::Orchestrator, "orchestrator")
        .map_err(io::Error::other)?;
    let key = KeyPair::generate().map_err(io::Error::other)?;
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, format!("Remit mesh {mesh}"));
    let now = SystemTime::now();
    params.not_before = (now - SKEW).into();
    params.not_after = (now + LIFE).into();
    let certificate = params.self_signed(&key).map_err(io::Error::other)?;
    write_private(&dir.join(MESH), mesh.as_bytes())?;
    write_private(&dir.join(KEY), &key.serialize_der())?;
    // The certificate comes last: where it stands, the rest does too.
    write_private(&dir.join(CERTIFICATE), certificate.der())
}

fn unusable(dir: &Path, why: &str) -> io::Error {
    io::Error::other(format!("the authority in {} cannot be used: {why}", dir.display()))
}
