//! Authorities, device certificates, policies and templates.

use roadstead_core::Timestamp;
use roadstead_core::port::{Page, Store, StoreError, TrustFilter};
use roadstead_core::trust::{
    Action, Authority, Effect, Policy, Statement, Target, TargetKind, TrustKind, TrustObject,
};

fn authority(n: u32, space: &str) -> Authority {
    Authority {
        id: format!("ca{n}").into(),
        space: space.into(),
        common_name: format!("CA {}", n % 2).into(),
        owner: "Acme".into(),
        pem: "PEM".into(),
        digest: format!("digest{n}").into(),
        verified: false,
        verify_code: "code".into(),
        provision: false,
        template: None,
        effective_at: Timestamp(1),
        expires_at: Timestamp(2),
        created_at: Timestamp(3),
    }
}

fn policy(id: &str) -> Policy {
    Policy {
        id: id.into(),
        space: "s".into(),
        name: format!("name of {id}").into(),
        statements: vec![Statement {
            effect: Effect::Allow,
            actions: vec![Action::Publish],
            resources: vec!["topic:/a".into()],
        }],
        created_at: Timestamp(1),
        updated_at: Timestamp(1),
    }
}

fn target(kind: TargetKind, id: &str) -> Target {
    Target { kind, id: id.into() }
}

fn ids(objects: &[TrustObject]) -> Vec<&str> {
    objects.iter().map(TrustObject::id).collect()
}

pub(super) async fn trust_objects_are_unique_and_paged(store: &dyn Store) {
    for n in 0..5 {
        store.create_trust(authority(n, "s").into()).await.expect("create");
    }
    let twice = store.create_trust(authority(0, "s").into()).await;
    assert_eq!(twice, Err(StoreError::Exists));
    let same_key = Authority { id: "other".into(), ..authority(0, "s") };
    assert_eq!(store.create_trust(same_key.into()).await, Err(StoreError::Exists));
    let elsewhere = Authority { id: "other".into(), ..authority(0, "t") };
    store.create_trust(elsewhere.into()).await.expect("the same certificate in another space");
    // Ids are unique in a kind, not among kinds.
    store.create_trust(policy("ca0").into()).await.expect("a policy of that id");

    let kind = TrustKind::Authority;
    let stored = store.trust(kind, "ca1").await.expect("read");
    assert_eq!(stored, Some(authority(1, "s").into()));
    assert_eq!(store.trust(kind, "nobody").await, Ok(None));

    let of_s = TrustFilter { space: Some("s".into()), ..TrustFilter::default() };
    let mut page = Page { limit: 2, ..Page::default() };
    let first = store.trusts(kind, &of_s, &page).await.expect("list");
    assert_eq!((first.total, ids(&first.items)), (5, vec!["ca4", "ca3"]));
    page.after = Some("ca3".into());
    let second = store.trusts(kind, &of_s, &page).await.expect("list");
    assert_eq!((second.total, ids(&second.items)), (5, vec!["ca2", "ca1"]));
    page.offset = 1;
    let third = store.trusts(kind, &of_s, &page).await.expect("list");
    assert_eq!(ids(&third.items), ["ca1", "ca0"]);
    page.after = Some("nobody".into());
    assert!(store.trusts(kind, &of_s, &page).await.expect("list").items.is_empty());
    let named = TrustFilter { name: Some("CA 1".into()), ..of_s.clone() };
    let all = Page { limit: 10, ..Page::default() };
    assert_eq!(ids(&store.trusts(kind, &named, &all).await.expect("list").items), ["ca3", "ca1"]);
    let keyed = TrustFilter { key: Some("digest0".into()), ..TrustFilter::default() };
    assert_eq!(ids(&store.trusts(kind, &keyed, &all).await.expect("list").items), ["other", "ca0"]);

    let changed = Authority { verified: true, ..authority(1, "s") };
    store.update_trust(changed.clone().into()).await.expect("update");
    assert_eq!(store.trust(kind, "ca1").await, Ok(Some(changed.clone().into())));
    let taken = Authority { digest: "digest2".into(), ..changed };
    assert_eq!(store.update_trust(taken.into()).await, Err(StoreError::Exists));
    assert_eq!(store.update_trust(authority(9, "s").into()).await, Err(StoreError::Missing));
    store.delete_trust(kind, "ca1").await.expect("delete");
    assert_eq!(store.delete_trust(kind, "ca1").await, Err(StoreError::Missing));
    assert_eq!(store.trusts(kind, &of_s, &all).await.expect("list").total, 4);
}

pub(super) async fn policies_are_bound_and_found(store: &dyn Store) {
    use TargetKind::{App, Device, Product};
    for id in ["p1", "p2"] {
        store.create_trust(policy(id).into()).await.expect("create");
    }
    assert_eq!(store.has_policies().await, Ok(false));
    let targets = vec![
        target(App, "s"),
        target(Product, "lamps"),
        target(Device, "lamp2"),
        target(Device, "lamp1"),
    ];
    store.bind_policy("p1", targets.clone()).await.expect("bind");
    store.bind_policy("p1", targets).await.expect("bind again");
    store.bind_policy("p2", vec![target(Device, "lamp1")]).await.expect("bind");
    let none = store.bind_policy("p3", vec![target(App, "s")]).await;
    assert_eq!(none, Err(StoreError::Missing));
    assert_eq!(store.has_policies().await, Ok(true));

    let mut page = Page { limit: 3, ..Page::default() };
    let listed = store.policy_targets("p1", None, &page).await.expect("list");
    let expected = [target(Device, "lamp1"), target(Device, "lamp2"), target(Product, "lamps")];
    assert_eq!((listed.total, &listed.items[..]), (4, &expected[..]));
    page.after = Some("lamps".into());
    let rest = store.policy_targets("p1", None, &page).await.expect("list");
    assert_eq!(rest.items, [target(App, "s")]);
    let all = Page { limit: 10, ..Page::default() };
    let devices = store.policy_targets("p1", Some(Device), &all).await.expect("list");
    assert_eq!(devices.total, 2);

    let of = [target(Device, "lamp1"), target(Product, "lamps")];
    let found = store.policies_of(&of).await.expect("policies");
    assert_eq!(found, [policy("p1"), policy("p2")]);
    let found = store.policies_of(&[target(Product, "lamp1")]).await.expect("policies");
    assert!(found.is_empty(), "a device id is no product id");

    store.forget_target(&target(Device, "lamp1")).await.expect("forget");
    assert_eq!(store.policies_of(&of).await.expect("policies"), [policy("p1")]);
    store.unbind_policy("p1", vec![target(Product, "lamps"), target(App, "t")]).await.expect("ok");
    assert!(store.policies_of(&of).await.expect("policies").is_empty());
    store.delete_trust(TrustKind::Policy, "p1").await.expect("delete");
    assert_eq!(store.has_policies().await, Ok(false));
}
