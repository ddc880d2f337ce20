//! What this engine promises beyond the suite: durability, recovery, secrets at rest, limits.

mod crash;
mod durable;
mod full;
mod model;
mod secret;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use roadstead_core::binding::{BindToken, TokenState};
use roadstead_core::device::Device;
use roadstead_core::port::Store;
use roadstead_core::product::{Auth, Model, Product, Rebind, Registration};
use roadstead_core::shadow::{Change, Values};
use roadstead_core::space::Space;
use roadstead_core::trace::{Entry, Hop};
use roadstead_core::user::{Role, User};
use roadstead_core::{Map, Secret, Timestamp};
use serde_json::json;

use super::{Options, Sqlite};
use crate::suite::Fixture;

crate::store_suite!(fixture());

fn fixture() -> Fixture {
    let folder = Folder::new();
    let store = open(&folder.0);
    Fixture::new(Arc::new(store)).with_guard(folder)
}

fn open(folder: &Path) -> Sqlite {
    Sqlite::open(Options::new(folder)).expect("open")
}

/// Opens a store whose memory is flushed as early as possible.
fn open_eager(folder: &Path) -> Sqlite {
    let options = Options { checkpoint_age: Duration::from_millis(1), ..Options::new(folder) };
    Sqlite::open(options).expect("open")
}

/// Copies the files of a store as a crash at this moment would leave them. The threads of the
/// store go on meanwhile, so it is done again until nothing changed while copying.
fn copy(from: &Path, to: &Path) {
    loop {
        let before = files(from);
        for (path, ..) in &before {
            let target = to.join(path.strip_prefix(from).expect("inside"));
            std::fs::create_dir_all(target.parent().expect("folder")).expect("folder");
            let _ = std::fs::copy(path, target);
        }
        if files(from) == before {
            return;
        }
        std::fs::remove_dir_all(to).expect("again");
    }
}

/// Returns the files that survive a crash, with size and date.
fn files(folder: &Path) -> Vec<(std::path::PathBuf, u64, std::time::SystemTime)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("list") {
        let path = entry.expect("entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if let Ok(data) = std::fs::metadata(&path)
            && !path.to_string_lossy().ends_with("-shm")
        {
            found.push((path, data.len(), data.modified().expect("date")));
        }
    }
    found.sort();
    found
}

async fn seed(store: &dyn Store) {
    let space =
        Space { id: "s".into(), name: "Space".into(), is_default: true, created_at: Timestamp(1) };
    store.create_space(space).await.expect("space");
    let product = Product {
        id: "p".into(),
        space: "s".into(),
        dialect: "tencent".into(),
        name: "Lamp".into(),
        secret: Some(Secret::from("PLAIN-product")),
        auth: Auth::Secret,
        registration: Registration::Off,
        rebind: Rebind::Refuse,
        model: Model::default(),
        attributes: Map::new(),
        created_at: Timestamp(1),
    };
    store.create_product(product).await.expect("product");
    let user = User {
        id: "ann".into(),
        space: "s".into(),
        name: "ann".into(),
        role: Role::Member,
        password_hash: Secret::from("PLAIN-password"),
        created_at: Timestamp(1),
    };
    store.create_user(user).await.expect("user");
}

fn device(node: &str) -> Device {
    Device {
        id: node.into(),
        space: "s".into(),
        product: "p".into(),
        node: node.into(),
        name: node.into(),
        secret: Some(Secret::from("PLAIN-device")),
        fingerprint: None,
        gateway: None,
        frozen: false,
        info: Map::new(),
        created_at: Timestamp(1),
        activated_at: None,
        access: roadstead_core::device::Access::default(),
        tags: roadstead_core::device::Tags::new(),
        number: 0,
    }
}

fn token(n: u64) -> BindToken {
    BindToken {
        digest: digest(n),
        space: "s".into(),
        user: Some("ann".into()),
        device: None,
        state: TokenState::New,
        auto_bind: true,
        attempt: None,
        refusal: None,
        created_at: Timestamp(1),
        expires_at: Timestamp(600_001),
    }
}

fn digest(n: u64) -> [u8; 32] {
    openssl::sha::sha256(&n.to_be_bytes())
}

fn report(n: u64) -> Change {
    let serde_json::Value::Object(properties) = json!({"n": n}) else { panic!("object") };
    let values = Values { properties, at: Timestamp(n as i64) };
    Change::Report { service: "default".into(), values }
}

fn entry(n: u64) -> Entry {
    Entry::new(Timestamp(n as i64), Hop::Up, "report", "ok", &n.to_string())
}

/// A folder that lives as long as the test.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new() -> Self {
        let mut name = [0u8; 8];
        openssl::rand::rand_bytes(&mut name).expect("random");
        let name = format!("roadstead-store-{:016x}", u64::from_be_bytes(name));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("folder");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
