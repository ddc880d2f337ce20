//! Devices, presence, dynamic registration.

use std::collections::BTreeMap;

use roadstead_core::device::{Access, Device, Fingerprint};
use roadstead_core::limit::SUB_DEVICES_MAX;
use roadstead_core::port::{
    BindReport, DeviceFilter, DevicePatch, PresenceChange, RegisterError, Store, StoreError, marker,
};
use roadstead_core::product::{Product, Registration};
use roadstead_core::session::{Ending, Epoch, Presence};
use roadstead_core::{DeviceId, Map, Secret, Timestamp};
use serde_json::json;

use super::fixture::{
    desire, device, get, online, page, product, report, seed, seed_devices, space, token,
};

pub(super) async fn devices_are_found_by_both_names(store: &dyn Store) {
    seed(store).await;
    let given = Device {
        id: "p_lamp".into(),
        fingerprint: Fingerprint::parse(&"ab".repeat(20)),
        frozen: true,
        activated_at: Some(Timestamp(8)),
        ..device("lamp")
    };
    store.create_device(given).await.expect("create");
    let blocking = store.device_by_node_blocking(&"p".into(), "lamp").expect("read");
    for found in [
        get(store, "p_lamp").await,
        store.device_by_node(&"p".into(), "lamp").await.expect("read").expect("exists"),
        blocking.expect("exists"),
    ] {
        assert_eq!(
            (found.id.as_str(), &*found.node, &*found.name),
            ("p_lamp", "lamp", "Device lamp")
        );
        assert_eq!((found.space.as_str(), found.product.as_str()), ("s", "p"));
        assert!(found.secret.as_ref().expect("kept").matches(b"secret of lamp"));
        assert_eq!(found.fingerprint, Fingerprint::parse(&"ab".repeat(20)));
        assert_eq!((found.frozen, found.gateway.clone()), (true, None));
        assert_eq!(found.info["fw_version"], json!("1.0"));
        assert_eq!((found.created_at, found.activated_at), (Timestamp(4), Some(Timestamp(8))));
    }
    assert!(store.device(&"lamp".into()).await.expect("read").is_none());
    assert!(store.device_by_node(&"q".into(), "lamp").await.expect("read").is_none());
    let same_node = Device { id: "other".into(), ..device("lamp") };
    let same_id = Device { id: "p_lamp".into(), ..device("other") };
    let no_product = Device { product: "q".into(), ..device("x") };
    let no_gateway = Device { gateway: Some("hub".into()), ..device("x") };
    for (wrong, expected) in [
        (same_node, StoreError::Exists),
        (same_id, StoreError::Exists),
        (no_product, StoreError::Missing),
        (no_gateway, StoreError::Missing),
    ] {
        assert_eq!(store.create_device(wrong).await, Err(expected));
    }
}

pub(super) async fn devices_are_patched(store: &dyn Store) {
    seed_devices(store, &["lamp", "hub"]).await;
    let lamp = DeviceId::from("lamp");
    let mut info = Map::new();
    info.insert("mac".into(), json!("aa"));
    let patch = DevicePatch {
        name: Some("Desk lamp".into()),
        secret: Some(Secret::from("new secret")),
        secondary_secret: Some(Secret::from("second secret")),
        fingerprint: Some(Fingerprint::parse(&"cd".repeat(32))),
        secondary_fingerprint: Some(Fingerprint::parse(&"ef".repeat(20))),
        secure: Some(true),
        register_within_s: Some(30),
        gateway: Some(Some("hub".into())),
        frozen: Some(true),
        info: Some(info),
        activated_at: Some(Some(Timestamp(7))),
    };
    let returned = store.update_device(&lamp, patch).await.expect("update");
    for device in [returned, get(store, "lamp").await] {
        assert_eq!((&*device.name, device.frozen), ("Desk lamp", true));
        assert!(device.secret.as_ref().expect("kept").matches(b"new secret"));
        assert_eq!(device.fingerprint, Fingerprint::parse(&"cd".repeat(32)));
        assert_eq!(device.gateway, Some("hub".into()));
        assert_eq!(device.activated_at, Some(Timestamp(7)));
        let access = &device.access;
        assert!(access.secondary_secret.as_ref().expect("kept").matches(b"second secret"));
        assert_eq!(access.secondary_fingerprint, Fingerprint::parse(&"ef".repeat(20)));
        assert_eq!((access.secure, access.register_within_s), (true, 30));
        assert_eq!(
            (&device.info["fw_version"], &device.info["mac"]),
            (&json!("1.0"), &json!("aa"))
        );
    }
    store.update_device(&lamp, DevicePatch::default()).await.expect("nothing to change");
    assert_eq!(get(store, "lamp").await.gateway, Some("hub".into()), "None leaves a field");
    let detach = DevicePatch {
        gateway: Some(None),
        activated_at: Some(None),
        fingerprint: Some(None),
        ..DevicePatch::default()
    };
    store.update_device(&lamp, detach).await.expect("detach");
    let detached = get(store, "lamp").await;
    assert_eq!((&detached.gateway, detached.activated_at), (&None, None));
    assert_eq!(detached.fingerprint, None);
    assert!(detached.access.secondary_fingerprint.is_some());
    let lost = DevicePatch { gateway: Some(Some("gone".into())), ..DevicePatch::default() };
    assert_eq!(store.update_device(&lamp, lost).await.err(), Some(StoreError::Missing));
    let nobody = store.update_device(&"x".into(), DevicePatch::default()).await;
    assert_eq!(nobody.err(), Some(StoreError::Missing));
}

