//! Groups, tags, searches and spaces over the API.

use super::*;

async fn furnished() -> World {
    let world = World::with(|config| {
        config.quota.tags = 2;
        config.quota.groups = 4;
        config.quota.group_depth = 3;
        config.quota.group_devices = 1;
        config.quota.spaces = 3;
    })
    .await;
    world.furnish().await;
    let fan = json!({"product_id": PRODUCT, "node_id": "fan", "device_name": "Fan"});
    assert_eq!(world.admin("POST", "/devices", fan).await.status, 201);
    world
}

const FAN: &str = "L4WG9V9M2M_fan";

impl World {
    /// Calls and returns status and stable code.
    async fn code(&self, method: &str, path: &str, body: Value) -> (u16, String) {
        let answer = self.admin(method, path, body).await;
        (answer.status.as_u16(), answer.body["code"].as_str().unwrap_or_default().to_owned())
    }

    async fn group(&self, body: Value) -> String {
        let made = self.admin("POST", "/device-group", body).await;
        assert_eq!(made.status, 201, "{}", made.text);
        made.body["group_id"].as_str().expect("id").to_owned()
    }
}

fn tags(device: &str, pairs: &[(&str, &str)]) -> Value {
    let tags: Vec<_> = pairs.iter().map(|(k, v)| json!({"tag_key": k, "tag_value": v})).collect();
    json!({"resource_type": "device", "resource_id": device, "tags": tags})
}

#[tokio::test]
async fn tags_mark_devices() {
    let world = furnished().await;
    let bind = "/tags/bind-resource";
    let ok = (204, String::new());
    assert_eq!(world.code("POST", bind, tags(LAMP, &[("room", "hall"), ("floor", "1")])).await, ok);
    assert_eq!(world.code("POST", bind, tags(LAMP, &[("floor", "2")])).await, ok, "overwritten");
    assert_eq!(world.code("POST", bind, tags(FAN, &[("floor", "2")])).await, ok);
    let shown = world.admin("GET", &format!("/devices/{LAMP}"), Value::Null).await;
    let expected = json!([{"tag_key": "floor", "tag_value": "2"},
        {"tag_key": "room", "tag_value": "hall"}]);
    assert_eq!(shown.body["tags"], expected);
    let long = "x".repeat(65);
    let bad = |code: &str| (400, code.to_owned());
    for (body, expected) in [
        (tags(LAMP, &[("third", "x")]), (403, "api.quota".to_owned())),
        (tags("none", &[("a", "x")]), (404, "device.unknown".to_owned())),
        (tags(LAMP, &[("", "x")]), bad("api.bad_request")),
        (tags(LAMP, &[(&long, "x")]), bad("api.bad_request")),
        (tags(LAMP, &[("a", &"x".repeat(129))]), bad("api.bad_request")),
        (tags(LAMP, &[("a", "x"), ("a", "y")]), bad("api.bad_request")),
        (tags(LAMP, &[]), bad("api.bad_request")),
        (
            json!({"resource_type": "product", "resource_id": LAMP, "tags": []}),
            bad("api.bad_request"),
        ),
    ] {
        assert_eq!(world.code("POST", bind, body.clone()).await, expected, "{body}");
        let after = world.admin("GET", &format!("/devices/{LAMP}"), Value::Null).await;
        assert_eq!(after.body["tags"], shown.body["tags"]);
    }
    let find = async |tags: Value, query: &str| {
        let body = json!({"resource_type": "device", "tags": tags});
        let path = format!("/tags/query-resources{query}");
        let found = world.admin("POST", &path, body).await;
        assert_eq!(found.status, 200, "{}", found.text);
        (found.body["resources"].clone(), found.body["page"]["count"].clone())
    };
    let id = |id: &str| json!({"resource_id": id});
    let floor = json!([{"tag_key": "floor", "tag_value": "2"}]);
    assert_eq!(find(floor.clone(), "").await, (json!([id(FAN), id(LAMP)]), json!(2)));
    assert_eq!(find(floor, "?limit=1&offset=1").await, (json!([id(LAMP)]), json!(2)));
    let both = json!([{"tag_key": "floor"}, {"tag_key": "room", "tag_value": "hall"}]);
    assert_eq!(find(both, "").await, (json!([id(LAMP)]), json!(1)));
    let unbind = json!({"resource_type": "device", "resource_id": LAMP,
        "tag_keys": ["room", "none"]});
    assert_eq!(world.code("POST", "/tags/unbind-resource", unbind).await, ok);
    let shown = world.admin("GET", &format!("/devices/{LAMP}"), Value::Null).await;
    assert_eq!(shown.body["tags"], json!([{"tag_key": "floor", "tag_value": "2"}]));
}

