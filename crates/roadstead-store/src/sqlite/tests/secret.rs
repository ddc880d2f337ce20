//! Secrets at rest.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use roadstead_core::port::{AccessStore, DeviceStore, ProductStore};
use roadstead_core::user::AccessKey;
use roadstead_core::{Secret, Timestamp};
use rusqlite::Connection;

use super::super::{OpenError, Options, Sqlite};
use super::{Folder, device, open, seed};

#[tokio::test]
async fn no_file_holds_a_plain_secret() {
    let folder = Folder::new();
    let store = open(&folder.0);
    seed(&store).await;
    store.create_device(device("lamp")).await.expect("device");
    let key = AccessKey {
        id: "AK".into(),
        secret: Secret::from("PLAIN-access"),
        user: "ann".into(),
        created_at: Timestamp(1),
    };
    store.create_access_key(key).await.expect("key");
    assert_eq!(plain(&folder.0), Vec::<String>::new(), "with a write-ahead log");
    drop(store);
    assert_eq!(plain(&folder.0), Vec::<String>::new(), "after a close");
    let store = open(&folder.0);
    let lamp = store.device(&"lamp".into()).await.expect("read").expect("exists");
    assert!(lamp.secret.as_ref().expect("kept").matches(b"PLAIN-device"));
    let product = store.product(&"p".into()).await.expect("read").expect("exists");
    assert!(product.secret.as_ref().expect("kept").matches(b"PLAIN-product"));
    let ann = store.user(&"ann".into()).await.expect("read").expect("exists");
    assert!(ann.password_hash.matches(b"PLAIN-password"));
    let key = store.access_key("AK").await.expect("read").expect("exists");
    assert!(key.secret.matches(b"PLAIN-access"));
}

/// Returns the files that contain the mark of a plain secret.
fn plain(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("list") {
        let path = entry.expect("entry").path();
        if path.is_dir() {
            found.extend(plain(&path));
        } else if std::fs::read(&path).expect("read").windows(6).any(|bytes| bytes == b"PLAIN-") {
            found.push(path.display().to_string());
        }
    }
    found
}

#[tokio::test]
async fn a_sealed_secret_cannot_be_swapped() {
    let folder = Folder::new();
    let store = open(&folder.0);
    seed(&store).await;
    for node in ["a", "b"] {
        store.create_device(device(node)).await.expect("device");
    }
    drop(store);
    let raw = Connection::open(folder.0.join("registry.db")).expect("open");
    let sql =
        "UPDATE device SET secret = (SELECT secret FROM device WHERE id = 'a') WHERE id = 'b'";
    raw.execute(sql, []).expect("swap");
    drop(raw);
    let store = open(&folder.0);
    assert!(store.device(&"a".into()).await.is_ok());
    assert!(store.device(&"b".into()).await.is_err());
}

#[tokio::test]
async fn the_key_file_is_private_and_must_be_the_same() {
    let (folder, elsewhere) = (Folder::new(), Folder::new());
    let key_file = elsewhere.0.join("keys/master.key");
    let options = Options { key_file: Some(key_file.clone()), ..Options::new(&folder.0) };
    drop(Sqlite::open(options.clone()).expect("first start"));
    let mode = std::fs::metadata(&key_file).expect("made").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!folder.0.join("master.key").exists());
    drop(Sqlite::open(options.clone()).expect("second start"));

    let good = std::fs::read(&key_file).expect("read");
    std::fs::write(&key_file, [1; 32]).expect("another key");
    let wrong = Sqlite::open(options.clone()).expect_err("wrong key");
    assert!(matches!(wrong, OpenError::WrongKey { .. }), "{wrong}");
    assert_eq!(wrong.code(), "internal.store");
    assert!(wrong.to_string().contains("put the original key file back"), "{wrong}");
    std::fs::write(&key_file, [1; 33]).expect("not a key");
    assert!(matches!(Sqlite::open(options.clone()), Err(OpenError::File { .. })));
    std::fs::remove_file(&key_file).expect("remove");
    let missing = Sqlite::open(options.clone()).expect_err("no key");
    assert!(matches!(missing, OpenError::MissingKey { .. }), "{missing}");
    assert!(!key_file.exists(), "no new key is made for an old store");
    std::fs::write(&key_file, good).expect("put back");
    drop(Sqlite::open(options).expect("opens again"));
}
