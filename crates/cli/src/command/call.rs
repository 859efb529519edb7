//! `remit call`: one call on what a reference leads to.

use clap::Args;
use remit_client::{value_from_json_text, value_to_json};

use super::task::restored;
use crate::embedded::Parts;
use crate::fault::Fault;
use crate::mesh::{Mesh, Place};
use crate::show::out;

/// Call a method of what a reference to a grant leads to, and print what it returns as JSON
///
/// The call goes through the membrane of the task that holds the grant, and is in its journal.
#[derive(Debug, Args)]
pub(super) struct Call {
    /// The reference, or @ and the name under which it is kept
    reference: String,

    /// The method
    method: String,

    /// The arguments as JSON: a list by position, or an object by name
    #[arg(default_value = "[]")]
    args: String,

    /// A key of your own: called twice under the same, it is done once
    #[arg(long)]
    key: Option<String>,
}

impl Call {
    pub(super) async fn execute(self, place: &Place) -> Result<(), Fault> {
        let args = value_from_json_text(&self.args)
            .map_err(|error| Fault::Usage(format!("the arguments are no JSON: {error}")))?;
        let mesh = Mesh::reach(place, Parts::All).await?;
        let called = async {
            let object = restored(&mesh.client, &self.reference).await?.into_object()?;
            Ok::<_, Fault>(match &self.key {
                Some(key) => object.call_with_key(key, &self.method, args).await?,
                None => object.call(&self.method, args).await?,
            })
        };
        let called = called.await;
        mesh.leave().await;
        out::json_lines(&value_to_json(&called?))
    }
}
