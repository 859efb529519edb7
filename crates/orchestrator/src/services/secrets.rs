//! Secrets that an operator keeps in files, by which posts are signed: read for each post, and never
//! kept or shown.

use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use hmac::{Hmac, Mac as _};
use remit_core::{Code, Failure};
use remit_vat::vat::offload;
use sha2::Sha256;

use crate::limits;

/// The secret in this file.
///
/// # Errors
/// `failed` if there is none that can be used; says which file, and never a byte of it.
pub async fn of_file(path: PathBuf) -> Result<Vec<u8>, Failure> {
    let read = offload(move || read(&path)).await;
    let read = read.map_err(|error| Failure::new(Code::Failed, error.to_string()))?;
    read.map_err(|why| Failure::new(Code::Failed, why))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let shown = path.display();
    let unread = |error: std::io::Error| {
        format!(
            "the secret in {shown} cannot be read ({error}): write it there, for the orchestrator alone to read"
        )
    };
    let about = std::fs::metadata(path).map_err(unread)?;
    if !about.is_file() || about.mode() & 0o077 != 0 {
        return Err(format!(
            "{shown} must be a file that its owner alone can read: `chmod 600` it"
        ));
    }
    let mut secret = Vec::new();
    let file = std::fs::File::open(path).map_err(unread)?;
    file.take(limits::SECRET_BYTES).read_to_end(&mut secret).map_err(unread)?;
    let end = secret.iter().rposition(|byte| !byte.is_ascii_whitespace());
    secret.truncate(end.map_or(0, |last| last + 1));
    if secret.len() < limits::SECRET_LEAST {
        return Err(format!(
            "the secret in {shown} is shorter than {} bytes and could be guessed",
            limits::SECRET_LEAST
        ));
    }
    Ok(secret)
}

/// The signature in a header of GitHub's form, `sha256=` and 64 hexadecimal digits.
pub fn signature(header: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(header.trim().strip_prefix("sha256=")?, &mut bytes).ok()?;
    Some(bytes)
}

/// The signature of `body` under `secret`, in the same form.
pub fn signed(secret: &[u8], body: &[u8]) -> Option<String> {
    let signature = keyed(secret, body)?.finalize().into_bytes();
    Some(format!("sha256={}", hex::encode(signature)))
}

/// Whether this is the signature of `body` under `secret`; takes as long wherever they differ.
pub fn is_signed(secret: &[u8], body: &[u8], signature: &[u8; 32]) -> bool {
    keyed(secret, body).is_some_and(|keyed| keyed.verify_slice(signature).is_ok())
}

fn keyed(secret: &[u8], body: &[u8]) -> Option<Hmac<Sha256>> {
    let mut keyed = Hmac::<Sha256>::new_from_slice(secret).ok()?;
    keyed.update(body);
    Some(keyed)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// The example in GitHub's documentation of webhooks.
    #[test]
    fn signatures_are_those_of_github() {
        let (secret, body) = (b"It's a Secret to Everybody", b"Hello, World!");
        let header = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let given = signature(header).unwrap();
        assert_eq!(signed(secret, body).unwrap(), header);
        assert!(is_signed(secret, body, &given));
        assert!(!is_signed(secret, b"Hello, World?", &given));
        assert!(!is_signed(b"another", body, &given));
    }

    #[test]
    fn what_is_no_signature_is_none() {
        let good = "7".repeat(64);
        assert!(signature(&format!("sha256={good}")).is_some());
        for wrong in ["", "sha256=", &good, &format!("sha1={good}"), &format!("sha256={good}7")] {
            assert_eq!(signature(wrong), None, "{wrong}");
        }
        assert_eq!(signature(&format!("sha256={}", "+7".repeat(32))), None);
        assert_eq!(signature(&format!("sha256={}", "é".repeat(32))), None);
    }

    #[tokio::test]
    async fn secret_that_others_can_read_or_guess_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("build");
        let mode =
            |bits| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(bits)).unwrap();
        let missing = of_file(file.clone()).await.unwrap_err();
        assert!(missing.message.contains("build"), "{missing}");
        std::fs::write(&file, "a long enough secret\n").unwrap();
        mode(0o644);
        assert!(of_file(file.clone()).await.unwrap_err().message.contains("chmod 600"));
        mode(0o600);
        assert_eq!(of_file(file.clone()).await.unwrap(), b"a long enough secret");
        std::fs::write(&file, "short\n").unwrap();
        let short = of_file(file.clone()).await.unwrap_err();
        assert!(short.message.contains("guessed") && !short.message.contains("short\n"), "{short}");
    }
}
