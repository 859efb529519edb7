//! Joining a mesh with an invite, and renewing the certificate.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use capnp::message::{Builder, ReaderOptions};
use remit_core::Role;
use remit_schema::join_capnp::{join_reply, join_request};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::credential::Credential;
use crate::key::FreshKey;
use crate::limits::JOIN_MESSAGE_BYTES;
use crate::tls::{Refused, dial_pinned};

const PREFIX: &str = "remit-join:";

/// An invite: one line that lets its holder join once, `remit-join:<host:port>,<CA hash>,<secret>`,
/// with hash and secret in base64url.
#[derive(Clone, PartialEq, Eq)]
pub struct Invite {
    /// The address of the orchestrator, host:port.
    pub address: String,
    /// SHA-256 of the authority's certificate.
    pub authority_hash: [u8; 32],
    /// The single-use secret.
    pub secret: [u8; 32],
}

impl fmt::Display for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hash, secret) = (BASE64.encode(self.authority_hash), BASE64.encode(self.secret));
        write!(f, "{PREFIX}{},{hash},{secret}", self.address)
    }
}

impl fmt::Debug for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Invite({}, secret withheld)", self.address)
    }
}

impl FromStr for Invite {
    type Err = Refused;

    fn from_str(line: &str) -> Result<Self, Refused> {
        let wrong = || {
            Refused(format!(
                "not an invite: one is a line `{PREFIX}<host:port>,<hash>,<secret>`, as `remit invite` prints it"
            ))
        };
        let parts = line.trim().strip_prefix(PREFIX).ok_or_else(wrong)?;
        let parts: Vec<&str> = parts.split(',').collect();
        let [address, hash, secret] = parts[..] else { return Err(wrong()) };
        let bytes = |text: &str| -> Result<[u8; 32], Refused> {
            BASE64.decode(text).ok().and_then(|bytes| bytes.try_into().ok()).ok_or_else(wrong)
        };
        if !address.contains(':') {
            return Err(wrong());
        }
        Ok(Self {
            address: address.to_owned(),
            authority_hash: bytes(hash)?,
            secret: bytes(secret)?,
        })
    }
}

/// Redeems an invite for `role`. The key is made here and never leaves this process. An invite for
/// another role is refused and stays valid.
pub async fn redeem(invite: &Invite, role: Role, limit: Duration) -> Result<Credential, Refused> {
    let (mut stream, authority) =
        dial_pinned(&invite.address, invite.authority_hash, limit).await?;
    let key = FreshKey::generate()?;
    let exchange = async {
        let mut message = Builder::new_default();
        let mut request: join_request::Builder<'_> = message.init_root();
        request.set_secret(&invite.secret);
        request.set_signing_request(&key.signing_request);
        request.set_role(role.as_str());
        send(&mut stream, &message).await?;
        receive(&mut stream).await
    };
    let reply = tokio::time::timeout(limit, exchange)
        .await
        .map_err(|_| Refused(format!("{} did not answer within {limit:?}", invite.address)))??;
    let reply = reply.get_root::<join_reply::Reader<'_>>().map_err(refused)?;
    match reply.which().map_err(refused)? {
        join_reply::Certificate(chain) => {
            let leaf = chain.and_then(|chain| chain.get_leaf()).map_err(refused)?;
            let joined = Credential::new(leaf.to_vec(), key.pkcs8, authority);
            let joined = joined.map_err(Refused)?;
            joined.check_key()?;
            Ok(joined)
        }
        join_reply::Refused(why) => {
            let why = why.map_err(refused)?.to_str().map_err(refused)?;
            Err(Refused(why.chars().take(1000).collect()))
        }
    }
}

/// A request to join.
pub struct Request {
    /// The secret of the invite.
    pub secret: Vec<u8>,
    /// The signing request (PKCS #10, DER).
    pub signing_request: Vec<u8>,
    /// The role that the joiner wants.
    pub role: String,
}

/// Reads the one request of a joiner. Its size is bounded here; the caller must bound the time.
pub async fn read_request<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Request, Refused> {
    let message = receive(stream).await?;
    let request = message.get_root::<join_request::Reader<'_>>().map_err(refused)?;
    Ok(Request {
        secret: request.get_secret().map_err(refused)?.to_vec(),
        signing_request: request.get_signing_request().map_err(refused)?.to_vec(),
        role: request.get_role().and_then(|role| Ok(role.to_string()?)).map_err(refused)?,
    })
}

