//! Manifests that are equal share one place in memory: every grant of a tool carries the same one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use remit_core::Manifest;

/// Kept only as long as someone else keeps the manifest. Sharing it changes what a manifest costs,
/// never what it says, so that there is one for the whole process.
static SHARED: OnceLock<Mutex<Shared>> = OnceLock::new();

#[derive(Default)]
struct Shared {
    by_hash: HashMap<[u8; 32], Weak<Manifest>>,
    /// The next size at which those that nobody keeps are swept out.
    sweep_at: usize,
}

/// The same manifest, shared with whoever else holds it.
pub(super) fn intern(manifest: Manifest) -> Arc<Manifest> {
    let hash = manifest.hash();
    let mut shared =
        SHARED.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(held) = shared.by_hash.get(&hash).and_then(Weak::upgrade) {
        return held;
    }
    if shared.by_hash.len() >= shared.sweep_at {
        shared.by_hash.retain(|_, held| held.strong_count() > 0);
        shared.sweep_at = 2 * shared.by_hash.len() + 16;
    }
    let manifest = Arc::new(manifest);
    shared.by_hash.insert(hash, Arc::downgrade(&manifest));
    manifest
}
