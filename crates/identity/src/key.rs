//! A fresh key, and the request that an authority signs it by.

use std::fmt;

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};

use crate::tls::Refused;

/// A P-256 key made by this process.
pub(crate) struct FreshKey {
    /// The key (PKCS #8, DER).
    pub(crate) pkcs8: Vec<u8>,
    /// The signing request (PKCS #10, DER).
    pub(crate) signing_request: Vec<u8>,
}

/// The signed part of a request (RFC 2986), up to the bytes of the key: version 0, no name, and the
/// kind of key. The authority ignores names and extensions, so there are none, and every length is
/// known.
const INFO: &[u8] = &[
    0x30, 0x62, // The info: 98 bytes.
    0x02, 0x01, 0x00, // Version 0.
    0x30, 0x00, // No name.
    0x30, 0x59, // The public key: 89 bytes.
    0x30, 0x13, // Its kind: id-ecPublicKey, prime256v1.
    0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, //
    0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, //
    0x03, 0x42, 0x00, // The point follows: 65 bytes.
];

/// No attributes. This ends the signed part.
const NO_ATTRIBUTES: &[u8] = &[0xa0, 0x00];

/// The kind of signature: ecdsa-with-SHA256.
const ALGORITHM: &[u8] = &[0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];

impl FreshKey {
    /// Makes a key from the operating system's randomness.
    pub(crate) fn generate() -> Result<Self, Refused> {
        let chance = SystemRandom::new();
        let refused = |why: &dyn fmt::Display| Refused(format!("a key cannot be made: {why}"));
        let kind = &ECDSA_P256_SHA256_ASN1_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(kind, &chance).map_err(|e| refused(&e))?;
        let pkcs8 = pkcs8.as_ref().to_vec();
        let key = EcdsaKeyPair::from_pkcs8(kind, &pkcs8, &chance).map_err(|e| refused(&e))?;
        let info = [INFO, key.public_key().as_ref(), NO_ATTRIBUTES].concat();
        let signature = key.sign(&chance, &info).map_err(|e| refused(&e))?;
        // A signature has at most 72 bytes, so its length fits one byte and the whole length fits
        // two.
        let length = |bytes: usize| u8::try_from(bytes).map_err(|e| refused(&e));
        let signature = signature.as_ref();
        let bits = [&[0x03, length(signature.len() + 1)?, 0x00], signature].concat();
        let body = [&info[..], ALGORITHM, &bits].concat();
        let signing_request = [&[0x30, 0x81, length(body.len())?], &body[..]].concat();
        Ok(Self { pkcs8, signing_request })
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateSigningRequestParams, PublicKeyData as _};

    use super::*;

    #[test]
    fn a_signing_request_is_read_and_its_signature_is_good() {
        for _ in 0..100 {
            let fresh = FreshKey::generate().unwrap();
            let request = fresh.signing_request.clone().into();
            let read = CertificateSigningRequestParams::from_der(&request).unwrap();
            let chance = SystemRandom::new();
            let kind = &ECDSA_P256_SHA256_ASN1_SIGNING;
            let key = EcdsaKeyPair::from_pkcs8(kind, &fresh.pkcs8, &chance).unwrap();
            assert_eq!(read.public_key.der_bytes(), key.public_key().as_ref());
            let mut forged = fresh.signing_request;
            let last = forged.len() - 1;
            forged[last] ^= 1;
            assert!(CertificateSigningRequestParams::from_der(&forged.into()).is_err());
        }
    }
}
