//! Fleet import: idempotent, row by row, and the check before it.

use roadstead_core::Value;
use serde_json::json;

use super::{PRODUCT, World, model};
use crate::service::{Counts, Fleet, Works};

fn fleet(products: Value, devices: Value) -> Fleet {
    serde_json::from_value(json!({"products": products, "devices": devices})).expect("fleet")
}

fn product(id: &str) -> Value {
    json!({"line": 2, "dialect": "tencent", "product": id, "name": "Lamp",
           "secret": "XoezQjzzMedF4lAr2CqCkVYK", "dynamic_registration": "open", "model": model()})
}

fn device(line: u32, node: &str, secret: Option<&str>) -> Value {
    json!({"line": line, "dialect": "tencent", "product": "AAAAAAAAAA", "device": node,
           "secret": secret})
}

const SECRET: Option<&str> = Some("MLvMHde65nKPk0Lx+ZThaA==");

#[tokio::test]
async fn importing_twice_changes_nothing_and_bad_rows_name_their_line() {
    let world = World::new().await;
    let rows = || {
        let mut sub = device(4, "SUB", SECRET);
        sub["gateway"] = json!("AAAAAAAAAA/GATE");
        fleet(
            json!([product("AAAAAAAAAA"), {"line": 9, "dialect": "nobody", "product": "X"}]),
            json!([
                sub,
                device(5, "GATE", SECRET),
                device(6, "NEW", None),
                device(7, "BAD", Some("not base64!")),
                {"line": 8, "dialect": "tencent", "product": "BBBBBBBBBB", "device": "LOST"},
            ]),
        )
    };
    let first = world.platform.import(world.space(), rows()).await.expect("import");
    assert_eq!(first.products, Counts { created: 1, failed: 1, ..Counts::default() });
    assert_eq!(first.devices, Counts { created: 3, failed: 2, ..Counts::default() });
    let lines: Vec<_> = first.errors.iter().map(|error| (error.line, error.code)).collect();
    assert_eq!(lines, [(9, "import.bad_row"), (7, "import.bad_row"), (8, "import.bad_row")]);
    assert!(!format!("{first:?}").contains("not base64!"), "secrets are not repeated");

    let again = world.platform.import(world.space(), rows()).await.expect("import");
    assert_eq!(again.products, Counts { unchanged: 1, failed: 1, ..Counts::default() });
    assert_eq!(again.devices, Counts { unchanged: 3, failed: 2, ..Counts::default() });

    let changed = fleet(json!([]), json!([device(1, "NEW", Some("AAAAAAAAAAAAAAAAAAAAAA=="))]));
    let changed = world.platform.import(world.space(), changed).await.expect("import");
    assert_eq!(changed.devices, Counts { updated: 1, ..Counts::default() });
}

#[tokio::test]
async fn the_check_says_what_will_work_and_changes_nothing() {
    let world = World::new().await;
    let mut rows = fleet(
        json!([product("AAAAAAAAAA")]),
        json!([device(3, "KEY", SECRET), device(4, "REG", None), device(5, "B A D", SECRET)]),
    );
    let works = async |rows: &Fleet| {
        let (report, checks) =
            world.platform.check_fleet(world.space(), rows).await.expect("check");
        let works: Vec<_> = checks.iter().map(|check| (check.works, check.code)).collect();
        (report.devices.failed, works)
    };
    let (failed, checks) = works(&rows).await;
    let expected = [(Works::Yes, "ok"), (Works::Depends, "ok"), (Works::No, "import.bad_row")];
    assert_eq!((failed, &checks[..]), (1, &expected[..]));
    rows.products[0].dynamic_registration = Some(roadstead_core::product::Registration::Off);
    assert_eq!(works(&rows).await.1[1], (Works::No, "auth.no_credential"));
    rows.products[0].auth = Some(roadstead_core::product::Auth::Certificate);
    assert_eq!(works(&rows).await.1[0], (Works::No, "auth.certificate_mismatch"));
    let kept = world.platform.product(world.space(), &"AAAAAAAAAA".into()).await;
    assert_eq!(kept.err().expect("nothing was created").code(), "api.not_found");
    assert!(world.platform.product(world.space(), &PRODUCT.into()).await.is_ok());
}
