//! Credentials from the environment, in the variables that every AWS tool reads.

use async_trait::async_trait;
use gateward_clock::Timestamp;

use super::Credentials;
use super::source::{Loaded, Missing, Source};
use super::variables::Variables;

/// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`, as they were when the process started.
pub(super) struct Environment {
    found: Result<Credentials, Half>,
}

/// What is not there.
#[derive(Clone, Copy)]
enum Half {
    Both,
    Key,
    Secret,
}

impl Environment {
    pub(super) fn of(variables: &Variables) -> Self {
        let variable = |name| variables.get(name);
        let found = match (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY")) {
            (Some(key), Some(secret)) => Ok(Credentials {
                access_key: key.to_owned(),
                secret_key: secret.into(),
                session_token: variable("AWS_SESSION_TOKEN").map(Into::into),
            }),
            (None, None) => Err(Half::Both),
            (Some(_), None) => Err(Half::Secret),
            (None, Some(_)) => Err(Half::Key),
        };
        Self { found }
    }
}

#[async_trait]
impl Source for Environment {
    fn name(&self) -> &str {
        "environment"
    }

    async fn load(&self, _now: Timestamp) -> Result<Loaded, Missing> {
        match &self.found {
            Ok(credentials) => Ok(Loaded::for_good(credentials.clone())),
            Err(Half::Both) => Err(Missing::not_set("AWS_ACCESS_KEY_ID is not set")),
            Err(Half::Key) => {
                Err(Missing::failed("AWS_SECRET_ACCESS_KEY is set and AWS_ACCESS_KEY_ID is not; set both"))
            }
            Err(Half::Secret) => {
                Err(Missing::failed("AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not; set both"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn load(variables: &[(&str, &str)]) -> Result<Credentials, Missing> {
        let environment =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let loaded = Environment::of(&Variables::new(environment)).load(Timestamp::from_secs(0)).await?;
        assert_eq!((loaded.expires, loaded.look_again), (None, None));
        Ok(loaded.credentials)
    }

    #[tokio::test]
    async fn three_variables_are_credentials_and_the_token_may_lack() {
        let both = [("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "s")];
        let credentials = load(&both).await.unwrap();
        assert_eq!((credentials.access_key.as_str(), credentials.secret_key.expose()), ("AKID", "s"));
        assert_eq!(credentials.session_token, None);
        let all = [&both[..], &[("AWS_SESSION_TOKEN", "t")]].concat();
        assert_eq!(load(&all).await.unwrap().session_token, Some("t".into()));
    }

    #[tokio::test]
    async fn half_a_pair_is_a_mistake_and_none_is_nothing() {
        assert!(matches!(load(&[]).await, Err(Missing::NotSet(_))));
        assert!(matches!(load(&[("AWS_ACCESS_KEY_ID", "")]).await, Err(Missing::NotSet(_))));
        for (half, lacks) in [
            ([("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "")], "AWS_SECRET_ACCESS_KEY is not"),
            ([("AWS_SECRET_ACCESS_KEY", "s"), ("AWS_SESSION_TOKEN", "t")], "AWS_ACCESS_KEY_ID is not"),
        ] {
            let Err(Missing::Failed(why)) = load(&half).await else { panic!("{half:?}") };
            assert!(why.contains(lacks), "{why}");
        }
    }
}
