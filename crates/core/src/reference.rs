//! Sturdy references: the durable form of a capability, which its holder can narrow by itself.
//!
//! The construction is that of macaroons. The host that saves a capability computes a tag over the
//! reference's head under a key that only it has. Whoever holds the reference may append a link,
//! some caveats; the next tag is keyed with the one before, which is then thrown away. So a link can
//! be added by anyone and removed by no one, and the host checks the whole chain with its one key.
//!
//! ```text
//! tag 0 = HMAC-SHA-256(host key, "remit reference 1\n" || head)
//! tag n = HMAC-SHA-256(tag n-1, link n)
//! ```
//!
//! [`form`] has the bytes and the line of text. Whoever holds those holds the authority: nothing
//! here prints them unless it is asked to by name.

mod chain;
mod form;

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};
use zeroize::Zeroize as _;

pub use chain::{Link, NotGenuine};

use crate::grant::{Caveat, text};
use crate::limits;

/// What a reference's line of text begins with.
pub const PREFIX: &str = "remit:";

/// The key under which a host makes its references. It never leaves the host.
#[derive(Clone)]
pub struct HostKey(Bits);

impl HostKey {
    /// The key of these 32 bytes of chance.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(Bits(bytes))
    }
}

/// Where a reference leads: what its holder needs in order to come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// The mesh.
    pub mesh: String,
    /// The tenant within it.
    pub tenant: String,
    /// Where the host was reached when it made the reference, host:port; empty: not said.
    pub address: String,
}

/// A sturdy reference.
#[derive(Clone, PartialEq, Eq)]
pub struct Reference {
    home: Home,
    secret: Bits,
    links: Vec<String>,
    tag: Bits,
}

/// Bytes that nobody prints.
#[derive(Clone)]
struct Bits([u8; 32]);

impl Drop for Bits {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl PartialEq for Bits {
    fn eq(&self, other: &Self) -> bool {
        use subtle::ConstantTimeEq as _;
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Bits {}

impl fmt::Debug for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HostKey(withheld)")
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reference({}, {} links, bits withheld)", self.id(), self.links.len())
    }
}

/// The text or the bytes are no reference, or what is to be added to one does not fit it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotAReference(String);

/// By what a reference is named in lists. It is derived from the bits and does not give them away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RefId([u8; 16]);

impl RefId {
    /// The id of the reference whose bits have this hash.
    pub fn of(hash: &[u8; 32]) -> Self {
        let mut id = [0; 16];
        id.copy_from_slice(&hash[..16]);
        Self(id)
    }

    /// The 16 bytes of the id.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The id with these 16 bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for RefId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for RefId {
    type Err = NotAReference;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || {
            let shown: String = text.chars().take(40).collect();
            NotAReference(format!(
                "`{shown}` is no reference's id: one has 32 digits from 0 to f; `remit refs` lists them"
            ))
        };
        let mut id = [0; 16];
        hex::decode_to_slice(text, &mut id).map_err(|_| wrong())?;
        Ok(Self(id))
    }
}

/// The hash by which a host knows 32 bytes of chance that it keeps nowhere.
pub fn hash(secret: &[u8; 32]) -> [u8; 32] {
    Sha256::new().chain_update(b"remit reference bits 1\n").chain_update(secret).finalize().into()
}

impl Reference {
    /// A fresh reference. `secret` is 32 bytes of chance that were used for nothing else.
    pub fn issue(key: &HostKey, home: Home, secret: [u8; 32]) -> Result<Self, NotAReference> {
        for part in [&home.mesh, &home.tenant, &home.address] {
            if part.len() > usize::from(u8::MAX) {
                return Err(NotAReference(format!("`{part}` is longer than 255 bytes")));
            }
        }
        let mut issued = Self { home, secret: Bits(secret), links: Vec::new(), tag: Bits([0; 32]) };
        issued.tag = issued.first_tag(key);
        Ok(issued)
    }

    /// Where it leads.
    pub const fn home(&self) -> &Home {
        &self.home
    }

    /// By what it is named in lists, however it was narrowed since it was saved.
    pub fn id(&self) -> RefId {
        RefId::of(&self.hash())
    }

    /// The hash by which its host knows it.
    pub fn hash(&self) -> [u8; 32] {
        hash(&self.secret.0)
    }

    /// What its holders have added, oldest first: caveats in the text form, joined by `&`. They are
    /// the holder's claim until the host has verified the reference.
    pub fn links(&self) -> &[String] {
        &self.links
    }

    /// A weaker reference, made without asking anyone: it allows what this one allows as far as all
    /// of `caveats` do. From it this one cannot be found.
    pub fn attenuate(&self, caveats: &[Caveat]) -> Result<Self, NotAReference> {
        if caveats.is_empty() {
            return Err(NotAReference("nothing is taken away: give at least one caveat".into()));
        }
        for caveat in caveats {
            caveat.validate().map_err(|failure| NotAReference(failure.message))?;
        }
        let written: Vec<String> = caveats.iter().map(text::caveat_text).collect();
        let link = written.join("&");
        // Read back here, so that a reference that its host could not read is never made.
        form::read_link(&link)?;
        if self.links.len() >= limits::MAX_LINKS {
            let why = format!("it was narrowed {} times, which is the most", limits::MAX_LINKS);
            return Err(NotAReference(why));
        }
        let mut narrowed = self.clone();
        narrowed.tag = self.tag.next(&link);
        narrowed.links.push(link);
        if narrowed.to_bytes().len() > limits::MAX_REFERENCE_BYTES {
            let most = limits::MAX_REFERENCE_BYTES;
            return Err(NotAReference(format!("it would be larger than {most} bytes")));
        }
        Ok(narrowed)
    }
}
