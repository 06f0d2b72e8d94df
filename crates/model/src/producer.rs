//! What makes the credentials of a dynamic secret: somebody's HTTP endpoints, or a system that the gateway knows itself.
//!
//! Here stands what may be seen. What a producer is called with besides (a payload, a password, an access key) is kept
//! apart, sealed.

use serde::{Deserialize, Serialize};

use crate::{Invalid, ProducerUrl};

/// What makes the credentials of a dynamic secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum ProducerSettings {
    /// Endpoints that somebody runs.
    Custom(CustomSettings),
    /// Users of a PostgreSQL server.
    Postgresql(PostgresqlSettings),
    /// Sessions of roles in AWS.
    Aws(AwsSettings),
}

/// Endpoints that somebody runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomSettings {
    /// Called for each credential.
    pub create_sync_url: ProducerUrl,
    /// Called when credentials must go.
    pub revoke_sync_url: ProducerUrl,
    /// Called to replace the payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate_sync_url: Option<ProducerUrl>,
}

/// A PostgreSQL server, and how users are made there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostgresqlSettings {
    /// The server's name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The database that the administrator is connected to.
    pub database: String,
    /// The administrator, who makes the users.
    pub username: String,
    /// Whether TLS is spoken, and the server's certificate must be one that we trust.
    pub tls: bool,
    /// What makes a user, in place of [`PostgresqlSettings::CREATION`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creation_statements: Option<String>,
    /// What removes one, in place of [`PostgresqlSettings::REVOCATION`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation_statement: Option<String>,
    /// How many characters a password has.
    pub password_length: u8,
}

/// Roles in AWS, and how they are assumed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwsSettings {
    /// Whose roles they are assumed with; without one it is the gateway itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_key_id: Option<String>,
    /// The roles; the first is meant where a caller names none.
    pub role_arns: Vec<String>,
    /// Where AWS is asked.
    pub region: String,
    /// What sessions are tagged with: names and values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub session_tags: Vec<(String, String)>,
    /// The tags that go on to sessions begun from these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transitive_tag_keys: Vec<String>,
}

impl ProducerSettings {
    /// What the Akeyless API calls it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Custom(_) => "custom",
            Self::Postgresql(_) => "postgresql",
            Self::Aws(_) => "aws",
        }
    }
}

impl PostgresqlSettings {
    /// What makes a user who may read the schema `public`.
    pub const CREATION: &str = "CREATE USER \"{{name}}\" WITH PASSWORD '{{password}}'; \
        GRANT USAGE ON SCHEMA public TO \"{{name}}\"; GRANT SELECT ON ALL TABLES IN SCHEMA public TO \"{{name}}\";";

    /// What removes a user, and gives what it owns in the database to the administrator.
    pub const REVOCATION: &str = "REASSIGN OWNED BY \"{{name}}\" TO CURRENT_USER; DROP OWNED BY \"{{name}}\"; \
        DROP ROLE \"{{name}}\";";

    /// What makes a user.
    pub fn creation(&self) -> &str {
        self.creation_statements.as_deref().unwrap_or(Self::CREATION)
    }

    /// What removes one.
    pub fn revocation(&self) -> &str {
        self.revocation_statement.as_deref().unwrap_or(Self::REVOCATION)
    }

    /// Refuses what cannot work.
    pub fn check(&self) -> Result<(), Invalid> {
        let wrong = |field: &str, problem: &str| Err(Invalid::new(field, problem));
        let is_host = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
        if self.host.is_empty() || !self.host.chars().all(is_host) {
            return wrong("postgresql-host", "is the name or the address of one server");
        }
        if self.port == 0 {
            return wrong("postgresql-port", "is a port, from 1 to 65535");
        }
        if self.database.is_empty() || self.database.contains('\0') {
            return wrong("postgresql-db-name", "is missing");
        }
        if self.username.is_empty() || self.username.contains('\0') {
            return wrong("postgresql-username", "is missing");
        }
        if !(12..=128).contains(&self.password_length) {
            return wrong("password-length", "is characters, from 12 to 128");
        }
        let creation = self.creation();
        if !names_user(creation) || !creation.contains("{{password}}") {
            let problem = "must make a user: {{name}} and {{password}} stand for the name and the password";
            return wrong("creation-statements", problem);
        }
        if !names_user(self.revocation()) || self.revocation().contains("{{password}}") {
            let problem =
                "must remove a user: {{name}} stands for the name; there is no {{password}} any more";
            return wrong("revocation-statement", problem);
        }
        check_templates("creation-statements", creation)?;
        check_templates("revocation-statement", self.revocation())
    }
}

