//! The server as a separate process: this test binary, started again, with one test selected.
//!
//! The child serves until it is killed; the parent reads the bound addresses from the ready file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use roadstead_core::Secret;
use roadstead_server::{Server, StartOptions};

use crate::platform::{ADMIN_PASSWORD, config};

/// Tells the child which folder to serve.
const FOLDER: &str = "ROADSTEAD_TEST_CHILD";
/// Longest start of a child.
const START_MAX: Duration = Duration::from_secs(60);

/// Runs in the child only; in the parent's run there is nothing to serve.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serve() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let options = StartOptions { admin_password: Some(Secret::from(ADMIN_PASSWORD)), http: None };
    let server = Server::start(config(&folder), options).await.expect("the platform starts");
    let addresses = serde_json::to_string(&server.addresses()).expect("JSON");
    std::fs::write(folder.join("ready.tmp"), addresses).expect("ready file");
    std::fs::rename(folder.join("ready.tmp"), folder.join("ready")).expect("ready file");
    server.run_until(std::future::pending()).await;
}

/// A server process.
pub(crate) struct ServerProcess {
    process: Child,
    pub(crate) addresses: BTreeMap<String, String>,
}

impl ServerProcess {
    /// Starts one on `folder` and waits until it is ready.
    pub(crate) async fn start(folder: &Path) -> Self {
        let ready = folder.join("ready");
        drop(std::fs::remove_file(&ready));
        let mut process = Command::new(std::env::current_exe().expect("this binary"))
            .args(["child::serve", "--exact", "--nocapture", "--test-threads=1"])
            .env(FOLDER, folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the child starts");
        let started = Instant::now();
        loop {
            if let Ok(text) = std::fs::read_to_string(&ready) {
                let addresses = serde_json::from_str(&text).expect("addresses");
                return Self { process, addresses };
            }
            let ended = process.try_wait().expect("child state");
            assert!(ended.is_none(), "the child ended: {ended:?}");
            assert!(started.elapsed() < START_MAX, "the child is not ready");
            // Polling a file of another process: there is no event to wait for.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// SIGKILL: no goodbye, no flush.
    pub(crate) fn kill(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.kill();
    }
}
