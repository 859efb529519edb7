//! Questions to people and their answers, as audit records.

use super::{Decision, Projection, Record};
use crate::event::{
    Approval, ApprovalDecided, ApprovalRequested, CapabilityDecided, CapabilityRequested,
    Settlement, SettlementDecided,
};

impl Projection {
    pub(super) fn held(&mut self, pending: &ApprovalRequested) -> Record {
        let request = &pending.request;
        // What is decided on it names the call alone.
        self.note_request(request);
        let who = self.caller(request.through, request.delegate.as_ref());
        let mut record = Record::new(who, Decision::Asked);
        record.object = request.object.to_string();
        record.method.clone_from(&request.method);
        record.operation = Some(request.call);
        record.digest = Some(request.digest);
        record.subject.clone_from(&request.path);
        record.caveat.clone_from(&pending.caveat);
        self.with_grant(record, request.grant)
    }

    pub(super) fn decided(&self, decided: &ApprovalDecided) -> Record {
        let said = match decided.approval {
            Approval::Deny => Decision::Denied,
            Approval::Approve | Approval::Change(_) => Decision::Approved,
        };
        let mut record = Record::new(self.person(&decided.who), said).because(&decided.reason);
        record.operation = Some(decided.call);
        record.digest = Some(decided.digest);
        match self.open.get(&decided.call) {
            Some((grant, method, object, _)) => {
                record.method.clone_from(method);
                record.object = object.to_string();
                self.with_grant(record, *grant)
            }
            None => record,
        }
    }

    pub(super) fn wanted(&self, pending: &CapabilityRequested) -> Record {
        let mut record = Record::new(self.agent(), Decision::Asked).because(&pending.reason);
        record.operation = Some(pending.operation);
        record.tool.clone_from(&pending.tool);
        record
    }

    pub(super) fn gift(&self, decided: &CapabilityDecided) -> Record {
        let said = if decided.grant.is_some() { Decision::Approved } else { Decision::Denied };
        let mut record = Record::new(self.person(&decided.who), said).because(&decided.reason);
        record.operation = Some(decided.operation);
        match decided.grant {
            Some(grant) => self.with_grant(record, grant),
            None => record,
        }
    }

    pub(super) fn settled(&self, decided: &SettlementDecided) -> Record {
        let what = match decided.settlement {
            Settlement::Retry => "a call of unknown outcome is sent again",
            Settlement::Abandon => "a call of unknown outcome is given up",
            Settlement::Outcome(_) => "a call of unknown outcome is given one",
        };
        let mut record = Record::new(self.person(&decided.who), Decision::Approved).because(what);
        record.operation = Some(decided.call);
        match self.open.get(&decided.call) {
            Some((grant, method, object, digest)) => {
                record.method.clone_from(method);
                record.object = object.to_string();
                record.digest = Some(*digest);
                self.with_grant(record, *grant)
            }
            None => record,
        }
    }

    /// Who decided: nobody, if its time ran out.
    fn person(&self, who: &str) -> String {
        if who.is_empty() { self.agent() } else { who.to_owned() }
    }
}
