//! The resources and the prompts of a server.

use std::collections::HashMap;
use std::rc::Rc;

use remit_core::manifest;
use remit_core::{Failure, Value};
use rmcp::model::{
    ClientRequest, GetPromptRequest, GetPromptRequestParams, ListResourceTemplatesRequest,
    ListResourcesRequest, PaginatedRequestParams, Prompt, ReadResourceRequest,
    ReadResourceRequestParams, Request, ServerResult, SubscribeRequestParams, SubscriptionFilter,
    UnsubscribeRequestParams,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::ask::Kind;
use super::content;
use super::describe::{blocks, checked, content_schema, longest, words};
use super::handler::Watched;
use super::server::{Server, Session};
use crate::kit::{CallContext, Interface, Method, encode, fail};
use crate::limits;

/// All resources of a server.
pub(super) struct Resources {
    pub(super) server: Rc<Server>,
}

/// One resource.
pub(super) struct Resource {
    server: Rc<Server>,
    uri: String,
}

/// All prompts of a server.
pub(super) struct Prompts {
    pub(super) server: Rc<Server>,
}

#[derive(Deserialize, JsonSchema)]
struct Page {
    /// What an earlier call gave as `next`.
    next: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
struct Named {
    /// The address of the resource.
    uri: String,
}

#[derive(Deserialize, JsonSchema)]
struct Since {
    /// What an earlier call gave as `version`; without it, only what comes now counts.
    version: Option<u64>,
}

/// Whether a resource has changed.
#[derive(Serialize, JsonSchema)]
struct Change {
    /// Whether it has, or may have; if not, the time was over.
    changed: bool,
    /// What the next call is given, so that no change is missed.
    version: u64,
}

pub(super) fn resources() -> Interface<Resources> {
    let listed = |what: &str| {
        let items = json!({ "type": "array", "items": { "type": "object" } });
        let next = json!({ "type": ["string", "null"] });
        json!({ "type": "object", "properties": { what: items, "next": next }, "required": [what] })
    };
    let page = json!({ "type": "object", "properties": { "next": { "type": "string" } } });
    let uri = json!({
        "type": "object", "properties": { "uri": { "type": "string" } }, "required": ["uri"],
    });
    Interface::new("Resources", "The resources of an MCP server.")
        .described(
            described("list", "Lists the resources, a page at once.", &page, &listed("resources")),
            |all: Rc<Resources>, args, call| async move { all.list(args, &call).await },
        )
        .described(
            described("templates", "Lists the patterns of addresses.", &page, &listed("templates")),
            |all: Rc<Resources>, args, call| async move { all.templates(args, &call).await },
        )
        .described(
            described("read", "Reads a resource.", &uri, &contents()),
            |all: Rc<Resources>, args, call| async move {
                let named: Named = crate::kit::decode(args, Vec::new())?;
                all.server.read(&named.uri, &call).await
            },
        )
        .opens(
            "open",
            Method::read_only("One resource, which can be given to others alone."),
            |all: Rc<Resources>, named: Named, _| async move {
                Ok(Rc::new(Resource { server: Rc::clone(&all.server), uri: named.uri }))
            },
        )
}

pub(super) fn resource() -> Interface<Resource> {
    let none = json!({ "type": "object", "properties": {} });
    Interface::new("Resource", "A resource of an MCP server.")
        .described(
            described("read", "Reads it.", &none, &contents()),
            |one: Rc<Resource>, _, call| async move { one.server.read(&one.uri, &call).await },
        )
        .method(
            "watch",
            Method::read_only("Waits until it changes, or until the time of a call is over."),
            |one: Rc<Resource>, since: Since, call: CallContext| async move {
                one.watch(since.version, &call).await
            },
        )
}

/// The prompts, a method each; those that cannot be methods are left out.
pub(super) fn prompts(server: &Rc<Server>, offered: &[Prompt]) -> Interface<Prompts> {
    let mut prompts = Interface::new("Prompts", "Prompts of an MCP server, as messages.");
    let mut names = Vec::new();
    for prompt in offered {
        match checked(of_prompt(server, prompt), &names) {
            Ok(method) => {
                let name: Rc<str> = method.name.as_str().into();
                names.push(method.name.clone());
                prompts =
                    prompts.described((method, false), move |all: Rc<Prompts>, args, call| {
                        let name = Rc::clone(&name);
                        async move { all.get(&name, &args, &call).await }
                    });
            }
            Err(why) => {
                let why = server.secrets.hide(&why);
                tracing::warn!(server = %server.name, %why, "a prompt of the MCP server is left out");
            }
        }
    }
    prompts
}

fn of_prompt(server: &Server, prompt: &Prompt) -> manifest::Method {
    let arguments = prompt.arguments.as_deref().unwrap_or_default();
    let property = |argument: &rmcp::model::PromptArgument| {
        let about = words(server, argument.description.as_deref().unwrap_or_default());
        (argument.name.clone(), json!({ "type": "string", "description": about }))
    };
    let properties: Map<String, Json> = arguments.iter().map(property).collect();
    let required = arguments.iter().filter(|argument| argument.required == Some(true));
    let required: Vec<&str> = required.map(|argument| argument.name.as_str()).collect();
    let message = json!({
        "type": "object",
        "properties": { "role": { "type": "string" }, "content": blocks()["items"] },
    });
    let about = words(server, prompt.description.as_deref().unwrap_or_default());
    let args = json!({ "type": "object", "properties": properties, "required": required });
    let result = json!({
        "type": "object",
        "properties": {
            "messages": { "type": "array", "items": message },
            "description": { "type": "string" },
        },
        "required": ["messages"],
    });
    let (mut method, _) = described(&prompt.name, &about, &args, &result);
    method.timeout_ms = longest(server);
    method
}

/// A method that changes nothing.
fn described(name: &str, about: &str, args: &Json, result: &Json) -> (manifest::Method, bool) {
    let (said, marks) = Method::read_only(about).into_parts();
    let args_schema = args.to_string();
    let result_schema = result.to_string();
    (manifest::Method { name: name.to_owned(), args_schema, result_schema, ..said }, marks)
}

fn contents() -> Json {
    json!({ "type": "array", "items": content_schema() })
}

fn page(args: Value<u32>) -> Result<Option<PaginatedRequestParams>, Failure> {
    let page: Page = crate::kit::decode(args, Vec::new())?;
    Ok(Some(PaginatedRequestParams::default().with_cursor(page.next)))
}

/// A page of a list.
fn listed<T: Serialize>(
    server: &Server,
    what: &str,
    items: &[T],
    next: Option<&String>,
) -> Result<Value<u32>, Failure> {
    let fields = vec![(what.to_owned(), encode(items)?), ("next".to_owned(), encode(&next)?)];
    Ok(server.secrets.hide_in(Value::Fields(fields)))
}

impl Resources {
    async fn list(&self, args: Value<u32>, call: &CallContext) -> Result<Value<u32>, Failure> {
        let request = ListResourcesRequest { params: page(args)?, ..Default::default() };
        let request = ClientRequest::ListResourcesRequest(request);
        match self.server.ask(request, Kind::Repeatable, call).await? {
            ServerResult::ListResourcesResult(page) => {
                listed(&self.server, "resources", &page.resources, page.next_cursor.as_ref())
            }
            _ => Err(self.server.nonsense()),
        }
    }

    async fn templates(&self, args: Value<u32>, call: &CallContext) -> Result<Value<u32>, Failure> {
        let request = ListResourceTemplatesRequest { params: page(args)?, ..Default::default() };
        let request = ClientRequest::ListResourceTemplatesRequest(request);
        match self.server.ask(request, Kind::Repeatable, call).await? {
            ServerResult::ListResourceTemplatesResult(page) => {
                let next = page.next_cursor.as_ref();
                listed(&self.server, "templates", &page.resource_templates, next)
            }
            _ => Err(self.server.nonsense()),
        }
    }
}

impl Server {
    async fn read(&self, uri: &str, call: &CallContext) -> Result<Value<u32>, Failure> {
        let params = ReadResourceRequestParams::new(uri);
        let request = ClientRequest::ReadResourceRequest(ReadResourceRequest::new(params));
        match self.ask(request, Kind::Repeatable, call).await? {
            ServerResult::ReadResourceResult(read) => {
                Ok(self.secrets.hide_in(content::of_contents(&read.contents)?))
            }
            _ => Err(self.nonsense()),
        }
    }
}

impl Prompts {
    async fn get(
        &self,
        name: &str,
        args: &Value<u32>,
        call: &CallContext,
    ) -> Result<Value<u32>, Failure> {
        let params = GetPromptRequestParams::new(name).with_arguments(content::to_arguments(args)?);
        let request = ClientRequest::GetPromptRequest(GetPromptRequest::new(params));
        match self.server.ask(request, Kind::Repeatable, call).await? {
            ServerResult::GetPromptResult(prompt) => {
                Ok(self.server.secrets.hide_in(content::of_prompt(&prompt)?))
            }
            _ => Err(self.server.nonsense()),
        }
    }
}

impl Resource {
    async fn watch(&self, since: Option<u64>, call: &CallContext) -> Result<Change, Failure> {
        let until = Instant::now() + self.server.timeout;
        let away = || fail::unavailable("the MCP server is not there: try again later");
        let session = self.server.session().await.ok_or_else(away)?;
        let Some(mut watching) = session.news.watch(&self.uri) else {
            let most = limits::MCP_WATCHED;
            return Err(fail::limit(format!(
                "{most} resources of the MCP server are watched, which is the most: try again when a call that watches one has ended"
            )));
        };
        let mut updates = session.news.updates();
        let version = |updates: &HashMap<String, Watched>| {
            updates.get(&self.uri).map(|watched| watched.version).unwrap_or_default()
        };
        let before = since.unwrap_or_else(|| version(&updates.borrow()));
        if let Some(ended) = watching.began.take() {
            self.subscribe(&session, ended, call).await.inspect_err(|_| {
                session.news.unwatch(&self.uri);
            })?;
        }
        let changed = timeout_at(until, updates.wait_for(|updates| version(updates) != before));
        let changed = tokio::select! {
            biased;
            () = call.cancelled() => return Err(fail::cancelled("the caller gave up")),
            changed = changed => changed.is_ok_and(|changed| changed.is_ok()),
        };
        let version = version(&updates.borrow());
        Ok(Change { changed, version })
    }

    /// Has the server tell when the resource changes, until `ended` or the end of the server.
    async fn subscribe(
        &self,
        session: &Rc<Session>,
        ended: CancellationToken,
        call: &CallContext,
    ) -> Result<(), Failure> {
        if session.is_stateless() {
            let filter = SubscriptionFilter::builder().resource_subscriptions([self.uri.clone()]);
            let changes = session.peer.listen(filter.build()).await;
            let mut changes = changes.map_err(|error| fail::failed(error.to_string()))?;
            let (session, uri) = (Rc::clone(session), self.uri.clone());
            tokio::task::spawn_local(async move {
                let told = async {
                    while let Ok(Some(_)) = changes.next().await {
                        session.news.updated(&uri);
                    }
                };
                if ended.run_until_cancelled(told).await.is_some() {
                    session.news.unwatch(&uri);
                }
            });
            return Ok(());
        }
        let params = SubscribeRequestParams::new(&self.uri);
        let request = ClientRequest::SubscribeRequest(Request::new(params));
        self.server.ask(request, Kind::Repeatable, call).await?;
        // The session lives as long as what is watched: a task of it must not keep it.
        let (peer, uri) = (session.peer.clone(), self.uri.clone());
        tokio::task::spawn_local(async move {
            ended.cancelled().await;
            let request = Request::new(UnsubscribeRequestParams::new(uri));
            let request = ClientRequest::UnsubscribeRequest(request);
            // A server that does not answer is found out by calls.
            let _ended = timeout(limits::MCP_PING, peer.send_request(request)).await;
        });
        Ok(())
    }
}
