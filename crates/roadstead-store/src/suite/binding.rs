//! Bind tokens and bindings.

use std::time::Duration;

use roadstead_core::binding::{BindError, BindToken, Binding, BindingRole, TokenState};
use roadstead_core::device::Device;
use roadstead_core::limit::{BIND_TOKENS_PER_USER_MAX, GUESTS_PER_DEVICE_MAX};
use roadstead_core::port::{BindQuery, BindReport, Store, StoreError, TokenView};
use roadstead_core::product::{Product, Rebind};
use roadstead_core::{DeviceId, Timestamp, UserId};

use super::fixture::{device, page, product, seed, seed_devices, space, token, user};
use crate::rule::TOKEN_KEPT;

async fn report(store: &dyn Store, n: u8, device: &str, now: i64) -> Result<TokenView, BindError> {
    let report =
        BindReport { digest: [n; 32], device: device.into(), now: Timestamp(now), own_life: None };
    store.report_token(report).await.expect("store")
}

async fn bind(store: &dyn Store, n: u8, user: &str, now: i64) -> Result<TokenView, BindError> {
    let query = BindQuery { digest: [n; 32], device: None, user: user.into(), now: Timestamp(now) };
    store.bind_token(query).await.expect("store")
}

async fn stored(store: &dyn Store, n: u8) -> BindToken {
    store.token(&[n; 32]).await.expect("read").expect("exists").token
}

async fn owner(store: &dyn Store, device: &str) -> Option<UserId> {
    let bindings = store.bindings_of_device(&device.into()).await.expect("read");
    bindings.into_iter().find(|b| b.role == BindingRole::Owner).map(|b| b.user)
}

pub(super) async fn tokens_are_bounded_and_forgotten(store: &dyn Store) {
    seed_devices(store, &["lamp"]).await;
    assert_eq!(store.create_token(token(1, "nobody")).await, Err(StoreError::Missing));
    for n in 0..BIND_TOKENS_PER_USER_MAX {
        let n = u8::try_from(n).expect("small");
        store.create_token(token(n, "ann")).await.expect("create");
    }
    assert_eq!(store.create_token(token(0, "bob")).await, Err(StoreError::Exists));
    let limit = Err(StoreError::Limit("bind tokens per user"));
    assert_eq!(store.create_token(token(100, "ann")).await, limit);
    store.create_token(token(100, "bob")).await.expect("another user");
    let unowned = BindToken { user: None, ..token(101, "") };
    store.create_token(unowned.clone()).await.expect("made by a device");
    assert_eq!(stored(store, 101).await, unowned);
    assert_eq!(stored(store, 0).await, token(0, "ann"), "every field is kept");
    // A token that has bound makes room.
    report(store, 0, "lamp", 20).await.expect("binds");
    store.create_token(token(102, "ann")).await.expect("room");
    assert_eq!(store.create_token(token(103, "ann")).await, limit);
    // So do expired ones; those are kept for a while, so that the phone learns why.
    let at = |now: Timestamp, n| BindToken {
        created_at: now,
        expires_at: Timestamp(now.0 + 600_000),
        ..token(n, "ann")
    };
    let end = token(1, "ann").expires_at;
    store.create_token(at(end, 110)).await.expect("the others expired");
    assert!(store.token(&[1; 32]).await.expect("read").is_some());
    store.create_token(at(end + TOKEN_KEPT, 111)).await.expect("create");
    assert_eq!(store.token(&[1; 32]).await, Ok(None), "forgotten");
    assert!(store.token(&[110; 32]).await.expect("read").is_some());
}

/// A device makes its own tokens: the first report of one is what is known of it, older ones stay
/// good until they end, each binds once.
pub(super) async fn a_device_makes_its_own_tokens(store: &dyn Store) {
    const LIFE: Duration = Duration::from_millis(600);
    seed_devices(store, &["lamp", "fan"]).await;
    let made = |n: u8, device: &str, now: i64| {
        let (device, own_life) = (device.into(), Some(LIFE));
        store.report_token(BindReport { digest: [n; 32], device, now: Timestamp(now), own_life })
    };
    for (n, now) in [(1, 0), (2, 10), (2, 20)] {
        let view = made(n, "lamp", now).await.expect("store").expect("reported");
        assert_eq!((view.token.state, view.binding), (TokenState::Reported, None));
        assert_eq!((view.token.user, view.token.auto_bind), (None, false));
    }
    assert_eq!(stored(store, 2).await.expires_at, Timestamp(610), "counted from the first report");
    assert_eq!(made(1, "fan", 30).await.expect("store"), Err(BindError::OtherDevice));
    assert_eq!(bind(store, 9, "ann", 40).await, Err(BindError::UnknownToken));
    assert_eq!(bind(store, 1, "ann", 600).await, Err(BindError::Expired));
    assert!(bind(store, 2, "ann", 601).await.expect("the newer one is good").newly_bound);
    assert_eq!(bind(store, 2, "bob", 602).await, Err(BindError::AlreadyUsed));
    assert_eq!(owner(store, "lamp").await, Some("ann".into()));
    // What was forgotten is new again when it is reported again.
    let later = 600 + i64::try_from(TOKEN_KEPT.as_millis()).expect("small");
    made(3, "fan", later).await.expect("store").expect("reported");
    assert_eq!(store.token(&[1; 32]).await, Ok(None));
}

