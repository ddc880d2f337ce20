//! Products.

use roadstead_core::port::{Store, StoreError};
use roadstead_core::product::{Auth, Rebind, Registration, Service};
use roadstead_core::{ProductId, Timestamp};
use serde_json::json;

use super::fixture::{device, page, product, seed, space};

pub(super) async fn products_are_created_replaced_and_deleted(store: &dyn Store) {
    let id = ProductId::from("p");
    assert_eq!(store.create_product(product("p", "s")).await, Err(StoreError::Missing));
    seed(store).await;
    assert_eq!(store.create_product(product("p", "s")).await, Err(StoreError::Exists));
    let first = store.product(&id).await.expect("read").expect("exists");
    assert_eq!(
        (&*first.dialect, &*first.name, first.created_at),
        ("tencent", "Product p", Timestamp(3))
    );
    assert!(first.secret.as_ref().expect("kept").matches(b"product secret"));

    let mut changed = product("p", "s");
    changed.secret = None;
    changed.auth = Auth::Certificate;
    changed.registration = Registration::Open;
    changed.rebind = Rebind::Transfer;
    changed.model.services.push(Service::new("light"));
    changed.attributes.insert("b".into(), json!([1, {"c": null}]));
    assert_eq!(store.update_product(product("q", "s")).await, Err(StoreError::Missing));
    store.update_product(changed).await.expect("update");
    let second = store.product(&id).await.expect("read").expect("exists");
    assert!(second.secret.is_none());
    assert_eq!((second.auth, second.registration), (Auth::Certificate, Registration::Open));
    assert_eq!(second.rebind, Rebind::Transfer);
    assert!(second.model.service("light").is_some());
    assert_eq!(second.attributes["b"], json!([1, {"c": null}]));

    store.create_device(device("lamp")).await.expect("device");
    assert_eq!(store.delete_product(&id).await, Err(StoreError::InUse("devices")));
    store.delete_device(&"lamp".into()).await.expect("delete");
    store.delete_product(&id).await.expect("delete");
    assert_eq!(store.delete_product(&id).await, Err(StoreError::Missing));
    assert!(store.product(&id).await.expect("read").is_none());
    assert_eq!(store.create_device(device("lamp")).await, Err(StoreError::Missing));
}

pub(super) async fn products_are_paged(store: &dyn Store) {
    for id in ["s", "t"] {
        store.create_space(space(id)).await.expect("space");
    }
    for id in ["c", "a", "d", "b"] {
        let mut product = product(id, "s");
        if id > "b" {
            product.name = "Late".into();
        }
        store.create_product(product).await.expect("create");
    }
    store.create_product(product("bb", "t")).await.expect("another space");
    for (name, page, expected, total) in [
        (None, page(None, 0, 10), "abcd", 4),
        (None, page(None, 0, 2), "ab", 4),
        (None, page(Some("b"), 0, 2), "cd", 4),
        (None, page(Some("a"), 1, 1), "c", 4),
        (None, page(None, 4, 9), "", 4),
        (None, page(None, 0, 0), "", 4),
        (Some("Late"), page(None, 0, 10), "cd", 2),
        (Some("Late"), page(Some("c"), 0, 10), "d", 2),
        (Some("None"), page(None, 0, 10), "", 0),
    ] {
        let listing = store.products(&"s".into(), name, &page).await.expect("list");
        let ids: String = listing.items.iter().map(|product| product.id.as_str()).collect();
        assert_eq!((&*ids, listing.total), (expected, total), "{name:?} {page:?}");
    }
}
