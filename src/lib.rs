//! qshare: files to anyone with a short code.
pub mod cli;
pub mod code;
pub mod crypto;
pub mod disk;
pub mod error;
pub mod event;
pub mod manifest;
pub mod net;
pub mod relay;
pub mod state;
pub mod text;
pub mod transfer;
pub mod ui;
pub mod wire;
