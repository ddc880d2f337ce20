//! Calls that the vendor's SDK really made, and the IAM calls.

use roadstead_core::DeviceId;
use roadstead_core::command::queue::{Answer as DeviceAnswer, Command, Status, Strategy};
use roadstead_core::device::Device;
use roadstead_core::product::Product;

use super::*;

const KEY: (&str, &str) = ("LABACCESSKEY00000001", "LabSecretKey0000000000000000000000000001");
const PRODUCT_ID: &str = "5e25d39a3b7c24fa3638804b";

fn records(file: &str) -> Vec<Value> {
    let run: Value = serde_json::from_str(file).expect("JSON");
    run["records"].as_array().expect("records").clone()
}

fn request(record: &Value) -> Request<Body> {
    let text = |name: &str| record["request"][name].as_str().expect("text").to_owned();
    let mut request = Request::builder().method(&*text("method")).uri(text("path"));
    for (name, value) in record["request"]["headers"].as_object().expect("headers") {
        request = request.header(name, value.as_str().expect("text"));
    }
    request.body(Body::from(text("body"))).expect("request")
}

/// A world with the recorded key, space, product and device.
async fn world() -> World {
    let world = World::new().await;
    world.access_key(KEY.0, KEY.1).await;
    world.space("a1", "DefaultApp", false).await;
    let product = Product {
        id: PRODUCT_ID.into(),
        space: "a1".into(),
        dialect: "tencent".into(),
        name: "P".into(),
        secret: None,
        auth: Default::default(),
        registration: Default::default(),
        rebind: Default::default(),
        model: Default::default(),
        attributes: Map::new(),
        created_at: NOW,
    };
    world.platform.store().create_product(product).await.expect("product");
    let device = Device {
        id: format!("{PRODUCT_ID}_nb_0403_1").as_str().into(),
        space: "a1".into(),
        product: PRODUCT_ID.into(),
        node: "nb_0403_1".into(),
        name: "dev".into(),
        secret: Some("3b935a250c50dc2c6d481d048cefdc3c".into()),
        fingerprint: None,
        gateway: None,
        frozen: false,
        info: Map::new(),
        created_at: NOW,
        activated_at: None,
        access: roadstead_core::device::Access::default(),
        tags: roadstead_core::device::Tags::new(),
        number: 0,
    };
    world.platform.store().create_device(device.clone()).await.expect("device");
    world.platform.store().create_command(answered_command(device.id), 1).await.expect("command");
    world
}

/// The asynchronous command that the recorded calls ask for.
fn answered_command(device: DeviceId) -> Command {
    Command {
        id: "c1".into(),
        device,
        service: "WaterMeter".into(),
        command: "ON_OFF".into(),
        params: Map::from_iter([("value".into(), json!("ON"))]),
        strategy: Strategy::Delay,
        expire_s: 3600,
        status: Status::Successful,
        created_at: NOW,
        sent_at: Some(NOW),
        delivered_at: Some(NOW),
        answered_at: Some(NOW),
        ended_at: Some(NOW),
        due_at: None,
        sends: 1,
        is_parked: false,
        answer: Some(DeviceAnswer { code: 0, status: "ok".into(), output: Map::new() }),
        reason: None,
    }
}

#[tokio::test]
async fn recorded_calls_are_accepted() {
    let world = world().await;
    let file = include_str!("../../../tests-data/northbound-python-sdk-basic-aksk.json");
    let mut served = 0;
    for record in records(file) {
        let name = format!("{} {}", record["request"]["method"], record["request"]["path"]);
        let recorded = &record["response"]["body"]["error_code"];
        let answer = world.send(request(&record)).await;
        assert!(answer.status != 401 && answer.status != 403, "{name}: {}", answer.text);
        assert_eq!(answer.headers["x-request-id"].len(), 32, "{name}");
        if answer.body["code"] == "http.not_found" {
            continue;
        }
        served += 1;
        if recorded == "IOTDA.014000" {
            assert_eq!((answer.status.as_u16(), &answer.body["error_code"]), (404, recorded));
        }
        if name.contains("GET") && recorded.is_null() && !name.contains("properties") {
            assert_eq!(answer.status, 200, "{name}: {}", answer.text);
            check_shape(&name, &answer.body, &record["response"]["body"]);
        }
    }
    assert!(served >= 18, "{served} calls were served");
}

/// Every field of the recorded answer is in ours (where the recorded one is an object).
fn check_shape(name: &str, ours: &Value, recorded: &Value) {
    for (key, value) in recorded.as_object().into_iter().flatten() {
        assert!(ours.get(key).is_some(), "{name} lacks {key}: {ours}");
        if value.is_object() {
            check_shape(name, &ours[key], value);
        }
    }
}

