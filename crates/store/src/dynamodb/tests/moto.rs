//! moto behind [`Api`]: a table of its own each, one call at a time, and tokens as AWS documents them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use gateward_testkit::Moto;
use serde_json::Value;

use super::super::{Api, Failure, Refusal};

/// A moto, for as many tables as a test needs.
pub(super) struct Server {
    moto: Arc<Mutex<Moto>>,
    tables: Mutex<u32>,
}

/// One table.
pub(super) struct Table {
    moto: Arc<Mutex<Moto>>,
    pub name: String,
    /// What transactions were done, by their tokens.
    done: Mutex<HashMap<String, Bytes>>,
}

pub(super) fn start() -> Server {
    Server { moto: Arc::new(Mutex::new(Moto::start())), tables: Mutex::default() }
}

impl Server {
    /// A new table, empty.
    pub(super) fn table(&self) -> Arc<Table> {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        *tables += 1;
        let name = format!("gateward-{}", *tables);
        self.moto.lock().unwrap_or_else(PoisonError::into_inner).create_table(REGION, &name);
        self.named(&name)
    }

    /// The table called `name`, if there is one.
    pub(super) fn named(&self, name: &str) -> Arc<Table> {
        Arc::new(Table { moto: Arc::clone(&self.moto), name: name.to_owned(), done: Mutex::default() })
    }

    /// Calls moto itself.
    pub(super) fn call(&self, action: &str, request: &Value) -> Value {
        let moto = self.moto.lock().unwrap_or_else(PoisonError::into_inner);
        moto.dynamodb(REGION, action, request.to_string().as_bytes()).json()
    }
}

#[async_trait]
impl Api for Table {
    async fn call(&self, action: &'static str, request: Bytes) -> Result<Bytes, Failure> {
        let token = token(&request);
        if let Some(token) = &token
            && let Some(answer) = self.done.lock().unwrap_or_else(PoisonError::into_inner).get(token)
        {
            return Ok(answer.clone());
        }
        let moto = Arc::clone(&self.moto);
        let calling = tokio::task::spawn_blocking(move || {
            moto.lock().unwrap_or_else(PoisonError::into_inner).dynamodb(REGION, action, &request)
        });
        let response = calling.await.map_err(|failure| Failure::Unanswered(failure.into()))?;
        let answer = Bytes::from(response.body);
        if response.status == 200 {
            if let Some(token) = token {
                self.done.lock().unwrap_or_else(PoisonError::into_inner).insert(token, answer.clone());
            }
            return Ok(answer);
        }
        let kind: Value = serde_json::from_slice(&answer).expect("an error in JSON");
        let error =
            kind["__type"].as_str().and_then(|kind| kind.rsplit('#').next()).unwrap_or_default().to_owned();
        Err(Failure::Refused(Refusal { status: response.status, error, answer }))
    }
}

fn token(request: &[u8]) -> Option<String> {
    let request: Value = serde_json::from_slice(request).expect("a request in JSON");
    Some(request.get("ClientRequestToken")?.as_str()?.to_owned())
}

const REGION: &str = "eu-west-1";
