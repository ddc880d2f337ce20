//! Spaces, users, access keys, sign-ins.

use roadstead_core::port::{Store, StoreError};
use roadstead_core::user::{AccessKey, Login, Role, User};
use roadstead_core::{Secret, SpaceId, Timestamp, UserId};

use super::fixture::{device, product, seed, seed_devices, space, token, user};
use crate::rule::LOGINS_PER_USER_MAX;

pub(super) async fn spaces_are_unique_and_protected(store: &dyn Store) {
    let id = SpaceId::from("s");
    store.create_space(space("s")).await.expect("first");
    assert_eq!(store.create_space(space("s")).await, Err(StoreError::Exists));
    let mut same_name = space("t");
    same_name.name = "Space s".into();
    assert_eq!(store.create_space(same_name).await, Err(StoreError::Exists));
    store.create_space(space("t")).await.expect("second");

    assert_eq!(store.rename_space(&id, "Space t").await, Err(StoreError::Exists));
    assert_eq!(store.rename_space(&"x".into(), "New").await, Err(StoreError::Missing));
    store.rename_space(&id, "Space s").await.expect("the same name again");
    store.rename_space(&id, "Harbour").await.expect("rename");
    let stored = store.space(&id).await.expect("read").expect("exists");
    assert_eq!(
        (&*stored.name, stored.is_default, stored.created_at),
        ("Harbour", true, Timestamp(1))
    );
    let ids: Vec<_> = store.spaces().await.expect("list").into_iter().map(|s| s.id).collect();
    assert_eq!(ids, ["s".into(), "t".into()]);

    store.create_user(user("ann", "s")).await.expect("user");
    assert_eq!(store.delete_space(&id).await, Err(StoreError::InUse("users")));
    store.create_product(product("p", "s")).await.expect("product");
    assert_eq!(store.delete_space(&id).await, Err(StoreError::InUse("products")));
    // A device may live in another space than its product.
    let mut guest = device("lamp");
    guest.space = "t".into();
    store.create_device(guest).await.expect("device");
    assert_eq!(store.delete_space(&"t".into()).await, Err(StoreError::InUse("devices")));
    store.delete_device(&"lamp".into()).await.expect("delete");
    store.delete_space(&"t".into()).await.expect("an empty space");
    assert_eq!(store.delete_space(&"t".into()).await, Err(StoreError::Missing));
    assert_eq!(store.space(&"t".into()).await, Ok(None));
}

pub(super) async fn users_are_unique_and_sorted(store: &dyn Store) {
    assert_eq!(store.create_user(user("ann", "s")).await, Err(StoreError::Missing), "no space");
    seed(store).await;
    assert_eq!(store.create_user(user("ann", "s")).await, Err(StoreError::Exists));
    let same_name = User { name: "ann@example.com".into(), ..user("zoe", "s") };
    assert_eq!(store.create_user(same_name).await, Err(StoreError::Exists));
    store.create_user(User { name: "aaron".into(), ..user("zoe", "s") }).await.expect("third");
    let names: Vec<_> =
        store.users(&"s".into()).await.expect("list").into_iter().map(|u| u.name).collect();
    assert_eq!(names, ["aaron".into(), "ann@example.com".into(), "bob@example.com".into()]);
    assert!(store.users(&"t".into()).await.expect("list").is_empty());

    let changed = User {
        role: Role::Admin,
        password_hash: Secret::from("$argon2id$new"),
        ..user("ann", "s")
    };
    for (digest, name) in [(7, "ann"), (8, "bob")] {
        store.create_login(login(digest, name, 100)).await.expect("sign in");
    }
    let promoted = User { role: Role::Admin, ..user("ann", "s") };
    store.update_user(promoted).await.expect("update");
    assert!(store.login(&[7; 32], Timestamp(3)).await.expect("read").is_some(), "another role");
    store.update_user(changed).await.expect("update");
    assert!(store.login(&[7; 32], Timestamp(3)).await.expect("read").is_none(), "another password");
    assert!(store.login(&[8; 32], Timestamp(3)).await.expect("read").is_some(), "another user");
    assert_eq!(store.update_user(user("nobody", "s")).await, Err(StoreError::Missing));
    let by_id = store.user(&"ann".into()).await.expect("read").expect("exists");
    let by_name = store.user_by_name("ann@example.com").await.expect("read").expect("exists");
    for ann in [by_id, by_name] {
        assert_eq!((ann.id, ann.role), (UserId::from("ann"), Role::Admin));
        assert!(ann.password_hash.matches(b"$argon2id$new"));
        assert_eq!((ann.space, ann.created_at), ("s".into(), Timestamp(2)));
    }
    assert!(store.user_by_name("ann").await.expect("read").is_none());
}

