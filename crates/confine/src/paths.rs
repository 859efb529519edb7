//! Landlock: the files a process may open, the processes it may signal, and the connections it may
//! make.

use std::io;
use std::path::Path;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, PathBeneath,
    PathFd, Ruleset, RulesetAttr as _, RulesetCreated, RulesetCreatedAttr as _, RulesetError,
    RulesetStatus, Scope,
};

use crate::child::Order;
use crate::layers::Layer;
use crate::policy::{Access, MACHINE, Network};

/// The newest version that is requested. An older kernel applies the part that it knows.
const NEWEST: ABI = ABI::V6;

/// Restricts this process and everything that it will start.
pub(crate) fn restrict(order: &Order, temp: Option<&Path>) -> io::Result<()> {
    let status = rules(order, temp)
        .and_then(RulesetCreated::restrict_self)
        .map_err(|error| io::Error::other(error.to_string()))?;
    match status.ruleset {
        RulesetStatus::NotEnforced => Err(io::Error::other("this kernel does not have it")),
        RulesetStatus::PartiallyEnforced | RulesetStatus::FullyEnforced => Ok(()),
    }
}

fn rules(order: &Order, temp: Option<&Path>) -> Result<RulesetCreated, RulesetError> {
    let own_root = order.layers.has(Layer::Mounts);
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?;
    // With a network namespace of its own it may listen and connect: no other process shares the
    // namespace.
    if order.policy.network == Network::None && !order.layers.has(Layer::Network) {
        rules = rules.handle_access(AccessNet::from_all(NEWEST))?;
    }
    let mut rules = rules.create()?;
    for place in order.policy.places() {
        rules = allow(rules, &place.real, place.access)?;
    }
    rules = allow(rules, &order.program, Access::Read)?;
    if own_root {
        rules = allow(rules, Path::new("/tmp"), Access::Write)?;
        rules = allow(rules, Path::new("/dev/shm"), Access::Write)?;
        // This root folder contains only what the program may reach, so it may list all names.
        return list(
            list(rules, "/proc", AccessFs::ReadFile | AccessFs::ReadDir)?,
            "/",
            AccessFs::ReadDir.into(),
        );
    }
    for file in MACHINE.iter().chain(&["/proc/self"]) {
        rules = list(rules, file, AccessFs::ReadFile | AccessFs::ReadDir)?;
    }
    match temp {
        Some(temp) => allow(rules, temp, Access::Write),
        None => Ok(rules),
    }
}

/// Allows `access` at and below a path, if the path exists.
fn allow(
    rules: RulesetCreated,
    path: &Path,
    access: Access,
) -> Result<RulesetCreated, RulesetError> {
    let allowed = match access {
        Access::Read => AccessFs::from_read(NEWEST),
        Access::Device => AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev,
        Access::Write => AccessFs::from_all(NEWEST) & !(AccessFs::MakeChar | AccessFs::MakeBlock),
    };
    list(rules, path, allowed)
}

/// Allows exactly `allowed`, as far as it applies to the kind of file.
fn list(
    rules: RulesetCreated,
    path: impl AsRef<Path>,
    allowed: BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    let path = path.as_ref();
    let allowed = if path.is_dir() { allowed } else { allowed & AccessFs::from_file(NEWEST) };
    match PathFd::new(path) {
        Ok(file) => rules.add_rule(PathBeneath::new(file, allowed)),
        // A path that does not exist needs no rule.
        Err(_) => Ok(rules),
    }
}
