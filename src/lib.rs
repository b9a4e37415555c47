//! Send files to anyone with a short code, over QUIC, through a relay that learns nothing, to many receivers at once.
//!
//! ```text
//!  disk/scan ─▶ manifest ─▶ transfer/serve ─▶ crypto/record ─▶ QUIC stream ─┐
//!                                             (seal)                         │
//!                                                                      relay/bridge
//!                                             (open)                         │
//!  disk/sink ◀─ manifest ◀─ transfer/fetch ◀─ crypto/record ◀─ QUIC stream ◀─┘
//! ```
//!
//! - **One connection per peer, one stream per download.** A sender holds one QUIC connection to the [`relay`] for as
//!   long as it shares. For each receiver the relay opens one stream on that connection and bridges it to the stream
//!   that the receiver opened.
//! - **The relay is blind.** A [`code::Code`] is a [`code::Slot`], which the relay gives out and routes by, and a
//!   [`code::Secret`], which nobody but the two ends ever has. Inside the bridge the ends run a password-authenticated
//!   key exchange and talk in sealed records.
//! - **The transfer does not know its path.** [`transfer`] runs on the two halves of a stream ([`net::SendHalf`], [`net::RecvHalf`]),
//!   whatever carries them; tests give it one in memory, or a whole network in memory ([`net::Socket::in_memory`]).
//! - **Every stream is always read**, as its bytes come and in whatever order, into bounded memory. What bounds it is
//!   the credit that the two ends give each other, not QUIC's: quinn closes connections over gaps in what nobody reads.
//! - **Loss is not congestion.** How much is on its way follows a model of each leg, its rate and its round trip, and not
//!   its losses ([`net::congestion`]).
//!
//! - **A session outlives its stream.** Both directions count their sealed bytes and keep what is not acknowledged; when a
//!   stream dies, the receiver brings another, both prove themselves, and the same bytes go on ([`transfer::session::resumable_stream`]).
//!   Dead lines, relays that start again and other networks are one mechanism.
//! - **Processes come back too.** What lies in the staging folder is the record of a download, with a journal of the names
//!   that it gives at its end ([`disk`]); the sender gives each receiver a key to come back with ([`crypto::resume`]), keeps
//!   its own share for a day, and has a ticket for its slot at the relay.
//!
//! # A download
//!
//! | flight | from | what |
//! |---|---|---|
//! | 1 | receiver | with the frame that asks the relay for the slot: version, suites, its message of the key exchange |
//! | 2 | sender | its message, its confirmation tag, and sealed: the first 64 KiB of the manifest, padded |
//! | 3 | receiver | its tag, at once; the rest of a long manifest follows |
//! | 4 | receiver | what is here already, and the request, once somebody has accepted; file content follows |
//! | 5 | receiver | how it went, once everything is verified and named; the sender's last record acknowledges it |
//!
//! Instead of flight 1 the receiver of a session whose stream has died says which session it is and how far it is; the
//! sender answers with how far it is itself, and both go on. Where the sender has forgotten it, or the receiver's process is
//! another one, there are five flights again, with the key that the sender gave instead of the code.
//!
//! The sender charges a guess before flight 2 and gets it back with flight 3 ([`transfer::handshake::guess_budget`]). The receiver says
//! how far the sender may go ([`transfer::session::receive_window`]), so that nothing piles up in the relay. A file's BLAKE3 is made in
//! the same pass in which it is sent and follows it; nothing gets its final name before it is verified.
//!
//! # Layers
//!
//! Imports go down only; a test reads the sources and holds them to it.
//!
//! | layer | modules | may import |
//! |---|---|---|
//! | 5 | `main` | [`cli`] |
//! | 4 | [`cli`] | [`ui`], [`transfer`], [`relay`], [`net`], layer 0 |
//! | 3 | [`ui`] | layer 0; it alone writes to the terminal |
//! | 3 | [`transfer`] | [`net`], [`wire`], [`crypto`], [`disk`], layer 0 |
//! | 3 | [`relay`] | [`net`], [`wire`], layer 0 without [`manifest`]: never [`crypto`], never [`disk`] |
//! | 2 | [`net`] | [`wire`], layer 0 |
//! | 1 | [`disk`], [`crypto`], [`wire`] | layer 0, never each other |
//! | 0 | [`error`], [`event`], [`code`], [`manifest`], [`text`], [`state`], [`processor`], [`rate_limiter`], [`background`] | each other |
//!
//! `quinn` is named only in [`net`] and [`relay`]. Time comes from tokio's clock or from an injected one, so that tests
//! can cross hours. The library exists for the program and its tests; its interface may change with any version.

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
