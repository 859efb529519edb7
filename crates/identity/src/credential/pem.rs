//! A credential as one file, so that key and certificate are replaced in one step.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

const LINE: usize = 64;

/// The DER parts of a credential.
pub(super) struct Parts {
    pub(super) certificate: Vec<u8>,
    pub(super) authority: Vec<u8>,
    pub(super) key: Vec<u8>,
}

/// The text of the file: certificate, authority, key.
pub(super) fn write(certificate: &[u8], authority: &[u8], key: &[u8]) -> String {
    let mut text = String::new();
    let parts = [("CERTIFICATE", certificate), ("CERTIFICATE", authority), ("PRIVATE KEY", key)];
    for (label, der) in parts {
        text.push_str(&format!("-----BEGIN {label}-----\n"));
        let mut rest = &*STANDARD.encode(der);
        while !rest.is_empty() {
            let (line, after) = rest.split_at(LINE.min(rest.len()));
            text.push_str(line);
            text.push('\n');
            rest = after;
        }
        text.push_str(&format!("-----END {label}-----\n"));
    }
    text
}

/// Reads the text of such a file.
pub(super) fn read(text: &[u8]) -> Result<Parts, String> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    let certificates = certificates.map_err(|error| error.to_string())?;
    let [certificate, authority] = &certificates[..] else {
        return Err(format!("it holds {} certificates, not two", certificates.len()));
    };
    let key = PrivatePkcs8KeyDer::from_pem_slice(text).map_err(|error| error.to_string())?;
    Ok(Parts {
        certificate: certificate.to_vec(),
        authority: authority.to_vec(),
        key: key.secret_pkcs8_der().to_vec(),
    })
}
