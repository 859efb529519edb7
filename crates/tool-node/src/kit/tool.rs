//! A tool: its interfaces and its root object.

use std::any::{Any, TypeId};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use remit_core::{Manifest, manifest};
use tokio::sync::watch;

use super::instance::Instance;
use super::interface::{Entry, Untyped};
use super::{Handle, Interface};
use crate::tools::Hold;

/// A tool as it is being described. See the [module](super) for an example.
pub struct Tool {
    manifest: Manifest,
    interfaces: Vec<Untyped>,
    root: Option<(TypeId, Rc<dyn Any>)>,
    changing: Option<Changing>,
}

/// A tool as a node holds it.
#[derive(Clone)]
pub(crate) enum Source {
    /// It stays as it is.
    Fixed(Rc<OpenTool>),
    /// It comes later, and changes.
    Changing(Changing),
}

/// What is now of a tool that changes; `None`: it is not there yet.
pub(crate) type Changing = watch::Receiver<Option<Rc<OpenTool>>>;

/// A tool that can be called.
pub struct OpenTool {
    manifest: Manifest,
    interfaces: HashMap<TypeId, Rc<OpenInterface>>,
    root: (TypeId, Rc<dyn Any>),
}

/// An interface of a tool that can be called.
pub(crate) struct OpenInterface {
    pub(crate) name: String,
    pub(crate) methods: HashMap<String, Entry>,
}

/// What is wrong with the description of a tool. It is a mistake in the tool's code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the tool `{tool}` is not well described: {why}")]
pub struct BadTool {
    tool: String,
    why: String,
}

impl Tool {
    /// A tool without interfaces. `name` is what grants call it, `version` its semantic version:
    /// both may be registered side by side with others. `description` is what an agent reads.
    pub fn new(
        name: impl Into<String>,
        version: impl Into<String>,
        description: impl Into<String>,
    ) -> Self {
        let manifest = Manifest {
            tool: name.into(),
            version: version.into(),
            description: description.into(),
            ..Manifest::default()
        };
        Self { manifest, interfaces: Vec::new(), root: None, changing: None }
    }

    /// A tool that describes itself later, and may describe itself anew.
    pub(crate) fn changing(name: &str, changing: Changing) -> Self {
        Self { changing: Some(changing), ..Self::new(name, "", "") }
    }

    /// The tool as a node holds it.
    pub(crate) fn into_source(self) -> Result<Source, BadTool> {
        let check =
            |text: &str| manifest::check_name(text).map_err(|failure| self.bad(failure.message));
        check(&self.manifest.tool)?;
        // A tool that comes later has its version then.
        if self.changing.is_none() {
            check(&self.manifest.version)?;
        }
        match self.changing {
            Some(changing) => Ok(Source::Changing(changing)),
            None => self.open().map(Source::Fixed),
        }
    }

    pub(crate) fn bad(&self, why: impl Into<String>) -> BadTool {
        BadTool { tool: self.manifest.tool.clone(), why: why.into() }
    }

    /// Its version.
    pub(crate) fn version(&self) -> &str {
        &self.manifest.version
    }

    /// What grants call it.
    pub fn name(&self) -> &str {
        &self.manifest.tool
    }

