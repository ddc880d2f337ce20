//! A folder for the time of a demonstration: private, and gone at its end.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

use crate::failure::{Failure, Result};

/// A private temporary folder.
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Makes a folder that only its owner may look into.
    pub(super) fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("roadstead-demo-{}", random_text()?));
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|error| Failure::file("Making", &path, &error))?;
        Ok(Self(path))
    }

    /// Makes an inner folder.
    pub(super) fn inner(&self, name: &str) -> Result<PathBuf> {
        let path = self.0.join(name);
        std::fs::create_dir(&path).map_err(|error| Failure::file("Making", &path, &error))?;
        Ok(path)
    }

    /// Writes a file.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.0.join(name);
        std::fs::write(&path, text).map_err(|error| Failure::file("Writing", &path, &error))?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "the demo's folder stays behind");
        }
    }
}

/// Returns 16 random hex digits.
pub(super) fn random_text() -> Result<String> {
    let mut bytes = [0u8; 8];
    getrandom::fill(&mut bytes).map_err(|error| {
        Failure::new("client.file", format!("The system gives no random numbers: {error}."))
    })?;
    Ok(hex::encode(bytes))
}
