//! What each of the services answers: the one that a request's path belongs to.

use serde_json::json;

use super::{Fault, State, TokenRequest};
use crate::double::{Asked, Reply};

/// What becomes of the request `asked`.
pub(super) fn reply(state: &mut State, asked: &Asked) -> Reply {
    match state.next_fault() {
        Some(Fault::Silence) => return Reply::Silence,
        Some(Fault::Cut) => return Reply::Cut,
        Some(Fault::Status(status)) => return Reply::text(status, state.garbage.text()),
        Some(Fault::Garbage) => return Reply::text(200, state.garbage.text()),
        None => {}
    }
    let (method, target) = asked.what.split_once(' ').unwrap_or_default();
    match (method, target) {
        ("GET", "/container") => container(state, asked),
        ("PUT", "/latest/api/token") => match state.manners.token_request {
            TokenRequest::Given if asked.header(TOKEN_TTL).is_none() => Reply::text(400, "no ttl"),
            TokenRequest::Given => Reply::text(200, state.instance_token.text()),
            TokenRequest::Refused(status) => Reply::text(status, "no"),
            TokenRequest::Lost => Reply::Silence,
        },
        ("GET", path) if path.starts_with(METADATA) => instance(state, asked, &path[METADATA.len()..]),
        ("GET", "/latest/meta-data/placement/region") => match &state.manners.region {
            _ if asked.header(TOKEN) != Some(state.instance_token.text()) => Reply::text(401, "no"),
            Some(region) => Reply::text(200, region.as_str()),
            None => Reply::text(404, "no"),
        },
        ("POST", "/") => sts(state, asked),
        _ => Reply::text(404, "there is nothing here"),
    }
}

fn container(state: &mut State, asked: &Asked) -> Reply {
    if asked.header("authorization") != state.manners.container_token.as_deref() {
        return Reply::text(401, r#"{"code": "AccessDenied", "message": "no"}"#);
    }
    let (key, secret, token) = state.hand_out();
    let expires = &state.manners.expires;
    let set = json!({
        "RoleArn": "arn:aws:iam::1:role/task", "AccessKeyId": key, "SecretAccessKey": secret, "Token": token,
        "Expiration": expires,
    });
    Reply::text(200, set.to_string())
}

fn instance(state: &mut State, asked: &Asked, rest: &str) -> Reply {
    let shown = asked.header(TOKEN);
    let is_allowed = match shown {
        Some(token) => token == state.instance_token.text(),
        None => state.manners.answers_without_token,
    };
    match (is_allowed, rest) {
        (false, _) => Reply::text(401, "no"),
        (true, "") => Reply::text(200, "the-role\nanother"),
        (true, "the-role") => {
            let (key, secret, token) = state.hand_out();
            let expires = &state.manners.expires;
            let set = json!({
                "Code": "Success", "LastUpdated": "2023-11-14T22:00:00Z", "Type": "AWS-HMAC", "AccessKeyId": key,
                "SecretAccessKey": secret, "Token": token, "Expiration": expires,
            });
            Reply::text(200, set.to_string())
        }
        (true, _) => Reply::text(404, "no"),
    }
}

fn sts(state: &mut State, asked: &Asked) -> Reply {
    let refuse = |code: &str| {
        let error = format!("<Error><Type>Sender</Type><Code>{code}</Code><Message>no</Message></Error>");
        Reply::text(400, format!("<ErrorResponse>{error}</ErrorResponse>"))
    };
    let field = |name: &str| {
        let mut pairs = asked.body.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(known, _)| *known == name).map(|(_, value)| value)
    };
    if field("Action") != Some("AssumeRoleWithWebIdentity") || field("RoleArn").is_none() {
        return refuse("InvalidAction");
    }
    if field("WebIdentityToken") != Some(&state.manners.web_identity_token) {
        return refuse("InvalidIdentityToken");
    }
    let (key, secret, token) = state.hand_out();
    let expires = &state.manners.expires;
    Reply::text(
        200,
        format!(
            "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">
  <AssumeRoleWithWebIdentityResult>
    <Credentials>
      <SessionToken>{token}</SessionToken>
      <SecretAccessKey>{secret}</SecretAccessKey>
      <Expiration>{expires}</Expiration>
      <AccessKeyId>{key}</AccessKeyId>
    </Credentials>
  </AssumeRoleWithWebIdentityResult>
</AssumeRoleWithWebIdentityResponse>"
        ),
    )
}

const METADATA: &str = "/latest/meta-data/iam/security-credentials/";
const TOKEN: &str = "x-aws-ec2-metadata-token";
const TOKEN_TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";
