//! Import, users, keys.

use super::*;

fn fleet() -> Value {
    json!({
        "version": 1,
        "products": [{"dialect": "tencent", "product": PRODUCT, "name": "Lamp",
            "secret": "XoezQjzzMedF4lAr2CqCkVYK", "dynamic_registration": "open"}],
        "devices": [
            {"line": 8, "dialect": "tencent", "product": PRODUCT, "device": "lamp1",
             "secret": "MLvMHde65nKPk0Lx+ZThaA=="},
            {"line": 9, "dialect": "tencent", "product": PRODUCT, "device": "lamp2"},
            {"line": 10, "dialect": "tencent", "product": "NOSUCHPROD", "device": "lamp3"}]})
}

#[tokio::test]
async fn an_import_is_idempotent_and_names_wrong_rows() {
    let world = World::new().await;
    let checked = world.admin("POST", "/import?check=true", fleet()).await;
    assert_eq!(checked.status, 200, "{}", checked.text);
    let verdicts: Vec<_> = checked.body["checks"]
        .as_array()
        .expect("checks")
        .iter()
        .map(|check| check["works"].as_str().expect("works"))
        .collect();
    assert_eq!((verdicts[0], verdicts[2]), ("yes", "no"), "{}", checked.text);
    let empty = world.admin("GET", "/devices", Value::Null).await;
    assert_eq!(empty.body["page"]["count"], 0, "a check changes nothing");
    let first = world.admin("POST", "/import", fleet()).await;
    assert_eq!(first.body["products"]["created"], 1, "{}", first.text);
    assert_eq!(first.body["devices"]["created"], 2);
    assert_eq!(first.body["devices"]["failed"], 1);
    assert_eq!(first.body["errors"][0]["line"], 10);
    let second = world.admin("POST", "/import", fleet()).await;
    assert_eq!(second.body["products"]["unchanged"], 1, "{}", second.text);
    assert_eq!(second.body["devices"]["unchanged"], 2);
    let mut odd = fleet();
    odd["colour"] = json!("red");
    assert_eq!(world.admin("POST", "/import", odd).await.status, 400, "unknown keys are errors");
    let newer = world.admin("POST", "/import", json!({"version": 2})).await;
    assert_eq!(newer.body["code"], "import.unreadable");
}

#[tokio::test]
async fn people_come_and_go() {
    let world = World::new().await;
    let new = json!({"username": "olga", "password": "correct horse", "role": "viewer"});
    let made = world.admin("POST", "/users", new.clone()).await;
    assert_eq!((made.status.as_u16(), &made.body["role"]), (201, &json!("viewer")));
    assert!(!made.text.contains("horse") && !made.text.contains("argon2"));
    let again = world.admin("POST", "/users", new).await;
    assert_eq!((again.status.as_u16(), &again.body["code"]), (409, &json!("user.exists")));
    let short = json!({"username": "paul", "password": "short"});
    let short = world.admin("POST", "/users", short).await;
    assert_eq!((short.status.as_u16(), &short.body["code"]), (400, &json!("user.bad_password")));
    let raised = world.admin("PUT", "/users/olga", json!({"role": "operator"})).await;
    assert_eq!(raised.body["role"], "operator");
    assert_eq!(world.admin("GET", "/users/olga", Value::Null).await.body["role"], "operator");
    let last = format!("/users/{}", user_name(PROJECT, Role::Admin));
    let kept = world.admin("DELETE", &last, Value::Null).await;
    assert_eq!((kept.status.as_u16(), &kept.body["code"]), (409, &json!("api.conflict")));
    assert_eq!(world.admin("DELETE", "/users/olga", Value::Null).await.status, 204);
    assert_eq!(world.admin("GET", "/users/olga", Value::Null).await.status, 404);
}

#[tokio::test]
async fn the_secret_of_a_key_is_shown_once() {
    let world = World::new().await;
    let made = world.admin("POST", "/access-keys", Value::Null).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let (key, secret) = (&made.body["access_key"], made.body["secret_key"].as_str());
    let listed = world.admin("GET", "/access-keys", Value::Null).await;
    assert_eq!(&listed.body["access_keys"][0]["access_key"], key);
    assert!(!listed.text.contains(secret.expect("secret")));
    let path = format!("/access-keys/{}", key.as_str().expect("text"));
    assert_eq!(world.admin("DELETE", &path, Value::Null).await.status, 204);
    assert_eq!(world.admin("DELETE", &path, Value::Null).await.status, 404);
}
