//! Cloud ids that are not what they should be: signed well for something else, or changed after they were signed.

use gateward_aws::Credentials;
use gateward_aws::sigv4::{PayloadHash, Rules, SignedHeaders, Signer};
use gateward_clock::Timestamp;
use gateward_seal::SecretValue;
use http::Request;
use serde_json::{Map, Value, json};

/// A cloud id in the making.
pub struct Forged {
    credentials: Option<(Credentials, Timestamp)>,
    method: String,
    scheme: String,
    host: String,
    path: String,
    body: String,
    service: String,
    region: String,
    headers: Map<String, Value>,
}

impl Forged {
    /// One that is right as long as nothing is changed, to be signed.
    pub fn new(credentials: &Credentials, at: Timestamp) -> Self {
        Self {
            credentials: Some((credentials.clone(), at)),
            method: "POST".to_owned(),
            scheme: "https".to_owned(),
            host: "sts.amazonaws.com".to_owned(),
            path: "/".to_owned(),
            body: "Action=GetCallerIdentity&Version=2011-06-15".to_owned(),
            service: "sts".to_owned(),
            region: "us-east-1".to_owned(),
            headers: Map::new(),
        }
    }

    /// One that is signed already.
    pub fn of(cloud_id: &SecretValue) -> Self {
        let outer: Value = serde_json::from_str(&decoded(cloud_id.expose())).unwrap();
        let part = |name: &str| decoded(outer[name].as_str().unwrap());
        let url = part("sts_request_url");
        let (scheme, rest) = url.split_once("://").unwrap();
        let (host, path) = rest.split_once('/').unwrap();
        Self {
            credentials: None,
            method: outer["sts_request_method"].as_str().unwrap().to_owned(),
            scheme: scheme.to_owned(),
            host: host.to_owned(),
            path: format!("/{path}"),
            body: part("sts_request_body"),
            service: String::new(),
            region: String::new(),
            headers: serde_json::from_str(&part("sts_request_headers")).unwrap(),
        }
    }

    pub fn method(self, method: &str) -> Self {
        Self { method: method.to_owned(), ..self }
    }

    pub fn scheme(self, scheme: &str) -> Self {
        Self { scheme: scheme.to_owned(), ..self }
    }

    pub fn host(self, host: &str) -> Self {
        Self { host: host.to_owned(), ..self }
    }

    pub fn path(self, path: &str) -> Self {
        Self { path: path.to_owned(), ..self }
    }

    pub fn body(self, body: &str) -> Self {
        Self { body: body.to_owned(), ..self }
    }

    pub fn service(self, service: &str) -> Self {
        Self { service: service.to_owned(), ..self }
    }

    pub fn region(self, region: &str) -> Self {
        Self { region: region.to_owned(), ..self }
    }

    /// With a header in place of the one of that name, if there is one.
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|other, _| !other.eq_ignore_ascii_case(name));
        self.headers.insert(name.to_owned(), json!([value]));
        self
    }

    /// Signs it as it stands.
    pub fn signed(mut self) -> SecretValue {
        let (credentials, at) = self.credentials.take().unwrap();
        let uri = format!("{}://{}{}", self.scheme, self.host, self.path);
        let request = Request::builder()
            .method(self.method.as_str())
            .uri(uri)
            .header("host", &self.host)
            .header("content-type", "application/x-www-form-urlencoded; charset=utf-8");
        let mut request = request.body(()).unwrap();
        let rules = Rules { headers: SignedHeaders::All, ..Rules::of("sts") };
        let payload = PayloadHash::Bytes(self.body.as_bytes());
        Signer::with_rules(&self.region, &self.service, rules)
            .sign(&credentials, &mut request, payload, at)
            .unwrap();
        for (name, value) in request.headers() {
            self.headers.insert(name.to_string(), json!([value.to_str().unwrap()]));
        }
        self.cloud_id()
    }

    /// It, as it stands.
    pub fn cloud_id(self) -> SecretValue {
        let url = format!("{}://{}{}", self.scheme, self.host, self.path);
        let whole = json!({
            "sts_request_method": self.method,
            "sts_request_url": encoded(&url),
            "sts_request_body": encoded(&self.body),
            "sts_request_headers": encoded(&Value::Object(self.headers).to_string()),
        });
        SecretValue::new(encoded(&whole.to_string()))
    }
}

fn encoded(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

fn decoded(text: &str) -> String {
    use base64::Engine as _;
    String::from_utf8(base64::engine::general_purpose::STANDARD.decode(text).unwrap()).unwrap()
}
