//! The layers of a confinement, and what a machine without one of them lacks.

use serde::{Deserialize, Serialize};

/// One mechanism of the kernel that confines a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layer {
    /// A user namespace: its privileges do not count outside.
    Users,
    /// A mount namespace with a root folder of its own, which lacks everything that the program may
    /// not reach.
    Mounts,
    /// A process namespace: the program sees its own processes only, and none outlives it.
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
    /// All layers, the outermost first.
    pub const ALL: [Self; 7] = [
        Self::Users,
        Self::Mounts,
        Self::Processes,
        Self::Network,
        Self::Ipc,
        Self::Landlock,
        Self::Seccomp,
    ];

    /// The name of the layer in messages.
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

    /// The consequence of a machine without it, and the remedy.
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

/// A set of layers: those that a machine has, or those around a program.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layers {
    /// The layers in the set.
    pub layers: Vec<Layer>,
    /// The version of landlock. 0: this kernel has none.
    pub landlock_abi: i32,
}

impl Layers {
    /// Whether `layer` is in the set.
    pub fn has(&self, layer: Layer) -> bool {
        self.layers.contains(&layer)
    }

    /// The layers of this set that are also in `wanted`.
    #[must_use]
    pub fn only(&self, wanted: &[Layer]) -> Self {
        let layers = self.layers.iter().filter(|layer| wanted.contains(layer)).copied().collect();
        Self { layers, landlock_abi: self.landlock_abi }
    }

    /// The layers that this machine lacks.
    pub fn missing(&self) -> Vec<Layer> {
        Layer::ALL.into_iter().filter(|layer| !self.has(*layer)).collect()
    }

    /// Whether any layer restricts files.
    pub fn hold_files(&self) -> bool {
        self.has(Layer::Landlock) || self.has(Layer::Mounts)
    }
}