#[tokio::test]
async fn groups_hold_devices() {
    let world = furnished().await;
    let hall = world.group(json!({"name": "Hall", "description": "ground floor"})).await;
    let desk = world.group(json!({"name": "Desk", "super_group_id": hall})).await;
    let rule = "node_id = 'fan' and product_id = 'L4WG9V9M2M'";
    let fans = json!({"name": "Fans", "group_type": "DYNAMIC", "dynamic_group_rule": rule});
    let fans = world.group(fans).await;
    let shown = world.admin("GET", &format!("/device-group/{fans}"), Value::Null).await;
    let expected = json!({"group_id": fans, "name": "Fans", "description": "",
        "super_group_id": null, "group_type": "DYNAMIC", "dynamic_group_rule": rule});
    assert_eq!(shown.body, expected);
    let bad = |status: u16, code: &str| (status, code.to_owned());
    for (body, expected) in [
        (json!({"name": "Hall"}), bad(409, "api.conflict")),
        (json!({"name": ""}), bad(400, "api.bad_request")),
        (json!({"name": "x".repeat(65)}), bad(400, "api.bad_request")),
        (json!({}), bad(400, "api.bad_request")),
        (json!({"name": "x", "group_type": "ODD"}), bad(400, "api.bad_request")),
        (json!({"name": "x", "group_type": "DYNAMIC"}), bad(400, "api.bad_request")),
        (json!({"name": "x", "dynamic_group_rule": rule}), bad(400, "api.bad_request")),
        (
            json!({"name": "x", "group_type": "DYNAMIC", "dynamic_group_rule": "secret = 'x'"}),
            bad(400, "search.syntax"),
        ),
        (json!({"name": "x", "super_group_id": "none"}), bad(404, "api.not_found")),
    ] {
        assert_eq!(world.code("POST", "/device-group", body.clone()).await, expected, "{body}");
    }
    let shelf = world.group(json!({"name": "Shelf", "super_group_id": desk})).await;
    let fifth = world.code("POST", "/device-group", json!({"name": "Fifth"})).await;
    assert_eq!(fifth, bad(403, "api.quota"), "four groups at most");
    let free = world.code("DELETE", &format!("/device-group/{fans}"), Value::Null).await;
    assert_eq!(free, (204, String::new()));
    let deep = json!({"name": "Deep", "super_group_id": shelf});
    assert_eq!(world.code("POST", "/device-group", deep).await, bad(403, "api.quota"), "3 levels");

    let fans = json!({"name": "Fans", "group_type": "DYNAMIC", "dynamic_group_rule": rule});
    let fans = world.group(fans).await;
    let member = |group: &str, action: &str, device: &str| {
        format!("/device-group/{group}/action?action_id={action}&device_id={device}")
    };
    let ok = (204, String::new());
    for (path, expected) in [
        (member(&hall, "addDevice", FAN), ok.clone()),
        (member(&hall, "addDevice", FAN), ok.clone()),
        (member(&hall, "addDevice", LAMP), bad(403, "api.quota")),
        (member(&hall, "addDevice", "none"), bad(404, "device.unknown")),
        (member("none", "addDevice", FAN), bad(404, "api.not_found")),
        (member(&fans, "addDevice", FAN), bad(400, "api.bad_request")),
        (member(&hall, "explode", FAN), bad(400, "api.bad_request")),
        (member(&hall, "removeDevice", LAMP), bad(404, "api.not_found")),
    ] {
        assert_eq!(world.code("POST", &path, Value::Null).await, expected, "{path}");
    }
    let fan = json!([{"device_id": FAN, "node_id": "fan", "device_name": "Fan",
        "product_id": PRODUCT}]);
    for group in [&hall, &fans] {
        let path = format!("/device-group/{group}/devices");
        let members = world.admin("GET", &path, Value::Null).await;
        assert_eq!((&members.body["devices"], &members.body["page"]["count"]), (&fan, &json!(1)));
    }
    let path = format!("/devices/{FAN}/list-device-group");
    let groups = world.admin("POST", &path, Value::Null).await;
    let names: Vec<_> = groups.body["device_groups"]
        .as_array()
        .expect("list")
        .iter()
        .map(|group| group["name"].as_str().expect("name"))
        .collect();
    assert_eq!(names, ["Hall", "Fans"]);

    let list = async |query: &str| {
        let listed = world.admin("GET", &format!("/device-group?{query}"), Value::Null).await;
        let groups = listed.body["device_groups"].as_array().expect("list").iter();
        let names: Vec<_> = groups.map(|g| g["name"].as_str().expect("name")).collect();
        (names.join(" "), listed.body["page"]["count"].clone())
    };
    assert_eq!(list("").await, ("Fans Shelf Desk Hall".into(), json!(4)));
    assert_eq!(list("limit=1&offset=1").await, ("Shelf".into(), json!(4)));
    assert_eq!(list("name=el").await, ("Shelf".into(), json!(1)));
    assert_eq!(list("group_type=DYNAMIC").await, ("Fans".into(), json!(1)));
    world.platform.clock().advance(Duration::from_secs(5));
    let change = json!({"name": "Lobby", "description": "d"});
    let changed = world.admin("PUT", &format!("/device-group/{hall}"), change).await;
    assert_eq!(changed.body["name"], "Lobby");
    assert_eq!(list("last_modified_time=20261121T003825Z").await, ("Lobby".into(), json!(1)));
    let taken = world.code("PUT", &format!("/device-group/{hall}"), json!({"name": "Desk"})).await;
    assert_eq!(taken, bad(409, "api.conflict"));
    let busy = world.code("DELETE", &format!("/device-group/{hall}"), Value::Null).await;
    assert_eq!(busy, bad(409, "api.conflict"), "it has sub-groups");
    assert_eq!(world.code("DELETE", "/device-group/none", Value::Null).await.0, 404);
}