    /// Adds an interface.
    #[must_use]
    pub fn interface<T: 'static>(mut self, interface: Interface<T>) -> Self {
        self.interfaces.push(interface.into_untyped());
        self
    }

    /// Sets the object that a grant of this tool stands for.
    #[must_use]
    pub fn root<T: 'static>(mut self, object: Rc<T>) -> Self {
        self.root = Some((TypeId::of::<T>(), object));
        self
    }

    /// Names the method of the root's interface that opens the path of a grant such as
    /// `fs:crates/core`. Its first argument is a [`RelPath`](super::RelPath), and it
    /// [`opens`](Interface::opens) an object. Without it such a grant is refused.
    #[must_use]
    pub fn descend(mut self, method: impl Into<String>) -> Self {
        self.manifest.descend = method.into();
        self
    }

    /// Has all methods that may change anything wait while a run binds the content of their folder.
    #[must_use]
    pub(crate) fn waiting_for(mut self, hold: Option<Hold>) -> Self {
        if let Some(hold) = hold {
            let entries = self.interfaces.iter_mut().flat_map(|interface| &mut interface.methods);
            entries.for_each(|entry| entry.wait_for(&hold));
        }
        self
    }

    /// The tool, checked, ready to be served by a node or called in this process.
    ///
    /// # Errors
    /// It has no root, or a root of a type that no interface describes; two interfaces have one name
    /// or one type; two methods of an interface have one name; a method opens objects of a type that
    /// no interface describes; the method named by [`descend`](Self::descend) opens no path; the
    /// schema of a method's arguments is beyond what is checked.
    pub fn open(mut self) -> Result<Rc<OpenTool>, BadTool> {
        let tool = self.manifest.tool.clone();
        let bad = |why: String| BadTool { tool: tool.clone(), why };
        if let Some(changing) = &self.changing {
            return changing.borrow().clone().ok_or_else(|| bad("it is not there yet".into()));
        }
        let names = self.names().map_err(bad)?;
        let Some(root) = self.root.take() else { return Err(bad("it has no root object".into())) };
        self.manifest.root = match names.get(&root.0) {
            Some(name) => name.clone(),
            None => return Err(bad("no interface describes the type of its root object".into())),
        };
        let mut interfaces = HashMap::new();
        for untyped in self.interfaces {
            let of = untyped.of;
            let (described, open) = resolve(untyped, &names).map_err(bad)?;
            self.manifest.interfaces.push(described);
            interfaces.insert(of, Rc::new(open));
        }
        check_descend(&self.manifest).map_err(bad)?;
        self.manifest.check_schemas().map_err(|failure| bad(failure.message))?;
        Ok(Rc::new(OpenTool { manifest: self.manifest, interfaces, root }))
    }

    fn names(&self) -> Result<HashMap<TypeId, String>, String> {
        let mut names = HashMap::new();
        let mut taken = HashSet::new();
        for interface in &self.interfaces {
            if !taken.insert(&interface.name) {
                return Err(format!("the interface `{}` is described twice", interface.name));
            }
            if names.insert(interface.of, interface.name.clone()).is_some() {
                return Err(format!("the type of `{}` has two interfaces", interface.name));
            }
        }
        Ok(names)
    }
}

impl Source {
    /// The tool as it is now, if it is there. What it becomes later is a change.
    pub(crate) fn now(&mut self) -> Option<Rc<OpenTool>> {
        match self {
            Self::Fixed(tool) => Some(Rc::clone(tool)),
            Self::Changing(changing) => changing.borrow_and_update().clone(),
        }
    }

    /// Answers when the tool is there.
    pub(crate) async fn there(&mut self) {
        if let Self::Changing(changing) = self
            && changing.wait_for(Option::is_some).await.is_err()
        {
            std::future::pending::<()>().await;
        }
    }

    /// Answers when the tool is another than [`now`](Self::now) told.
    pub(crate) async fn changed(&mut self) {
        match self {
            Self::Fixed(_) => std::future::pending().await,
            Self::Changing(changing) => {
                if changing.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        }
    }
}

impl OpenTool {
    /// What the tool says of itself.
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Name and version, for logs.
    pub fn title(&self) -> String {
        format!("{} {}", self.manifest.tool, self.manifest.version)
    }

    /// A handle on the root object, for calls in this process.
    pub fn handle(self: &Rc<Self>) -> Handle {
        Handle::new(self.root())
    }

    pub(crate) fn root(self: &Rc<Self>) -> Instance {
        Instance::new(Rc::clone(self), self.root.0, Rc::clone(&self.root.1))
    }

    pub(crate) fn interface(&self, of: TypeId) -> Option<&Rc<OpenInterface>> {
        self.interfaces.get(&of)
    }
}

fn resolve(
    untyped: Untyped,
    names: &HashMap<TypeId, String>,
) -> Result<(manifest::Interface, OpenInterface), String> {
    let mut described = manifest::Interface {
        name: untyped.name.clone(),
        description: untyped.description,
        methods: Vec::new(),
    };
    let mut methods = HashMap::new();
    for mut entry in untyped.methods {
        if let Some((of, type_name)) = entry.opens {
            entry.meta.returns = names.get(&of).cloned().ok_or_else(|| {
                format!(
                    "`{}` opens objects of {type_name}, which no interface describes",
                    entry.meta.name
                )
            })?;
        }
        described.methods.push(entry.meta.clone());
        let name = entry.meta.name.clone();
        if methods.insert(name.clone(), entry).is_some() {
            return Err(format!("`{}` has two methods `{name}`", untyped.name));
        }
    }
    Ok((described, OpenInterface { name: untyped.name, methods }))
}

fn check_descend(manifest: &Manifest) -> Result<(), String> {
    if manifest.descend.is_empty() {
        return Ok(());
    }
    let method = manifest.method(&manifest.root, &manifest.descend);
    match method.map(|m| (m.returns.as_str(), m.params.as_slice())) {
        Some((returns, [first, ..])) if !returns.is_empty() && first.path => Ok(()),
        _ => Err(format!("`{}` does not open a path of the root", manifest.descend)),
    }
}
