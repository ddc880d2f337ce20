//! Tags, groups, searches, counts.

use roadstead_core::device::{Device, Tags};
use roadstead_core::group::{Group, Kind};
use roadstead_core::port::{
    DeviceFilter, DevicePatch, GroupFilter, GroupPatch, PresenceChange, Store, StoreError, marker,
};
use roadstead_core::search::{self, Subject};
use roadstead_core::{DeviceId, GroupId, Map, Timestamp};
use serde_json::json;

use super::fixture::{device, get, online, page, product, seed, seed_devices, space};

fn tags(pairs: &[(&str, &str)]) -> Tags {
    pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
}

fn group(id: &str, parent: Option<&str>) -> Group {
    Group {
        id: id.into(),
        space: "s".into(),
        name: format!("Group {id}").into(),
        description: "".into(),
        parent: parent.map(Into::into),
        kind: Kind::Static,
        rule: None,
        created_at: Timestamp(10),
        changed_at: Timestamp(10),
        number: 0,
    }
}

async fn list(store: &dyn Store, filter: &DeviceFilter) -> (String, u64) {
    let listing = store.devices(&"s".into(), filter, &page(None, 0, 50)).await.expect("list");
    let ids: Vec<_> = listing.items.iter().map(|(device, _)| device.id.as_str()).collect();
    (ids.join(" "), listing.total)
}

pub(super) async fn tags_are_bound_and_found(store: &dyn Store) {
    seed_devices(store, &["a", "b"]).await;
    let (a, b) = (DeviceId::from("a"), DeviceId::from("b"));
    store.bind_tags(&a, tags(&[("room", "kitchen"), ("floor", "1")]), 3).await.expect("bind");
    let bound = store.bind_tags(&a, tags(&[("floor", "2"), ("x", "")]), 3).await.expect("bind");
    assert_eq!(bound.tags, tags(&[("room", "kitchen"), ("floor", "2"), ("x", "")]));
    assert_eq!(get(store, "a").await.tags, bound.tags);
    let full = store.bind_tags(&a, tags(&[("y", "1"), ("floor", "3")]), 3).await;
    assert_eq!(full.err(), Some(StoreError::Limit("tags per device")));
    assert_eq!(get(store, "a").await.tags, bound.tags, "nothing has changed");
    store.bind_tags(&a, tags(&[("floor", "2")]), 1).await.expect("a lower limit takes nothing");
    store.bind_tags(&b, tags(&[("floor", "2")]), 3).await.expect("bind");
    let with = |pairs: &[(&str, Option<&str>)]| DeviceFilter {
        tags: pairs.iter().map(|(key, value)| ((*key).into(), value.map(Into::into))).collect(),
        ..DeviceFilter::default()
    };
    for (pairs, expected, total) in [
        (&[("floor", Some("2"))][..], "b a", 2),
        (&[("floor", None)], "b a", 2),
        (&[("floor", Some("1"))], "", 0),
        (&[("floor", Some("2")), ("room", Some("kitchen"))], "a", 1),
        (&[("x", Some(""))], "a", 1),
    ] {
        assert_eq!(list(store, &with(pairs)).await, (expected.into(), total), "{pairs:?}");
    }
    let renamed = DevicePatch { name: Some("Other".into()), ..DevicePatch::default() };
    store.update_device(&a, renamed).await.expect("update");
    let left = store.unbind_tags(&a, vec!["x".into(), "none".into()]).await.expect("unbind");
    assert_eq!(left.tags, tags(&[("room", "kitchen"), ("floor", "2")]));
    store.delete_device(&a).await.expect("delete");
    assert_eq!(list(store, &with(&[("room", None)])).await, (String::new(), 0));
    let nobody = Some(StoreError::Missing);
    assert_eq!(store.bind_tags(&a, Tags::new(), 3).await.err(), nobody);
    assert_eq!(store.unbind_tags(&a, vec![]).await.err(), nobody);
    let tagged = Device { tags: tags(&[("room", "hall")]), ..device("c") };
    store.create_device(tagged).await.expect("create");
    assert_eq!(list(store, &with(&[("room", Some("hall"))])).await, ("c".into(), 1));
}

