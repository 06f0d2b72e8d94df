//! How long a start waits for others.
//!
//! Lambda ends a start after 10 s, and says nothing of what it waited for. A function that ends it before can say so.

use std::error::Error;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

/// How long a start waits.
#[derive(Clone, Copy)]
pub struct Patience {
    /// For another process to give its store up.
    pub for_the_store: Duration,
    /// When it must have had all that it waits for, if it must.
    until: Option<Instant>,
}

impl Patience {
    /// Of a server, which may take over from another.
    pub fn of_a_server(for_the_store: Duration) -> Self {
        Self { for_the_store, until: None }
    }

    /// Of a function that begins to start now.
    pub fn of_a_function() -> Self {
        Self { for_the_store: Duration::ZERO, until: Some(Instant::now() + LONGEST) }
    }

    /// What `part` gives, or who has not answered: `whom` it waits for.
    pub async fn hold<T, E: Into<Box<dyn Error>>>(
        self,
        whom: &str,
        part: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Box<dyn Error>> {
        let Some(until) = self.until else { return part.await.map_err(Into::into) };
        let began = Instant::now();
        match timeout_at(until.min(began + LONGEST_PART), part).await {
            Ok(done) => done.map_err(Into::into),
            Err(_) => Err(format!(
                "{whom} has not answered within {} s; a function in a VPC needs a way there: an endpoint of the VPC, or NAT",
                began.elapsed().as_secs()
            )
            .into()),
        }
    }
}

/// Of Lambda's ten seconds, the rest is for what comes after.
const LONGEST: Duration = Duration::from_secs(8);

/// Who takes longer for one part of it is not going to answer.
const LONGEST_PART: Duration = Duration::from_secs(4);

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    async fn wait_in_vain(patience: Patience) -> Result<(), String> {
        let nothing = pending::<Result<(), Box<dyn Error>>>();
        let held = tokio::time::timeout(Duration::from_secs(60), patience.hold("the table", nothing)).await;
        held.map_err(|_| "still waiting".to_owned())?.map_err(|error| error.to_string())
    }

    #[tokio::test(start_paused = true)]
    async fn a_function_says_who_has_not_answered_before_lambda_ends_its_start() {
        let (patience, began) = (Patience::of_a_function(), Instant::now());
        assert!(matches!(patience.hold("the table", ready(Ok::<_, Box<dyn Error>>(1))).await, Ok(1)));
        let told = wait_in_vain(patience).await.unwrap_err();
        assert!(told.starts_with("the table has not answered within 4 s;"), "{told}");
        tokio::time::advance(Duration::from_secs(2)).await;
        let told = wait_in_vain(patience).await.unwrap_err();
        assert!(told.starts_with("the table has not answered within 2 s;"), "{told}");
        assert_eq!(began.elapsed().as_secs(), 8, "what came before counts");
        assert_eq!(wait_in_vain(Patience::of_a_server(Duration::ZERO)).await.unwrap_err(), "still waiting");
    }
}
