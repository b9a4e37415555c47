//! The tests of the whole program. A new test belongs to the module that fits its subject:
//!
//! - [`roundtrip`]: received files equal the sent ones: contents, names, permissions, times, links.
//! - [`rendezvous`]: how a receiver finds its sender: codes, links, and where the relay is configured.
//! - [`nearby`]: a bare code on this machine and on the local network.
//! - [`lan_search`]: the search for senders on the local network, with an injected responder.
//! - `local_network`: announcements and searches between hosts in network namespaces.
//! - [`several_receivers`]: several receivers of one sender, and download limits.
//! - [`exit_codes`]: every exit code and error `kind`, and what the message names.
//! - [`conflicts`]: targets that already exist, `--out`, and targets that cannot be written.
//! - [`disk_limits`]: what the receiver's disk cannot hold, and `--skip-unsupported`.
//! - [`real_disks`]: downloads to real file systems, on machines that have them.
//! - [`real_trees`]: trees that this machine happens to have.
//! - [`relay_service`]: a relay as a service, and `qshare relay --show`.
//! - [`wrong_codes`]: wrong codes and the guess budget.
//! - [`prompts`]: prompts at a terminal, and users who do not answer them.
//! - [`interruptions`]: processes killed or interrupted in the middle of a transfer.
//! - [`resume`]: interrupted downloads that the same command resumes.
//! - [`changed_offers`]: offers that differ from the accepted one after a restart.
//! - [`interrupted_shares`]: senders that start again, and `qshare shares`.
//! - [`changing_sources`]: files that change while they are sent.
//! - [`left_out`]: entries that cannot be shared, and the name of a share.
//! - [`compression`]: `send --compress`.
//! - [`selection`]: `--only`, `--exclude`, `--gitignore` and `--links`.
//! - [`pipes`]: pipes and texts.
//! - [`chaos`]: random faults between real processes.
//! - [`manifest_cost`]: the memory of shares with many entries.
//! - [`output`]: the two output streams, the fields of the JSON events, and what must never be shown.
//! - [`screens`]: what people see at terminals of 80 and 50 columns.
//! - [`help`]: the help of all commands.
//! - [`picture`]: the pictures of the README.
//! - [`shell`]: completions and the manual page.
//! - [`session`]: the handshake and the guess budget under attack, in memory and in virtual time.
//! - [`hostile`]: hostile relays, senders, receivers and clients against the real program.
//! - [`network`]: the emulated network, and whole transfers over impaired links: congestion, outages, memory, fairness.
//! - [`library`]: the library, as another program uses it, and the examples.
//! - [`no_state`]: commands without a state folder.
//! - [`settings`]: `qshare config` and `qshare doctor`.
//! - [`documents`]: the commands, links and lists of README.md and docs.
//! - [`layers`]: the rules for imports and for the source files.
//!
//! [`support`] runs the real program with sockets on port 0, in an environment of its own for each test. [`vnet`] runs
//! the same relay, sender and receivers on a network in memory, in virtual time.
//!
//! Tests do not sleep. They wait for an event or for the end of a process, with a time limit. Three tests are
//! exceptions, because they wait for the passage of real time itself: [`chaos`] for the length of an outage,
//! [`several_receivers`] for the expiry of a share, which no event announces while a download is running, and
//! `local_network` for packets that an idle sender may send. A `sleep` of tokio in [`network`] or [`session`] is in
//! virtual time.
//!
//! The tests need Unix, because many of them use signals, symbolic links and permissions.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

mod blocked_output;
mod changed_offers;
mod changing_sources;
mod chaos;
mod compression;
mod conflicts;
mod disk_limits;
mod documents;
mod exit_codes;
mod help;
mod hostile;
mod interrupted_shares;
mod interruptions;
mod lan_search;
mod layers;
mod left_out;
mod library;
#[cfg(target_os = "linux")]
mod local_network;
mod manifest_cost;
mod nearby;
mod network;
mod no_state;
mod output;
mod picture;
mod pipes;
mod prompts;
mod real_disks;
mod real_trees;
mod relay_service;
mod rendezvous;
mod resume;
mod roundtrip;
mod screens;
mod selection;
mod session;
mod settings;
mod several_receivers;
mod shell;
mod support;
#[path = "../vnet/mod.rs"]
mod vnet;
mod wrong_codes;
