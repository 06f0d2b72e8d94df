//! AWS, as moto plays it: Secrets Manager, STS, IAM and many more, in one process on loopback.
//!
//! It takes any credentials until [`Moto::check_signatures`], and judges signatures and permissions from then on.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::http::{self, Response};
use crate::process::Process;
use crate::workspace::python_program;

/// A running moto. Each has a world of its own, gone when it is dropped.
pub struct Moto {
    process: Process,
    url: String,
}

impl Moto {
    /// Starts one on a free port, and waits until it answers.
    #[track_caller]
    pub fn start() -> Self {
        let mut command = Command::new(python_program("moto_server"));
        command.args(["-H", "127.0.0.1", "-p", "0"]);
        let process = Process::start("moto", command);
        let url = process.wait_for_prefix(Duration::from_secs(60), "* Running on ");
        let moto = Self { process, url };
        assert_eq!(http::get(&format!("{}/moto-api/data.json", moto.url)).status, 200);
        moto
    }

    /// The URL to give as every service's endpoint: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The process, for what it printed (each request is a line) and for ending it early.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Makes a secret with a text value, plain or JSON.
    #[track_caller]
    pub fn create_secret(&self, region: &str, name: &str, value: &str) {
        self.secrets_manager(region, "CreateSecret", &json!({"Name": name, "SecretString": value}));
    }

    /// Gives a secret a new value.
    #[track_caller]
    pub fn put_secret_value(&self, region: &str, name: &str, value: &str) {
        self.secrets_manager(region, "PutSecretValue", &json!({"SecretId": name, "SecretString": value}));
    }

    /// Deletes a secret, for good and at once.
    #[track_caller]
    pub fn delete_secret(&self, region: &str, name: &str) {
        let request = json!({"SecretId": name, "ForceDeleteWithoutRecovery": true});
        self.secrets_manager(region, "DeleteSecret", &request);
    }

    /// Calls any action of Secrets Manager.
    #[track_caller]
    pub fn secrets_manager(&self, region: &str, action: &str, request: &Value) -> Value {
        let target = format!("secretsmanager.{action}");
        let authorization = somebody(region, "secretsmanager");
        let headers = [
            ("Content-Type", "application/x-amz-json-1.1"),
            ("X-Amz-Target", target.as_str()),
            ("Authorization", authorization.as_str()),
        ];
        let response = http::send_json("POST", &format!("{}/", self.url), &headers, request);
        assert_eq!(response.status, 200, "{action}: {}", response.text());
        response.json()
    }

    /// Makes a table whose keys are two strings, `p` and `s`.
    #[track_caller]
    pub fn create_table(&self, region: &str, name: &str) {
        let request = json!({
            "TableName": name,
            "AttributeDefinitions": [
                {"AttributeName": "p", "AttributeType": "S"},
                {"AttributeName": "s", "AttributeType": "S"},
            ],
            "KeySchema": [
                {"AttributeName": "p", "KeyType": "HASH"},
                {"AttributeName": "s", "KeyType": "RANGE"},
            ],
            "BillingMode": "PAY_PER_REQUEST",
        });
        let response = self.dynamodb(region, "CreateTable", request.to_string().as_bytes());
        assert_eq!(response.status, 200, "CreateTable: {}", response.text());
    }

    /// Calls any action of DynamoDB, and gives its answer, good or bad.
    #[track_caller]
    pub fn dynamodb(&self, region: &str, action: &str, request: &[u8]) -> Response {
        let target = format!("DynamoDB_20120810.{action}");
        let authorization = somebody(region, "dynamodb");
        let headers = [
            ("Content-Type", "application/x-amz-json-1.0"),
            ("X-Amz-Target", target.as_str()),
            ("Authorization", authorization.as_str()),
        ];
        http::request("POST", &format!("{}/", self.url), &headers, request)
    }

