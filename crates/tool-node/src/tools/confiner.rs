//! How this node confines the programs that its tools start.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use remit_confine::{Bounds, Launcher, Layer, Layers, Network, Policy};

use super::Folders;
use super::places::Places;

/// How to start programs, and what this machine holds them with.
#[derive(Debug, Clone)]
pub struct Confiner {
    launcher: Launcher,
    layers: Layers,
    /// For the connections of programs to the node's proxies.
    proxy_places: Rc<Places>,
    folders: Rc<Folders>,
}

/// What a section opens for the programs that it starts. Relative paths are below the folder of the
/// configuration.
#[derive(Debug, Clone, Default)]
pub(crate) struct Opened<'a> {
    pub(crate) read: &'a [PathBuf],
    pub(crate) write: &'a [PathBuf],
    pub(crate) hidden: &'a [PathBuf],
    pub(crate) network: Network,
    pub(crate) bounds: Bounds,
}

/// Folders that a program has of its own: another one cannot be opened in their place.
const OWN: [&str; 4] = ["/", "/proc", "/dev", "/sys"];

impl Confiner {
    /// Finds out what this machine has. What it lacks is logged, once per layer.
    ///
    /// # Errors
    /// With `strict`, a layer is missing; this program is no launcher. In words.
    pub fn find(strict: bool) -> Result<Self, String> {
        let launcher = Launcher::own();
        let layers = launcher
            .probe()
            .map_err(|error| format!("what confines programs cannot be started: {error}"))?;
        let missing = layers.missing();
        if strict && !missing.is_empty() {
            let list: Vec<String> = missing
                .iter()
                .map(|layer| format!("no {}: {}", layer.name(), layer.lack()))
                .collect();
            return Err(format!(
                "strict = true, and this machine lacks what confines programs: {}",
                list.join("; ")
            ));
        }
        for layer in missing {
            tracing::warn!(
                layer = layer.name(),
                "programs are confined without it: {}",
                layer.lack()
            );
        }
        Ok(Self { launcher, layers, proxy_places: super::http::places(), folders: Rc::default() })
    }

    /// The same, for programs that work in these folders.
    pub(crate) fn in_folders(self, folders: &Rc<Folders>) -> Self {
        Self { folders: Rc::clone(folders), ..self }
    }

    pub(crate) fn folders(&self) -> &Folders {
        &self.folders
    }

    pub(crate) const fn launcher(&self) -> &Launcher {
        &self.launcher
    }

    pub(crate) const fn layers(&self) -> &Layers {
        &self.layers
    }

    pub(crate) const fn proxy_places(&self) -> &Rc<Places> {
        &self.proxy_places
    }

    /// What programs that work in `folder` may reach.
    ///
    /// # Errors
    /// A path is not there or cannot be opened, or a hidden one cannot be hidden, in words.
    pub(crate) fn policy(
        &self,
        folder: &Path,
        opened: &Opened<'_>,
        base: &Path,
    ) -> Result<Policy, String> {
        let whole = |path: &PathBuf| {
            let path = std::path::absolute(base.join(path)).map_err(|error| error.to_string())?;
            let real = path.canonicalize();
            let real = real.map_err(|error| format!("`{}`: {error}", path.display()))?;
            if OWN.iter().any(|own| real == Path::new(own)) {
                return Err(format!(
                    "`{}` cannot be opened: name folders below it",
                    path.display()
                ));
            }
            Ok(path)
        };
        let read: Vec<PathBuf> =
            opened.read.iter().map(whole).collect::<Result<_, _>>().map_err(named("read"))?;
        let mut write = vec![whole(&folder.to_owned()).map_err(named("root"))?];
        for path in opened.write {
            write.push(whole(path).map_err(named("write"))?);
        }
        // What is not there yet may come later, and is hidden then.
        let hidden: Vec<PathBuf> = opened.hidden.iter().map(|path| base.join(path)).collect();
        let policy = Policy { write, read, hidden, network: opened.network, bounds: opened.bounds };
        self.can_hide(&policy)?;
        Ok(policy)
    }

    /// Whether what is hidden is out of reach on this machine.
    fn can_hide(&self, policy: &Policy) -> Result<(), String> {
        if self.layers.has(Layer::Mounts) {
            return Ok(());
        }
        let places: Vec<PathBuf> =
            policy.write.iter().chain(&policy.read).filter_map(|p| p.canonicalize().ok()).collect();
        let reached = policy.hidden.iter().filter_map(|hidden| hidden.canonicalize().ok());
        for hidden in reached {
            if places.iter().any(|place| hidden.starts_with(place)) {
                return Err(format!(
                    "`{}` cannot be hidden from programs without a mount namespace: move it out of \
                     their folder, or {}",
                    hidden.display(),
                    Layer::Mounts.lack()
                ));
            }
        }
        Ok(())
    }
}

fn named(key: &'static str) -> impl Fn(String) -> String {
    move |why| format!("{key}: {why}")
}

/// The tests of this crate start themselves as launchers: that comes before any other code of theirs.
#[cfg(test)]
mod as_launcher {
    #[used]
    #[unsafe(link_section = ".init_array")]
    static FIRST: extern "C" fn() = launch_if_asked;

    #[expect(clippy::disallowed_methods, reason = "what a test is called with says what it is")]
    extern "C" fn launch_if_asked() {
        if std::env::args().nth(1).as_deref() == Some(remit_confine::LAUNCH) {
            remit_confine::launch();
            std::process::exit(0);
        }
    }
}
