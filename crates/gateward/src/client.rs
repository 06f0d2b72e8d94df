//! The commands that ask a running gateway: each is one call of the Akeyless API, and a login before it where there
//! is no token.

mod call;
mod cloud_identity;
mod credentials;
mod error;
mod gateway_url;
mod indent;
mod profile;
mod session;

use crate::arguments::{Ask, Auth};
use crate::surroundings::Surroundings;
use call::Call;
use indent::indent;
use session::Answered;

pub use cloud_identity::get_cloud_identity;
pub use error::AskError;
pub use gateway_url::GatewayUrl;
pub use profile::configure;
pub use session::Session;

/// What a gateway has answered.
pub struct Told {
    /// What was asked for.
    pub result: String,
    /// What else a person may want to know.
    pub note: Option<String>,
}

/// Asks a running gateway for what `ask` says.
pub async fn ask(ask: &Ask, surroundings: &Surroundings) -> Result<Told, AskError> {
    let session = Session::open(ask.connection(), surroundings).await?;
    let Answered { body: answer, lease } = session.call(Call::of(ask)).await?;
    let note = match (ask, lease) {
        (Ask::GetValue(get), Some((id, expires))) => Some(format!(
            "lease {id}, revoked at {expires}; sooner with: gateward dynamic-secret tmp-creds delete --name {} \
             --tmp-creds-id {id}",
            get.name
        )),
        _ => None,
    };
    let result = match ask {
        Ask::One(call) if !call.common().json => {
            let mut read = serde_json::from_str(&answer).unwrap_or_default();
            let told = call.told(&read);
            gateward_seal::wipe(&mut read);
            told.unwrap_or_else(|| indent(&answer))
        }
        Ask::Create(create) if !create.json => format!("The dynamic secret {} was created.", create.name),
        Ask::Delete(delete) if !delete.json => format!("The dynamic secret {} was deleted.", delete.name),
        Ask::RevokeTmpCreds(revoke) if !revoke.json => match &revoke.tmp_creds_id {
            Some(id) => format!("The credential {id} of {} was revoked.", revoke.name),
            None => format!("All credentials of {} were revoked.", revoke.name),
        },
        Ask::GetValue(get) if !get.json => indent(&answer),
        Ask::GetTmpCreds(get) if !get.json => indent(&answer),
        _ => {
            // It ends with a line feed for those who ask with curl.
            let mut answer = answer;
            answer.truncate(answer.trim_end().len());
            answer
        }
    };
    Ok(Told { result, note })
}

/// Logs in to a running gateway. The answer is what to print.
pub async fn auth(auth: &Auth, surroundings: &Surroundings) -> Result<String, AskError> {
    let token = session::log_in(auth, surroundings).await?;
    Ok(if auth.json {
        serde_json::json!({"token": token.expose()}).to_string()
    } else {
        token.expose().to_owned()
    })
}

#[cfg(test)]
mod tests;
