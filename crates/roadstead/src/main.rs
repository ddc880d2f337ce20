//! Roadstead.
fn main() {}
