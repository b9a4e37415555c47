//! The sender's half of a transfer: a share, and the downloads that it serves.

mod admission;
mod download;
mod download_limit;
mod file_reader;
mod progress;
pub(crate) mod registration;
mod session_table;
pub(crate) mod share;
