use super::*;
use crate::testing::{Gateway, Producers};

async fn refusal(variables: &[(&str, &str)]) -> String {
    let variable =
        |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    run_with(Producers::echo(), variable).await.unwrap_err().to_string()
}

#[tokio::test]
async fn a_setting_that_is_missing_or_wrong_is_named() {
    let id = ("PRODUCER_ACCESS_ID", "p-1");
    let keys = serde_json::to_string(&Gateway::new().jwks()).unwrap();
    let keys = ("PRODUCER_JWKS", keys.as_str());
    let gateway = ("PRODUCER_GATEWAY_URL", "http://127.0.0.1:8000/");
    for (variables, named) in [
        (vec![gateway], "PRODUCER_ACCESS_ID"),
        (vec![id], "set one of PRODUCER_GATEWAY_URL, PRODUCER_JWKS and PRODUCER_VALIDATE_URL"),
        (vec![id, gateway, keys], "and one only"),
        (vec![id, ("PRODUCER_GATEWAY_URL", "not a url")], "PRODUCER_GATEWAY_URL is no URL"),
        (vec![id, ("PRODUCER_JWKS", "{}")], "PRODUCER_JWKS: "),
        (vec![id, ("PRODUCER_JWKS", "/nowhere/keys.json")], "/nowhere/keys.json cannot be read"),
        (vec![id, keys, ("PRODUCER_CA_FILE", "Cargo.toml")], "PRODUCER_CA_FILE: "),
        (vec![id, keys, ("PRODUCER_LISTEN", "8090")], "PRODUCER_LISTEN"),
    ] {
        let why = refusal(&variables).await;
        assert!(why.contains(named), "{variables:?}: {why}");
    }
}

#[tokio::test]
async fn a_function_tells_lambda_why_it_cannot_start() {
    let lambda = gateward_testkit::RuntimeApi::start();
    let address = lambda.address();
    let why = refusal(&[("AWS_LAMBDA_RUNTIME_API", &address)]).await;
    assert!(why.contains("PRODUCER_ACCESS_ID"), "{why}");
    let told = lambda.init_errors();
    assert!(told[0].to_string().contains("PRODUCER_ACCESS_ID"), "{told:?}");
}
