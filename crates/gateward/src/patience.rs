//! How long a start waits for others.
//!
//! Lambda ends a start after 10 s, and says nothing of what it waited for. A function that ends it before can say so.

use std::error::Error;
use std::time::Duration;

use crate::settings::Mode;

/// How long each part of a start may wait for somebody else, if there is a limit.
#[derive(Clone, Copy)]
pub struct StartLimit(Option<Duration>);

impl StartLimit {
    /// That of a process of the kind `mode`.
    pub fn of(mode: Mode) -> Self {
        Self((mode == Mode::Lambda).then_some(LONGEST))
    }

    /// What `part` gives, or who has not answered: `whom` it waits for.
    pub async fn hold<T, E: Into<Box<dyn Error>>>(
        self,
        whom: &str,
        part: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Box<dyn Error>> {
        let Some(limit) = self.0 else { return part.await.map_err(Into::into) };
        match tokio::time::timeout(limit, part).await {
            Ok(done) => done.map_err(Into::into),
            Err(_) => Err(format!(
                "{whom} has not answered within {} s; a function in a VPC needs a way there: an endpoint of the VPC, or NAT",
                limit.as_secs()
            )
            .into()),
        }
    }
}

/// There are two such parts, and the rest of a start takes little.
const LONGEST: Duration = Duration::from_secs(4);

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    async fn wait_in_vain(mode: Mode) -> Result<(), String> {
        let nothing = pending::<Result<(), Box<dyn Error>>>();
        let held = StartLimit::of(mode).hold("the table", nothing);
        let held = tokio::time::timeout(Duration::from_secs(60), held).await;
        held.map_err(|_| "still waiting".to_owned())?.map_err(|error| error.to_string())
    }

    #[tokio::test(start_paused = true)]
    async fn a_function_says_who_has_not_answered_before_lambda_ends_its_start() {
        let told = wait_in_vain(Mode::Lambda).await.unwrap_err();
        assert!(told.starts_with("the table has not answered within 4 s;"), "{told}");
        assert_eq!(wait_in_vain(Mode::Serve).await.unwrap_err(), "still waiting");
        let limit = StartLimit::of(Mode::Lambda);
        assert!(matches!(limit.hold("the table", ready(Ok::<_, Box<dyn Error>>(1))).await, Ok(1)));
    }
}