pub(super) async fn devices_are_filtered_and_paged(store: &dyn Store) {
    seed_devices(store, &["d", "b", "hub"]).await;
    store.create_space(space("t")).await.expect("space");
    store.create_product(product("q", "s")).await.expect("product");
    let a = Device { gateway: Some("hub".into()), ..device("a") };
    let c = Device {
        product: "q".into(),
        name: "Device b".into(),
        created_at: Timestamp(5),
        ..device("c")
    };
    let elsewhere = Device { space: "t".into(), ..device("e") };
    for device in [a, c, elsewhere] {
        store.create_device(device).await.expect("create");
    }
    store.create_token(token(1, "ann")).await.expect("token");
    let reported =
        BindReport { digest: [1; 32], device: "d".into(), now: Timestamp(20), own_life: None };
    store.report_token(reported).await.expect("store").expect("bound");
    store.share(&"d".into(), &"bob".into(), Timestamp(30)).await.expect("store").expect("guest");
    let b_online = PresenceChange { device: "b".into(), presence: online(1, 5) };
    store.set_presence(vec![b_online]).await.expect("presence");

    // On line again since, never since, not since, in another space.
    for (id, at) in [("b", 3), ("hub", 4), ("d", 8), ("e", 9)] {
        let noted = store.note_refusal(&id.into(), "auth.bad_password", Timestamp(at)).await;
        noted.expect("refusal");
    }

    let mut markers = BTreeMap::new();
    for id in ["a", "b"] {
        markers.insert(id, marker(get(store, id).await.number));
    }
    let before = |id: &str| markers[id].clone();
    let none = DeviceFilter::default;
    let cases = [
        (none(), page(None, 0, 10), "c a hub b d", 5),
        (none(), page(Some(&before("a")), 1, 1), "b", 5),
        (none(), page(Some(&"f".repeat(24)), 4, 2), "d", 5),
        (DeviceFilter { product: Some("q".into()), ..none() }, page(None, 0, 10), "c", 1),
        (DeviceFilter { node: Some("d".into()), ..none() }, page(None, 0, 10), "d", 1),
        (DeviceFilter { gateway: Some("hub".into()), ..none() }, page(None, 0, 10), "a", 1),
        (DeviceFilter { name: Some("ice b".into()), ..none() }, page(None, 0, 1), "c", 2),
        (DeviceFilter { name: Some("ICE".into()), ..none() }, page(None, 0, 1), "", 0),
        (DeviceFilter { created_from: Some(Timestamp(5)), ..none() }, page(None, 0, 9), "c", 1),
        (
            DeviceFilter { created_until: Some(Timestamp(4)), ..none() },
            page(Some(&before("b")), 0, 9),
            "d",
            4,
        ),
        (DeviceFilter { failing: true, ..none() }, page(None, 0, 10), "hub d", 2),
        (DeviceFilter { failing: true, ..none() }, page(Some(&before("b")), 0, 9), "d", 2),
        (
            DeviceFilter { failing: true, product: Some("q".into()), ..none() },
            page(None, 0, 10),
            "",
            0,
        ),
        (DeviceFilter { user: Some("ann".into()), ..none() }, page(None, 0, 10), "d", 1),
        (DeviceFilter { user: Some("bob".into()), ..none() }, page(None, 0, 10), "d", 1),
        (
            DeviceFilter { user: Some("bob".into()), product: Some("q".into()), ..none() },
            page(None, 0, 10),
            "",
            0,
        ),
    ];
    for (filter, page, expected, total) in cases {
        let listing = store.devices(&"s".into(), &filter, &page).await.expect("list");
        let ids: Vec<_> = listing.items.iter().map(|(device, _)| device.id.as_str()).collect();
        assert_eq!((&*ids.join(" "), listing.total), (expected, total), "{filter:?} {page:?}");
        for (device, presence) in &listing.items {
            assert_eq!(presence.online, device.id.as_str() == "b");
        }
    }
    for wrong in ["b", "", "00000000000000000000000g", "+00000000000000000000001"] {
        let listed = store.devices(&"s".into(), &none(), &page(Some(wrong), 0, 1)).await;
        assert_eq!(listed.err(), Some(StoreError::Marker), "{wrong}");
    }
}

