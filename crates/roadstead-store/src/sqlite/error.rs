//! Why a store did not open, and how engine failures become [`StoreError`].

use std::path::PathBuf;
use std::sync::Arc;

use roadstead_core::code::StoreFailure;
use roadstead_core::port::StoreError;
use rusqlite::ErrorCode;

/// Why a store did not open. The text ends with what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A file or folder could not be read or made.
    #[error("opening `{}`; check that the data folder is there and writable", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// SQLite refused.
    #[error("opening the database `{}`; check space and permissions, or restore a backup", path.display())]
    Database {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// Another process has the store.
    #[error("the store in `{}` is in use by another process; stop that one first", path.display())]
    InUse {
        /// The data folder.
        path: PathBuf,
    },
    /// The store was written with another master key.
    #[error(
        "the key file `{}` is not the one this store was written with; put the original key file back",
        path.display()
    )]
    WrongKey {
        /// The key file.
        path: PathBuf,
    },
    /// The store is there, its key is not.
    #[error(
        "the key file `{}` is missing; put back the one this store was written with, its secrets cannot be read without",
        path.display()
    )]
    MissingKey {
        /// The key file.
        path: PathBuf,
    },
    /// The store was written by a later version of the program.
    #[error(
        "the database has schema {found}, this program knows {known}; run the later version again, or restore a backup made before the upgrade"
    )]
    Newer {
        /// Schema of the database.
        found: u32,
        /// Newest schema of the program.
        known: u32,
    },
    /// A step that was applied differs from the one in the program.
    #[error(
        "migration {number} of the database is not the one of this program; use the build that wrote it, or restore a backup"
    )]
    Altered {
        /// Number of the step.
        number: u32,
    },
    /// The journal cannot be replayed.
    #[error("the journal is damaged at record {id}; restore a backup")]
    Journal {
        /// Which record.
        id: i64,
    },
    /// A store operation failed.
    #[error("preparing the store; check space and permissions, or restore a backup")]
    Store(#[from] StoreError),
}

impl OpenError {
    /// Returns the stable code.
    pub fn code(&self) -> roadstead_core::Code {
        "internal.store"
    }
}

/// Returns the failure of the engine, with what was attempted.
pub(super) fn engine(what: &str, error: &dyn std::fmt::Display) -> StoreError {
    StoreError::Engine(StoreFailure(Arc::from(format!("{what}: {error}"))))
}

/// Turns SQLite's failures into the port's.
pub(super) trait OrEngine<T> {
    /// Any failure is the engine's.
    fn or_engine(self) -> Result<T, StoreError>;
    /// A violated unique key means that the object exists.
    fn or_exists(self) -> Result<T, StoreError>;
}

impl<T> OrEngine<T> for rusqlite::Result<T> {
    fn or_engine(self) -> Result<T, StoreError> {
        self.map_err(|error| engine("sqlite", &error))
    }

    fn or_exists(self) -> Result<T, StoreError> {
        self.map_err(|error| match error.sqlite_error_code() {
            Some(ErrorCode::ConstraintViolation) => StoreError::Exists,
            _ => engine("sqlite", &error),
        })
    }
}
