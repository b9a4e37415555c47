//! qshare: files to anyone with a short code.
pub mod code;
pub mod error;
pub mod event;
pub mod manifest;
pub mod state;
pub mod text;