pub(super) async fn a_report_binds(store: &dyn Store) {
    seed_devices(store, &["lamp"]).await;
    store.create_token(token(1, "ann")).await.expect("token");
    let fresh = store.token(&[1; 32]).await.expect("read").expect("exists");
    assert_eq!(fresh, TokenView { token: token(1, "ann"), binding: None, newly_bound: false });
    assert_eq!(store.token(&[9; 32]).await, Ok(None));
    assert_eq!(bind(store, 1, "ann", 15).await, Err(BindError::NotReported));

    let view = report(store, 1, "lamp", 20).await.expect("binds");
    assert!(view.newly_bound);
    assert_eq!(view.token.state, TokenState::Bound);
    assert_eq!((&view.token.device, &view.token.refusal), (&Some("lamp".into()), &None));
    let binding = view.binding.clone().expect("bound");
    assert_eq!((binding.user.as_str(), binding.role), ("ann", BindingRole::Owner));
    assert_eq!((binding.device.as_str(), binding.space.as_str()), ("lamp", "s"));
    assert_eq!(binding.created_at, Timestamp(20));
    assert_eq!(binding.id.as_str().len(), 32);
    assert!(binding.id.as_str().chars().all(|c| c.is_ascii_hexdigit()));
    assert_eq!(store.binding(&binding.id).await, Ok(Some(binding.clone())));
    assert_eq!(store.bindings_of_user(&"ann".into()).await, Ok(vec![binding.clone()]));

    // Firmware repeats until it is answered; the app may ask too.
    let old = TokenView { newly_bound: false, ..view };
    assert_eq!(report(store, 1, "lamp", 900_000).await, Ok(old.clone()));
    assert_eq!(bind(store, 1, "ann", 900_000).await, Ok(old.clone()));
    assert_eq!(store.token(&[1; 32]).await, Ok(Some(old)));
    assert_eq!(store.bindings_of_device(&"lamp".into()).await, Ok(vec![binding]));
    // The owner provisions again: same binding, new token.
    store.create_token(token(2, "ann")).await.expect("token");
    let again = report(store, 2, "lamp", 30).await.expect("binds");
    assert!(!again.newly_bound);
    assert_eq!(store.bindings_of_device(&"lamp".into()).await.expect("read").len(), 1);
}

pub(super) async fn a_report_waits_for_the_app(store: &dyn Store) {
    seed_devices(store, &["lamp"]).await;
    let two_steps = BindToken { auto_bind: false, ..token(1, "ann") };
    store.create_token(two_steps).await.expect("token");
    let view = report(store, 1, "lamp", 20).await.expect("noted");
    assert_eq!((view.token.state, view.newly_bound), (TokenState::Reported, false));
    assert_eq!(view.binding, None);
    assert_eq!(report(store, 1, "lamp", 21).await, Ok(view));
    let elsewhere = BindQuery {
        digest: [1; 32],
        device: Some("other".into()),
        user: "ann".into(),
        now: Timestamp(25),
    };
    assert_eq!(store.bind_token(elsewhere).await, Err(StoreError::Missing));
    let bound = bind(store, 1, "ann", 30).await.expect("binds");
    assert!(bound.newly_bound);
    assert_eq!(bound.binding.expect("bound").created_at, Timestamp(30));
    // A token that a device made belongs to whoever binds with it first.
    let unowned = BindToken { user: None, ..token(2, "") };
    store.create_token(unowned).await.expect("token");
    store.create_device(device("plug")).await.expect("device");
    report(store, 2, "plug", 20).await.expect("noted");
    assert_eq!(owner(store, "plug").await, None);
    bind(store, 2, "bob", 30).await.expect("binds");
    assert_eq!(owner(store, "plug").await, Some("bob".into()));
}

