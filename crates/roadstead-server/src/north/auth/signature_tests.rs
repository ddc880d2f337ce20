//! Recomputes every recorded signature, and tries to cheat.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// Access key of the recorded runs; a throw-away lab value.
const SECRET: &str = "LabSecretKey0000000000000000000000000001";

struct Recorded {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Recorded {
    fn from_json(request: &Value, target: &str) -> Self {
        let headers = request["headers"].as_object().expect("headers");
        Self {
            method: request["method"].as_str().expect("method").into(),
            target: request[target].as_str().expect("target").into(),
            headers: headers
                .iter()
                .map(|(k, v)| (k.to_lowercase(), v.as_str().expect("text").to_owned()))
                .collect(),
            body: request["body"].as_str().expect("body").into(),
        }
    }

    fn check<T>(&self, with: impl FnOnce(&Authorization, &Signed<'_>) -> T) -> T {
        let headers: Vec<_> = self.headers.iter().map(|(k, v)| (&**k, &**v)).collect();
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        let request = Signed {
            method: &self.method,
            path,
            query,
            headers: &headers,
            body: self.body.as_bytes(),
        };
        let header = request.header("authorization").expect("signed");
        let parsed = Authorization::parse(header).expect("ours").expect("well-formed");
        with(&parsed, &request)
    }

    fn verify(&self, secret: &str) -> Result<(), SignatureError> {
        self.check(|parsed, request| parsed.verify(request, &Secret::from(secret)))
    }
}

fn recorded() -> Vec<Recorded> {
    let files = [
        include_str!("../../../tests-data/northbound-python-sdk-basic-aksk.json"),
        include_str!("../../../tests-data/northbound-python-sdk-derived-aksk.json"),
        include_str!("../../../tests-data/northbound-python-sdk-project-lookup.json"),
    ];
    let mut all = Vec::new();
    for file in files {
        let run: Value = serde_json::from_str(file).expect("JSON");
        for record in run["records"].as_array().expect("records") {
            all.push(Recorded::from_json(&record["request"], "path"));
        }
    }
    all
}

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../tests-data/signatures.json")).expect("JSON")
}

#[test]
fn every_recorded_signature_verifies() {
    let all = recorded();
    assert_eq!(all.len(), 47);
    for request in &all {
        assert_eq!(request.verify(SECRET), Ok(()), "{} {}", request.method, request.target);
        assert_eq!(request.verify("another"), Err(SignatureError::Mismatch));
    }
}

#[test]
fn canonical_requests_are_those_of_the_vectors() {
    for vector in vectors()["northbound_aksk"].as_array().expect("list") {
        let request = Recorded::from_json(vector, "request_target");
        let canonical = request.check(|parsed, request| parsed.canonical_request(request));
        assert_eq!(canonical.as_deref(), Ok(vector["canonical_request"].as_str().expect("text")));
        assert_eq!(request.verify(vector["secret_key"].as_str().expect("text")), Ok(()));
    }
}

#[test]
fn the_derived_key_is_hex_text() {
    let vector = &vectors()["derived_key"];
    let text = |name: &str| vector[name].as_str().expect("text").to_owned();
    let key = derive(&text("access_key"), &text("secret_key").into(), &text("info")).expect("key");
    assert_eq!(key.expose_text(), Some(&*text("derived_key_hex_ascii")));
}

#[test]
fn no_part_of_a_signed_request_can_change() {
    let original = recorded().swap_remove(0);
    let mut other = Recorded::clone_of(&original);
    other.body.push(' ');
    assert_eq!(other.verify(SECRET), Err(SignatureError::Mismatch), "body");
    let mut other = Recorded::clone_of(&original);
    other.method = "PUT".into();
    assert_eq!(other.verify(SECRET), Err(SignatureError::Mismatch), "method");
    let mut other = Recorded::clone_of(&original);
    other.target.push_str("?app_id=b");
    assert_eq!(other.verify(SECRET), Err(SignatureError::Mismatch), "query");
    let mut other = Recorded::clone_of(&original);
    other.headers.push(("host".into(), "elsewhere".into()));
    assert_eq!(other.verify(SECRET), Err(SignatureError::Header("host".into())), "second host");
    let mut other = Recorded::clone_of(&original);
    other.headers.push(("x-sdk-content-sha256".into(), "UNSIGNED-PAYLOAD".into()));
    assert_eq!(other.verify(SECRET), Err(SignatureError::Content), "unsigned JSON");
}

#[test]
fn dates_are_strict() {
    assert_eq!(parse_date("19700101T000001Z"), Some(Timestamp(1000)));
    for bad in ["", "2026-11-21T00:38:18Z", "20261321T003818Z", "20260230T000000Z", "T", "中T0Z"] {
        assert_eq!(parse_date(bad), None, "{bad}");
    }
}

#[test]
fn a_credential_of_another_day_is_refused() {
    let mut request =
        recorded().into_iter().find(|r| r.auth().starts_with("V11")).expect("derived");
    let moved = request.auth().replace("/20261121/", "/20261122/");
    request.set_auth(moved);
    let date = request.check(|parsed, request| parsed.date(request));
    assert!(matches!(date, Err(SignatureError::Malformed(_))), "{date:?}");
    assert_eq!(request.verify(SECRET), Err(SignatureError::Mismatch));
}

#[test]
fn malformed_headers_say_what_is_wrong() {
    let sound = format!("Access=a, SignedHeaders=host;x-sdk-date, Signature={}", "0".repeat(64));
    let basic = |rest: &str| Authorization::parse(&format!("SDK-HMAC-SHA256 {rest}"));
    assert!(basic(&sound).expect("ours").is_ok());
    assert_eq!(Authorization::parse("Bearer abc"), None);
    for bad in [
        sound.replace("Access=a", "Access="),
        sound.replace("Access=a, ", ""),
        sound.replace("host;", ""),
        sound.replace("host;", ";"),
        sound.replace("=0", "=g"),
        format!("{sound}, Signature=00"),
        sound.replace("Access=", "Credential="),
        "x".repeat(HEADER_BYTES_MAX + 1),
    ] {
        assert!(matches!(basic(&bad), Some(Err(SignatureError::Malformed(_)))), "{bad}");
    }
}

proptest! {
    #[test]
    fn any_header_is_parsed_or_refused(rest in "\\PC{0,120}", derived: bool) {
        let name = if derived { "V11-HMAC-SHA256" } else { "SDK-HMAC-SHA256" };
        let header = format!("{name} {rest}");
        prop_assert!(Authorization::parse(&header).is_some(), "{}", header);
        let _ = Authorization::parse(&rest);
        let _ = parse_date(&rest);
    }

    #[test]
    fn what_is_written_is_read(
        key in "[A-Z0-9]{1,20}", region in "[a-z0-9-]{1,16}", signature: [u8; 32]
    ) {
        let header = format!(
            "V11-HMAC-SHA256 Credential={key}/20261121/{region}/iotdm, \
             SignedHeaders=host;x-sdk-date, Signature={}", hex::encode(signature));
        let parsed = Authorization::parse(&header).expect("ours").expect("well-formed");
        prop_assert_eq!(&*parsed.access_key, &key);
        prop_assert_eq!(parsed.signature, signature);
        let Algorithm::Derived(scope) = parsed.algorithm else { panic!("derived") };
        prop_assert_eq!(&*scope.region, &region);
    }
}

impl Recorded {
    fn clone_of(other: &Self) -> Self {
        Self {
            method: other.method.clone(),
            target: other.target.clone(),
            headers: other.headers.clone(),
            body: other.body.clone(),
        }
    }

    fn auth(&self) -> String {
        let found = self.headers.iter().find(|(name, _)| name == "authorization");
        found.expect("signed").1.clone()
    }

    fn set_auth(&mut self, text: String) {
        let found = self.headers.iter_mut().find(|(name, _)| name == "authorization");
        found.expect("signed").1 = text;
    }
}
