//! qshare sends files to anyone with a short code, over QUIC, through a relay that cannot read names or content.
//!
//! # From disk to stream: the sender
//!
//! ```text
//! cli/send                         the paths on the command line
//!   ▼
//! disk/source, disk/scan           lists files, folders and links; the result is a manifest
//!   ▼
//! transfer/sender/share            keeps the code, the latest scan and the limits of the share
//!   ▼
//! transfer/sender/accept_loop      accepts a stream from the relay
//!   ▼
//! transfer/sender/admission        runs the handshake: transfer/handshake/responder charges transfer/handshake/guess_budget
//!   ▼
//! transfer/sender/download         serves one receiver: offer, request, content, completion
//!   ▼
//! transfer/sender/file_reader      fills records from disk/source_file, which reads through disk/shared_read
//!   ▼
//! transfer/sender/record_sender    waits for credit (transfer/session/send_credit)
//!   ▼
//! transfer/session/writer          seals (crypto/record/sealer), and keeps the bytes in transfer/session/retransmit_buffer
//!   ▼
//! net/send_half                    writes to the QUIC stream; net/congestion decides how much is in flight
//! ```
//!
//! # Between them: the relay
//!
//! ```text
//! relay/server ─▶ relay/request_handler ─▶ relay/registry (slots) ─▶ relay/bridge, bounded by relay/memory_budget
//! ```
//!
//! # From stream to disk: the receiver
//!
//! ```text
//! net/recv_half                    reads packets in any order; net/reassembly puts them into order
//!   ▼
//! transfer/session/reader          splits the stream into sealed records, across any number of streams
//!   ▼
//! transfer/receiver/pipeline       queues records, and grants credit (transfer/session/receive_window)
//!   ▼
//! transfer/receiver/file_writer    opens records (crypto/record/opener) and reads their frames
//!   ▼
//! disk/sink, disk/incoming_file    writes blocks to files in the staging folder and checks each file's hash
//!   ▼
//! disk/publisher                   moves every entry to its final name, recorded in disk/journal
//! ```
//!
//! [`transfer`] explains the five flights of a download, [`disk`] the staging folder, and `docs/architecture.md` the design.
//!
//! # Principles
//!
//! - **One connection per peer, one stream per download.** A sender holds one QUIC connection to the [`relay`] while it shares.
//!   For each download, the relay opens one stream on that connection and bridges it to the stream that the receiver opened.
//! - **The relay is blind.** A [`code::Code`] consists of a [`code::Slot`], which the relay assigns and uses for routing, and a
//!   [`code::Secret`], which only the two ends know. The ends run a password-authenticated key exchange and exchange sealed
//!   records inside the bridge.
//! - **A transfer does not know its path.** [`transfer`] runs on the two halves of a stream ([`net::SendHalf`],
//!   [`net::RecvHalf`]). Tests give it a stream in memory, or a network in memory ([`net::Socket::in_memory`]).
//! - **Every stream is always drained**, into bounded memory. Credit of our own bounds the bytes in flight, because quinn closes a connection
//!   whose unread stream has more than 1,024 gaps.
//! - **Loss is not congestion.** The congestion controller models the rate and the round-trip time of each leg instead of
//!   reacting to loss ([`net::congestion`]).
//! - **A session outlives its stream.** Both ends keep sealed bytes until they are acknowledged. When a stream fails, the receiver opens
//!   another and the session continues with the same bytes ([`transfer::session::resumable_stream`]).
//! - **A download outlives its processes.** The staging folder records what has arrived, the receiver resumes with a key that the sender gave
//!   it ([`crypto::resume`]), and the sender reclaims its slot with a ticket.
//!
//! # Layers
//!
//! Imports go down only, and no two files import each other. `tests/it/layers.rs` checks both and prints the import graph.
//!
//! | layer | modules | may import |
//! |---|---|---|
//! | 5 | `main` | [`cli`] |
//! | 4 | [`cli`] | [`ui`], [`transfer`], [`relay`], [`net`], layer 0 |
//! | 3 | [`ui`] | layer 0; only this module writes to the terminal |
//! | 3 | [`transfer`] | [`net`], [`wire`], [`crypto`], [`disk`], layer 0 |
//! | 3 | [`relay`] | [`net`], [`wire`], layer 0 without [`manifest`]; never [`crypto`] or [`disk`] |
//! | 2 | [`net`] | [`wire`], layer 0 |
//! | 1 | [`disk`], [`crypto`], [`wire`] | layer 0, never each other |
//! | 0 | [`background`], [`code`], [`error`], [`event`], [`manifest`], [`processor`], [`rate_limiter`], [`state`], [`sync`], [`text`] | each other |
//!
//! Inside [`transfer`], `sender` and `receiver` never import each other. Both use `handshake` and `session`, and `handshake`
//! uses `session`. The guess budget belongs to `handshake`, because the handshake charges and refunds attempts. `quinn` is named only in [`net`]
//! and [`relay`]. Time comes from tokio's clock or from an injected one, so tests can skip hours.
//!
//! The library exists for the program and its tests. Its interface may change with any version until 1.0.

pub mod background;
pub mod cli;
pub mod code;
pub mod crypto;
pub mod disk;
pub mod error;
pub mod event;
pub mod manifest;
pub mod net;
pub mod processor;
pub mod rate_limiter;
pub mod relay;
pub mod state;
pub mod sync;
pub mod text;
pub mod transfer;
pub mod ui;
pub mod wire;