    /// Makes a key of KMS, and gives its ARN.
    #[track_caller]
    pub fn create_kms_key(&self, region: &str) -> String {
        let made = self.json(region, "kms", "TrentService.CreateKey", &json!({}));
        made["KeyMetadata"]["Arn"].as_str().expect("a key has an ARN").to_owned()
    }

    /// Makes a queue, and gives its URL.
    #[track_caller]
    pub fn create_queue(&self, region: &str, name: &str) -> String {
        let made = self.json(region, "sqs", "AmazonSQS.CreateQueue", &json!({"QueueName": name}));
        made["QueueUrl"].as_str().expect("a queue has a URL").to_owned()
    }

    /// What can be received from a queue now, ten messages at most.
    #[track_caller]
    pub fn messages(&self, region: &str, url: &str) -> Vec<String> {
        let request = json!({"QueueUrl": url, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 0});
        let received = self.json(region, "sqs", "AmazonSQS.ReceiveMessage", &request);
        let messages = received["Messages"].as_array().cloned().unwrap_or_default();
        messages.iter().map(|message| message["Body"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Makes an event bus whose events all go to a queue, of which it gives the URL. Its ARN is
    /// `arn:aws:events:REGION:123456789012:event-bus/NAME`.
    #[track_caller]
    pub fn create_event_bus(&self, region: &str, name: &str) -> String {
        let queue = self.create_queue(region, &format!("events-of-{name}"));
        self.json(region, "events", "AWSEvents.CreateEventBus", &json!({"Name": name}));
        let pattern = json!({"account": ["123456789012"]}).to_string();
        let rule = json!({"Name": "all", "EventBusName": name, "EventPattern": pattern});
        self.json(region, "events", "AWSEvents.PutRule", &rule);
        let arn = format!("arn:aws:sqs:{region}:123456789012:events-of-{name}");
        let targets = json!({"Rule": "all", "EventBusName": name, "Targets": [{"Id": "q", "Arn": arn}]});
        self.json(region, "events", "AWSEvents.PutTargets", &targets);
        queue
    }

    /// Calls any action of a service that speaks JSON.
    #[track_caller]
    fn json(&self, region: &str, service: &str, target: &str, request: &Value) -> Value {
        let content_type =
            if service == "sqs" { "application/x-amz-json-1.0" } else { "application/x-amz-json-1.1" };
        let authorization = somebody(region, service);
        let headers = [
            ("Content-Type", content_type),
            ("X-Amz-Target", target),
            ("Authorization", authorization.as_str()),
        ];
        let response = http::send_json("POST", &format!("{}/", self.url), &headers, request);
        assert_eq!(response.status, 200, "{target}: {}", response.text());
        response.json()
    }

    /// Makes a user who may do `actions` (`secretsmanager:GetSecretValue`) on everything, and gives the access key id
    /// and the secret access key. To be done before [`Moto::check_signatures`].
    #[track_caller]
    pub fn create_access_key(&self, user: &str, actions: &[&str]) -> (String, String) {
        let statement = json!({"Effect": "Allow", "Action": actions, "Resource": "*"});
        let policy = json!({"Version": "2012-10-17", "Statement": [statement]}).to_string();
        self.iam(&[("Action", "CreateUser"), ("UserName", user)]);
        let put = [
            ("Action", "PutUserPolicy"),
            ("UserName", user),
            ("PolicyName", "p"),
            ("PolicyDocument", &policy),
        ];
        self.iam(&put);
        let xml = self.iam(&[("Action", "CreateAccessKey"), ("UserName", user)]).text();
        (element(&xml, "AccessKeyId"), element(&xml, "SecretAccessKey"))
    }

    /// Makes a role that anybody may assume and that may do `actions`, and gives its ARN. To be done before
    /// [`Moto::check_signatures`].
    #[track_caller]
    pub fn create_role(&self, role: &str, actions: &[&str]) -> String {
        let trust = json!({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "*"}});
        let trust = json!({"Version": "2012-10-17", "Statement": [trust]}).to_string();
        let statement = json!({"Effect": "Allow", "Action": actions, "Resource": "*"});
        let policy = json!({"Version": "2012-10-17", "Statement": [statement]}).to_string();
        let create = [("Action", "CreateRole"), ("RoleName", role), ("AssumeRolePolicyDocument", &trust)];
        let xml = self.iam(&create).text();
        let put = [
            ("Action", "PutRolePolicy"),
            ("RoleName", role),
            ("PolicyName", "p"),
            ("PolicyDocument", &policy),
        ];
        self.iam(&put);
        element(&xml, "Arn")
    }

    /// From now on every function that is invoked, whether or not it was made, returns the event that it got. (Without
    /// this moto wants to run the function in a container.)
    #[track_caller]
    pub fn answer_functions_with_their_events(&self) {
        let settings = json!({"lambda": {"use_docker": false}});
        let response = http::send_json("POST", &format!("{}/moto-api/config", self.url), &[], &settings);
        assert_eq!(response.status, 201, "{}", response.text());
    }

    /// From now on every request must be signed by a known access key that may do what it asks.
    #[track_caller]
    pub fn check_signatures(&self) {
        let response = http::request("POST", &format!("{}/moto-api/reset-auth", self.url), &[], b"0");
        assert_eq!(response.status, 200, "{}", response.text());
    }

    #[track_caller]
    fn iam(&self, parameters: &[(&str, &str)]) -> Response {
        let form: Vec<String> =
            parameters.iter().map(|(name, value)| format!("{name}={}", percent_encoded(value))).collect();
        let authorization = somebody("us-east-1", "iam");
        let headers = [
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Authorization", authorization.as_str()),
        ];
        let body = form.join("&") + "&Version=2010-05-08";
        let response = http::request("POST", &format!("{}/", self.url), &headers, body.as_bytes());
        assert_eq!(response.status, 200, "{}", response.text());
        response
    }
}

/// An `Authorization` header whose signature nobody checks: moto reads only the region and the service from it.
fn somebody(region: &str, service: &str) -> String {
    let scope = format!("AKIATEST/20260101/{region}/{service}/aws4_request");
    format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0")
}

fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |encoded, byte| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            encoded + (byte as char).encode_utf8(&mut [0; 4])
        }
        _ => encoded + &format!("%{byte:02X}"),
    })
}