pub(super) async fn bind_refusals_are_noted(store: &dyn Store) {
    seed_devices(store, &["lamp", "plug"]).await;
    for n in 1..=3 {
        let two_steps = BindToken { auto_bind: false, ..token(n, "ann") };
        store.create_token(two_steps).await.expect("token");
    }
    assert_eq!(bind(store, 9, "ann", 15).await, Err(BindError::UnknownToken));
    let nobody = BindQuery { digest: [1; 32], device: None, user: "x".into(), now: Timestamp(15) };
    assert_eq!(store.bind_token(nobody).await, Err(StoreError::Missing));
    assert_eq!(bind(store, 1, "bob", 15).await, Err(BindError::OtherAccount));
    assert_eq!(stored(store, 1).await.refusal, None, "a stranger leaves no note");
    assert_eq!(bind(store, 1, "ann", 15).await, Err(BindError::NotReported));
    assert_eq!(stored(store, 1).await.refusal, Some("bind.not_reported".into()));
    report(store, 1, "lamp", 20).await.expect("noted");
    assert_eq!(stored(store, 1).await.refusal, None, "the last use was not refused");
    let other = BindQuery {
        digest: [1; 32],
        device: Some("plug".into()),
        user: "ann".into(),
        now: Timestamp(25),
    };
    assert_eq!(store.bind_token(other).await, Ok(Err(BindError::OtherDevice)));
    assert_eq!(stored(store, 1).await.refusal, Some("bind.other_device".into()));
    assert_eq!(bind(store, 1, "ann", 600_010).await, Err(BindError::Expired));
    assert_eq!(stored(store, 1).await.refusal, Some("bind.expired".into()));
    assert_eq!(bind(store, 2, "ann", 600_010).await, Err(BindError::Expired));
    // Bob was faster with a token of his own.
    report(store, 3, "lamp", 30).await.expect("noted");
    store.create_token(token(4, "bob")).await.expect("token");
    report(store, 4, "lamp", 31).await.expect("binds");
    assert_eq!(bind(store, 3, "ann", 32).await, Err(BindError::BoundToOther));
    assert_eq!(stored(store, 3).await.refusal, Some("bind.bound_to_other".into()));
    assert_eq!(owner(store, "lamp").await, Some("bob".into()));
}

pub(super) async fn report_refusals_are_noted(store: &dyn Store) {
    seed_devices(store, &["lamp", "plug"]).await;
    let two_steps = BindToken { auto_bind: false, ..token(1, "ann") };
    store.create_token(two_steps).await.expect("token");
    for n in 2..=3 {
        store.create_token(token(n, "ann")).await.expect("token");
    }
    let nobody =
        BindReport { digest: [1; 32], device: "x".into(), now: Timestamp(15), own_life: None };
    assert_eq!(store.report_token(nobody).await, Err(StoreError::Missing));
    assert_eq!(report(store, 9, "lamp", 20).await, Err(BindError::UnknownToken));
    report(store, 1, "lamp", 20).await.expect("noted");
    assert_eq!(report(store, 1, "plug", 20).await, Err(BindError::OtherDevice));
    assert_eq!(stored(store, 1).await.refusal, Some("bind.other_device".into()));
    assert_eq!(stored(store, 1).await.device, Some("lamp".into()));
    assert_eq!(report(store, 2, "lamp", 600_010).await, Err(BindError::Expired));
    let expired = stored(store, 2).await;
    assert_eq!((expired.state, expired.device), (TokenState::New, None), "nothing else changes");
    assert_eq!(expired.refusal, Some("bind.expired".into()));
    report(store, 3, "plug", 20).await.expect("binds");
    assert_eq!(report(store, 3, "lamp", 21).await, Err(BindError::AlreadyUsed));
    assert_eq!(stored(store, 3).await.refusal, Some("bind.already_used".into()));
    assert_eq!(owner(store, "lamp").await, None);
}

pub(super) async fn rebinding_follows_the_policy(store: &dyn Store) {
    seed_devices(store, &["lamp"]).await;
    store.create_user(user("eve", "s")).await.expect("user");
    for (n, user) in [(1, "ann"), (2, "bob"), (3, "bob")] {
        store.create_token(token(n, user)).await.expect("token");
    }
    let first = report(store, 1, "lamp", 20).await.expect("binds").binding.expect("bound");
    let guest = store.share(&"lamp".into(), &"eve".into(), Timestamp(25)).await.expect("store");
    assert_eq!(report(store, 2, "lamp", 30).await, Err(BindError::BoundToOther));
    assert_eq!(stored(store, 2).await.refusal, Some("bind.bound_to_other".into()));
    store
        .update_product(Product { rebind: Rebind::Transfer, ..product("p", "s") })
        .await
        .expect("policy");
    let taken = report(store, 3, "lamp", 40).await.expect("takes over");
    assert!(taken.newly_bound);
    let binding = taken.binding.expect("bound");
    assert_eq!((binding.user.as_str(), binding.created_at), ("bob", Timestamp(40)));
    assert_ne!(binding.id, first.id);
    assert_eq!(store.bindings_of_device(&"lamp".into()).await, Ok(vec![binding]));
    for ended in [first.id, guest.expect("guest").id] {
        assert_eq!(store.binding(&ended).await, Ok(None));
    }
    assert_eq!(store.pending(&"lamp".into()).await, Ok(vec![]), "the device keeps an owner");
}

