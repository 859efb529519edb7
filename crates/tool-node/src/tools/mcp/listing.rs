//! What a server offers: its tools and prompts, page by page.

use rmcp::RoleClient;
use rmcp::model::{PaginatedRequestParams, Prompt, Tool};
use rmcp::service::{Peer, ServiceError};

use crate::limits;

/// What a server offers.
pub(super) struct Listing {
    /// Who it says that it is, and how it is to be used.
    pub(super) about: String,
    pub(super) tools: Vec<Tool>,
    pub(super) prompts: Vec<Prompt>,
    pub(super) has_resources: bool,
}

/// Collects all pages of a list, up to a bound; sorted by name, so that the order in which a server
/// lists makes no difference.
macro_rules! pages {
    ($peer:expr, $list:ident, $items:ident, $most:expr) => {{
        let mut all = Vec::new();
        let mut cursor = None;
        for _ in 0..limits::MCP_PAGES {
            let asked = PaginatedRequestParams::default().with_cursor(cursor.take());
            let page = $peer.$list(Some(asked)).await.map_err(|error| said(&error))?;
            all.extend(page.$items);
            cursor = page.next_cursor;
            if cursor.is_none() || all.len() > $most {
                break;
            }
        }
        if cursor.is_some() || all.len() > $most {
            return Err(format!("it lists more than {} {}", $most, stringify!($items)));
        }
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }};
}

impl Listing {
    /// Asks the server.
    ///
    /// # Errors
    /// It does not answer, or lists too much, in words.
    pub(super) async fn fetch(peer: &Peer<RoleClient>) -> Result<Self, String> {
        let info = peer.peer_info().ok_or("it said nothing of itself")?;
        let can = &info.capabilities;
        let tools = match can.tools {
            Some(_) => pages!(peer, list_tools, tools, limits::MCP_METHODS),
            None => Vec::new(),
        };
        let prompts = match can.prompts {
            Some(_) => pages!(peer, list_prompts, prompts, limits::MCP_METHODS),
            None => Vec::new(),
        };
        let named = info.server_info.as_ref().map(|us| us.title.as_ref().unwrap_or(&us.name));
        let mut about = named.cloned().unwrap_or_default();
        if let Some(instructions) = &info.instructions {
            about = format!("{about}: {instructions}");
        }
        Ok(Self { about, tools, prompts, has_resources: can.resources.is_some() })
    }
}

fn said(error: &ServiceError) -> String {
    format!("it does not say what it offers: {error}")
}