#[track_caller]
fn element(xml: &str, name: &str) -> String {
    let inner = xml.split_once(&format!("<{name}>")).and_then(|(_, rest)| rest.split_once("</"));
    inner.map(|(inner, _)| inner.to_owned()).unwrap_or_else(|| panic!("there is no {name} in {xml}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_made_changed_and_deleted_by_region() {
        let moto = Moto::start();
        moto.create_secret("eu-west-1", "db", "one");
        moto.put_secret_value("eu-west-1", "db", r#"{"password": "two"}"#);
        let value = moto.secrets_manager("eu-west-1", "GetSecretValue", &json!({"SecretId": "db"}));
        assert_eq!(value["SecretString"], r#"{"password": "two"}"#);
        let names = |region| moto.secrets_manager(region, "ListSecrets", &json!({}))["SecretList"].clone();
        assert_eq!(names("us-east-1"), json!([]));
        moto.delete_secret("eu-west-1", "db");
        assert_eq!(names("eu-west-1"), json!([]));
    }

    #[test]
    fn signatures_are_checked_once_asked_for() {
        let moto = Moto::start();
        let (access_key_id, secret_access_key) = moto.create_access_key("reader", &["secretsmanager:*"]);
        assert!(!access_key_id.is_empty() && !secret_access_key.is_empty());
        moto.check_signatures();
        let authorization = somebody("us-east-1", "secretsmanager");
        let headers =
            [("X-Amz-Target", "secretsmanager.ListSecrets"), ("Authorization", authorization.as_str())];
        let refused = http::request("POST", &format!("{}/", moto.url()), &headers, b"{}");
        assert_eq!(refused.status, 403, "{}", refused.text());
        assert!(refused.text().contains("InvalidClientTokenId"), "{}", refused.text());
    }
}
