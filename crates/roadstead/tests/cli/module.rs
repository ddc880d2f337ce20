//! A communication module that is killed at any moment, again and again: what it keeps is whole,
//! it stays who it is, and it comes back.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use roadstead_dialects::gizwits::module::Flash;
use serde_json::Value;

use crate::journey::{Speaker, document};
use crate::server::Server;
use crate::session::{Folder, roadstead};

const KEY: &str = "de30000000000000000000000000d0e1";
/// Kills before the module may live.
const KILLS: u64 = 40;

/// Returns what the module keeps; nothing when it has not written yet.
fn flash(folder: &Path) -> Option<Flash> {
    let record = std::fs::read(folder.join("flash/gizwits")).ok()?;
    Some(Flash::load(&record).expect("a whole record, whenever it was killed"))
}

fn module(folder: &Path, server: &str) -> Command {
    // Every process has a loopback address of its own, so that tests do not meet.
    let process = std::process::id().to_be_bytes();
    let lan = format!("127.{}.{}.91:12414", process[2] | 1, process[3]);
    let mut command = roadstead(folder);
    command
        .args(["device", "run", "--json", "--dialect", "gizwits", "--via", "none"])
        .args(["--product", KEY, "--device", "0247495A0009", "--server", server])
        .args(["--lan", &lan, "--data-dir", "flash"])
        .stderr(std::process::Stdio::null());
    command
}

#[test]
fn a_module_killed_at_any_moment_stays_who_it_is() {
    let folder = Folder::new("module-kill");
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cmd/demo/gizwits");
    for (from, to) in [("fleet.yaml", "fleet.yaml"), ("pet-house.json", "gizwits-pet-house.json")] {
        std::fs::copy(fixtures.join(from), folder.path().join(to)).expect("fixture");
    }
    let server = Server::start(folder.path());
    document(&folder, &["import", "fleet.yaml"]);
    let http = server.address("vendor_http");
    let (mut passcode, mut did, mut dice) = (None, String::new(), 0x9E37_79B9_u64);
    for kill in 0..KILLS {
        let mut module = Speaker::start(&mut module(folder.path(), &http));
        // After so many lines, and then at any time: no event says that a file is half-written.
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        for _ in 0..(dice >> 33) % 9 {
            module.next();
        }
        std::thread::sleep(Duration::from_micros((dice >> 40) % 4_000));
        module.process.kill().expect("SIGKILL");
        module.process.wait().expect("gone");
        let Some(flash) = flash(folder.path()) else { continue };
        if let Some(known) = &passcode {
            assert!(flash.passcode.as_ref() == Some(known), "one passcode, kill {kill}");
        }
        passcode = flash.passcode;
        assert!(did.is_empty() || *flash.did == did, "one DID, kill {kill}");
        did = flash.did.into();
    }
    let mut module = Speaker::start(&mut module(folder.path(), &http));
    module.wait("stage", "online");
    let flash = flash(folder.path()).expect("written");
    assert!(passcode.is_none() || flash.passcode == passcode);
    assert!(did.is_empty() || *flash.did == did);
    let listed = document(&folder, &["device", "list", "--product", KEY]);
    let devices = listed["devices"].as_array().expect("devices");
    assert_eq!(devices.len(), 1, "registered once, however often it was asked: {listed}");
    assert_eq!(devices[0]["device_id"], Value::from(&*flash.did));
    module.stop();
}