pub(super) async fn groups_are_created_and_deleted(store: &dyn Store) {
    seed(store).await;
    store.create_space(space("t")).await.expect("space");
    let (s, t) = ("s".into(), "t".into());
    store.create_group(group("a", None), 9, 3).await.expect("group");
    store.create_group(group("b", Some("a")), 9, 3).await.expect("group");
    store.create_group(group("c", Some("b")), 9, 3).await.expect("group");
    let same_name = Group { id: "x".into(), ..group("a", None) };
    let elsewhere = Group { space: "t".into(), ..group("d", Some("a")) };
    for (wrong, max, expected) in [
        (group("a", None), 9, StoreError::Exists),
        (same_name.clone(), 9, StoreError::Exists),
        (group("d", None), 3, StoreError::Limit("groups per space")),
        (group("d", Some("c")), 9, StoreError::Limit("levels of groups")),
        (group("d", Some("none")), 9, StoreError::Missing),
        (elsewhere, 9, StoreError::Missing),
        (Group { space: "u".into(), ..group("d", None) }, 9, StoreError::Missing),
    ] {
        assert_eq!(store.create_group(wrong, max, 3).await, Err(expected));
    }
    let other = Group { space: "t".into(), ..same_name };
    store.create_group(other, 1, 3).await.expect("names belong to a space");
    let rule =
        Group { kind: Kind::Dynamic, rule: Some("node_id = 'a'".into()), ..group("r", None) };
    store.create_group(rule, 9, 3).await.expect("group");

    let names = async |filter: GroupFilter, after: Option<String>, offset, limit| {
        let page = page(after.as_deref(), offset, limit);
        let listing = store.groups(&"s".into(), &filter, &page).await.expect("list");
        let ids: Vec<_> = listing.items.iter().map(|group| group.id.to_string()).collect();
        (ids.join(" "), listing.total)
    };
    let all = GroupFilter::default;
    assert_eq!(names(all(), None, 0, 9).await, ("r c b a".into(), 4));
    let c = store.group(&s, &"c".into()).await.expect("read").expect("exists");
    assert_eq!(names(all(), Some(marker(c.number)), 1, 9).await, ("a".into(), 4));
    let named = GroupFilter { name: Some("p b".into()), ..all() };
    assert_eq!(names(named, None, 0, 9).await, ("b".into(), 1));
    let dynamic = GroupFilter { kind: Some(Kind::Dynamic), ..all() };
    assert_eq!(names(dynamic, None, 0, 9).await, ("r".into(), 1));
    let rules = store.dynamic_groups(&s).await.expect("read");
    assert_eq!(rules.iter().map(|group| group.id.as_str()).collect::<Vec<_>>(), ["r"]);

    let patch = |name: &str| GroupPatch { name: Some(name.into()), description: Some("d".into()) };
    let taken = store.update_group(&s, &"a".into(), patch("Group b"), Timestamp(20)).await;
    assert_eq!(taken.err(), Some(StoreError::Exists));
    let changed = store.update_group(&s, &"a".into(), patch("Attic"), Timestamp(20)).await;
    let changed = changed.expect("update");
    assert_eq!((&*changed.name, &*changed.description), ("Attic", "d"));
    assert_eq!(store.group(&s, &"a".into()).await, Ok(Some(changed)));
    let recent = GroupFilter { changed_from: Some(Timestamp(20)), ..all() };
    assert_eq!(names(recent, None, 0, 9).await, ("a".into(), 1));
    let foreign = store.update_group(&t, &"a".into(), patch("x"), Timestamp(21)).await;
    assert_eq!(foreign.err(), Some(StoreError::Missing));
    assert_eq!(store.group(&t, &"a".into()).await, Ok(None));
    assert_eq!(store.delete_group(&t, &"a".into()).await, Err(StoreError::Missing));
    assert_eq!(store.delete_group(&s, &"a".into()).await, Err(StoreError::InUse("sub-groups")));
    for id in ["c", "b", "a"] {
        store.delete_group(&s, &id.into()).await.expect("from below");
    }
    assert_eq!(names(all(), None, 0, 9).await, ("r".into(), 1));
}

