//! What this engine promises beyond the suite: durability, recovery, secrets at rest, limits.

use std::sync::Arc;

use super::{Options, Sqlite};
use crate::suite::Fixture;

crate::store_suite!(fixture());

fn fixture() -> Fixture {
    let folder = Folder::new();
    let store = Sqlite::open(Options::new(&folder.0)).expect("open");
    Fixture::new(Arc::new(store)).with_guard(folder)
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
