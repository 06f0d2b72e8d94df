use super::*;

fn answer(body: &str) -> Answer {
    Answer(Bytes::copy_from_slice(body.as_bytes()))
}

const SESSION: &str = "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">
  <AssumeRoleResult>
    <AssumedRoleUser><Arn>arn:aws:sts::1:assumed-role/r/s</Arn><AssumedRoleId>A:s</AssumedRoleId></AssumedRoleUser>
    <Credentials>
      <AccessKeyId>ASIA1</AccessKeyId>
      <SecretAccessKey>canary&amp;&#x2F;&#61;</SecretAccessKey>
      <SessionToken>canary-token==</SessionToken>
      <Expiration>2026-11-21T08:00:00.500Z</Expiration>
    </Credentials>
  </AssumeRoleResult>
</AssumeRoleResponse>";

#[test]
fn a_session_is_read_and_prints_no_secret() {
    let session = answer::session(&answer(SESSION)).unwrap();
    assert_eq!(session.credentials.access_key, "ASIA1");
    assert_eq!(session.credentials.secret_key.expose(), "canary&/=");
    assert_eq!(session.credentials.session_token, Some("canary-token==".into()));
    assert_eq!(session.expires, Timestamp::from_millis(1_795_248_000_500));
    assert!(!format!("{session:?}").contains("canary"));
}

#[test]
fn what_is_no_session_is_garbage_and_is_not_repeated() {
    let mut broken = vec![
        String::new(),
        "canary".to_owned(),
        SESSION.replace("Expiration>2026", "Expiration>canary"),
        SESSION.replace("&amp;", "&canary;"),
        SESSION.replace("ASIA1", ""),
        SESSION.replace("ASIA1", "<canary/>"),
        SESSION.replace("&amp;", "&#x110000;"),
    ];
    broken.extend((0..SESSION.len() - 60).step_by(17).map(|end| SESSION[..end].to_owned()));
    for body in broken {
        let error = answer::session(&answer(&body)).map(|_| ()).unwrap_err();
        assert!(matches!(error, StsError::Garbage { status: 200 }), "{body}");
        assert!(!format!("{error} {error:?}").contains("canary"));
    }
}

#[test]
fn a_refusal_is_sorted_by_what_it_means_and_carries_only_its_name() {
    let refusal = |status: u16, code: &str| {
        let body = format!(
            "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>canary</Message></Error></ErrorResponse>"
        );
        let error = answer::refusal(StatusCode::from_u16(status).unwrap(), body.as_bytes());
        assert!(!format!("{error} {error:?}").contains("canary"));
        error.to_string()
    };
    assert_eq!(refusal(403, "AccessDenied"), "STS refuses it (AccessDenied, status 403)");
    assert_eq!(refusal(400, "InvalidIdentityToken"), "STS refuses it (InvalidIdentityToken, status 400)");
    assert_eq!(refusal(400, "ExpiredTokenException"), "STS refuses it (ExpiredTokenException, status 400)");
    assert_eq!(refusal(400, "Throttling"), "STS is out of order or overloaded (Throttling, status 400)");
    assert_eq!(refusal(503, ""), "STS is out of order or overloaded (no error named, status 503)");
    assert_eq!(refusal(302, "Moved"), "the answer is not one of STS's (status 302)");
    assert_eq!(refusal(400, ""), "the answer is not one of STS's (status 400)");
}

#[test]
fn each_region_has_an_endpoint_of_its_own_but_the_old_ones_if_one_wants() {
    let place = |region: Option<&str>, legacy: bool| {
        let place = StsPlace { region: region.map(str::to_owned), endpoint_url: None, legacy };
        let (url, signed_for) = place.resolve().unwrap();
        (url.host_str().unwrap().to_owned(), signed_for.to_owned())
    };
    let pair = |host: &str, region: &str| (host.to_owned(), region.to_owned());
    assert_eq!(place(Some("eu-west-1"), false), pair("sts.eu-west-1.amazonaws.com", "eu-west-1"));
    assert_eq!(place(Some("eu-west-1"), true), pair("sts.amazonaws.com", "us-east-1"));
    assert_eq!(place(Some("me-south-1"), true), pair("sts.me-south-1.amazonaws.com", "me-south-1"));
    assert_eq!(place(Some("cn-north-1"), true), pair("sts.cn-north-1.amazonaws.com.cn", "cn-north-1"));
    assert_eq!(place(None, false), pair("sts.amazonaws.com", "us-east-1"));
    let own = StsPlace {
        region: Some("eu-west-1".to_owned()),
        endpoint_url: Some("http://127.0.0.1:5000".to_owned()),
        legacy: true,
    };
    assert_eq!(own.resolve().unwrap().1, "eu-west-1");
    let wrong = StsPlace { region: Some("eu-west-1.evil.example/".to_owned()), ..StsPlace::default() };
    assert_eq!(wrong.resolve().unwrap_err().field, "region");
}

#[test]
fn a_form_says_all_that_is_known_of_a_role_and_escapes_it() {
    let (id, token) = (SecretValue::from("partner:1/2"), SecretValue::from("a.b+c="));
    let role = RoleRequest {
        arn: "arn:aws:iam::1:role/r",
        session_name: "orders",
        external_id: Some(&id),
        duration: Some(Duration::from_secs(900)),
        tags: &[],
    };
    let known = "Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr&RoleSessionName=orders\
                 &ExternalId=partner%3A1%2F2&DurationSeconds=900";
    assert_eq!(form("AssumeRole", Some(role), None), format!("Action=AssumeRole&{known}"));
    let role = RoleRequest { external_id: None, duration: None, ..role };
    assert_eq!(
        form("AssumeRoleWithWebIdentity", Some(role), Some(&token)),
        "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr\
         &RoleSessionName=orders&WebIdentityToken=a.b%2Bc%3D"
    );
    assert_eq!(form("GetCallerIdentity", None, None), "Action=GetCallerIdentity&Version=2011-06-15");
}
