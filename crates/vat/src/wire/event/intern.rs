//! Equal manifests share one place in memory: every grant of a tool carries the same one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use remit_core::Manifest;

/// The references are weak, so a manifest lives only as long as a grant holds it. Sharing changes
/// the memory that a manifest takes, never its content, so one table serves the whole process.
static SHARED: OnceLock<Mutex<Shared>> = OnceLock::new();

#[derive(Default)]
struct Shared {
    by_hash: HashMap<[u8; 32], Weak<Manifest>>,
    /// The size at which the next sweep removes the manifests that are no longer held.
    sweep_at: usize,
}

/// The shared manifest that equals this one.
pub(super) fn intern(manifest: Manifest) -> Arc<Manifest> {
    let hash = manifest.hash();
    let mut shared =
        SHARED.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(held) = shared.by_hash.get(&hash).and_then(Weak::upgrade) {
        return held;
    }
    if shared.by_hash.len() >= shared.sweep_at {
        shared.by_hash.retain(|_, held| held.strong_count() > 0);
        // Sweeping at twice the size keeps the cost per manifest constant on average.
        shared.sweep_at = 2 * shared.by_hash.len() + 16;
    }
    let manifest = Arc::new(manifest);
    shared.by_hash.insert(hash, Arc::downgrade(&manifest));
    manifest
}