pub(super) async fn groups_have_members(store: &dyn Store) {
    seed_devices(store, &["a", "b", "c"]).await;
    store.create_space(space("t")).await.expect("space");
    store.create_device(Device { space: "t".into(), ..device("e") }).await.expect("create");
    for id in ["g", "h"] {
        store.create_group(group(id, None), 9, 3).await.expect("group");
    }
    let (s, g) = ("s".into(), GroupId::from("g"));
    for (device, expected) in [
        ("a", Ok(true)),
        ("a", Ok(false)),
        ("b", Ok(true)),
        ("c", Err(StoreError::Limit("devices per group"))),
        ("b", Ok(false)),
        ("e", Err(StoreError::Missing)),
        ("none", Err(StoreError::Missing)),
    ] {
        assert_eq!(store.add_member(&s, &g, &device.into(), 2).await, expected, "{device}");
    }
    let no_group = store.add_member(&s, &"none".into(), &"a".into(), 2).await;
    assert_eq!(no_group, Err(StoreError::Missing));
    let foreign = store.add_member(&"t".into(), &g, &"e".into(), 2).await;
    assert_eq!(foreign, Err(StoreError::Missing));
    store.add_member(&s, &"h".into(), &"a".into(), 2).await.expect("add");
    let of = |id: &str| DeviceFilter { group: Some(id.into()), ..DeviceFilter::default() };
    assert_eq!(list(store, &of("g")).await, ("b a".into(), 2));
    let groups = store.groups_of(&"a".into()).await.expect("read");
    assert_eq!(groups.iter().map(|group| group.id.as_str()).collect::<Vec<_>>(), ["h", "g"]);
    assert_eq!(store.remove_member(&s, &g, &"a".into()).await, Ok(true));
    assert_eq!(store.remove_member(&s, &g, &"a".into()).await, Ok(false));
    store.add_member(&s, &g, &"c".into(), 2).await.expect("room again");
    store.delete_device(&"b".into()).await.expect("delete");
    assert_eq!(list(store, &of("g")).await, ("c".into(), 1));
    store.add_member(&s, &g, &"a".into(), 2).await.expect("room again");
    store.delete_group(&s, &g).await.expect("members stay");
    assert_eq!(list(store, &of("g")).await, (String::new(), 0));
    assert_eq!(store.groups_of(&"c".into()).await, Ok(vec![]));
    get(store, "a").await;
}

