//! The layers of a confinement: what the kernel of this machine gives, and what is lost without each.

use serde::{Deserialize, Serialize};

/// One way in which the kernel holds a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layer {
    /// A user namespace: privileges that it has are none outside.
    Users,
    /// A mount namespace with a root folder of its own: what it may not reach is not there.
    Mounts,
    /// A process namespace: it sees its own processes only, and none outlives it.
    Processes,
    /// A network namespace.
    Network,
    /// A namespace for System V objects and message queues.
    Ipc,
    /// Landlock: files, ports, signals, abstract sockets.
    Landlock,
    /// A filter of system calls.
    Seccomp,
}

impl Layer {
    /// Every layer, the outermost first.
    pub const ALL: [Self; 7] = [
        Self::Users,
        Self::Mounts,
        Self::Processes,
        Self::Network,
        Self::Ipc,
        Self::Landlock,
        Self::Seccomp,
    ];

    /// What it is called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Users => "user namespace",
            Self::Mounts => "mount namespace",
            Self::Processes => "process namespace",
            Self::Network => "network namespace",
            Self::Ipc => "ipc namespace",
            Self::Landlock => "landlock",
            Self::Seccomp => "seccomp",
        }
    }

    /// What a machine without it lacks, and what to do.
    pub const fn lack(self) -> &'static str {
        match self {
            Self::Users => {
                "namespaces need CAP_SYS_ADMIN then; allow user namespaces \
                 (user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns)"
            }
            Self::Mounts => {
                "programs see the names of files that they may not open, have no Unix sockets, and \
                 folders with keys cannot be hidden; allow user namespaces"
            }
            Self::Processes => {
                "a process that leaves its session is found by its parents only; allow user namespaces"
            }
            Self::Network => {
                "programs without a network have no loopback either; allow user namespaces"
            }
            Self::Ipc => "programs share System V objects of this user; allow user namespaces",
            Self::Landlock => {
                "files are held by the mount namespace alone; use Linux 5.13 or later with landlock \
                 among the security modules (6.12 or later has signals and abstract sockets)"
            }
            Self::Seccomp => {
                "system calls are not filtered; use a kernel with CONFIG_SECCOMP_FILTER"
            }
        }
    }
}

/// The layers that are put up around a program.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layers {
    /// Those that are.
    pub layers: Vec<Layer>,
    /// The version of landlock; 0 without it.
    pub landlock_abi: i32,
}

impl Layers {
    /// Whether a layer is among them.
    pub fn has(&self, layer: Layer) -> bool {
        self.layers.contains(&layer)
    }

    /// These layers alone, of those that are there.
    #[must_use]
    pub fn only(&self, wanted: &[Layer]) -> Self {
        let layers = self.layers.iter().filter(|layer| wanted.contains(layer)).copied().collect();
        Self { layers, landlock_abi: self.landlock_abi }
    }

    /// Those that this machine lacks.
    pub fn missing(&self) -> Vec<Layer> {
        Layer::ALL.into_iter().filter(|layer| !self.has(*layer)).collect()
    }

    /// Whether there is a wall around files at all.
    pub fn hold_files(&self) -> bool {
        self.has(Layer::Landlock) || self.has(Layer::Mounts)
    }
}