pub(super) async fn gateways_have_levels(store: &dyn Store) {
    seed_devices(store, &["hub", "other"]).await;
    let behind =
        |gateway: &str, node: &str| Device { gateway: Some(gateway.into()), ..device(node) };
    store.create_device(behind("hub", "one")).await.expect("level 1");
    store.create_device(behind("one", "two")).await.expect("level 2");
    let limit = StoreError::Limit("levels of gateways");
    assert_eq!(store.create_device(behind("two", "three")).await, Err(limit.clone()));
    let attach =
        |to: &str| DevicePatch { gateway: Some(Some(to.into())), ..DevicePatch::default() };
    for (device, to) in [("hub", "other"), ("hub", "two"), ("hub", "hub"), ("one", "two")] {
        let moved = store.update_device(&device.into(), attach(to)).await.map(drop);
        assert_eq!(moved, Err(limit.clone()), "{device} behind {to}");
    }
    store.update_device(&"one".into(), attach("other")).await.expect("with its own");
    let list = async |cascade, gateway: &str| {
        let filter =
            DeviceFilter { gateway: Some(gateway.into()), cascade, ..DeviceFilter::default() };
        let listing = store.devices(&"s".into(), &filter, &page(None, 0, 9)).await.expect("list");
        let ids: Vec<_> = listing.items.iter().map(|(device, _)| device.id.to_string()).collect();
        (ids.join(" "), listing.total)
    };
    assert_eq!(list(false, "other").await, ("one".into(), 1));
    assert_eq!(list(true, "other").await, ("two one".into(), 2));
    assert_eq!(list(true, "hub").await, ("".into(), 0));
    assert_eq!(list(false, "hub").await, ("".into(), 0));
    let in_use = Err(StoreError::InUse("sub-devices"));
    assert_eq!(store.delete_device(&"other".into()).await, in_use);
    for id in ["two", "one", "other"] {
        store.delete_device(&id.into()).await.expect("from below");
    }
}

pub(super) async fn devices_that_never_register_are_deleted(store: &dyn Store) {
    seed(store).await;
    let within = |node: &str, register_within_s| Device {
        created_at: Timestamp(1000),
        access: Access { register_within_s, ..Access::default() },
        ..device(node)
    };
    for device in [
        within("forever", 0),
        within("late", 20),
        within("soon", 10),
        within("seen", 10),
        Device { gateway: Some("hub".into()), ..within("sub", 0) },
    ] {
        if device.gateway.is_some() {
            store.create_device(within("hub", 10)).await.expect("hub");
        }
        store.create_device(device).await.expect("create");
    }
    let seen = PresenceChange { device: "seen".into(), presence: online(1, 5000) };
    store.set_presence(vec![seen]).await.expect("log in");
    let swept = async |at, max| {
        let gone = store.delete_unregistered(Timestamp(at), max).await.expect("sweep");
        gone.iter().map(|device| device.id.to_string()).collect::<Vec<_>>()
    };
    assert!(swept(10_999, 9).await.is_empty());
    assert_eq!(swept(11_000, 9).await, ["soon"], "the hub has a sub-device");
    assert!(store.device(&"soon".into()).await.expect("read").is_none());
    let longer = DevicePatch { register_within_s: Some(40), ..DevicePatch::default() };
    store.update_device(&"late".into(), longer).await.expect("longer");
    assert!(swept(40_999, 9).await.is_empty());
    store.delete_device(&"sub".into()).await.expect("delete");
    assert_eq!(swept(41_000, 1).await, ["hub"], "the most overdue first");
    assert_eq!(swept(41_000, 1).await, ["late"]);
    assert!(swept(i64::MAX, 9).await.is_empty());
    assert_eq!(store.count_devices(&"s".into()).await, Ok((2, 1, 1)));
}

