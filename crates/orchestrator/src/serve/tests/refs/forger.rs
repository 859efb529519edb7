//! A reference taken apart, as a forger would, and put together otherwise.

use remit_core::Reference;

/// What a reference consists of.
#[derive(Clone)]
pub(super) struct Parts {
    pub(super) version: u8,
    /// The mesh, the tenant and the address.
    pub(super) home: [Vec<u8>; 3],
    pub(super) secret: Vec<u8>,
    pub(super) links: Vec<Vec<u8>>,
    pub(super) tag: Vec<u8>,
}

impl Parts {
    pub(super) fn of(reference: &Reference) -> Self {
        let bytes = reference.to_bytes();
        let mut rest = &bytes[1..];
        let mut take = |size: usize| {
            let (taken, left) = rest.split_at(size);
            rest = left;
            taken.to_vec()
        };
        let home = std::array::from_fn(|_| {
            let size = usize::from(take(1)[0]);
            take(size)
        });
        let secret = take(32);
        let count = take(1)[0];
        let links = (0..count)
            .map(|_| {
                let size = take(2);
                take(usize::from(u16::from_be_bytes([size[0], size[1]])))
            })
            .collect();
        let parts = Self { version: bytes[0], home, secret, links, tag: take(32) };
        assert_eq!(parts.bytes(), bytes, "it is taken apart as it is put together");
        parts
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.version];
        for part in &self.home {
            bytes.push(u8::try_from(part.len()).unwrap());
            bytes.extend(part);
        }
        bytes.extend(&self.secret);
        bytes.push(u8::try_from(self.links.len()).unwrap());
        for link in &self.links {
            bytes.extend(u16::try_from(link.len()).unwrap().to_be_bytes());
            bytes.extend(link);
        }
        bytes.extend(&self.tag);
        bytes
    }
}
