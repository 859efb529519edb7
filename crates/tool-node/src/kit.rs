//! The kit: how a tool is written.
//!
//! A [`Tool`] is a root object of a Rust type together with the [`Interface`]s that describe the
//! methods of that type and of every other type whose objects its methods open. Arguments are types
//! that serde reads, results are types that serde writes, and schemars describes both.
//!
//! ```
//! use std::rc::Rc;
//! use remit_tool_node::kit::{CallContext, Failure, Interface, Method, Tool, fail};
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//!
//! struct Counters;
//!
//! #[derive(Deserialize, JsonSchema)]
//! struct Add {
//!     /// What to add.
//!     left: i64,
//!     /// To what; nothing at first.
//!     #[serde(default)]
//!     right: i64,
//! }
//!
//! #[derive(Serialize, JsonSchema)]
//! struct Sum {
//!     sum: i64,
//! }
//!
//! async fn add(_: Rc<Counters>, args: Add, _: CallContext) -> Result<Sum, Failure> {
//!     let sum = args.left.checked_add(args.right).ok_or_else(|| fail::limit("too large"))?;
//!     Ok(Sum { sum })
//! }
//!
//! let counters = Interface::<Counters>::new("Counters", "Arithmetic.")
//!     .method("add", Method::pure("Adds two numbers."), add);
//! let tool = Tool::new("counters", "1.0.0", "Counts.").interface(counters).root(Rc::new(Counters));
//! assert_eq!(tool.open().unwrap().manifest().interfaces[0].methods[0].params.len(), 2);
//! ```

mod content;
mod context;
mod decode;
mod encode;
pub mod fail;
mod handle;
mod instance;
mod interface;
mod method;
mod path;
mod remote;
mod schema;
mod text;
mod tool;

pub use content::{Content, Encoding};
pub use context::CallContext;
pub(crate) use context::{Output, Piece};
pub use decode::decode;
pub use encode::encode;
pub use handle::{Answer, Handle};
pub(crate) use instance::{Instance, Reply};
pub(crate) use interface::Entry;
pub use interface::Interface;
pub use method::{Method, NoArgs};
pub use path::RelPath;
pub use remit_core::{Code, Failure, Manifest, Value};
pub use remote::{Remote, RemoteAnswer};
pub use text::Text;
pub(crate) use tool::Source;
pub use tool::{BadTool, OpenTool, Tool};
