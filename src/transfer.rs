//! Transfers: a sender shares files under a code, and receivers download them.
//!
//! A [`Share`] serves every stream that the relay opens on the sender's connection. A receiver gets a [`PendingOffer`],
//! plans it ([`PlannedDownload`]) and accepts it. Both report [`Event`](crate::event::Event)s to a bounded channel
//! ([`Events`](crate::event::Events)) and do not depend on the terminal. [`sender`] and [`receiver`] never import each
//! other; both use [`handshake`] and [`session`].
//!
//! # A download, in the order in which it happens
//!
//! 1. **Connect.** The receiver dials the relay, and searches this machine and the local network
//!    ([`receiver::connect`]). At the first that leads to the sender, it requests a stream to it ([`relay_request`]).
//!    Flight 1 of the handshake follows at once. The relay opens a stream on the sender's connection and bridges the
//!    two.
//! 2. **Handshake.** The sender admits the stream ([`sender::admission`]), charges an attempt to the guess budget
//!    ([`handshake::guess_budget`]), scans the shared files ([`sender::latest_scan`]) and answers with flight 2. The
//!    receiver checks the sender's tag and sends its own. The sender refunds the attempt when that tag is right
//!    ([`handshake`]).
//! 3. **Offer.** The sender sends the manifest ([`session::manifest_encoder`]). The receiver decodes it
//!    ([`receiver::open_session`]), reduces it to what the user has selected
//!    ([`Selection`](crate::selection::Selection)), shows it ([`receiver::offer`]) and plans a path for every entry
//!    ([`receiver::destination`]).
//! 4. **Request.** When the user has accepted, the receiver requests entries and lists what an earlier download has
//!    staged of them ([`receiver::request`]). The sender takes a download permit ([`sender::download_limit`]). Both
//!    ends hash the staged files at the same time: the receiver offers the hashes of their groups in pages
//!    ([`receiver::group_offer`]), and the sender compares them and decides where each file continues
//!    ([`sender::comparer`]).
//! 5. **Content.** The sender sends other files while it compares the staged ones. It fills records with the content of
//!    files ([`sender::file_reader`]), compresses them where that makes the download faster
//!    ([`sender::content_encoder`], [`sender::compression_policy`]), and seals and sends them as far as its credit
//!    reaches ([`session::send_credit`]). The receiver opens the records and writes them to the staging folder
//!    ([`receiver::pipeline`], [`receiver::file_writer`]), and grants more credit ([`session::receive_window`]).
//!    A file that has changed, or cannot be read, fails alone ([`sender::failed_files`]); the others follow.
//!    With `--out -`, or for a text, the content goes to standard output or to memory instead
//!    ([`receiver::output_download`]). The content of a share may be a pipe, too ([`sender::pipe_reader`]).
//! 6. **Completion.** The receiver gives every entry its final name, reports the outcome ([`receiver::completion`]),
//!    and waits until the sender acknowledges it.
//!
//! When a stream fails in steps 3 to 6, the receiver opens another one and both ends continue the session there
//! ([`receiver::reattach`], [`session::resumable_stream`], [`sender::session_table`]). When a process has been
//! restarted, the receiver opens another session with the key that the sender granted in step 3, which costs no attempt
//! ([`receiver::resumption_store`]), and step 4 continues from the staged data. If the new session offers entries other
//! than the accepted ones, the download ends with that offer ([`DownloadEnd`]), and steps 3 and 4 are repeated.
//!
//! Outcomes that decide what happens next are enums. [`user_errors`] turns them into an [`Error`](crate::error::Error)
//! where they leave this module.

mod backoff;
pub mod handshake;
pub mod receiver;
mod relay_request;
mod seen_address;
pub mod sender;
pub mod session;
mod timeouts;
mod user_errors;

pub use self::{
    handshake::{
        clock::{Clock, SystemClock},
        guess_budget::GuessBudget,
    },
    receiver::{
        Destination, DownloadEnd, Nearby, NearbySearch, OutputEnd, PendingOffer, PlannedDownload, ReconnectConfig,
        ResumptionStore,
    },
    seen_address::seen_address,
    sender::{
        compression_mode::CompressionMode,
        nearby::NearbyRelay,
        registration::Registration,
        reregister::{OnRegistered, ReregisterConfig},
        share::{Share, ShareSettings},
    },
};
pub use crate::{
    crypto::ShareKey,
    disk::{
        Conflict, ConflictPolicies, ConflictPolicy, InputPipe, LeftOutPath, LinkPolicy, OutputForm, ScanOptions,
        Source, StagedDownload, StandardOutput,
    },
};