pub(super) async fn spaces_do_not_bind_each_other(store: &dyn Store) {
    seed_devices(store, &["lamp"]).await;
    store.create_space(space("t")).await.expect("space");
    store.create_user(user("tim", "t")).await.expect("user");
    let foreign = BindToken { space: "t".into(), ..token(1, "tim") };
    store.create_token(foreign).await.expect("token");
    assert_eq!(report(store, 1, "lamp", 20).await, Err(BindError::OtherSpace));
    assert_eq!(stored(store, 1).await.refusal, Some("bind.other_space".into()));
    let unowned = BindToken { user: None, ..token(2, "") };
    store.create_token(unowned).await.expect("token");
    report(store, 2, "lamp", 20).await.expect("noted");
    assert_eq!(bind(store, 2, "tim", 30).await, Err(BindError::OtherSpace));
    assert_eq!(stored(store, 2).await.refusal, None, "a stranger leaves no note");
    bind(store, 2, "ann", 30).await.expect("binds");
    let lamp = DeviceId::from("lamp");
    let tim = UserId::from("tim");
    assert_eq!(store.share(&lamp, &tim, Timestamp(40)).await, Ok(Err(BindError::OtherSpace)));
    assert_eq!(store.transfer(&lamp, &tim, Timestamp(40)).await, Ok(Err(BindError::OtherSpace)));
}

pub(super) async fn unbinding_ends_everything(store: &dyn Store) {
    seed_devices(store, &["lamp"]).await;
    let lamp = DeviceId::from("lamp");
    assert_eq!(store.unbind(&"x".into()).await, Err(StoreError::Missing));
    assert_eq!(store.unbind(&lamp).await, Ok(Err(BindError::NotBound)));
    assert_eq!(store.pending(&lamp).await, Ok(vec![]));
    store.create_token(token(1, "ann")).await.expect("token");
    let own = report(store, 1, "lamp", 20).await.expect("binds").binding.expect("bound");
    let guest = store.share(&lamp, &"bob".into(), Timestamp(30)).await.expect("store");
    let ended = store.unbind(&lamp).await.expect("store").expect("ends");
    assert_eq!(ended, [own, guest.expect("guest")], "owner first");
    assert_eq!(store.bindings_of_device(&lamp).await, Ok(vec![]));
    assert_eq!(store.bindings_of_user(&"bob".into()).await, Ok(vec![]));
    let waiting = store.pending(&lamp).await.expect("read");
    assert_eq!(waiting.len(), 1);
    assert_eq!((&*waiting[0].1, &*waiting[0].2), ("unbound", "{}"));
    assert_eq!(store.unbind(&lamp).await, Ok(Err(BindError::NotBound)));
    assert_eq!(report(store, 1, "lamp", 40).await, Err(BindError::AlreadyUsed), "no way back");
}

