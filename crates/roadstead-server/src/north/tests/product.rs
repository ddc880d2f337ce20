//! Products: fields, quotas, refusals, and product files in every format.

use proptest::prelude::*;

use super::*;

/// A data template as the vendor's console exports it.
fn template() -> Value {
    json!({
        "version": "1.0",
        "properties": [
            {"id": "power", "name": "Power", "desc": "", "mode": "rw", "required": true,
             "define": {"type": "bool", "mapping": {"0": "off", "1": "on"}}},
            {"id": "level", "name": "Level", "mode": "rw",
             "define": {"type": "int", "min": "0", "max": "100", "start": "7", "unit": "%"}}],
        "events": [], "actions": [],
        "profile": {"ProductId": PRODUCT, "CategoryId": "1"}})
}

impl World {
    /// Sends a file to a path of the project.
    async fn upload(&self, method: &str, path: &str, kind: &str, bytes: Vec<u8>) -> Answer {
        let token = self.token(PROJECT, Role::Operator).await;
        let request = Request::builder()
            .method(method)
            .uri(format!("/v5/iot/{PROJECT}{path}"))
            .header("x-auth-token", token)
            .header("content-type", kind)
            .body(Body::from(bytes));
        self.send(request.expect("request")).await
    }

    async fn count_products(&self) -> u64 {
        self.admin("GET", "/products", Value::Null).await.body["page"]["count"]
            .as_u64()
            .expect("count")
    }
}

fn form(name: &str, content: &str) -> (String, Vec<u8>) {
    let body = format!(
        "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n\
         {content}\r\n--b--\r\n"
    );
    ("multipart/form-data; boundary=b".into(), body.into_bytes())
}

