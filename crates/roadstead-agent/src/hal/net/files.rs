//! The flash: one file per value, replaced atomically, durable on return.
//!
//! A value is written to a temporary file, synced, renamed over the old one, and the folder is
//! synced: a power cut or `kill -9` leaves the old or the new value, never a part.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use roadstead_core::Secret;

use crate::hal::{Store, StoreError};

/// Ends the name of a file that is being written.
const TEMPORARY: &str = ".tmp";
/// Values are secrets: only their owner may read them.
const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;

/// A folder of values.
pub(crate) struct Files {
    folder: PathBuf,
}

impl Files {
    /// Opens or makes the folder.
    pub(crate) fn open(folder: &Path) -> Result<Self, StoreError> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(FOLDER_MODE).create(folder).map_err(|e| at(folder, e))?;
        Ok(Self { folder: folder.into() })
    }

    fn replace(&self, key: &str, value: &[u8]) -> io::Result<()> {
        let temporary = self.folder.join(format!("{key}{TEMPORARY}"));
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(FILE_MODE);
        let mut file = options.open(&temporary)?;
        file.write_all(value)?;
        file.sync_all()?;
        fs::rename(&temporary, self.folder.join(key))?;
        File::open(&self.folder)?.sync_all()
    }

    fn erase(&self, key: &str) -> io::Result<()> {
        match fs::remove_file(self.folder.join(key)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(()) => File::open(&self.folder)?.sync_all(),
        }
    }

    fn read(&self) -> io::Result<Vec<(Box<str>, Secret)>> {
        let mut values = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str().filter(|name| !name.ends_with(TEMPORARY)) else {
                continue;
            };
            if entry.file_type()?.is_file() {
                values.push((name.into(), Secret::new(fs::read(entry.path())?)));
            }
        }
        Ok(values)
    }
}

impl Store for Files {
    fn load(&mut self) -> Result<Vec<(Box<str>, Secret)>, StoreError> {
        self.read().map_err(|error| at(&self.folder, error))
    }

    fn put(&mut self, key: &str, value: Option<&Secret>) -> Result<(), StoreError> {
        let result = match value {
            Some(value) => self.replace(key, value.expose()),
            None => self.erase(key),
        };
        result.map_err(|error| at(&self.folder.join(key), error))
    }
}

fn at(path: &Path, cause: io::Error) -> StoreError {
    StoreError { key: path.display().to_string(), cause }
}