/// Every engine agrees with [`search::Condition::holds`].
pub(super) async fn searches_find_what_holds(store: &dyn Store) {
    seed_devices(store, &["hub", "lamp*", "Lamp", "fan"]).await;
    store.create_product(product("q", "s")).await.expect("product");
    let mut info = Map::new();
    info.insert("fw_version".into(), json!(2));
    info.insert("sw_version".into(), json!("1.10"));
    let odd = Device {
        product: "q".into(),
        gateway: Some("hub".into()),
        frozen: true,
        created_at: Timestamp(1_795_221_498_000),
        name: "Gerät [1] 100%".into(),
        info,
        ..device("odd")
    };
    store.create_device(odd).await.expect("create");
    store.bind_tags(&"fan".into(), tags(&[("room", "hall"), ("it's", "x")]), 9).await.expect("tag");
    store.bind_tags(&"odd".into(), tags(&[("room", "attic")]), 9).await.expect("tag");
    store.create_group(group("g", None), 9, 3).await.expect("group");
    store.add_member(&"s".into(), &"g".into(), &"fan".into(), 9).await.expect("member");
    let on = PresenceChange { device: "fan".into(), presence: online(1, 5) };
    store.set_presence(vec![on]).await.expect("presence");

    for (text, expected) in [
        ("node_id = 'fan' or node_id = 'odd'", "odd fan"),
        ("node_id like 'lamp%'", "lamp*"),
        ("node_id like '%*'", "lamp*"),
        ("node_id like '_amp'", "Lamp"),
        ("device_name like '%[1]%'", "odd"),
        ("device_name like 'Ger_t%'", "odd"),
        ("status = 'ONLINE'", "fan"),
        ("status in ('FROZEN', 'ONLINE')", "odd fan"),
        ("status != 'INACTIVE'", "odd fan"),
        ("node_type = 'ENDPOINT'", "odd"),
        ("gateway_id = 'hub'", "odd hub"),
        ("product_id not in ('p', 'x')", "odd"),
        ("app_id = 's' and product_id = 'q'", "odd"),
        ("app_id = 't'", ""),
        ("tags['room'] = 'hall'", "fan"),
        ("tags['room'] != 'hall'", "odd"),
        ("tags['room'] like '%a%'", "odd fan"),
        ("tags['it''s'] = 'x'", "fan"),
        ("tags['none'] != 'x'", ""),
        ("tag_key = 'room' and tag_value = 'attic'", "odd"),
        ("group_id = 'g'", "fan"),
        ("group_id != 'g'", ""),
        ("fw_version = '1.0'", "fan Lamp lamp* hub"),
        ("fw_version != '1.0'", ""),
        ("sw_version < '1.9'", "odd"),
        ("sw_version not in ('x')", "odd"),
        ("create_time >= '20261121T003818Z'", "odd"),
        ("create_time < '2026-11-21T00:38:18.000Z' and node_id > 'g'", "lamp* hub"),
        ("(node_id = 'fan' or node_id = 'hub') and status = 'ONLINE'", "fan"),
        ("node_id = 'fan' or node_id = 'hub' and status = 'ONLINE'", "fan"),
    ] {
        let condition = search::condition(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let mut slow = Vec::new();
        let everything = DeviceFilter::default();
        let all = store.devices(&"s".into(), &everything, &page(None, 0, 50)).await.expect("list");
        for (device, presence) in &all.items {
            let groups = store.groups_of(&device.id).await.expect("groups");
            let groups: Vec<GroupId> = groups.into_iter().map(|group| group.id).collect();
            if condition.holds(Subject { device, presence, groups: &groups }) {
                slow.push(device.id.as_str());
            }
        }
        assert_eq!(slow.join(" "), expected, "{text}");
        let filter = DeviceFilter { condition: Some(condition), ..DeviceFilter::default() };
        assert_eq!(list(store, &filter).await, (expected.into(), slow.len() as u64), "{text}");
    }
    for (order, expected) in [
        ("node_id", "Lamp fan hub lamp* odd"),
        ("product_id desc, node_id desc", "odd lamp* hub fan Lamp"),
        ("create_time", "fan Lamp lamp* hub odd"),
        ("sw_version, device_id", "Lamp fan hub lamp* odd"),
    ] {
        let search = search::parse(&format!("select * from device order by {order}"));
        let order_by = search.unwrap_or_else(|error| panic!("{order}: {error}")).order;
        let filter = DeviceFilter { order: order_by, ..DeviceFilter::default() };
        assert_eq!(list(store, &filter).await.0, expected, "{order}");
    }
}

/// Counts that an engine keeps beside the devices follow every change.
pub(super) async fn counts_stay_right(store: &dyn Store) {
    seed_devices(store, &["hub", "b", "c"]).await;
    store.create_product(product("q", "s")).await.expect("product");
    let check = async |of: &str, expected: [u64; 4]| {
        let plain = DeviceFilter::default;
        let filters = [
            plain(),
            DeviceFilter { product: Some("p".into()), ..plain() },
            DeviceFilter { product: Some("q".into()), ..plain() },
            DeviceFilter { gateway: Some("hub".into()), ..plain() },
        ];
        for (filter, expected) in filters.into_iter().zip(expected) {
            let (ids, total) = list(store, &filter).await;
            assert_eq!(total, expected, "{of}: {filter:?}");
            let listed = ids.split_whitespace().count() as u64;
            assert_eq!(listed, total, "{of}: {filter:?}");
        }
    };
    check("seeded", [3, 3, 0, 0]).await;
    let sub = Device { product: "q".into(), gateway: Some("hub".into()), ..device("sub") };
    let results = store.import_devices(vec![sub.clone(), device("b")]).await.expect("import");
    assert_eq!(results, [Ok(true), Ok(false)]);
    check("imported", [4, 3, 1, 1]).await;
    let attach = |to: Option<&str>| DevicePatch {
        gateway: Some(to.map(Into::into)),
        ..DevicePatch::default()
    };
    store.update_device(&"b".into(), attach(Some("hub"))).await.expect("attach");
    check("attached", [4, 3, 1, 2]).await;
    store.update_device(&"b".into(), attach(Some("hub"))).await.expect("attach again");
    check("attached again", [4, 3, 1, 2]).await;
    store.update_device(&"b".into(), attach(None)).await.expect("detach");
    store.update_device(&"sub".into(), attach(Some("c"))).await.expect("move");
    check("moved", [4, 3, 1, 0]).await;
    assert!(store.create_device(device("b")).await.is_err());
    check("refused", [4, 3, 1, 0]).await;
    store.delete_device(&"sub".into()).await.expect("delete");
    store.delete_device(&"hub".into()).await.expect("delete");
    check("deleted", [2, 2, 0, 0]).await;
    let seen = PresenceChange { device: "b".into(), presence: online(1, 5) };
    store.set_presence(vec![seen]).await.expect("log in");
    assert_eq!(store.count_devices(&"s".into()).await, Ok((2, 1, 1)));
    let anew = DevicePatch { activated_at: Some(None), ..DevicePatch::default() };
    store.update_device(&"b".into(), anew).await.expect("reset");
    assert_eq!(store.count_devices(&"s".into()).await, Ok((2, 1, 0)));
    let other = store.devices(&"t".into(), &DeviceFilter::default(), &page(None, 0, 9)).await;
    assert_eq!(other.map(|listing| listing.total), Ok(0));
}
