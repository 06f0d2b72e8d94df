//! One connection: its requests, one after the other, each answered by the service that its path belongs to.

use std::io::{self, BufReader, Write};
use std::net::{Shutdown, TcpStream};

use serde_json::json;

use super::{Asked, Fault, Service, State, TokenRequest};
use crate::http::message;

/// Answers requests until the other side closes, or it is over.
pub(super) fn serve(stream: &TcpStream, service: &Service) {
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    while let Ok(Some(head)) = message::read_head(&mut reader) {
        let Ok(body) = message::read_body(&mut reader, &head, false) else {
            return;
        };
        let what = head.first_line.trim_end_matches(" HTTP/1.1").to_owned();
        let asked = Asked { what, headers: head.headers, body: String::from_utf8_lossy(&body).into_owned() };
        let deed = {
            let mut state = service.lock();
            let deed = deed(&mut state, &asked);
            state.asked.push(asked);
            deed
        };
        let answered = match deed {
            Deed::Answer(answer) => answer.write_to(&mut writer),
            Deed::Silence => return service.wait_until_closed(),
            Deed::Cut => {
                let _ = writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"Code\"");
                // The service holds the connection too, so dropping ours would not end it.
                let _ = stream.shutdown(Shutdown::Both);
                return;
            }
        };
        if answered.is_err() {
            return;
        }
    }
}

enum Deed {
    Answer(Answer),
    Silence,
    Cut,
}

fn deed(state: &mut State, asked: &Asked) -> Deed {
    match state.next_fault() {
        Some(Fault::Silence) => return Deed::Silence,
        Some(Fault::Cut) => return Deed::Cut,
        Some(Fault::Status(status)) => return Deed::Answer(Answer::text(status, state.garbage.text())),
        Some(Fault::Garbage) => return Deed::Answer(Answer::text(200, state.garbage.text())),
        None => {}
    }
    let (method, target) = asked.what.split_once(' ').unwrap_or_default();
    Deed::Answer(match (method, target) {
        ("GET", "/container") => container(state, asked),
        ("PUT", "/latest/api/token") => match state.manners.token_request {
            TokenRequest::Given if asked.header(TOKEN_TTL).is_none() => Answer::text(400, "no ttl"),
            TokenRequest::Given => Answer::text(200, state.instance_token.text()),
            TokenRequest::Refused(status) => Answer::text(status, "no"),
            TokenRequest::Lost => return Deed::Silence,
        },
        ("GET", path) if path.starts_with(METADATA) => instance(state, asked, &path[METADATA.len()..]),
        ("GET", "/latest/meta-data/placement/region") => match &state.manners.region {
            _ if asked.header(TOKEN) != Some(state.instance_token.text()) => Answer::text(401, "no"),
            Some(region) => Answer::text(200, region),
            None => Answer::text(404, "no"),
        },
        ("POST", "/") => sts(state, asked),
        _ => Answer::text(404, "there is nothing here"),
    })
}

fn container(state: &mut State, asked: &Asked) -> Answer {
    if asked.header("authorization") != state.manners.container_token.as_deref() {
        return Answer::text(401, r#"{"code": "AccessDenied", "message": "no"}"#);
    }
    let (key, secret, token) = state.hand_out();
    let expires = &state.manners.expires;
    let set = json!({
        "RoleArn": "arn:aws:iam::1:role/task", "AccessKeyId": key, "SecretAccessKey": secret, "Token": token,
        "Expiration": expires,
    });
    Answer::text(200, &set.to_string())
}

fn instance(state: &mut State, asked: &Asked, rest: &str) -> Answer {
    let shown = asked.header(TOKEN);
    let is_allowed = match shown {
        Some(token) => token == state.instance_token.text(),
        None => state.manners.answers_without_token,
    };
    match (is_allowed, rest) {
        (false, _) => Answer::text(401, "no"),
        (true, "") => Answer::text(200, "the-role\nanother"),
        (true, "the-role") => {
            let (key, secret, token) = state.hand_out();
            let expires = &state.manners.expires;
            let set = json!({
                "Code": "Success", "LastUpdated": "2023-11-14T22:00:00Z", "Type": "AWS-HMAC", "AccessKeyId": key,
                "SecretAccessKey": secret, "Token": token, "Expiration": expires,
            });
            Answer::text(200, &set.to_string())
        }
        (true, _) => Answer::text(404, "no"),
    }
}

fn sts(state: &mut State, asked: &Asked) -> Answer {
    let refuse = |code: &str| {
        let error = format!("<Error><Type>Sender</Type><Code>{code}</Code><Message>no</Message></Error>");
        Answer::text(400, &format!("<ErrorResponse>{error}</ErrorResponse>"))
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
    Answer::text(
        200,
        &format!(
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

struct Answer {
    status: u16,
    body: String,
}

impl Answer {
    fn text(status: u16, body: &str) -> Self {
        Self { status, body: body.to_owned() }
    }

    fn write_to(&self, writer: &mut impl Write) -> io::Result<()> {
        let Self { status, body } = self;
        let length = body.len();
        write!(writer, "HTTP/1.1 {status} Status\r\nContent-Length: {length}\r\n\r\n{body}")
    }
}

const METADATA: &str = "/latest/meta-data/iam/security-credentials/";
const TOKEN: &str = "x-aws-ec2-metadata-token";
const TOKEN_TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";