pub(super) async fn deleting_a_device_takes_everything(store: &dyn Store) {
    seed_devices(store, &["hub"]).await;
    let hub = DeviceId::from("hub");
    let sub = Device { gateway: Some(hub.clone()), ..device("sub") };
    store.create_device(sub).await.expect("sub-device");
    store.create_token(token(1, "ann")).await.expect("token");
    let reported =
        BindReport { digest: [1; 32], device: hub.clone(), now: Timestamp(20), own_life: None };
    store.report_token(reported).await.expect("store").expect("bound");
    store.change_shadow(&hub, vec![desire(json!({"a": 1}), 5)], None).await.expect("shadow");
    store.push_pending(&hub, "k", "b", Timestamp(6)).await.expect("pending");
    let change = PresenceChange { device: hub.clone(), presence: online(7, 6) };
    store.set_presence(vec![change]).await.expect("presence");

    assert_eq!(store.delete_device(&hub).await, Err(StoreError::InUse("sub-devices")));
    assert_eq!(get(store, "sub").await.gateway, Some(hub.clone()), "nothing has changed");
    assert!(!store.bindings_of_device(&hub).await.expect("read").is_empty());
    store.delete_device(&"sub".into()).await.expect("delete");

    for round in 0..2 {
        store.delete_device(&hub).await.expect("delete");
        assert_eq!(store.delete_device(&hub).await, Err(StoreError::Missing));
        let change = store.change_shadow(&hub, vec![report(json!({"a": 1}), 5)], None).await;
        assert_eq!(change, Err(StoreError::Missing), "round {round}");
        let pushed = store.push_pending(&hub, "k", "b", Timestamp(6)).await;
        assert_eq!(pushed, Err(StoreError::Missing));
        assert!(store.shadow(&hub).await.expect("read").services.is_empty());
        assert!(store.device_by_node(&"p".into(), "hub").await.expect("read").is_none());
        // The next one of this name starts from nothing.
        store.create_device(device("hub")).await.expect("create again");
        assert!(store.shadow(&hub).await.expect("read").services.is_empty());
        assert!(store.pending(&hub).await.expect("read").is_empty());
        assert_eq!(store.presence(&hub).await, Ok(Presence::default()));
        assert!(store.bindings_of_device(&hub).await.expect("read").is_empty());
        assert!(store.bindings_of_user(&"ann".into()).await.expect("read").is_empty());
        let changed = store.change_shadow(&hub, vec![report(json!({"b": 2}), 5)], None).await;
        assert_eq!(changed, Ok(false));
        assert_eq!(store.shadow(&hub).await.expect("read").services["default"].version, 1);
    }
    assert_eq!(store.recover_presence(Timestamp(9)).await, Ok(Epoch(7)), "epochs outlive devices");
}

pub(super) async fn sub_devices_are_bounded(store: &dyn Store) {
    seed_devices(store, &["hub", "late"]).await;
    let behind = |node: String| Device { gateway: Some("hub".into()), ..device(&node) };
    let full = (0..SUB_DEVICES_MAX).map(|n| behind(format!("sub{n}"))).collect();
    let results = store.import_devices(full).await.expect("import");
    assert!(results.iter().all(|result| *result == Ok(true)));
    let limit = Err(StoreError::Limit("sub-devices per gateway"));
    assert_eq!(store.create_device(behind("one more".into())).await, limit);
    let attach = DevicePatch { gateway: Some(Some("hub".into())), ..DevicePatch::default() };
    assert_eq!(store.update_device(&"late".into(), attach.clone()).await.map(drop), limit);
    store.update_device(&"sub0".into(), attach).await.expect("is there already");
    store.delete_device(&"sub1".into()).await.expect("delete");
    store.create_device(behind("one more".into())).await.expect("room again");
}

