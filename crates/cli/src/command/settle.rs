//! `remit settle`: a decision on a call of which nobody knows whether it happened.

use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use remit_client::{
    Asks, CallNumber, EventNumber, Question, Settlement, TaskHandle, value_from_json_text,
};

use super::asked::otherwise;
use super::task::{Among, choose};
use crate::complete;
use crate::embedded::Parts;
use crate::fault::Fault;
use crate::mesh::{Mesh, Place};
use crate::show::out;

/// Say what became of a call of unknown outcome, or what is to be done; it is on disk when the
/// command ends
///
/// Look first at what the tool works on. The same decision again changes nothing; another one is
/// refused.
#[derive(Debug, Args)]
pub(super) struct Settle {
    /// The task's id, the end of it, or its name
    #[arg(add = ArgValueCandidates::new(complete::tasks))]
    task: String,

    /// The number of the call, as `remit inbox` shows it
    call: u64,

    /// retry: it did not happen, send it again; abandon: it fails with `unknown`; outcome=JSON: it
    /// happened, and this is what it returned
    #[arg(value_name = "retry|abandon|outcome=JSON", value_parser = settlement)]
    settlement: Settlement,
}

impl Settle {
    pub(super) async fn execute(self, place: &Place) -> Result<(), Fault> {
        let mesh = Mesh::reach(place, Parts::Orchestrator).await?;
        let done = self.settle(&mesh).await;
        mesh.leave().await;
        let task = done?;
        let how = match self.settlement {
            Settlement::Retry => "is sent again",
            Settlement::Abandon => "is given up",
            Settlement::Outcome(_) => "has its outcome",
        };
        out::note(&format!("remit: call {} of {} {how}", self.call, task.id()));
        Ok(())
    }

    async fn settle(&self, mesh: &Mesh) -> Result<TaskHandle, Fault> {
        let task = choose(&mesh.client, Some(&self.task), Among::Every).await?;
        let call = CallNumber(self.call);
        let asked = task.questions().await?;
        let event = match asked.iter().find(|question| question.operation == call) {
            Some(Question { asks: Asks::Settlement { .. }, event, .. }) => *event,
            Some(question) => return Err(otherwise(question)),
            // It was settled before, or the mesh says what else there is to say of it.
            None => EventNumber(0),
        };
        task.settle(call, event, self.settlement.clone()).await?;
        Ok(task)
    }
}

fn settlement(text: &str) -> Result<Settlement, String> {
    match (text, text.split_once('=')) {
        ("retry", _) => Ok(Settlement::Retry),
        ("abandon", _) => Ok(Settlement::Abandon),
        (_, Some(("outcome", json))) => {
            value_from_json_text(json).map(Settlement::Outcome).map_err(|error| {
                format!("{error}. Write what the call returned as JSON, for example outcome=null")
            })
        }
        _ => Err("write retry, abandon or outcome=JSON".into()),
    }
}

#[cfg(test)]
mod tests {
    use remit_client::Value;

    use super::*;

    #[test]
    fn a_settlement_is_one_of_three() {
        assert_eq!(settlement("retry"), Ok(Settlement::Retry));
        assert_eq!(settlement("abandon"), Ok(Settlement::Abandon));
        assert_eq!(settlement("outcome=3"), Ok(Settlement::Outcome(Value::Integer(3))));
        for wrong in ["", "outcome", "outcome=", "outcome={", "again"] {
            assert!(settlement(wrong).is_err(), "{wrong}");
        }
    }
}
