//! qshare sends files to anyone with a short code, over QUIC, through a relay that cannot read names or content.
//!
//! This crate is the program `qshare` and a library. The library shares, downloads and runs relays in the tokio runtime
//! of another program. It works with the programs of other users, and shows nothing at a terminal:
//!
//! ```toml
//! qshare = { version = "0.1", default-features = false } # without the command line
//! ```
//!
//! ```
//! use qshare::{ReceiveOptions, RelayOptions, ShareOptions};
//!
//! # #[tokio::main]
//! # async fn main() -> qshare::Result<()> {
//! let relay = RelayOptions::new(([127, 0, 0, 1], 0).into()).start()?;
//! let address = &relay.addresses()[0];
//! let share = ShareOptions::text("See you at nine.").relay(address.clone()).local_network(false).start().await?;
//!
//! let offer = ReceiveOptions::new(&share.link())?.connect().await?;
//! assert_eq!(offer.text().await?, "See you at nine.");
//! share.stop().await?;
//! relay.stop().await?;
//! # Ok(())
//! # }
//! ```
//!
//! - [`ShareOptions`] starts a [`Share`] of files, folders or a text.
//! - [`ReceiveOptions`] connects to a sender and returns its [`Offer`]; [`Offer::download`] starts a [`Download`].
//! - [`RelayOptions`] starts a [`Relay`].
//!
//! Each works in the background. Its events are a [`Stream`](futures_core::Stream), which may be left unread. Dropping
//! it stops it. All errors are an [`Error`], whose [`ErrorKind`] tells what a program can do about it. The folder
//! `examples` has a sender, a receiver with a progress display, and a program with a relay inside.
//!
//! Until version 1.0, the interface may change with each minor version. The rest of this page is for readers of the
//! code.
//!
//! # From disk to stream: the sender
//!
//! ```text
//! cli/args/send, cli/send          the paths on the command line; api/share_options for a program
//!   ▼
//! disk/source                      scans them (disk/shared_root, disk/scan); the result is a manifest
//!   ▼
//! client/open_share                registers the share at its relay (client/share_relay), and gives it a code
//!   ▼
//! transfer/sender/share            keeps the code, the latest scan and the limits of the share
//!   ▼
//! transfer/sender/accept_loop      accepts a stream from the relay
//!   ▼
//! transfer/sender/admission        checks and charges peers, fairly by network (transfer/sender/fair_permits)
//!   ▼
//! transfer/handshake/responder     charges an attempt to transfer/handshake/guess_budget, and checks the receiver's tag
//!   ▼
//! transfer/sender/download         serves one receiver in phases
//!   ▼
//! transfer/sender/offer            offers the present state: transfer/sender/latest_scan scans again
//!   ▼
//! transfer/sender/file_reader      fills records (transfer/session/record) from disk/source_file; for a pipe,
//!                                  transfer/sender/pipe_reader from disk/input_pipe
//!   ▼
//! disk/shared_read                 reads and hashes a file once for all downloads that read it now
//!   ▼
//! transfer/sender/content_encoder  compresses records (transfer/session/record_compressor) for slow connections
//!   ▼
//! transfer/sender/record_sender    waits for credit (transfer/session/send_credit)
//!   ▼
//! transfer/session/writer          seals records (crypto/record/sealer), kept in transfer/session/retransmit_buffer
//!   ▼
//! net/send_half                    writes to the QUIC stream; net/congestion decides how much is in flight on this leg
//! ```
//!
//! If the receiver is connected to the relay in this process, the last step is net/memory_stream: it hands the record
//! to that relay.
//!
//! # Between them: the relay
//!
//! ```text
//! relay/server ─▶ relay/request_handler ─┬▶ relay/registration ─▶ relay/registry   slots and their senders
//!                                        └▶ relay/connect ─▶ relay/bridge   forwards both directions of one download
//!                                                              └▶ relay/memory_budget   bounds the relay's memory
//! ```
//!
//! Every step first checks the limits of the client's network in relay/source_limiter.
//!
//! A share and a relay in one process exchange streams over net/memory_connection instead of a QUIC connection.
//!
//! # From stream to disk: the receiver
//!
//! ```text
//! cli/recv                         the code on the command line; api/receive_options for a program
//!   ▼
//! client/offer_request             the places where its sender may be (client/nearby_plan)
//!   ▼
//! transfer/receiver/connect        reaches the sender at the relay or nearby: transfer/receiver/race
//!   ▼
//! transfer/receiver/key_exchange   confirms the code: transfer/handshake/initiator
//!   ▼
//! transfer/receiver/open_session   reads the offer
//!   ▼
//! transfer/receiver/offer          reduces the manifest to the selection (selection), and shows it
//!   ▼
//! transfer/receiver/destination    plans the paths (disk/plan)
//!   ▼
//! transfer/receiver/download       runs one session after another (transfer/receiver/session_download)
//!   ▼
//! net/recv_half                    reads chunks in any order; net/reassembly puts them into order
//!   ▼
//! transfer/session/reader          splits the bytes of one stream after another into sealed records
//!   ▼
//! transfer/receiver/pipeline       queues records; grants credit once they are written (transfer/session/receive_window)
//!   ▼
//! transfer/receiver/file_writer    opens records (crypto/record/opener), unpacks them
//!   │                              (transfer/session/record_decompressor) and reads their frames
//!   ▼
//! disk/sink                        checks the order, the size and the hash of each file
//!   ▼
//! disk/incoming_file               writes each block to a file in the staging folder
//!   ▼
//! disk/publisher                   moves the entries to their final names, recorded in disk/journal
//! ```
//!
//! With `--out -`, and for a text, transfer/receiver/output_download replaces `destination` and `download`, and
//! disk/output_sink replaces `sink`, `incoming_file` and `publisher`.
//!
//! Both directions of a session run over a [`transfer::session::resumable_stream`], which replaces a QUIC stream that
//! fails. [`transfer`] explains a download step by step, [`disk`] the staging folder, and `docs/architecture.md` the
//! design.
//!
//! # Principles
//!
//! - **One connection per peer, one stream at a time per download.** A sender holds one QUIC connection to the
//!   [`relay`] while it shares. For each download, the relay opens one stream on that connection and bridges it to the
//!   stream that the receiver opened.
//! - **The relay is blind.** A [`code::Code`] consists of a [`code::Slot`], which the relay assigns and uses for
//!   routing, and a [`code::Secret`], which only the two ends know. The ends run a password-authenticated key exchange
//!   and exchange sealed records inside the bridge.
//! - **A transfer does not know its path.** [`transfer`] runs on the two halves of a stream ([`net::SendHalf`],
//!   [`net::RecvHalf`]). Tests give it a stream in memory, or a network in memory ([`net::Socket::in_memory`]).
//! - **Every stream is always drained**, into bounded memory. Credit of our own bounds how far the sender is ahead of
//!   the receiver, because quinn closes a connection whose unread stream has more than 1,024 gaps.
//! - **Loss is not congestion.** The congestion controller models the rate and the round-trip time of each leg instead
//!   of reacting to loss ([`net::congestion`]).
//! - **A session outlives its stream.** Both ends keep sealed bytes until they are acknowledged. When a stream fails,
//!   the receiver opens another and the session continues with the same bytes
//!   ([`transfer::session::resumable_stream`]).
//! - **A download outlives its processes.** The staging folder records what has arrived, the receiver resumes with a
//!   key that the sender gave it ([`crypto::resume`]), and the sender reclaims its slot with a ticket.
//!
//! # Layers
//!
//! Imports go down only, and no two files import each other. `tests/it/layers.rs` checks both and prints the import
//! graph.
//!
//! | layer | modules | may import |
//! |---|---|---|
//! | 6 | `main` | `cli` |
//! | 5 | `cli` | `ui`, [`client`], [`transfer`], [`relay`], [`net`], layer 0 |
//! | 5 | [`api`] | [`client`], [`transfer`], [`relay`], [`net`], [`disk`], layer 0 |
//! | 4 | [`client`] | [`transfer`], [`relay`], [`net`], layer 0 |
//! | 3 | `ui` | layer 0; only this module writes to the terminal |
//! | 3 | [`transfer`] | [`net`], [`wire`], [`crypto`], [`disk`], layer 0 |
//! | 3 | [`relay`] | [`net`], [`wire`], layer 0 without [`manifest`] and [`selection`]; never [`crypto`] or [`disk`] |
//! | 2 | [`net`] | [`wire`], layer 0 |
//! | 1 | [`disk`], [`crypto`], [`wire`] | layer 0, never each other |
//! | 0 | [`background`], [`blocking`], [`blocking_write`], [`code`], [`error`], [`event`], [`manifest`], [`processor`], [`rate_limiter`], [`recent_rate`], [`route`], [`selection`], [`state`], [`sync`], [`text`] | each other |
//!
//! Inside [`transfer`], `sender` and `receiver` never import each other. Both use `handshake` and `session`, and
//! `handshake` uses `session`. The guess budget belongs to `handshake`, because the handshake charges and refunds
//! attempts. `quinn` is named only in [`net`] and [`relay`]. Time comes from tokio's clock or from an injected one, so
//! tests can skip hours.
//!
//! [`api`] is the library's interface. Tests and benchmarks reach the other modules through the feature `internals`,
//! which is not for other programs.

#![cfg_attr(
    not(feature = "internals"),
    allow(
        dead_code,
        unreachable_pub,
        unused_imports,
        reason = "some items are for the tests, or for the command line"
    )
)]

mod api;
mod background;
mod blocking;
mod blocking_write;
#[cfg(feature = "cli")]
mod cli;
mod client;
mod code;
mod crypto;
mod disk;
mod error;
mod event;
mod manifest;
mod net;
mod processor;
mod rate_limiter;
mod recent_rate;
mod relay;
mod route;
mod selection;
mod state;
mod sync;
mod text;
mod transfer;
#[cfg(feature = "cli")]
mod ui;
mod wire;

#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals;

#[cfg(feature = "cli")]
#[doc(hidden)]
pub use crate::cli::run as run_command_line;
pub use crate::{
    api::{
        Download, DownloadEvent, Offer, ReceiveOptions, Relay, RelayAddress, RelayOptions, Saved, Share, ShareEvent,
        ShareOptions, SharedDownload,
    },
    disk::ConflictPolicy,
    error::{Error, Kind as ErrorKind, Result},
    event::ListedEntry,
};
