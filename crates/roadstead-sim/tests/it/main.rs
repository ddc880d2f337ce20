//! The only integration test binary of the workspace.
