//! Announcements and searches on emulated local networks. Needs root, Linux, iproute2 and nftables:
//!
//! ```text
//! apt-get install iproute2 nftables
//! cargo test --test it local_network -- --ignored --nocapture --test-threads 1
//! ```
//!
//! - [`announcements`]: what is announced and found.
#![allow(clippy::print_stderr, reason = "it prints what it measures")]

mod announcements;