pub(super) async fn imports_are_idempotent(store: &dyn Store) {
    seed(store).await;
    let lamp = || device("lamp");
    let sub = || Device { gateway: Some("hub".into()), ..device("sub") };
    let hub = || device("hub");
    let batch = || vec![lamp(), sub(), hub()];
    let results = store.import_devices(batch()).await.expect("import");
    assert_eq!(results, [Ok(true), Ok(true), Ok(true)], "a gateway may come after its sub-device");
    let results = store.import_devices(batch()).await.expect("import");
    assert_eq!(results, [Ok(false), Ok(false), Ok(false)]);

    store
        .set_presence(vec![PresenceChange { device: "lamp".into(), presence: online(1, 50) }])
        .await
        .expect("presence");
    let known = Device { secret: Some(Secret::from("second")), name: "New".into(), ..lamp() };
    let preregistered = Device { secret: None, name: "".into(), gateway: None, ..sub() };
    let stolen_node = Device { id: "other".into(), ..hub() };
    let moved = Device { node: "elsewhere".into(), ..hub() };
    let no_product = Device { product: "q".into(), ..device("x") };
    let results = store
        .import_devices(vec![known, preregistered, stolen_node, moved, no_product])
        .await
        .expect("import");
    let (exists, missing) = (StoreError::Exists, StoreError::Missing);
    assert_eq!(results, [Ok(false), Ok(false), Err(exists.clone()), Err(exists), Err(missing)]);
    let lamp = get(store, "lamp").await;
    assert!(lamp.secret.as_ref().expect("kept").matches(b"second"));
    assert_eq!((&*lamp.name, lamp.activated_at), ("New", Some(Timestamp(50))));
    let sub = get(store, "sub").await;
    assert!(sub.secret.as_ref().expect("kept").matches(b"secret of sub"));
    assert_eq!((&*sub.name, &sub.gateway), ("Device sub", &Some("hub".into())));
    assert!(store.device(&"x".into()).await.expect("read").is_none());
    assert_eq!(store.import_devices(vec![]).await, Ok(vec![]));
}

pub(super) async fn registration_follows_the_policy(store: &dyn Store) {
    seed(store).await;
    let pre = Device { secret: None, ..device("pre") };
    store.create_device(pre).await.expect("pre-registered");
    store.create_device(device("old")).await.expect("create");
    store
        .set_presence(vec![PresenceChange { device: "old".into(), presence: online(1, 5) }])
        .await
        .expect("presence");
    let candidate =
        |node: &str, secret: &str| Device { secret: Some(Secret::from(secret)), ..device(node) };
    let policies = [
        (Registration::Off, "new", Err("register.off")),
        (Registration::Off, "pre", Err("register.off")),
        (Registration::Preregistered, "new", Err("register.unknown_device")),
        (Registration::Preregistered, "old", Err("register.activated")),
        (Registration::Preregistered, "pre", Ok((false, "s4"))),
        (Registration::Preregistered, "pre", Ok((false, "s4"))),
        (Registration::Open, "old", Err("register.activated")),
        (Registration::Open, "new", Ok((true, "s7"))),
        (Registration::Open, "new", Ok((false, "s7"))),
    ];
    for (n, (registration, node, expected)) in policies.into_iter().enumerate() {
        let changed = Product { registration, ..product("p", "s") };
        store.update_product(changed).await.expect("policy");
        let got = store.register_device(candidate(node, &format!("s{n}"))).await;
        match (got, expected) {
            (Ok(registered), Ok((created, secret))) => {
                assert_eq!(registered.created, created, "case {n}");
                for device in [registered.device, get(store, node).await] {
                    let kept = device.secret.as_ref().expect("has one");
                    assert!(kept.matches(secret.as_bytes()), "case {n}");
                }
            }
            (Err(error), Err(code)) => assert_eq!(error.code(), code, "case {n}"),
            (got, _) => panic!("case {n}: {:?}", got.map(|registered| registered.created)),
        }
    }
    let anew = DevicePatch { activated_at: Some(None), ..DevicePatch::default() };
    store.update_device(&"old".into(), anew).await.expect("reset");
    let again = store.register_device(candidate("old", "x")).await.expect("may register anew");
    assert!(again.device.secret.as_ref().expect("kept").matches(b"secret of old"));
    let lost = Device { product: "q".into(), ..candidate("x", "x") };
    let lost = store.register_device(lost).await.err();
    assert_eq!(lost, Some(RegisterError::Store(StoreError::Missing)));
}