#[tokio::test]
async fn a_template_becomes_a_product_and_comes_out_equal() {
    let world = World::new().await;
    let (kind, body) = form("lamp.json", &template().to_string());
    let path = format!("/products/import?product_id={PRODUCT}&name=Lamp");
    let checked = world.upload("POST", &format!("{path}&check=true"), &kind, body.clone()).await;
    assert_eq!((checked.status.as_u16(), world.count_products().await), (200, 0));
    let made = world.upload("POST", &path, &kind, body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(made.body["format"], "tencent");
    assert_eq!(made.body["notes"], json!([]));
    assert_eq!(made.body["product"]["name"], "Lamp");
    let out =
        world.admin("GET", &format!("/products/{PRODUCT}/model?format=tencent"), Value::Null).await;
    assert_eq!(out.body, template());
    let head = out.headers["content-disposition"].to_str().expect("text").to_owned();
    assert_eq!(head, "attachment; filename=\"L4WG9V9M2M.json\"; filename*=UTF-8''L4WG9V9M2M.json");
    let v5 = world.admin("GET", &format!("/products/{PRODUCT}/model"), Value::Null).await;
    assert_eq!(v5.body["name"], "Lamp");
    assert_eq!(v5.body["service_capabilities"][0]["properties"][1]["default_value"], 7);
}

#[tokio::test]
async fn a_document_of_the_api_is_fitted_and_reported() {
    let world = World::new().await;
    let document = json!({"product_id": "PRODUCT_V5", "name": "V5", "device_type": "Lamp",
        "manufacturer_name": "Acme", "service_capabilities": [
            {"service_id": "Lamp", "properties": [
                {"property_name": "on", "data_type": "boolean", "method": "RW"},
                {"property_name": "raw", "data_type": "jsonObject", "method": "R"}]}]});
    let path = "/products/import?dialect=tencent";
    let made = world.upload("POST", path, "application/json", document.to_string().into()).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(made.body["format"], "v5");
    assert_eq!(made.body["product"]["manufacturer_name"], "Acme");
    let notes: Vec<_> =
        made.body["notes"].as_array().expect("notes").iter().map(|note| &note["path"]).collect();
    assert_eq!(notes, ["Lamp", "Lamp.raw"]);
    let report = "/products/PRODUCT_V5/model?format=tencent&report=true";
    let report = world.admin("GET", report, Value::Null).await;
    assert_eq!(report.body["file_name"], "PRODUCT_V5.json");
    let put = world
        .upload(
            "PUT",
            "/products/PRODUCT_V5/model",
            "application/json",
            template().to_string().into(),
        )
        .await;
    assert_eq!(put.status, 200, "{}", put.text);
    let shown = world.admin("GET", "/products/PRODUCT_V5", Value::Null).await;
    assert_eq!(shown.body["service_capabilities"][0]["properties"][0]["property_name"], "power");
}

#[tokio::test]
async fn wrong_files_are_refused_and_change_nothing() {
    let world = World::new().await;
    for (name, content, code, text) in [
        ("a.zip", "not a zip", "import.not_archive", "not that of a zip archive"),
        ("a.json", "{", "import.bad_model", "line 1 column 1"),
        ("a.json", "{\"a\": 1}", "import.bad_model", "no known dialect"),
        ("a.zip", "PK\u{3}\u{4}damaged", "import.not_archive", "not a zip archive"),
        ("a.json", "", "api.bad_request", "the file is empty"),
    ] {
        let (kind, body) = form(name, content);
        let answer = world.upload("POST", "/products/import", &kind, body).await;
        assert_eq!(answer.status, 400, "{}", answer.text);
        assert_eq!(answer.body["code"], code, "{}", answer.text);
        let message = answer.body["error_msg"].as_str().expect("text");
        assert!(message.contains(text), "{message}");
    }
    let broken =
        world.upload("POST", "/products/import", "multipart/form-data; boundary=b", vec![]);
    assert_eq!(broken.await.status, 400);
    assert_eq!(world.count_products().await, 0);
}

#[tokio::test]
async fn quotas_and_makes_are_kept() {
    let world = World::with(|config| config.quota.products = 2).await;
    let product = |id: &str| json!({"product_id": id, "name": id, "dialect": "tencent"});
    for id in ["P1", "P2"] {
        assert_eq!(world.admin("POST", "/products", product(id)).await.status, 201);
    }
    let third = world.admin("POST", "/products", product("P3")).await;
    assert_eq!((third.status.as_u16(), &third.body["code"]), (403, &json!("api.quota")));
    let make = json!({"manufacturer_id": "Acme", "device_model": "X1"});
    assert_eq!(world.admin("PUT", "/products/P1", make.clone()).await.status, 200);
    assert_eq!(world.admin("PUT", "/products/P1", make.clone()).await.status, 200);
    let same = world.admin("PUT", "/products/P2", make).await;
    assert_eq!((same.status.as_u16(), &same.body["code"]), (409, &json!("import.model_exists")));
    assert!(same.body["error_msg"].as_str().expect("text").contains("`P1`"));
    let twice = world.admin("POST", "/products", product("P1")).await;
    assert!(twice.status.is_client_error());
    assert_eq!(world.count_products().await, 2);
}

#[tokio::test]
async fn wrong_descriptive_fields_are_named() {
    let world = World::new().await;
    for (field, value) in [
        ("device_type", "x".repeat(33)),
        ("manufacturer_name", "x".repeat(33)),
        ("industry", "x".repeat(65)),
        ("description", "x".repeat(129)),
        ("data_format", "xml".into()),
    ] {
        let body = json!({"product_id": "P1", "name": "n", "dialect": "tencent", field: value});
        let answer = world.admin("POST", "/products", body).await;
        assert_eq!(answer.status, 400);
        assert!(answer.body["error_msg"].as_str().expect("text").starts_with(field));
    }
}

/// JSON that is nearly a product.
fn nearly() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-z.$ ]{0,8}".prop_map(Value::from),
        Just(json!("int")),
        Just(json!("RW")),
    ];
    let keys = "product_id|name|dialect|service_capabilities|service_id|properties|commands|events|\
        property_name|data_type|method|min|max|enum_list|default_value|type_detail|paras|para_name|\
        command_name|responses|app_id|auth|model|secret|step|max_length";
    leaf.prop_recursive(5, 40, 4, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::btree_map(keys, inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_body_breaks_the_server(body in nearly(), is_put: bool) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("runtime").block_on(async {
            let world = World::new().await;
            world.furnish().await;
            let before = world.admin("GET", &format!("/products/{PRODUCT}"), Value::Null).await.body;
            let path = format!("/products/{PRODUCT}");
            let (method, path) = if is_put { ("PUT", &*path) } else { ("POST", "/products") };
            let answer = world.admin(method, path, body.clone()).await;
            assert!(!answer.status.is_server_error(), "{body}: {}", answer.text);
            if answer.status.is_client_error() {
                let path = format!("/products/{PRODUCT}");
                assert_eq!(world.admin("GET", &path, Value::Null).await.body, before);
                assert_eq!(world.count_products().await, 1);
                assert!(answer.body["error_code"].is_string());
            }
            let file = body.to_string().into_bytes();
            let answer = world.upload("POST", "/products/import?check=true", "", file).await;
            assert!(!answer.status.is_server_error(), "{body}: {}", answer.text);
        });
    }
}