pub(super) async fn guests_are_bounded(store: &dyn Store) {
    seed_devices(store, &["lamp"]).await;
    let lamp = DeviceId::from("lamp");
    let guest = |n: usize| UserId::new(format!("guest{n:02}"));
    for n in 0..=GUESTS_PER_DEVICE_MAX {
        store.create_user(user(guest(n).as_str(), "s")).await.expect("user");
    }
    let early = store.share(&lamp, &guest(0), Timestamp(30)).await;
    assert_eq!(early, Ok(Err(BindError::NotBound)));
    store.create_token(token(1, "ann")).await.expect("token");
    let own = report(store, 1, "lamp", 20).await.expect("binds").binding.expect("bound");
    assert_eq!(store.share(&"x".into(), &guest(0), Timestamp(30)).await, Err(StoreError::Missing));
    assert_eq!(store.share(&lamp, &"x".into(), Timestamp(30)).await, Err(StoreError::Missing));
    assert_eq!(store.share(&lamp, &"ann".into(), Timestamp(30)).await, Ok(Ok(own.clone())));
    let mut guests = Vec::new();
    for n in 0..GUESTS_PER_DEVICE_MAX {
        let at = Timestamp(i64::try_from(100 - n).expect("small"));
        guests.push(store.share(&lamp, &guest(n), at).await.expect("store").expect("shared"));
    }
    let full = store.share(&lamp, &guest(GUESTS_PER_DEVICE_MAX), Timestamp(200)).await;
    assert_eq!(full, Err(StoreError::Limit("guests per device")));
    let again = store.share(&lamp, &guest(0), Timestamp(300)).await;
    assert_eq!(again, Ok(Ok(guests[0].clone())), "repetition returns the existing binding");
    let listed = store.bindings_of_device(&lamp).await.expect("list");
    let expected: Vec<Binding> =
        [own.clone()].into_iter().chain(guests.iter().rev().cloned()).collect();
    assert_eq!(listed, expected, "owner first, then oldest first");
    store.unshare(&guests[3].id).await.expect("ends");
    assert_eq!(store.unshare(&guests[3].id).await, Err(StoreError::Missing));
    assert_eq!(store.unshare(&own.id).await, Err(StoreError::Missing), "not a guest binding");
    let room = store.share(&lamp, &guest(GUESTS_PER_DEVICE_MAX), Timestamp(200)).await;
    assert!(room.expect("store").is_ok());
}

pub(super) async fn transfer_keeps_guests(store: &dyn Store) {
    seed_devices(store, &["lamp"]).await;
    for name in ["eve", "joe"] {
        store.create_user(user(name, "s")).await.expect("user");
    }
    let lamp = DeviceId::from("lamp");
    let to = |user: &str| UserId::from(user);
    let early = store.transfer(&lamp, &to("bob"), Timestamp(1)).await;
    assert_eq!(early, Ok(Err(BindError::NotBound)));
    store.create_token(token(1, "ann")).await.expect("token");
    let own = report(store, 1, "lamp", 20).await.expect("binds").binding.expect("bound");
    let bob = store.share(&lamp, &to("bob"), Timestamp(30)).await.expect("store").expect("guest");
    let eve = store.share(&lamp, &to("eve"), Timestamp(40)).await.expect("store").expect("guest");
    assert_eq!(store.transfer(&lamp, &to("x"), Timestamp(50)).await, Err(StoreError::Missing));
    assert_eq!(store.transfer(&lamp, &to("ann"), Timestamp(50)).await, Ok(Ok(own.clone())));
    // To a guest: its binding is promoted.
    let promoted = store.transfer(&lamp, &to("bob"), Timestamp(50)).await.expect("store");
    let promoted = promoted.expect("transferred");
    assert_eq!(promoted, Binding { role: BindingRole::Owner, ..bob });
    let now = store.bindings_of_device(&lamp).await;
    assert_eq!(now, Ok(vec![promoted.clone(), eve.clone()]));
    assert_eq!(store.binding(&own.id).await, Ok(None));
    // To somebody new.
    let joe = store.transfer(&lamp, &to("joe"), Timestamp(60)).await.expect("store");
    let joe = joe.expect("transferred");
    assert_eq!((joe.role, joe.created_at), (BindingRole::Owner, Timestamp(60)));
    assert_eq!(store.bindings_of_device(&lamp).await, Ok(vec![joe, eve]));
    store.delete_user(&to("bob")).await.expect("owns nothing any more");
    assert_eq!(store.delete_user(&to("joe")).await, Err(StoreError::InUse("devices")));
}

pub(super) async fn bindings_are_paged(store: &dyn Store) {
    seed(store).await;
    let mut made = Vec::new();
    for n in 1..=5 {
        let node = format!("lamp{n}");
        let given = Device { id: node.as_str().into(), ..device(&node) };
        store.create_device(given).await.expect("device");
        store.create_token(token(n, "ann")).await.expect("token");
        let view = report(store, n, &node, 100 - i64::from(n)).await.expect("binds");
        made.push(view.binding.expect("bound"));
    }
    let oldest_first = store.bindings_of_user(&"ann".into()).await.expect("list");
    assert_eq!(oldest_first, made.iter().rev().cloned().collect::<Vec<_>>());
    made.sort_by(|a, b| a.id.cmp(&b.id));
    let all = store.bindings(&"s".into(), &page(None, 0, 9)).await.expect("list");
    assert_eq!((&all.items, all.total), (&made, 5));
    let part = store.bindings(&"s".into(), &page(Some(made[1].id.as_str()), 1, 1)).await;
    let part = part.expect("list");
    assert_eq!((&*part.items, part.total), (&made[3..4], 5));
    assert_eq!(store.bindings(&"t".into(), &page(None, 0, 9)).await.expect("list").total, 0);
}
