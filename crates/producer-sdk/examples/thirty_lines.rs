//! A whole producer in thirty lines of code: users are files in a folder, each with its password in it.
//!
//! ```text
//! PRODUCER_ACCESS_ID=p-… PRODUCER_GATEWAY_URL=http://127.0.0.1:8000 \
//!     cargo run -p gateward-producer-sdk --example thirty_lines
//! ```

use std::{fs, io};

use gateward_producer_sdk::{
    Capabilities, CreateRequest, CreateResponse, Failure, Producer, RevokeRequest, RevokeResponse, RunError,
    random_password, run,
};
use serde_json::json;

struct Users;

impl Producer for Users {
    // The same request has the same name, so it makes one user, however often it is asked again.
    fn capabilities(&self) -> Capabilities {
        Capabilities { request_id: true, ..Capabilities::default() }
    }

    async fn create(&self, request: CreateRequest) -> Result<CreateResponse, Failure> {
        let (name, password) = (request.unique_name("user-"), random_password(24));
        fs::create_dir_all("users")?;
        fs::write(format!("users/{name}"), &password)?;
        let credential = json!({"user": name, "password": *password});
        Ok(CreateResponse::new(name, credential))
    }

    async fn revoke(&self, request: RevokeRequest) -> Result<RevokeResponse, Failure> {
        Ok(RevokeResponse::each(request.ids, |id| match fs::remove_file(format!("users/{id}")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            outcome => outcome.map(|()| true),
        }))
    }
}

#[tokio::main]
async fn main() -> Result<(), RunError> {
    run(Users).await
}
