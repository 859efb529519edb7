//! From what a server offers to a tool: its manifest, and the code behind each method.

use std::rc::Rc;

use remit_core::manifest::{self, Manifest};
use remit_core::{Failure, Value};
use rmcp::model::{
    CallToolRequest, CallToolRequestParams, CallToolResult, ClientRequest, ServerResult, Tool,
};
use serde_json::{Value as Json, json};

use super::ask::Kind;
use super::content;
use super::listing::Listing;
use super::objects::{self, Prompts, Resources};
use super::server::Server;
use crate::kit::{self, CallContext, Interface, Method, NoArgs, OpenTool};
use crate::limits;

/// The root object of a server's tool.
pub(super) struct Root {
    pub(super) server: Rc<Server>,
}

/// The tool that a server is.
///
/// # Errors
/// It says too much of itself, in words.
pub(super) fn tool(server: &Rc<Server>, listing: &Listing) -> Result<Rc<OpenTool>, String> {
    let about = server.description.clone().unwrap_or_else(|| listing.about.clone());
    let about = words(server, &about);
    let mut root = Interface::<Root>::new("Server", about.clone());
    let mut names = Vec::new();
    for offered in &listing.tools {
        if server.allow.as_ref().is_some_and(|allow| !allow.contains(&*offered.name)) {
            continue;
        }
        match method(server, offered, &names) {
            Ok(method) => {
                names.push(method.name.clone());
                root = with_method(root, method);
            }
            Err(why) => {
                let why = server.secrets.hide(&why);
                tracing::warn!(server = %server.name, %why, "a tool of the MCP server is left out");
            }
        }
    }
    let free = |name: &str| match names.iter().any(|taken| taken == name) {
        true => format!("mcp-{name}"),
        false => name.to_owned(),
    };
    let mut tool = kit::Tool::new(&server.name, &server.version, about);
    if listing.has_resources {
        let about = "The resources of the server, to be listed, read and watched.";
        root = root.opens(&free("resources"), Method::read_only(about), Root::resources);
        tool = tool.interface(objects::resources()).interface(objects::resource());
    }
    if !listing.prompts.is_empty() {
        let about = "The prompts of the server, a method each.";
        root = root.opens(&free("prompts"), Method::read_only(about), Root::prompts);
        tool = tool.interface(objects::prompts(server, &listing.prompts));
    }
    let tool = tool.interface(root).root(Rc::new(Root { server: Rc::clone(server) }));
    let open = tool.open().map_err(|error| error.to_string())?;
    let bytes = serde_json::to_vec(open.manifest()).map_or(usize::MAX, |text| text.len());
    if bytes > limits::MCP_MANIFEST_BYTES {
        let most = limits::MCP_MANIFEST_BYTES;
        return Err(format!("it describes itself in {bytes} bytes: at most {most} are taken"));
    }
    Ok(open)
}

/// Words of a server, without secrets and not longer than is taken.
pub(super) fn words(server: &Server, said: &str) -> String {
    let mut said = server.secrets.hide(said);
    said.truncate(said.floor_char_boundary(limits::MCP_WORDS_BYTES));
    said
}

/// A method that can be called and checked as any other of this mesh.
///
/// # Errors
/// It cannot be, in words.
pub(super) fn checked(
    method: manifest::Method,
    names: &[String],
) -> Result<manifest::Method, String> {
    let name = &method.name;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    if name.is_empty() || name.len() > limits::MCP_NAME_BYTES || !name.bytes().all(plain) {
        let shown: String = name.chars().take(40).collect();
        return Err(format!("`{shown}` is no name for a method"));
    }
    if names.contains(name) {
        return Err(format!("`{name}` is listed twice"));
    }
    let interface = manifest::Interface { methods: vec![method], ..Default::default() };
    let mut manifest = Manifest { interfaces: vec![interface], ..Manifest::default() };
    manifest.check_schemas().map_err(|failure| failure.message)?;
    let mut interface = manifest.interfaces.swap_remove(0);
    Ok(interface.methods.swap_remove(0))
}

