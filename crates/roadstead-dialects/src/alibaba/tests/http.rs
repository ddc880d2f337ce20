//! Vendor HTTP calls: the recorded ones, and what must be refused.

use std::boxed::Box;
use std::format;
use std::string::{String, ToString as _};
use std::sync::Arc;

use roadstead_core::Value;
use roadstead_core::product::{Model, Registration};
use serde_json::json;

use super::{NODE, NOW, PRODUCT, SECRET, cloud, device, product};
use crate::alibaba::auth::{Method, source};
use crate::cloud::{
    Account, Call, Cloud, Effect, Hello, HttpRequest, HttpResponse, Performed, Place, Tls,
};

fn call(settings: &Value, method: &str, path: &str, body: &str) -> Option<Box<dyn Call>> {
    let headers = [("content-type", "application/x-www-form-urlencoded;charset=utf-8")];
    let host = "iot-auth-global.aliyuncs.com";
    let body = body.as_bytes();
    let request =
        HttpRequest { method, host, path, query: "", headers: &headers, body, mqtt_port: None };
    cloud(settings).http(&request)
}

/// Performs a call as the platform does.
fn perform(mut call: Box<dyn Call>, account: &Account, place: Option<Place>) -> HttpResponse {
    if let Err(response) = call.claim() {
        return response;
    }
    match call.decide(Some(&account.product), Some(&account.device), NOW) {
        Err(response) => response,
        Ok(effect) => {
            let performed = match effect {
                Effect::Register { .. } => {
                    Performed::Registered { device: account.device.clone(), certificate: None }
                }
                Effect::Locate => Performed::Located(place),
                Effect::Logs(_)
                | Effect::Enrol(_)
                | Effect::Learn(_)
                | Effect::Retire
                | Effect::Nothing => Performed::Kept,
            };
            call.respond(&account.product, Ok(performed), [0; 16])
        }
    }
}

fn lamp() -> Account {
    Account {
        product: Arc::new(product(PRODUCT, Model::default())),
        device: Arc::new(device(PRODUCT, NODE, SECRET)),
    }
}

fn text(response: &HttpResponse) -> String {
    String::from_utf8(response.body.clone()).expect("text")
}

#[test]
fn trap_08_the_living_sdk_asks_where_to_connect() {
    let body = "productKey=a1RsKq9ZxTb&deviceName=lamp-0001&clientId=a1RsKq9ZxTb.lamp-0001\
                &timestamp=2524608000000&resources=mqtt";
    let ask = || call(&json!({"mqtt_port": 1884}), "POST", "/auth/bootstrap", body).expect("known");
    let here = perform(ask(), &lamp(), None);
    assert_eq!(
        text(&here),
        "{\"code\":200,\"data\":{\"resources\":{\"mqtt\":{\"host\":\"iot-auth-global.aliyuncs.com\",\
         \"port\":1884}}},\"message\":\"success\"}"
    );
    assert!(text(&here).len() <= 512, "the firmware's buffer");
    let place = Place { host: "mqtt.eu.example".into(), port: 1885 };
    let there: Value =
        serde_json::from_slice(&perform(ask(), &lamp(), Some(place)).body).expect("JSON");
    assert_eq!(
        there["data"]["resources"]["mqtt"],
        json!({"host": "mqtt.eu.example", "port": 1885})
    );
    let unknown = ask().decide(None, None, NOW).expect_err("unknown product");
    assert_eq!(text(&unknown), "{\"code\":5244,\"data\":{},\"message\":\"device not found\"}");
    let region = call(&json!({}), "GET", "/auth/bootstrap/regionId/4", "").expect("known");
    assert_eq!(region.region(), Some("eu-central-1"));
    assert!(text(&region.tell(None)).contains("\"port\":1883"));
    assert!(call(&json!({}), "GET", "/auth/bootstrap/regionId/", "").is_none());
}