#[tokio::test]
async fn derived_signatures_and_the_project_look_up_are_accepted() {
    let world = world().await;
    let derived = include_str!("../../../tests-data/northbound-python-sdk-derived-aksk.json");
    let lookup = include_str!("../../../tests-data/northbound-python-sdk-project-lookup.json");
    for record in records(derived).iter().chain(&records(lookup)) {
        let answer = world.send(request(record)).await;
        let path = record["request"]["path"].as_str().expect("path");
        if path.ends_with("/commands") {
            assert_eq!(answer.body["error_code"], "IOTDA.014016", "authorized, not on line");
        } else {
            assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        }
        if path.starts_with("/v3/projects") {
            let project = &answer.body["projects"][0];
            assert_eq!((&project["id"], &project["name"]), (&json!(PROJECT), &json!("cn-north-4")));
        }
    }
}

#[tokio::test]
async fn a_pinned_region_refuses_others() {
    let world = World::with(|config| config.north.region_pinned = true).await;
    world.access_key(KEY.0, KEY.1).await;
    let derived = include_str!("../../../tests-data/northbound-python-sdk-derived-aksk.json");
    let answer = world.send(request(&records(derived)[0])).await;
    assert_eq!(answer.status, 403);
    assert_eq!(answer.body["error_msg"], "the signature is for another region");
}

#[tokio::test]
async fn an_old_signature_is_refused() {
    let world = World::with(|config| config.north.clock_skew = Duration::from_secs(1)).await;
    world.access_key(KEY.0, KEY.1).await;
    let file = include_str!("../../../tests-data/northbound-python-sdk-basic-aksk.json");
    let answer = world.send(request(&records(file)[0])).await;
    assert_eq!(answer.status, 403);
    assert!(answer.text.contains("X-Sdk-Date is too far"), "{}", answer.text);
}

#[tokio::test]
async fn a_call_without_proof_gets_the_vendors_sentence() {
    let world = World::new().await;
    let answer = world.call("GET", &format!("/v5/iot/{PROJECT}/products"), None, None).await;
    let sentence = "Missing request header 'X-Auth-Token' for method parameter of type String";
    assert_eq!((answer.status.as_u16(), &answer.body["error_msg"]), (400, &json!(sentence)));
}

fn sign_in(name: &str, password: &str) -> Value {
    json!({"auth": {
        "identity": {"methods": ["password"], "password": {"user": {
            "name": name, "password": password, "domain": {"name": "any"}}}},
        "scope": {"project": {"name": "cn-north-4"}}}})
}

#[tokio::test]
async fn iam_tokens_open_the_api() {
    let world = World::new().await;
    let user = json!({"username": "olga", "password": "correct horse", "role": "operator"});
    assert_eq!(world.admin("POST", "/users", user).await.status, 201);
    let login = Some(sign_in("olga", "correct horse"));
    let answer = world.call("POST", "/v3/auth/tokens", None, login).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let token = &answer.body["token"];
    assert_eq!(token["project"]["id"], PROJECT);
    assert_eq!(token["user"]["name"], "olga");
    assert_eq!(token["roles"][0]["name"], "operator");
    assert_eq!(token["methods"], json!(["password"]));
    assert!(token["expires_at"].as_str() > token["issued_at"].as_str());
    let subject = answer.headers["x-subject-token"].to_str().expect("text");
    assert!(!answer.text.contains(subject), "the token is in the header alone");
    let path = format!("/v5/iot/{PROJECT}/devices");
    assert_eq!(world.call("GET", &path, Some(subject), None).await.status, 200);

    let wrong = world.call("POST", "/v3/auth/tokens", None, Some(sign_in("olga", "wrong"))).await;
    assert_eq!((wrong.status.as_u16(), &wrong.body["code"]), (401, &json!("user.bad_password")));
    let odd = json!({"auth": {"identity": {"methods": ["totp"]}}});
    let odd = world.call("POST", "/v3/auth/tokens", None, Some(odd)).await;
    assert_eq!((odd.status.as_u16(), &odd.body["code"]), (400, &json!("api.bad_request")));
}

#[tokio::test]
async fn phone_users_get_no_iam_token() {
    let world = World::new().await;
    let user = json!({"username": "ann", "password": "correct horse"});
    assert_eq!(world.call("POST", "/app/v1/users", None, Some(user)).await.status, 201);
    let login = Some(sign_in("ann", "correct horse"));
    let answer = world.call("POST", "/v3/auth/tokens", None, login).await;
    assert_eq!(answer.status, 403);
    assert!(!answer.headers.contains_key("x-subject-token"));
}
