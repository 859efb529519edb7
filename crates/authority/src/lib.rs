//! The certificate authority of a mesh, kept by its orchestrator.
//!
//! For: signing the certificates of members ([`Authority`]). Not for: deciding who may have a
//! certificate, and what members do with theirs. Members do not need this crate.

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
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use remit_identity::credential::{
    Credential, MembershipId, SKEW, check_private, make_private_dir, write_private,
};

/// A small certificate authority.
pub struct Authority {
    mesh: String,
    certificate: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
}

const CERTIFICATE: &str = "authority.der";
const KEY: &str = "authority-key.der";
const MESH: &str = "mesh";

/// The lifetime of the authority. To replace the authority, all members must join again.
const LIFE: Duration = Duration::from_secs(10 * 365 * 86_400);

impl Authority {
    /// Reads the authority in `dir`, or makes one for `mesh` if there is none. The key file has
    /// mode 0600; a key that others can read is refused, and so is an authority of another mesh.
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

    /// The name of the mesh that the authority was made for.
    pub fn mesh(&self) -> &str {
        &self.mesh
    }

    /// SHA-256 of the authority's certificate, which an invite pins.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(&self.certificate).into()
    }

    /// The authority's certificate (DER).
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// Issues a new key and a certificate for `identity`.
    pub fn issue(&self, identity: &Identity, lifetime: Duration) -> io::Result<Credential> {
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let certificate = self.certify(&key, identity, None, lifetime)?;
        Credential::new(certificate, key.serialize_der(), self.certificate.clone())
            .map_err(io::Error::other)
    }

    /// Signs a certificate (DER) for `identity` and the key that made `signing_request` (PKCS #10,
    /// DER). Names and extensions in the request are ignored. `membership` is the holder's, if it
    /// has one. Fails if the request is malformed or its kind of key is unsupported.
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
        let certificate = self.certify(&request.public_key, identity, membership, lifetime)?;
        check_same_key(signing_request, &certificate)?;
        Ok(certificate)
    }

    fn certify(
        &self,
        key: &impl PublicKeyData,
        identity: &Identity,
        membership: Option<MembershipId>,
        lifetime: Duration,
    ) -> io::Result<Vec<u8>> {
        let mut params = CertificateParams::default();
        params.serial_number =
            membership.map(|membership| SerialNumber::from(membership.fresh_serial()));
        let name = identity.to_string().try_into().map_err(io::Error::other)?;
        params.subject_alt_names = vec![SanType::URI(name)];
        params.distinguished_name = DistinguishedName::new();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let now = SystemTime::now();
        // The clocks of peers may be behind by this much.
        params.not_before = (now - SKEW).into();
        params.not_after = (now + lifetime).into();
        let certificate = params.signed_by(key, &self.issuer).map_err(io::Error::other)?;
        Ok(certificate.der().to_vec())
    }
}

/// Refuses a certificate for another key than the one in the request (both DER). rcgen derives the
/// kind of key from the request's signature, by which P-384 with SHA-256 looks like P-256.
fn check_same_key(signing_request: &[u8], certificate: &[u8]) -> io::Result<()> {
    let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    let (_, request) = X509CertificationRequest::from_der(signing_request)
        .map_err(|error| invalid(format!("not a signing request: {error}")))?;
    let (_, certificate) = X509Certificate::from_der(certificate)
        .map_err(|error| invalid(format!("not a certificate: {error}")))?;
    if request.certification_request_info.subject_pki.raw == certificate.public_key().raw {
        return Ok(());
    }
    let why = "keys of this kind with this signature are not signed: use ECDSA on P-256 with SHA-256, \
               ECDSA on P-384 with SHA-384, Ed25519, or RSA with SHA-256";
    Err(invalid(why.into()))
}

fn create(dir: &Path, mesh: &str) -> io::Result<()> {
    // A name that no member could have is refused here, because it would fail later and further
    // from its cause.
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
    // The certificate comes last: if it exists, the other files do too.
    write_private(&dir.join(CERTIFICATE), certificate.der())
}

fn unusable(dir: &Path, why: &str) -> io::Error {
    io::Error::other(format!("the authority in {} cannot be used: {why}", dir.display()))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use remit_core::Role;

    use super::*;

    /// A request for a key on P-384, signed with SHA-256.
    const P384_WITH_SHA256: &str = "MIH3MH8CAQAwADB2MBAGByqGSM49AgEGBSuBBAAiA2IABCQB/UENbC9pmmyATl3iH+Q0wrSmUq9fZLkXY6wf\
        BwYmNncaF+p5dGD6Vdmjk4Bq/2p6TQY6gm4XVpfjZbYvYc0hmCAq5Fp8ApJHW1iSLkiNviNq12j8IXlFNJny\
        FtJx8KAAMAoGCCqGSM49BAMCA2gAMGUCMQD4h36c3LBhDXzupgkTXtQIjaYYuK3fPBOTapUiz/Ga/bFLtOBH\
        r6fZp3mGN79HE+wCMC/iOhHNBOyuhDZfmFDzHipz6b1ag13gKT0uzRKfNwXdcH+W4Z/G7ZMJ/bE7Aytl/Q==";

    #[test]
    fn a_request_is_signed_for_its_own_key_or_refused() {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::load_or_create(dir.path(), "home").unwrap();
        let who = Identity::new("home", "default", Role::ToolNode, "one").unwrap();
        let sign = |request: &[u8]| authority.sign(request, &who, None, Duration::from_secs(60));
        for kind in
            [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519]
        {
            let key = KeyPair::generate_for(kind).unwrap();
            let request = CertificateParams::default().serialize_request(&key).unwrap();
            sign(request.der()).unwrap();
        }
        let said = sign(&STANDARD.decode(P384_WITH_SHA256).unwrap()).unwrap_err().to_string();
        assert!(said.contains("P-384 with SHA-384"), "{said}");
    }
}