impl AwsSettings {
    /// Refuses what cannot work.
    pub fn check(&self) -> Result<(), Invalid> {
        let wrong = |field: &str, problem: &str| Err(Invalid::new(field, problem));
        let is_role =
            |arn: &String| arn.starts_with("arn:aws") && arn.contains(":iam::") && arn.contains(":role/");
        if self.role_arns.is_empty() || !self.role_arns.iter().all(is_role) {
            let problem = "is one role or more, separated by commas: arn:aws:iam::123456789012:role/reader";
            return wrong("aws-role-arns", problem);
        }
        if self.session_tags.len() > 50 {
            return wrong("session-tags", "AWS takes at most 50");
        }
        let is_tag = |name: &String| self.session_tags.iter().any(|(tag, _)| tag == name);
        if !self.transitive_tag_keys.iter().all(is_tag) {
            return wrong("transitive-tag-keys", "names a tag that session-tags does not have");
        }
        Ok(())
    }
}

fn names_user(statement: &str) -> bool {
    statement.contains("{{name}}") || statement.contains("{{username}}")
}

/// Refuses a template that nothing would be put in for: the server would take it as it stands.
fn check_templates(field: &str, statement: &str) -> Result<(), Invalid> {
    let mut rest = statement;
    while let Some((_, after)) = rest.split_once("{{") {
        let name = after.split("}}").next().unwrap_or_default();
        if !TEMPLATES.contains(&name) {
            let known = TEMPLATES.map(|name| format!("{{{{{name}}}}}")).join(", ");
            return Err(Invalid::new(field, format!("has a template that is none of {known}")));
        }
        rest = after;
    }
    Ok(())
}

/// What may stand between double braces.
const TEMPLATES: [&str; 5] = ["name", "username", "password", "expiration", "userHost"];

#[cfg(test)]
mod tests {
    use super::*;

    fn postgresql() -> PostgresqlSettings {
        PostgresqlSettings {
            host: "db".to_owned(),
            port: 5432,
            database: "orders".to_owned(),
            username: "admin".to_owned(),
            tls: false,
            creation_statements: None,
            revocation_statement: None,
            password_length: 24,
        }
    }

    #[test]
    fn statements_that_could_not_make_or_remove_a_user_are_refused() {
        assert_eq!(postgresql().check(), Ok(()));
        for creation in
            ["CREATE USER x", "CREATE USER {{name}}", "CREATE USER {{name}} PASSWORD '{{password}}' {{else}}"]
        {
            let settings =
                PostgresqlSettings { creation_statements: Some(creation.to_owned()), ..postgresql() };
            assert_eq!(settings.check().unwrap_err().field, "creation-statements", "{creation}");
        }
        for revocation in ["DROP USER x", "DROP USER {{name}} {{password}}"] {
            let settings =
                PostgresqlSettings { revocation_statement: Some(revocation.to_owned()), ..postgresql() };
            assert_eq!(settings.check().unwrap_err().field, "revocation-statement", "{revocation}");
        }
        let settings = PostgresqlSettings { password_length: 8, ..postgresql() };
        assert_eq!(settings.check().unwrap_err().field, "password-length");
    }

    #[test]
    fn roles_are_arns_and_transitive_tags_are_tags() {
        let settings = |arn: &str, transitive: &str| AwsSettings {
            access_key_id: None,
            role_arns: vec![arn.to_owned()],
            region: "us-east-2".to_owned(),
            session_tags: vec![("team".to_owned(), "blue".to_owned())],
            transitive_tag_keys: vec![transitive.to_owned()],
        };
        let arn = "arn:aws:iam::123456789012:role/reader";
        assert_eq!(settings(arn, "team").check(), Ok(()));
        assert_eq!(settings("reader", "team").check().unwrap_err().field, "aws-role-arns");
        assert_eq!(settings(arn, "cost").check().unwrap_err().field, "transitive-tag-keys");
    }
}
