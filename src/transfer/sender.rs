//! The sender's half of a transfer: a share, and the downloads that it serves.
//!
//! A download passes these modules in order:
//!
//! 1. [`accept_loop`] accepts a stream from the relay, [`nearby`] from the relay in this process, and
//!    [`reregister`] restores a lost [`registration`].
//! 2. [`admission`] runs the handshake, or moves a session of the [`session_table`] to the new stream. The
//!    [`fair_permits`] keep it fair among networks.
//! 3. [`download`] sends the [`offer`], then the [`requested_files`] as read by [`file_reader`], or the pipe as read by
//!    [`pipe_reader`], and ends with a
//!    [`goodbye`]. The [`comparer`] decides where staged files continue; their groups arrive in the [`group_queue`].
//!    The [`content_encoder`] compresses records while the [`compression_policy`] finds the connection slow.
//!    [`record_sender`] follows the receiver's credit; [`progress`] counts and reports.
//!
//! All of them work on one [`share`], which holds the [`credentials`], the [`latest_scan`] and the [`capacity`].

mod accept_loop;
pub(super) mod admission;
mod capacity;
pub(super) mod comparer;
pub(crate) mod compression_mode;
pub(super) mod compression_policy;
pub(super) mod content_encoder;
mod content_record;
mod credentials;
mod download;
mod download_error;
pub(super) mod download_limit;
mod expiry;
pub(super) mod failed_files;
pub(super) mod fair_permits;
pub(super) mod file_reader;
mod goodbye;
mod group_queue;
pub(super) mod latest_scan;
mod messages;
pub(crate) mod nearby;
mod offer;
pub(super) mod pipe_reader;
mod pipe_use;
mod pressure_gauge;
mod progress;
mod record_sender;
pub(crate) mod registration;
mod repeated_warning;
mod requested_files;
pub(crate) mod reregister;
pub(super) mod session_table;
pub(crate) mod share;
mod share_end;
#[cfg(test)]
mod tests;
