//! The chain of tags, and its verification by the host.

use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};

use super::{Bits, HostKey, NotAReference, Reference, form};
use crate::grant::Caveat;

/// What every first tag is over, so that the key's other uses could never make one.
const DOMAIN: &[u8] = b"remit reference 1\n";

/// What a holder has added, as the host reads it once the chain is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// By which the host keeps the link's counters: SHA-256 over its tag. All copies of a reference
    /// have the same; another link, and one that was appended to something else, has another.
    pub id: [u8; 32],
    /// What it takes away. One that is not known here is [`Caveat::Unknown`], and refuses.
    pub caveats: Vec<Caveat>,
}

/// Why a reference is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotGenuine {
    /// It was not made here, or not by appending alone.
    #[error("the reference was edited, or made elsewhere")]
    Forged,
    /// Its holder appended something that is no caveat.
    #[error(transparent)]
    Unreadable(#[from] NotAReference),
}

impl Reference {
    /// Checks the whole chain. Gives the links, oldest first. That the reference was saved here, and
    /// still stands, is for the caller to look up.
    pub fn verify(&self, key: &HostKey) -> Result<Vec<Link>, NotGenuine> {
        let mut tag = self.first_tag(key);
        let mut ids = Vec::with_capacity(self.links.len());
        for link in &self.links {
            tag = tag.next(link);
            ids.push(tag.id());
        }
        // In constant time. What was appended is read only once it is known to be the holder's.
        if tag != self.tag {
            return Err(NotGenuine::Forged);
        }
        let read =
            |(id, link): ([u8; 32], &String)| Ok(Link { id, caveats: form::read_link(link)? });
        ids.into_iter().zip(&self.links).map(read).collect()
    }

    pub(super) fn first_tag(&self, key: &HostKey) -> Bits {
        mac(&key.0.0, &[DOMAIN, &self.head()])
    }
}

impl Bits {
    /// The tag after this one.
    pub(super) fn next(&self, link: &str) -> Self {
        mac(&self.0, &[link.as_bytes()])
    }

    fn id(&self) -> [u8; 32] {
        Sha256::new().chain_update(b"remit link 1\n").chain_update(self.0).finalize().into()
    }
}

fn mac(key: &[u8; 32], parts: &[&[u8]]) -> Bits {
    // The key is one block or less, which the construction takes as it is.
    let mut block = [0; 64];
    block[..32].copy_from_slice(key);
    let mut mac = Hmac::<Sha256>::new(&block.into());
    for part in parts {
        mac.update(part);
    }
    Bits(mac.finalize().into_bytes().into())
}
