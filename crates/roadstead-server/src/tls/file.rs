//! Writes key files: only the owner may read them, and a crash leaves the old file or the new one.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::TlsError;

/// Mode of a file that holds a key.
pub(super) const PRIVATE: u32 = 0o600;
/// Mode of a certificate.
pub(super) const PUBLIC: u32 = 0o644;

/// Replaces the file at `path`.
pub(super) fn write(path: &Path, content: &[u8], mode: u32) -> Result<(), TlsError> {
    let replace = || -> std::io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let fresh = folder.join(name);
        // Left behind by a crash, possibly with another mode.
        let _ = fs::remove_file(&fresh);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&fresh)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&fresh, path)?;
        File::open(folder)?.sync_all()
    };
    replace().map_err(|source| TlsError::File { path: path.into(), source })
}

/// Reads a file; `None` when there is none.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, TlsError> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(TlsError::File { path: path.into(), source }),
    }
}