/// A tool of the server as a method. Its annotations are hints of the server; those of the operator
/// count.
fn method(server: &Server, tool: &Tool, names: &[String]) -> Result<manifest::Method, String> {
    let hints = tool.annotations.clone().unwrap_or_default();
    let ours = server.overrides.get(&*tool.name).copied().unwrap_or_default();
    let read_only = ours.read_only.unwrap_or(hints.read_only_hint == Some(true));
    let idempotent = ours.idempotent.unwrap_or(hints.idempotent_hint == Some(true));
    let destructive =
        ours.destructive.unwrap_or(!read_only && hints.destructive_hint != Some(false));
    let about = tool.description.as_deref().or(tool.title.as_deref()).unwrap_or_default();
    let schema = |schema: &rmcp::model::JsonObject| {
        server.secrets.hide(&Json::Object(schema.clone()).to_string())
    };
    checked(
        manifest::Method {
            name: tool.name.to_string(),
            description: words(server, about),
            args_schema: schema(&tool.input_schema),
            result_schema: match &tool.output_schema {
                Some(output) => schema(output),
                None => blocks().to_string(),
            },
            read_only,
            idempotent: idempotent || read_only,
            destructive,
            timeout_ms: longest(server),
            ..manifest::Method::default()
        },
        names,
    )
}

/// The longest a call takes at this node.
pub(super) fn longest(server: &Server) -> u32 {
    let longest = server.timeout.saturating_add(limits::CANCEL_GRACE);
    u32::try_from(longest.as_millis()).unwrap_or(u32::MAX)
}

/// The schema of content without a structure of its own.
pub(super) fn blocks() -> Json {
    let block = json!({
        "type": "object",
        "properties": {
            "type": { "enum": ["text", "image", "audio", "resource", "resource_link"] },
            "text": { "type": "string" },
            "data": { "type": "string", "format": "text-or-bytes" },
            "mimeType": { "type": "string" },
            "uri": { "type": "string" },
            "resource": content_schema(),
        },
        "required": ["type"],
    });
    json!({ "type": "array", "items": block })
}

/// The schema of the content of a resource.
pub(super) fn content_schema() -> Json {
    json!({
        "type": "object",
        "properties": {
            "uri": { "type": "string" },
            "mimeType": { "type": "string" },
            "text": { "type": "string" },
            "data": { "type": "string", "format": "text-or-bytes" },
        },
        "required": ["uri"],
    })
}

fn with_method(root: Interface<Root>, method: manifest::Method) -> Interface<Root> {
    let repeatable = method.read_only || method.idempotent;
    let kind = if repeatable { Kind::Repeatable } else { Kind::Effect };
    let name: Rc<str> = method.name.as_str().into();
    // Until it is sent, an interrupted call has not begun.
    let marks = kind == Kind::Effect;
    root.described((method, marks), move |root: Rc<Root>, args, call| {
        let name = Rc::clone(&name);
        async move { root.server.call(&name, &args, kind, &call).await }
    })
}

impl Root {
    async fn resources(
        self: Rc<Self>,
        _: NoArgs,
        _: CallContext,
    ) -> Result<Rc<Resources>, Failure> {
        Ok(Rc::new(Resources { server: Rc::clone(&self.server) }))
    }

    async fn prompts(self: Rc<Self>, _: NoArgs, _: CallContext) -> Result<Rc<Prompts>, Failure> {
        Ok(Rc::new(Prompts { server: Rc::clone(&self.server) }))
    }
}

impl Server {
    /// Calls a tool of the server.
    async fn call(
        &self,
        name: &str,
        args: &Value<u32>,
        kind: Kind,
        call: &CallContext,
    ) -> Result<Value<u32>, Failure> {
        let params = CallToolRequestParams::new(name.to_owned())
            .with_arguments(content::to_arguments(args)?);
        let request = ClientRequest::CallToolRequest(CallToolRequest::new(params));
        let value = match self.ask(request, kind, call).await? {
            ServerResult::CallToolResult(result) => content::of_call(&result),
            ServerResult::EmptyResult(_) | ServerResult::TaskAckResult(_) => {
                content::of_call(&CallToolResult::default())
            }
            ServerResult::InputRequiredResult(_) => Err(crate::kit::fail::denied(
                "the MCP server asks for a person or a model, which its operator does not let it",
                "mcp",
            )),
            _ => Err(self.nonsense()),
        };
        let value = value.map_err(|failure| self.without_secrets(failure))?;
        Ok(self.secrets.hide_in(value))
    }
}
