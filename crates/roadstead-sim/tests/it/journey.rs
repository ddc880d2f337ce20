//! A device comes home.
