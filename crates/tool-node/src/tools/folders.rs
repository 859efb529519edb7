//! Who works in a folder: many at once, or one run whose approval binds what is in it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use tokio::sync::RwLock;

/// Held shared by what may change a folder, and alone by a run whose approval binds its content.
pub(crate) type Hold = Rc<RwLock<()>>;

/// The holds of the folders that the tools of a node work in. Those of which one is below another have
/// one hold.
#[derive(Debug, Default)]
pub(crate) struct Folders(BTreeMap<PathBuf, Hold>);

impl Folders {
    /// The holds of these places and of all below them.
    pub(crate) fn new(places: impl IntoIterator<Item = PathBuf>) -> Self {
        let mut real: Vec<PathBuf> = places.into_iter().map(|place| resolved(&place)).collect();
        // What is above comes first.
        real.sort();
        real.dedup_by(|below, above| below.starts_with(above));
        Self(real.into_iter().map(|top| (top, Hold::default())).collect())
    }

    /// The hold of a place; `None`: no tool of the node works there.
    pub(crate) fn of(&self, place: &Path) -> Option<Hold> {
        let real = resolved(place);
        self.0.iter().find(|(top, _)| real.starts_with(top)).map(|(_, hold)| Rc::clone(hold))
    }

    /// The holds of these places, each once, always in the same order.
    pub(crate) fn of_all(&self, places: &[PathBuf]) -> Vec<Hold> {
        let real: Vec<PathBuf> = places.iter().map(|place| resolved(place)).collect();
        let touched = self.0.iter().filter(|(top, _)| real.iter().any(|at| at.starts_with(top)));
        touched.map(|(_, hold)| Rc::clone(hold)).collect()
    }
}

fn resolved(place: &Path) -> PathBuf {
    place.canonicalize().unwrap_or_else(|_| place.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_which_one_is_below_another_have_one_hold() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in ["a/b", "a-b", "c"] {
            std::fs::create_dir_all(at(name)).unwrap();
        }
        std::os::unix::fs::symlink("a/b", at("link")).unwrap();
        let folders = Folders::new(["a-b", "link", "a", "c"].map(at));
        let hold = |name: &str| folders.of(&at(name)).unwrap();
        assert!(Rc::ptr_eq(&hold("a"), &hold("a/b")) && Rc::ptr_eq(&hold("a"), &hold("link")));
        assert!(!Rc::ptr_eq(&hold("a"), &hold("a-b")) && !Rc::ptr_eq(&hold("a"), &hold("c")));
        assert!(folders.of(dir.path()).is_none());
        assert_eq!(folders.of_all(&["a/b", "c", "link"].map(at)).len(), 2);
    }
}