pub(super) async fn deleting_a_user_takes_what_is_its_own(store: &dyn Store) {
    seed_devices(store, &["lamp"]).await;
    let (ann, bob, lamp) = (UserId::from("ann"), UserId::from("bob"), "lamp".into());
    store.create_token(token(1, "ann")).await.expect("token");
    let report = roadstead_core::port::BindReport {
        digest: [1; 32],
        device: "lamp".into(),
        now: Timestamp(20),
        own_life: None,
    };
    store.report_token(report).await.expect("store").expect("bound");
    store.share(&lamp, &bob, Timestamp(30)).await.expect("store").expect("guest");
    store.create_token(token(2, "bob")).await.expect("token");
    let key = AccessKey {
        id: "AK".into(),
        secret: Secret::from("SK"),
        user: bob.clone(),
        created_at: Timestamp(5),
    };
    store.create_access_key(key).await.expect("key");
    store.create_login(login(9, "bob", 99)).await.expect("login");

    assert_eq!(store.delete_user(&ann).await, Err(StoreError::InUse("devices")));
    store.delete_user(&bob).await.expect("a guest may go");
    assert_eq!(store.delete_user(&bob).await, Err(StoreError::Missing));
    assert!(store.user(&bob).await.expect("read").is_none());
    assert!(store.access_key("AK").await.expect("read").is_none());
    assert!(store.login(&[9; 32], Timestamp(1)).await.expect("read").is_none());
    assert_eq!(store.token(&[2; 32]).await, Ok(None));
    assert_eq!(store.bindings_of_device(&lamp).await.expect("list").len(), 1);
    assert!(store.token(&[1; 32]).await.expect("read").is_some(), "ann's is still there");
}

pub(super) async fn access_keys_live_with_their_user(store: &dyn Store) {
    seed(store).await;
    let key = |id: &str, user: &str| AccessKey {
        id: id.into(),
        secret: Secret::from(format!("secret of {id}")),
        user: user.into(),
        created_at: Timestamp(5),
    };
    assert_eq!(store.create_access_key(key("A", "nobody")).await, Err(StoreError::Missing));
    for id in ["B", "A"] {
        store.create_access_key(key(id, "ann")).await.expect("create");
    }
    assert_eq!(store.create_access_key(key("A", "bob")).await, Err(StoreError::Exists));
    let stored = store.access_key("A").await.expect("read").expect("exists");
    assert_eq!((stored.user, stored.created_at), ("ann".into(), Timestamp(5)));
    assert!(stored.secret.matches(b"secret of A"));
    let ids: Vec<_> =
        store.access_keys(&"ann".into()).await.expect("list").into_iter().map(|k| k.id).collect();
    assert_eq!(ids, ["A".into(), "B".into()]);
    assert!(store.access_keys(&"bob".into()).await.expect("list").is_empty());
    store.delete_access_key("A").await.expect("delete");
    assert_eq!(store.delete_access_key("A").await, Err(StoreError::Missing));
    assert!(store.access_key("A").await.expect("read").is_none());
}

pub(super) async fn logins_end(store: &dyn Store) {
    seed(store).await;
    assert_eq!(store.create_login(login(1, "nobody", 9)).await, Err(StoreError::Missing));
    store.create_login(login(1, "ann", 100)).await.expect("create");
    assert_eq!(store.create_login(login(1, "bob", 100)).await, Err(StoreError::Exists));
    let live = store.login(&[1; 32], Timestamp(99)).await.expect("read").expect("lives");
    assert_eq!((live.user, live.expires_at), ("ann".into(), Timestamp(100)));
    assert!(store.login(&[1; 32], Timestamp(100)).await.expect("read").is_none());
    assert!(store.login(&[2; 32], Timestamp(1)).await.expect("read").is_none());
    store.delete_login(&[1; 32]).await.expect("sign out");
    store.delete_login(&[1; 32]).await.expect("sign out again");
    assert!(store.login(&[1; 32], Timestamp(1)).await.expect("read").is_none());
}

pub(super) async fn logins_per_user_are_bounded(store: &dyn Store) {
    seed(store).await;
    let numbered = |n: usize| {
        let mut login = login(0, "ann", 1000 + i64::try_from(n).expect("small"));
        login.digest[..8].copy_from_slice(&n.to_be_bytes());
        login
    };
    let all: Vec<_> = (0..=LOGINS_PER_USER_MAX).map(numbered).collect();
    // The one that ends first is made last but one; it must go when the last one comes.
    for login in all[1..LOGINS_PER_USER_MAX].iter().chain([&all[0], &all[LOGINS_PER_USER_MAX]]) {
        store.create_login(login.clone()).await.expect("create");
    }
    for (n, kept) in [(0, false), (1, true), (LOGINS_PER_USER_MAX, true)] {
        let found = store.login(&all[n].digest, Timestamp(1)).await.expect("read");
        assert_eq!(found.is_some(), kept, "login {n}");
    }
}

fn login(n: u8, user: &str, expires_at: i64) -> Login {
    Login { digest: [n; 32], user: user.into(), expires_at: Timestamp(expires_at) }
}
