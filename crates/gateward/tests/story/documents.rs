//! The commands that the documents of APISIX and Kong tell people to paste.

use std::process::Command;

use crate::gateway::{self, Gateway};
use crate::plot::Plot;

/// What APISIX's document of the plugin `aws-lambda` configures, as printed, its slips included.
pub const ROUTES: [&str; 4] = [
    r#"curl http://127.0.0.1:9080/apisix/admin/routes/1 -H 'X-API-KEY: edd1c9f034335f136f87ad84b625c8f1' -X PUT -d '
{
    "plugins": {
        "aws-lambda": {
            "function_uri": "https://x9w6z07gb9.execute-api.us-east-1.amazonaws.com/default/test-apisix",
            "authorization": {
                "apikey": "<Generated API Key from aws console>",
            },
            "ssl_verify":false
        }
    },
    "uri": "/aws"
}'"#,
    r#"curl http://127.0.0.1:9080/apisix/admin/routes/1 -H 'X-API-KEY: edd1c9f034335f136f87ad84b625c8f1' -X PUT -d '
{
    "plugins": {
        "aws-lambda": {
            "function_uri": "https://ajycz5e0v9.execute-api.us-east-1.amazonaws.com/default/test-apisix",
            "authorization": {
                "iam": {
                    "accesskey": "<access key>",
                    "secretkey": "<access key secret>"
                }
            },
            "ssl_verify": false
        }
    },
    "uri": "/aws"
}'"#,
    r#"curl http://127.0.0.1:9080/apisix/admin/routes/1 -H 'X-API-KEY: edd1c9f034335f136f87ad84b625c8f1' -X PUT -d '
{
    "plugins": {
        "aws-lambda": {
            "function_uri": "https://x9w6z07gb9.execute-api.us-east-1.amazonaws.com",
            "authorization": {
                "apikey": "<Generate API key>"
            },
            "ssl_verify":false
        }
    },
    "uri": "/aws/*"
}'"#,
    r#"curl http://127.0.0.1:9080/apisix/admin/routes/1 -H 'X-API-KEY: edd1c9f034335f136f87ad84b625c8f1' -X PUT -d '
{
    "uri": "/aws",
    "plugins": {},
    "upstream": {
        "type": "roundrobin",
        "nodes": {
            "127.0.0.1:1980": 1
        }
    }
}'"#,
];

/// What Kong's document of the vaults tells: one vault, and two in other regions.
const VAULTS: [&str; 3] = [
    r#"curl -i -X PUT http://localhost:8001/vaults/aws-sm-vault  \
  --data name=aws \
  --data description="Storing secrets in AWS Secrets Manager" \
  --data config.region="us-east-1""#,
    r#"curl -X PUT http://localhost:8001/vaults/aws-eu-central-vault -d name=aws -d config.region="eu-central-1""#,
    r#"curl -X PUT http://localhost:8001/vaults/aws-us-west-vault -d name=aws -d config.region="us-west-1""#,
];

/// Puts the vaults, the first of them with `endpoint` and values that are one second old at most. On this port Kong's
/// API wants a token, which the document's own port does not.
#[track_caller]
pub fn put_vault(plot: &Plot, gateway: &Gateway<'_>, endpoint: &str) {
    let token = gateway.token();
    for (index, command) in VAULTS.iter().enumerate() {
        let mut command = command.replace("localhost:8001", gateway.control.trim_start_matches("http://"));
        command += &format!(" -H 'Kong-Admin-Token: {token}'");
        if index == 0 {
            command += &format!(" -d config.endpoint_url={endpoint} -d config.ttl=1 -d config.neg_ttl=1");
        }
        assert_eq!(paste(plot, &command), "200", "{command}");
    }
}

/// Runs `command` in a shell, and gives the status of the answer.
#[track_caller]
pub fn paste(plot: &Plot, command: &str) -> String {
    let mut shell = Command::new("sh");
    // Only what curl prints is added to: its exit code and the body stay as they are.
    shell.arg("-c").arg(format!("{command} -s -w '\\n%{{http_code}}'"));
    let output = gateway::run(plot, &mut shell);
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().last().unwrap_or_default().to_owned()
}
