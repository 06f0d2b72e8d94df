//! The calls, and what is looked for in each answer.

use serde_json::{Value, json};

use super::{Conformance, Outcome, Report};
use crate::protocol::{CREDENTIALS_HEADER, Capabilities, Operation};
use crate::testing::{Answered, Caller, Gateway};
use crate::token::LONGEST_LIFE_SECONDS;
use crate::verifier::system_seconds;
use crate::web::WebError;

/// Tries everything.
pub(super) async fn all(settings: &Conformance, caller: &Caller) -> Report {
    let mut run = Run { settings, caller, report: Report::default(), made: Vec::new(), capabilities: None };
    run.tokens().await;
    run.dry_run().await;
    run.create().await;
    run.same_request_again().await;
    run.listed("what was made is listed", true).await;
    run.bad_bodies().await;
    run.revoke().await;
    run.rotate().await;
    run.report
}

/// A run that is under way.
struct Run<'a> {
    settings: &'a Conformance,
    caller: &'a Caller,
    report: Report,
    /// The ids of what was made and not revoked yet.
    made: Vec<String>,
    /// What the dry run has told.
    capabilities: Option<Capabilities>,
}

/// Either it holds, or this is why not.
type Checked = Result<(), String>;

impl Run<'_> {
    fn note(&mut self, sentence: &'static str, checked: Checked) {
        let outcome = match checked {
            Ok(()) => Outcome::Holds,
            Err(why) => Outcome::Broken(why),
        };
        self.report.add(sentence, outcome);
    }

    /// Tokens that are wrong in one way each, on a dry run, so that nothing is made by whoever takes one.
    async fn tokens(&mut self) {
        let body = Caller::dry_run_body(&self.settings.payload).to_string();
        let (origin, now) = (self.caller.origin(), system_seconds());
        let right = Gateway::claims(&origin, Operation::Create, body.as_bytes(), now);
        let changed = |claim: &str, value: Value| {
            let mut claims = right.clone();
            claims[claim] = value;
            claims
        };
        let past = now - LONGEST_LIFE_SECONDS;
        let other_type = {
            let mut header = Gateway::header();
            header["typ"] = json!("JWT");
            header
        };
        let mine = |claims: &Value| self.caller.gateway().sign(&Gateway::header(), claims);
        let wrong = [
            (
                "a token that another key has signed is refused",
                Gateway::new().sign(&Gateway::header(), &right),
            ),
            ("a token that was made for another body is refused", {
                mine(&Gateway::claims(&origin, Operation::Create, b"{}", now))
            }),
            ("a token that was made for another call is refused", {
                mine(&Gateway::claims(&origin, Operation::Revoke, body.as_bytes(), now))
            }),
            ("a token that was made for another producer is refused", {
                mine(&changed("aud", json!("https://other.example")))
            }),
            ("a token of another gateway is refused", mine(&changed("access_id", json!("p-other")))),
            ("a token that has expired is refused", {
                mine(&Gateway::claims(
                    &origin,
                    Operation::Create,
                    body.as_bytes(),
                    past - LONGEST_LIFE_SECONDS,
                ))
            }),
            ("a token that was made for something else is refused", {
                self.caller.gateway().sign(&other_type, &right)
            }),
        ];
        let answered = self.caller.send(Operation::Create, &[], body.clone().into()).await;
        self.note("a call without a token is refused", self.refused(answered, 401));
        for (sentence, token) in wrong {
            let headers = [(CREDENTIALS_HEADER, token.as_str())];
            let answered = self.caller.send(Operation::Create, &headers, body.clone().into()).await;
            self.note(sentence, self.refused(answered, 401));
        }
    }

    async fn dry_run(&mut self) {
        let answered = self.caller.dry_run(&self.settings.payload).await;
        let made = self.made_of(answered);
        if let Ok((_, body)) = &made {
            self.capabilities = serde_json::from_value(body["capabilities"].clone()).ok();
        }
        let id = made.as_ref().ok().map(|(id, _)| id.clone());
        self.note("a dry run is answered with a text as id and an object", made.map(drop));
        let revoked = match id {
            Some(id) => self.revoked(&[&id], &[&id]).await,
            None => Err("there is no id".to_owned()),
        };
        self.note("what a dry run was answered with can be revoked", revoked);
    }

    async fn create(&mut self) {
        let first = self.make(&fresh_id()).await;
        let plain = json!({
            "payload": self.settings.payload, "input": self.settings.input,
            "client_info": {"access_id": "p-user", "sub_claims": {}},
        });
        let plain = self.caller.call(Operation::Create, &plain).await;
        let plain = self.made_of(plain).map(|(id, _)| id);
        self.made.extend(plain.iter().cloned());
        let different = match (&first, &plain) {
            (Ok(one), Ok(other)) if one == other => Err(format!("both have the id {one}")),
            (Ok(_), Ok(_)) => Ok(()),
            _ => Err("they were not made".to_owned()),
        };
        self.note("a create call is answered with a text as id and an object", first.map(drop));
        self.note("a create call as Akeyless makes it, without request_id, is answered too", plain.map(drop));
        self.note("two requests make two credentials", different);
    }

    async fn same_request_again(&mut self) {
        let (again, at_once) = (
            "the same request again is the same credential",
            "the same request twice at the same time is one credential",
        );
        if !self.capabilities.is_some_and(|can| can.request_id) {
            for sentence in [again, at_once] {
                self.report.add(sentence, Outcome::NotTried("the dry run has not declared request_id"));
            }
            return;
        }
        let same = |one: Result<String, String>, other: Result<String, String>| match (one, other) {
            (Ok(one), Ok(other)) if one == other => Ok(()),
            (Ok(one), Ok(other)) => Err(format!("there are two: {one} and {other}")),
            (Err(why), _) | (_, Err(why)) => Err(why),
        };
        let id = fresh_id();
        let (first, second) = (self.make(&id).await, self.make(&id).await);
        self.note(again, same(first, second));
        let (id, Conformance { payload, input, .. }) = (fresh_id(), self.settings);
        let (first, second) =
            tokio::join!(self.caller.create(payload, input, &id), self.caller.create(payload, input, &id));
        let first = self.made_of(first).map(|(id, _)| id);
        let second = self.made_of(second).map(|(id, _)| id);
        self.made.extend(first.iter().chain(&second).cloned());
        self.note(at_once, same(first, second));
        self.made.sort();
        self.made.dedup();
    }

    async fn listed(&mut self, sentence: &'static str, there: bool) {
        if !self.capabilities.is_some_and(|can| can.list) {
            self.report.add(sentence, Outcome::NotTried("the dry run has not declared list"));
            return;
        }
        let listed = self.caller.list(&self.settings.payload).await;
        let checked = listed.map_err(|error| error.to_string()).and_then(|answered| {
            let ids = answered.body["ids"].as_array().filter(|_| answered.status == 200);
            let ids = ids.ok_or_else(|| format!("the answer is {answered}, and not {{\"ids\": […]}}"))?;
            let is_listed = |id: &&String| ids.iter().any(|listed| listed == id.as_str());
            match self.made.iter().find(|id| is_listed(id) != there) {
                Some(id) if there => Err(format!("{id} is not listed")),
                Some(id) => Err(format!("{id} is listed")),
                None => Ok(()),
            }
        });
        self.note(sentence, checked);
    }

    async fn bad_bodies(&mut self) {
        let canary = "a-payload-that-nobody-may-repeat";
        for (sentence, body) in [
            ("a body that is no JSON is refused, and not repeated", format!("{{\"payload\": {canary}}}")),
            ("a revocation without ids is refused", json!({ "payload": canary }).to_string()),
        ] {
            let token =
                self.caller.gateway().token(&self.caller.origin(), Operation::Revoke, body.as_bytes());
            let headers = [(CREDENTIALS_HEADER, token.as_str())];
            let answered = self.caller.send(Operation::Revoke, &headers, body.into()).await;
            let repeats = answered.as_ref().is_ok_and(|answered| answered.body.to_string().contains(canary));
            let checked = self.refused(answered, 400);
            self.note(sentence, if repeats { Err("the answer repeats it".to_owned()) } else { checked });
        }
    }

    async fn revoke(&mut self) {
        let stranger = format!("gateward-nobody-{}", fresh_id());
        let unknown = self.caller.revoke(&self.settings.payload, &[&stranger]).await;
        let unknown = self.named_of(unknown).and_then(|named| only_of(&named, &[&stranger]));
        self.note("an id that nobody has made is no failure", unknown);

        let most = self.capabilities.and_then(|can| can.max_batch).unwrap_or(BATCH).clamp(1, BATCH);
        let made = self.made.clone();
        let mut all_gone = Ok(());
        for chunk in made.chunks(usize::from(most)) {
            let ids: Vec<&str> = chunk.iter().map(String::as_str).collect();
            all_gone = all_gone.and(self.revoked(&ids, &ids).await);
        }
        self.note("a revoke call names what it was asked to revoke, and nothing else", all_gone);
        let first: Vec<&str> = made.iter().take(1).map(String::as_str).collect();
        let again = self.revoked(&first, &first).await;
        self.note("what is revoked can be revoked again", again);

        let many: Vec<String> = (0..most).map(|index| format!("{stranger}-{index}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let answered = self.caller.revoke(&self.settings.payload, &many).await;
        let answered = self.named_of(answered).and_then(|named| only_of(&named, &many));
        self.note("as many ids as a gateway sends in one call are answered", answered);
        self.listed("what was revoked is not listed", false).await;
    }

    async fn rotate(&mut self) {
        let sentence = "a rotation gives a new payload, with which the producer works";
        if !self.settings.rotates {
            self.report.add(sentence, Outcome::NotTried("nobody asked for a rotation"));
            return;
        }
        let checked = async {
            let answered = self.caller.rotate(&self.settings.payload, &fresh_id()).await;
            let answered = answered.map_err(|error| error.to_string())?;
            let payload = answered.body["payload"].as_str().filter(|_| answered.status == 200);
            let payload = payload.filter(|payload| !payload.is_empty()).ok_or_else(|| {
                format!("the status is {}, and not 200 with {{\"payload\": text}}", answered.status)
            })?;
            let created = self.caller.create(payload, &self.settings.input, &fresh_id()).await;
            let (id, _) = self.made_of(created)?;
            let revoked = self.caller.revoke(payload, &[&id]).await;
            self.named_of(revoked).and_then(|named| all_of(&named, &[&id]))
        };
        let checked = checked.await;
        self.note(sentence, checked);
    }

    /// Has a credential made.
    async fn make(&mut self, request_id: &str) -> Result<String, String> {
        let Conformance { payload, input, .. } = self.settings;
        let answered = self.caller.create(payload, input, request_id).await;
        let (id, _) = self.made_of(answered)?;
        self.made.push(id.clone());
        Ok(id)
    }

    /// Has `ids` revoked, of which the answer must name `expected` and none but `ids`.
    async fn revoked(&self, ids: &[&str], expected: &[&str]) -> Checked {
        let answered = self.caller.revoke(&self.settings.payload, ids).await;
        let named = self.named_of(answered)?;
        all_of(&named, expected)?;
        only_of(&named, ids)
    }

    /// The id in the answer to a create call, and all of the answer.
    fn made_of(&self, answered: Result<Answered, WebError>) -> Result<(String, Value), String> {
        let answered = answered.map_err(|error| error.to_string())?;
        if answered.status != 200 {
            self.silent(&answered)?;
            return Err(format!("the answer is {answered}"));
        }
        match (answered.body["id"].as_str(), &answered.body["response"]) {
            (None | Some(""), _) => Err("the id is no text, or an empty one".to_owned()),
            (_, response) if !response.is_object() => Err("the response is no object".to_owned()),
            (Some(id), _) => Ok((id.to_owned(), answered.body.clone())),
        }
    }

    /// What the answer to a revoke call names as gone.
    fn named_of(&self, answered: Result<Answered, WebError>) -> Result<Vec<String>, String> {
        let answered = answered.map_err(|error| error.to_string())?;
        if answered.status != 200 {
            self.silent(&answered)?;
            return Err(format!("the answer is {answered}"));
        }
        let lists = [&answered.body["revoked"], &answered.body["not_found"]];
        if !lists[0].is_array() {
            return Err("the answer has no list `revoked`".to_owned());
        }
        let named = lists.into_iter().filter_map(Value::as_array).flatten();
        named.map(|id| id.as_str().map(str::to_owned).ok_or_else(|| "an id is no text".to_owned())).collect()
    }

    /// Whether a call was refused with `status`, without a word of the payload.
    fn refused(&self, answered: Result<Answered, WebError>, status: u16) -> Checked {
        let answered = answered.map_err(|error| error.to_string())?;
        self.silent(&answered)?;
        if answered.status == status {
            Ok(())
        } else {
            Err(format!("the status is {}, not {status}", answered.status))
        }
    }

    fn silent(&self, answered: &Answered) -> Checked {
        let payload = &self.settings.payload;
        let repeats = payload.len() >= 8 && answered.body.to_string().contains(payload.as_str());
        if repeats { Err("the answer repeats the payload".to_owned()) } else { Ok(()) }
    }
}

impl std::fmt::Display for Answered {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A body may hold a credential; an error is for people.
        match self.body["error"].as_str() {
            Some(error) => write!(formatter, "{}: {error}", self.status),
            None => write!(formatter, "{}", self.status),
        }
    }
}

fn all_of(named: &[String], expected: &[&str]) -> Checked {
    match expected.iter().find(|id| !named.iter().any(|named| named == *id)) {
        Some(id) => Err(format!("{id} is not named")),
        None => Ok(()),
    }
}

fn only_of(named: &[String], ids: &[&str]) -> Checked {
    match named.iter().find(|named| !ids.contains(&named.as_str())) {
        Some(id) => Err(format!("{id} is named, and was not asked for")),
        None => Ok(()),
    }
}

/// As a gateway names its requests.
fn fresh_id() -> String {
    crate::CreateRequest::default().unique_name("l-")
}

/// The most ids that a gateway sends in one call.
const BATCH: u16 = 100;
