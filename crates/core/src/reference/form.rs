//! The two forms of a reference: bytes for programs, one line for people.
//!
//! ```text
//! head  version (1), mesh, tenant, address: each a length of one byte and so much UTF-8; 32 secret bytes
//! links how many (one byte), then each a length of two bytes, most significant first, and its text
//! tag   32 bytes
//! ```
//!
//! The line is `remit:` and the bytes in base64url without padding.

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;

use super::{Bits, Home, NotAReference, PREFIX, Reference};
use crate::grant::{Caveat, text};
use crate::limits;

/// The version that is written. Others are refused: what they mean is not known here.
const VERSION: u8 = 1;

impl Reference {
    /// The reference as bytes. Whoever has them has the authority.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.head();
        bytes.push(u8::try_from(self.links.len()).unwrap_or(u8::MAX));
        for link in &self.links {
            bytes.extend(u16::try_from(link.len()).unwrap_or(u16::MAX).to_be_bytes());
            bytes.extend(link.as_bytes());
        }
        bytes.extend(self.tag.0);
        bytes
    }

    /// The reference as one line of text. Whoever reads it has the authority.
    pub fn to_line(&self) -> String {
        format!("{PREFIX}{}", BASE64.encode(self.to_bytes()))
    }

    /// The reference that these bytes are. Whether it is genuine only its host can tell.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NotAReference> {
        if bytes.len() > limits::MAX_REFERENCE_BYTES {
            let most = limits::MAX_REFERENCE_BYTES;
            return Err(NotAReference(format!("a reference of more than {most} bytes")));
        }
        let mut rest = Rest(bytes);
        match rest.byte()? {
            VERSION => {}
            other => {
                return Err(NotAReference(format!(
                    "a reference of version {other}, and only version {VERSION} is known here: use a newer program"
                )));
            }
        }
        let home = Home { mesh: rest.short()?, tenant: rest.short()?, address: rest.short()? };
        let secret = Bits(rest.array()?);
        let count = usize::from(rest.byte()?);
        if count > limits::MAX_LINKS {
            let most = limits::MAX_LINKS;
            return Err(NotAReference(format!("a reference narrowed more than {most} times")));
        }
        let links = (0..count).map(|_| rest.long()).collect::<Result<_, _>>()?;
        let tag = Bits(rest.array()?);
        if !rest.0.is_empty() {
            return Err(broken());
        }
        Ok(Self { home, secret, links, tag })
    }

    /// All that the first tag is over.
    pub(super) fn head(&self) -> Vec<u8> {
        let mut head = vec![VERSION];
        for part in [&self.home.mesh, &self.home.tenant, &self.home.address] {
            head.push(u8::try_from(part.len()).unwrap_or(u8::MAX));
            head.extend(part.as_bytes());
        }
        head.extend(self.secret.0);
        head
    }
}

impl FromStr for Reference {
    type Err = NotAReference;

    fn from_str(line: &str) -> Result<Self, Self::Err> {
        let line = line.trim();
        let Some(coded) = line.strip_prefix(PREFIX) else {
            // What was given may be a secret of another kind, so it is not repeated.
            let why = format!("that is no reference: one is a line that begins with `{PREFIX}`");
            return Err(NotAReference(why));
        };
        if coded.len() > limits::MAX_REFERENCE_BYTES * 4 / 3 + 4 {
            return Err(broken());
        }
        Self::from_bytes(&BASE64.decode(coded).map_err(|_| broken())?)
    }
}

/// What a link says. It must be written as [`text::caveat_text`] writes, so that it means the same
/// at every reading: no moment in it may count from now.
pub(super) fn read_link(link: &str) -> Result<Vec<Caveat>, NotAReference> {
    if link.len() > limits::MAX_LINK_BYTES {
        let most = limits::MAX_LINK_BYTES;
        return Err(NotAReference(format!("the caveats are longer than {most} bytes")));
    }
    let read = |part: &str| {
        let caveat = text::parse_caveat(part, 0).map_err(|not| NotAReference(not.to_string()))?;
        if text::caveat_text(&caveat) == part {
            return Ok(caveat);
        }
        Err(NotAReference(format!("`{part}` is not written in the one form it has")))
    };
    let caveats: Vec<Caveat> = link.split('&').map(read).collect::<Result<_, _>>()?;
    if caveats.len() > limits::MAX_CAVEATS {
        let most = limits::MAX_CAVEATS;
        return Err(NotAReference(format!("more than {most} caveats at once")));
    }
    Ok(caveats)
}

/// Bytes that are not read yet.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn take(&mut self, count: usize) -> Result<&[u8], NotAReference> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or_else(broken)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], NotAReference> {
        self.take(N)?.try_into().map_err(|_| broken())
    }

    fn byte(&mut self) -> Result<u8, NotAReference> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn short(&mut self) -> Result<String, NotAReference> {
        let size = usize::from(self.byte()?);
        self.text(size)
    }

    fn long(&mut self) -> Result<String, NotAReference> {
        let size = usize::from(u16::from_be_bytes(self.array()?));
        self.text(size)
    }

    fn text(&mut self, size: usize) -> Result<String, NotAReference> {
        String::from_utf8(self.take(size)?.to_vec()).map_err(|_| broken())
    }
}

fn broken() -> NotAReference {
    NotAReference("the reference is damaged: copy the whole line".into())
}
