//! What `gateward dev` says when it has started, and the sample resources that it says it about.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use gateward_control::Control;
use gateward_seal::SecretValue;
use http::{Method, StatusCode};

use crate::settings::{APISIX_KEY_OF_DOCUMENTS, DEV_DATA_DIR, Settings};
use crate::terminal::Terminal;

/// Makes the sample resources, through the API that everybody else uses.
pub async fn sample_resources(control: &Control) {
    for (path, body) in [
        ("/vaults/demo", VAULT),
        ("/apisix/admin/routes/hello", ROUTE),
        ("/apisix/admin/consumers/ann", CONSUMER),
        ("/apisix/admin/routes/hello-members", MEMBERS_ROUTE),
    ] {
        let status: StatusCode = control.ask(Method::PUT, path, body).await;
        if !status.is_success() {
            tracing::warn!(%status, path, "a sample resource is not there");
        }
    }
}

/// Says what runs where, and what to try.
pub fn tell(
    terminal: &mut Terminal<'_>,
    settings: &Settings,
    traffic: &[SocketAddr],
    control: Option<SocketAddr>,
) {
    let admin = &settings.admin;
    let traffic = traffic.first().map(ToString::to_string).unwrap_or_default();
    let there = control.map(option_for).unwrap_or_default();
    let control = control.map(|address| address.to_string()).unwrap_or_default();
    let binary = std::env::current_exe().ok().and_then(|path| {
        let here = std::env::current_dir().ok()?;
        let path = match path.strip_prefix(&here) {
            // A bare name would be looked for elsewhere.
            Ok(name) if name.components().count() == 1 => Path::new(".").join(name),
            Ok(below) => below.to_owned(),
            Err(_) => path,
        };
        Some(path.display().to_string())
    });
    let mut gateward = binary.unwrap_or_else(|| "gateward".to_owned());
    if settings.data_dir != Path::new(DEV_DATA_DIR) {
        gateward = format!("GATEWARD_DATA_DIR={} {gateward}", settings.data_dir.display());
    }
    let mut text = format!("Gateward serves traffic on http://{traffic} and control on http://{control}\n");
    if settings.admin_is_new {
        let (id, key) = (admin.access_id().as_str(), admin.access_key().map_or("", SecretValue::expose));
        let file = settings.data_dir.join("admin.json");
        text += &format!(
            "Administrator: access id {id}, access key {key}\n(told once; kept in {})\n",
            file.display()
        );
    }
    text += "\nTry, in another terminal, in this folder.";
    // With files there are the resources of the files, and no others.
    if settings.resources.is_empty() {
        let key = settings.apisix_admin_key.as_ref().map(SecretValue::expose);
        let key = key.filter(|key| *key == APISIX_KEY_OF_DOCUMENTS).unwrap_or("$GATEWARD_APISIX_ADMIN_KEY");
        text += &format!(
            " A function, called with a signature whose secret stands in a vault:\n\
             \n  python3 examples/hello_function.py 7071 & sleep 1\
             \n  curl -i 'http://{traffic}/hello?name=you'\
             \n  curl -s http://{control}/apisix/admin/routes/hello -H \"X-API-KEY: {key}\"\
             \n\nThe same for those only who show a key, which the consumer ann has:\n\
             \n  curl -i 'http://{traffic}/members/hello?name=Ann'\
             \n  curl -i 'http://{traffic}/members/hello?name=Ann' -H 'apikey: key-of-ann'\n"
        );
    }
    text += &format!(
        "\nA login that lives for 20 seconds, made and revoked by a producer that keeps its users in a file:\n\
         \n  cargo run --release -p gateward-producer-sdk --example users_file -- users.json --listen 127.0.0.1:7070 \
         --access-id {id} --jwks http://{control}/.well-known/jwks.json &\
         \n  until curl -s http://127.0.0.1:7070 >/dev/null; do sleep 1; done\
         \n  {gateward} dynamic-secret create -n /demo/login --create-sync-url http://127.0.0.1:7070/sync/create \
         --revoke-sync-url http://127.0.0.1:7070/sync/revoke --user-ttl 20s{there}\
         \n  {gateward} get-dynamic-secret-value -n /demo/login{there}\
         \n  {gateward} dynamic-secret tmp-creds get -n /demo/login{there}\
         \n  cat users.json; sleep 21; cat users.json\
         \n  {gateward} dynamic-secret delete -n /demo/login{there}\
         \n\nCtrl-C stops it.",
        id = admin.access_id().as_str(),
    );
    terminal.message(&text);
}

/// What says to a command that it is this gateway which is meant; nothing where commands go without being told.
fn option_for(control: SocketAddr) -> String {
    if (control.ip().is_loopback() || control.ip().is_unspecified()) && control.port() == USUAL_PORT {
        return String::new();
    }
    let ip = match control.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    format!(" -u http://{}", SocketAddr::new(ip, control.port()))
}

/// Where commands ask that are not told where.
const USUAL_PORT: u16 = 8000;

/// A vault that everybody has: the environment of the gateway itself.
const VAULT: &str = r#"{"name": "env", "description": "The gateway's own environment"}"#;

/// Calls `examples/hello_function.py`. For want of a real secret the signature is made with the path of the home
/// directory, which the function knows too.
const ROUTE: &str = r#"{
    "uri": "/hello",
    "desc": "A sample: calls examples/hello_function.py with a signature whose secret stands in a vault",
    "plugins": {"aws-lambda": {
        "function_uri": "http://127.0.0.1:7071/hello",
        "authorization": {"iam": {"accesskey": "AKIDEXAMPLE", "secretkey": "{vault://demo/home}"}}
    }}
}"#;

/// Somebody whom a route can know by a key.
const CONSUMER: &str = r#"{
    "username": "ann",
    "desc": "A sample: may call the sample route hello-members",
    "plugins": {"key-auth": {"key": "key-of-ann"}}
}"#;

/// Calls the same function, for those whom it knows.
const MEMBERS_ROUTE: &str = r#"{
    "uri": "/members/hello",
    "desc": "A sample: as the route hello, for consumers who show a key",
    "plugins": {
        "key-auth": {"hide_credentials": true},
        "aws-lambda": {
            "function_uri": "http://127.0.0.1:7071/hello",
            "authorization": {"iam": {"accesskey": "AKIDEXAMPLE", "secretkey": "{vault://demo/home}"}}
        }
    }
}"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_told_of_a_gateway_that_is_not_where_they_would_ask() {
        for (control, option) in [
            ("127.0.0.1:8000", ""),
            ("[::1]:8000", ""),
            ("0.0.0.0:8000", ""),
            ("127.0.0.1:18000", " -u http://127.0.0.1:18000"),
            ("0.0.0.0:18000", " -u http://127.0.0.1:18000"),
            ("[::]:18000", " -u http://[::1]:18000"),
            ("10.0.0.5:8000", " -u http://10.0.0.5:8000"),
        ] {
            assert_eq!(option_for(control.parse().expect("an address")), option, "{control}");
        }
    }
}