/// Answers a request to join: with leaf and authority (both DER), or with the reason for the
/// refusal.
pub async fn write_reply<S: AsyncWrite + Unpin>(
    stream: &mut S,
    reply: Result<(Vec<u8>, Vec<u8>), String>,
) -> Result<(), Refused> {
    let mut message = Builder::new_default();
    let mut builder: join_reply::Builder<'_> = message.init_root();
    match reply {
        Ok((leaf, authority)) => {
            let mut chain = builder.init_certificate();
            chain.set_leaf(&leaf);
            chain.set_authority(&authority);
        }
        Err(why) => builder.set_refused(&why),
    }
    send(stream, &message).await?;
    stream.shutdown().await.map_err(refused)
}

/// A fresh key with its signing request, for a renewal.
pub struct Renewal {
    key: FreshKey,
    old: Credential,
}

impl Renewal {
    /// Makes a fresh key for the holder of `old`.
    pub fn prepare(old: &Credential) -> Result<Self, Refused> {
        Ok(Self { key: FreshKey::generate()?, old: old.clone() })
    }

    /// The signing request to send to `Credentials.renew`.
    pub fn signing_request(&self) -> &[u8] {
        &self.key.signing_request
    }

    /// Makes the new credential from the answer: leaf and authority (DER). They must match the new
    /// key, and the identity and authority of the old credential.
    pub fn complete(self, leaf: &[u8], authority: &[u8]) -> Result<Credential, Refused> {
        if authority != self.old.authority() {
            return Err(Refused("the renewed certificate is of another authority".into()));
        }
        let renewed = Credential::new(leaf.to_vec(), self.key.pkcs8, authority.to_vec());
        let renewed = renewed.map_err(Refused)?;
        if renewed.identity() != self.old.identity() {
            let why = format!("the renewed certificate is of {}", renewed.identity());
            return Err(Refused(why));
        }
        renewed.check_key()?;
        Ok(renewed)
    }
}

/// Sends one message after its length, which takes four bytes, least significant first.
async fn send<S: AsyncWrite + Unpin>(
    stream: &mut S,
    message: &Builder<capnp::message::HeapAllocator>,
) -> Result<(), Refused> {
    let bytes = capnp::serialize::write_message_to_words(message);
    let length = u32::try_from(bytes.len()).map_err(refused)?;
    stream.write_all(&length.to_le_bytes()).await.map_err(refused)?;
    stream.write_all(&bytes).await.map_err(refused)?;
    stream.flush().await.map_err(refused)
}

async fn receive<S: AsyncRead + Unpin>(
    stream: &mut S,
) -> Result<capnp::message::Reader<capnp::serialize::OwnedSegments>, Refused> {
    let length = stream.read_u32_le().await.map_err(refused)? as usize;
    if length > JOIN_MESSAGE_BYTES {
        return Err(Refused(format!("a join message of {length} bytes")));
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await.map_err(refused)?;
    let mut options = ReaderOptions::new();
    // A message may claim to be longer than it is. The claim must not decide how much memory is
    // taken.
    options.traversal_limit_in_words(Some(JOIN_MESSAGE_BYTES / 8));
    capnp::serialize::read_message(&bytes[..], options).map_err(refused)
}

fn refused(error: impl fmt::Display) -> Refused {
    Refused(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invite() -> Invite {
        let address = "mesh.example:7474".to_owned();
        Invite { address, authority_hash: [7; 32], secret: [0xab; 32] }
    }

    #[test]
    fn an_invite_is_one_line_that_reads_back() {
        let line = invite().to_string();
        assert!(line.starts_with("remit-join:mesh.example:7474,") && !line.contains(['\n', '=']));
        assert_eq!(format!("{line}\n").parse::<Invite>().unwrap(), invite());
    }

    #[test]
    fn an_invite_is_not_shown_by_debug() {
        let shown = format!("{:?}", invite());
        assert!(!shown.contains("q6ur") && !shown.contains("171"), "{shown}");
    }

    #[test]
    fn malformed_invites_are_refused() {
        let line = invite().to_string();
        let cut = &line[..line.len() - 4];
        for wrong in ["", "remit-join:", "remit-join:a:1,b,c", cut, &line[6..]] {
            assert!(wrong.parse::<Invite>().unwrap_err().0.contains("remit invite"));
        }
    }

    #[tokio::test]
    async fn join_messages_are_bounded() {
        let too_long = u32::MAX.to_le_bytes();
        assert!(read_request(&mut &too_long[..]).await.is_err());
        // The header claims one segment of 64 MiB, and nothing follows.
        let mut lies = 8_u32.to_le_bytes().to_vec();
        lies.extend([0, 0, 0, 0, 0, 0, 0x80, 0]);
        assert!(read_request(&mut &lies[..]).await.is_err());
    }
}