#[test]
fn the_recorded_registration_gets_its_secret_without_blanks() {
    let file: Value =
        serde_json::from_str(include_str!("../../../vectors/alibaba.json")).expect("JSON");
    let vectors = file["vectors"].as_array().expect("list");
    let vector = vectors.iter().find(|vector| vector["id"] == "http-dynreg").expect("there");
    let body = vector["body"].as_str().expect("text");
    let ask = || call(&json!({}), "POST", "/auth/register/device", body).expect("known");
    let response = perform(ask(), &lamp(), None);
    assert_eq!(
        text(&response),
        format!(
            "{{\"code\":200,\"data\":{{\"deviceName\":\"{NODE}\",\"deviceSecret\":\"{SECRET}\",\
             \"productKey\":\"{PRODUCT}\"}},\"message\":\"success\"}}"
        )
    );
    let change = |change: &dyn Fn(&mut Account)| {
        let mut account = lamp();
        change(&mut account);
        perform(ask(), &account, None)
    };
    let off = change(&|account| {
        Arc::make_mut(&mut account.product).registration = Registration::Off;
    });
    assert_eq!((off.status, off.code), (200, "register.off"));
    assert_eq!(
        text(&off),
        "{\"code\":6288,\"data\":{},\"message\":\"dynamic register is closed\"}"
    );
    let active = change(&|account| Arc::make_mut(&mut account.device).activated_at = Some(NOW));
    assert_eq!(active.code, "register.activated");
    let foreign = change(&|account| {
        Arc::make_mut(&mut account.product).secret = Some("another".into());
    });
    assert_eq!(foreign.code, "register.bad_signature");
    let odd = call(&json!({}), "POST", "/auth/register/device", "productKey=a1").expect("known");
    assert_eq!(odd.claim().expect_err("no names").code, "register.bad_request");
}

#[test]
fn the_guided_log_in_gives_a_token_that_logs_in() {
    let fields = [
        ("clientId", "a1RsKq9ZxTb.lamp-0001"),
        ("deviceName", NODE),
        ("productKey", PRODUCT),
        ("timestamp", "2524608000000"),
    ];
    let sign = Method::Sha1.sign(SECRET.as_bytes(), &source(fields));
    let body = |sign: &str| {
        format!(
            "productKey={PRODUCT}&deviceName={NODE}&signmethod=hmacsha1&sign={sign}&version=default\
             &clientId=a1RsKq9ZxTb.lamp-0001&timestamp=2524608000000&resources=mqtt"
        )
    };
    let ask =
        |sign: &str| call(&json!({}), "POST", "/auth/devicename", &body(sign)).expect("known");
    let response = perform(ask(&sign), &lamp(), None);
    assert!(response.body.len() < 300, "the buffer of Link Kit");
    let json: Value = serde_json::from_slice(&response.body).expect("JSON");
    let given = |key: &str| json["data"][key].as_str().expect("text").to_string();
    let (id, token) = (given("iotId"), given("iotToken"));
    let cloud: Box<dyn Cloud> = cloud(&json!({}));
    let log_in = |user: &str, password: &str| {
        let hello = Hello {
            level: 4,
            client_id: "a1RsKq9ZxTb.lamp-0001|securemode=-1,timestamp=2524608000000|",
            user: Some(user),
            password: Some(password.as_bytes()),
            keep_alive_s: 60,
            tls: &Tls::None,
        };
        assert!(cloud.recognizes(&hello));
        cloud.identify(&hello).expect("a device");
        cloud.admit(&hello, &lamp(), NOW).map_err(|refusal| refusal.code)
    };
    assert_eq!(log_in(&id, &token), Ok(()));
    assert_eq!(log_in(&id, &token.replace(&token[60..], "0000")), Err("auth.bad_password"));
    let wrong = perform(ask(&Method::Sha1.sign(b"x", "y")), &lamp(), None);
    assert_eq!(wrong.code, "auth.bad_password");
}
