//! A platform for one session: started with `roadstead up`, stopped with SIGTERM at its end.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::session::roadstead;

/// A running platform.
pub(crate) struct Server {
    process: Child,
    lines: BufReader<std::process::ChildStdout>,
    ready: Value,
}

impl Server {
    /// Starts a platform that keeps its data in `data` and waits until it says that it is ready.
    pub(crate) fn start(folder: &Path) -> Self {
        Self::start_with(folder, &[])
    }

    /// Starts one with further settings, which come last.
    pub(crate) fn start_with(folder: &Path, settings: &[String]) -> Self {
        let mut command = roadstead(folder);
        command.args(["up", "--json", "--data-dir", "data", "--set", "store.engine=memory"]);
        for name in ["mqtt", "mqtts", "http", "vendor_http", "vendor_https"] {
            command.args(["--set", &format!("listen.{name}=127.0.0.1:0")]);
        }
        for setting in settings {
            command.args(["--set", setting]);
        }
        let mut process = command.stdout(Stdio::piped()).spawn().expect("roadstead up");
        let mut lines = BufReader::new(process.stdout.take().expect("stdout"));
        let mut line = String::new();
        lines.read_line(&mut line).expect("ready line");
        let ready: Value = serde_json::from_str(&line).unwrap_or_default();
        assert_eq!(ready["event"], "ready", "the platform did not start: {line}");
        Self { process, lines, ready }
    }

    /// Returns the bound address of a listener.
    pub(crate) fn address(&self, name: &str) -> String {
        self.ready["addresses"][name].as_str().expect("address").to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = self.process.id().to_string();
        let killed = std::process::Command::new("kill").args(["-TERM", &pid]).status();
        if !killed.is_ok_and(|status| status.success()) {
            let _ = self.process.kill();
        }
        let mut line = String::new();
        let told = self.lines.read_line(&mut line);
        let status = self.process.wait();
        if !std::thread::panicking() {
            assert!(told.is_ok() && line.contains("\"stopped\""), "no orderly stop: {line}");
            assert!(status.is_ok_and(|status| status.success()));
        }
    }
}
