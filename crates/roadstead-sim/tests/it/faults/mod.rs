//! Faults injected into live devices: `why` names each one, in the platform's words and in those of
//! the doctor's catalogue.
//!
//! One platform, one device per fault. Nothing sleeps: a fault is over when the platform answered
//! it or closed the connection.

mod clinic;
mod handshake;
mod login;
mod session;
mod traffic;

use clinic::Clinic;

/// Faults that the tests below inject at least; the requirement is 60.
const FAULTS: usize = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn why_names_every_injected_fault() {
    let mut clinic = Clinic::open().await;
    login::tencent(&mut clinic).await;
    login::huawei(&mut clinic).await;
    login::alibaba(&mut clinic).await;
    handshake::psk(&mut clinic).await;
    handshake::registration(&mut clinic).await;
    traffic::reports(&mut clinic).await;
    traffic::bindings(&mut clinic).await;
    traffic::commands(&mut clinic).await;
    traffic::gateways(&mut clinic).await;
    session::endings(&mut clinic).await;
    let seen = clinic.close().await;
    assert!(seen >= FAULTS, "{seen} faults");
}