pub(super) async fn presence_follows_epochs(store: &dyn Store) {
    seed_devices(store, &["lamp", "other"]).await;
    let lamp = DeviceId::from("lamp");
    let change =
        |presence: &Presence| PresenceChange { device: "lamp".into(), presence: presence.clone() };
    assert_eq!(store.presence(&lamp).await, Ok(Presence::default()));
    assert_eq!(store.presence(&"x".into()).await, Ok(Presence::default()));
    assert_eq!(store.count_devices(&"s".into()).await, Ok((2, 0, 0)));

    let first = online(3, 100);
    let unknown = PresenceChange { device: "x".into(), presence: online(2, 90) };
    store.set_presence(vec![unknown, change(&first)]).await.expect("log in");
    assert_eq!(store.presence(&lamp).await, Ok(first.clone()));
    assert_eq!(get(store, "lamp").await.activated_at, Some(Timestamp(100)));
    assert_eq!(store.count_devices(&"s".into()).await, Ok((2, 1, 1)));
    assert_eq!(store.count_devices(&"t".into()).await, Ok((0, 0, 0)));

    let second = online(4, 200);
    let ended = |epoch| Presence {
        online: false,
        epoch: Epoch(epoch),
        offline_at: Some(Timestamp(300)),
        ending: Some(Ending::TakenOver),
        ..online(epoch, 100)
    };
    store.set_presence(vec![change(&second), change(&ended(3))]).await.expect("take-over");
    assert_eq!(store.presence(&lamp).await, Ok(second), "the loser's end is ignored");
    assert_eq!(get(store, "lamp").await.activated_at, Some(Timestamp(100)), "the first one counts");
    store.set_presence(vec![change(&ended(4))]).await.expect("log out");
    assert_eq!(store.presence(&lamp).await, Ok(ended(4)));
    assert_eq!(store.count_devices(&"s".into()).await, Ok((2, 0, 1)));
    store.set_presence(vec![]).await.expect("nothing");
}

pub(super) async fn recovery_marks_devices_lost(store: &dyn Store) {
    seed_devices(store, &["a", "b", "c"]).await;
    assert_eq!(store.recover_presence(Timestamp(1)).await, Ok(Epoch(0)));
    let change = |device: &str, epoch, online_now| PresenceChange {
        device: device.into(),
        presence: Presence {
            online: online_now,
            offline_at: (!online_now).then_some(Timestamp(60)),
            ending: (!online_now).then_some(Ending::Disconnected),
            ..online(epoch, 50)
        },
    };
    store.set_presence(vec![change("a", 5, true), change("b", 9, false)]).await.expect("set");
    assert_eq!(store.recover_presence(Timestamp(70)).await, Ok(Epoch(9)));
    let lost = store.presence(&"a".into()).await.expect("read");
    assert_eq!((lost.online, lost.epoch), (false, Epoch(5)));
    assert_eq!((lost.offline_at, lost.ending), (Some(Timestamp(70)), Some(Ending::ServerLost)));
    let ended = store.presence(&"b".into()).await.expect("read");
    assert_eq!((ended.offline_at, ended.ending), (Some(Timestamp(60)), Some(Ending::Disconnected)));
    assert_eq!(store.count_devices(&"s".into()).await, Ok((3, 0, 2)));

    store.set_presence(vec![change("c", 10, true)]).await.expect("set");
    assert_eq!(store.recover_presence(Timestamp(80)).await, Ok(Epoch(10)));
    let filter = DeviceFilter::default();
    let listing = store.devices(&"s".into(), &filter, &page(None, 0, 9)).await.expect("list");
    let ends: Vec<_> = listing.items.iter().map(|(_, presence)| presence.offline_at).collect();
    assert_eq!(ends, [80, 60, 70].map(|at| Some(Timestamp(at))), "an old loss keeps its date");
    store.set_presence(vec![change("a", 11, true)]).await.expect("back again");
    assert!(store.presence(&"a".into()).await.expect("read").online);
    assert_eq!(store.count_devices(&"s".into()).await, Ok((3, 1, 3)));
}

pub(super) async fn refusals_are_kept(store: &dyn Store) {
    seed_devices(store, &["lamp"]).await;
    let lamp = DeviceId::from("lamp");
    let noted = store.note_refusal(&"x".into(), "auth.frozen", Timestamp(1)).await;
    assert_eq!(noted, Err(StoreError::Missing));
    store.note_refusal(&lamp, "auth.frozen", Timestamp(10)).await.expect("note");
    store.note_refusal(&lamp, "auth.bad_password", Timestamp(20)).await.expect("note");
    let refusal = Some(("auth.bad_password".into(), Timestamp(20)));
    let refused = store.presence(&lamp).await.expect("read");
    assert_eq!(refused, Presence { refusal: refusal.clone(), ..Presence::default() });
    store
        .set_presence(vec![PresenceChange { device: lamp.clone(), presence: online(1, 30) }])
        .await
        .expect("log in");
    let presence = store.presence(&lamp).await.expect("read");
    assert_eq!(presence, Presence { refusal, ..online(1, 30) }, "a log-in does not forget it");
}