#[tokio::test]
async fn searches_find_devices() {
    let world = furnished().await;
    world.admin("POST", "/tags/bind-resource", tags(FAN, &[("room", "hall")])).await;
    let hall = world.group(json!({"name": "Hall"})).await;
    let path = format!("/device-group/{hall}/action?action_id=addDevice&device_id={FAN}");
    world.admin("POST", &path, Value::Null).await;
    let find =
        async |sql: &str| world.admin("POST", "/search/query-devices", json!({ "sql": sql })).await;
    let sql = format!(
        "select * from device where product_id = '{PRODUCT}' and status = 'INACTIVE' \
         and tags['room'] = 'hall' limit 0,10"
    );
    let found = find(&sql).await;
    assert_eq!((found.status.as_u16(), &found.body["count"]), (200, &json!(1)), "{}", found.text);
    let fan = &found.body["devices"][0];
    assert_eq!((&fan["device_id"], &fan["node_type"]), (&json!(FAN), &json!("GATEWAY")));
    assert_eq!((&fan["tags"], &fan["groups"]), (&json!({"room": "hall"}), &json!({hall: "Hall"})));
    assert_eq!(fan["marker"].as_str().map(str::len), Some(24));
    let names = async |sql: &str| {
        let found = find(sql).await;
        let devices = found.body["devices"].as_array().expect("list").iter();
        devices.map(|d| d["node_id"].as_str().expect("id").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names("select * from device").await, ["fan", "lamp1"]);
    assert_eq!(names("select * from device order by node_id desc limit 1").await, ["lamp1"]);
    assert_eq!(names("select * from device limit 1,50").await, ["lamp1"]);
    for (sql, code, part) in [
        ("delete from device", "search.syntax", "character 1"),
        ("select * from device where secret = 'x'", "search.syntax", "`secret`"),
        ("select * from device limit 51", "api.bad_request", "limit"),
        ("select * from device limit 501,1", "api.bad_request", "offset"),
        ("select * from device limit 0", "api.bad_request", "limit"),
    ] {
        let bad = find(sql).await;
        assert_eq!((bad.status.as_u16(), &bad.body["code"]), (400, &json!(code)), "{sql}");
        assert!(bad.body["error_msg"].as_str().expect("text").contains(part), "{}", bad.text);
    }
}

#[tokio::test]
async fn spaces_are_counted() {
    let world = furnished().await;
    let made = world.admin("POST", "/apps", json!({"app_name": "garden"})).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let full = world.admin("POST", "/apps", json!({"app_name": "attic"})).await;
    assert_eq!((full.status.as_u16(), &full.body["code"]), (403, &json!("api.quota")));
    let taken = world.code("POST", "/apps", json!({"app_name": "garden"})).await;
    assert_eq!(taken.0, 403, "the quota is looked at first");
    let app = made.body["app_id"].as_str().expect("id");
    let renamed = world.admin("PUT", &format!("/apps/{app}"), json!({"app_name": "yard"})).await;
    assert_eq!(renamed.body["app_name"], "yard");
    let shown = world.admin("GET", &format!("/apps/{app}"), Value::Null).await;
    let expected = json!({"app_id": app, "app_name": "yard", "create_time": "20261121T003820Z",
        "default_app": false});
    assert_eq!(shown.body, expected);
    for (query, count) in [("", 3), ("?default_app=true", 1), ("?default_app=false", 2)] {
        let listed = world.admin("GET", &format!("/apps{query}"), Value::Null).await;
        assert_eq!(listed.body["applications"].as_array().map(Vec::len), Some(count), "{query}");
    }
    assert_eq!(world.code("DELETE", &format!("/apps/{app}"), Value::Null).await.0, 204);
    assert_eq!(world.code("GET", &format!("/apps/{app}"), Value::Null).await.0, 404);
}
