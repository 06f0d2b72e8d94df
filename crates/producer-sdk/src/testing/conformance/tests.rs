//! Producers that keep the protocol, and ones that break it in one way each.

use std::collections::BTreeSet;
use std::sync::Mutex;

use super::*;
use crate::producer::{Failure, Producer};
use crate::protocol::{
    Capabilities, CreateRequest, CreateResponse, ListRequest, ListResponse, Payload, RevokeRequest,
    RevokeResponse, RotateRequest, RotateResponse,
};

/// How a producer is wrong.
#[derive(Clone, Copy, PartialEq)]
enum Slip {
    None,
    NoId,
    OneIdForAll,
    ForgetsRequests,
    RevokesNothing,
    RevokesTooMuch,
    FailsAtUnknownIds,
    ListsNothing,
    ListsForEver,
    RotatesToNothing,
    TellsThePayload,
}

struct Shelf {
    slip: Slip,
    made: Mutex<BTreeSet<String>>,
}

impl Shelf {
    fn new(slip: Slip) -> Self {
        Self { slip, made: Mutex::default() }
    }
}

impl Producer for Shelf {
    fn capabilities(&self) -> Capabilities {
        Capabilities { request_id: true, list: true, max_batch: Some(10) }
    }

    async fn dry_run(&self, payload: Payload) -> Result<(), Failure> {
        match self.slip {
            Slip::TellsThePayload => Err(Failure::BadPayload(format!("{} is wrong", payload.expose()))),
            _ => Ok(()),
        }
    }

    async fn create(&self, mut request: CreateRequest) -> Result<CreateResponse, Failure> {
        if self.slip == Slip::ForgetsRequests {
            request.request_id = None;
        }
        let id = match self.slip {
            Slip::NoId => String::new(),
            Slip::OneIdForAll => "one".to_owned(),
            _ => request.unique_name("book-"),
        };
        self.made.lock().unwrap().insert(id.clone());
        Ok(CreateResponse::new(id, json!({})))
    }

    async fn revoke(&self, request: RevokeRequest) -> Result<RevokeResponse, Failure> {
        let mut made = self.made.lock().unwrap();
        Ok(match self.slip {
            Slip::RevokesNothing => RevokeResponse::default(),
            Slip::RevokesTooMuch => RevokeResponse::all(vec!["everything".to_owned()]),
            Slip::FailsAtUnknownIds if request.ids.iter().any(|id| !made.contains(id)) => {
                return Err(Failure::Failed("there is no such id".to_owned()));
            }
            _ => RevokeResponse::each(request.ids, |id| Ok::<_, String>(made.remove(id))),
        })
    }

    async fn rotate(&self, _request: RotateRequest) -> Result<RotateResponse, Failure> {
        let payload = if self.slip == Slip::RotatesToNothing { "" } else { "the new payload" };
        Ok(RotateResponse { payload: Payload::new(payload.to_owned()) })
    }

    async fn list(&self, request: ListRequest) -> Result<ListResponse, Failure> {
        let made: Vec<String> = self.made.lock().unwrap().iter().cloned().collect();
        Ok(match (self.slip, request.page) {
            (Slip::ListsNothing, _) => ListResponse::default(),
            (Slip::ListsForEver, _) => ListResponse { ids: Vec::new(), next: Some("more".to_owned()) },
            (_, None) => ListResponse { ids: Vec::new(), next: Some("2".to_owned()) },
            (_, Some(_)) => ListResponse { ids: made, next: None },
        })
    }
}

async fn report(producer: impl Producer) -> Report {
    let caller = Caller::of(producer).await;
    Conformance::default().payload("the old payload").rotating().check(&caller).await
}

#[tokio::test]
async fn a_producer_that_keeps_the_protocol_holds_every_sentence() {
    let report = report(Shelf::new(Slip::None)).await;
    assert!(report.findings.iter().all(|finding| finding.outcome == Outcome::Holds), "{report}");
    assert!(report.findings.len() >= 20, "{report}");
}

#[tokio::test]
async fn what_a_producer_has_not_declared_is_not_tried() {
    let caller = Caller::of(crate::testing::Producers::echo()).await;
    let report = Conformance::default().check(&caller).await;
    assert!(report.holds(), "{report}");
    let not_tried = report.findings.iter().filter(|finding| matches!(finding.outcome, Outcome::NotTried(_)));
    assert_eq!(not_tried.count(), 5, "{report}");
    assert!(report.to_string().contains("not tried  what was made is listed: "), "{report}");
}

#[tokio::test]
async fn each_slip_breaks_the_sentence_that_is_about_it() {
    for (slip, sentence) in [
        (Slip::NoId, "a create call is answered with a text as id and an object"),
        (Slip::OneIdForAll, "two requests make two credentials"),
        (Slip::ForgetsRequests, "the same request again is the same credential"),
        (Slip::RevokesNothing, "a revoke call names what it was asked to revoke, and nothing else"),
        (Slip::RevokesTooMuch, "a revoke call names what it was asked to revoke, and nothing else"),
        (Slip::FailsAtUnknownIds, "an id that nobody has made is no failure"),
        (Slip::FailsAtUnknownIds, "what is revoked can be revoked again"),
        (Slip::ListsNothing, "what was made is listed"),
        (Slip::ListsForEver, "what was made is listed"),
        (Slip::RotatesToNothing, "a rotation gives a new payload, with which the producer works"),
        (Slip::TellsThePayload, "a dry run is answered with a text as id and an object"),
    ] {
        let report = report(Shelf::new(slip)).await;
        assert!(report.broken().contains(&sentence), "{sentence}:\n{report}");
        assert!(!report.to_string().contains("the old payload"), "{report}");
    }
}
