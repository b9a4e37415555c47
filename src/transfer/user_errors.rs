//! Converts protocol failures to [`Error`]s, which state what happened and what the user can do next.

use std::time::Duration;

use crate::{
    error::{Error, Kind},
    net::{ConnectionLost, StreamError},
    text::{count, visible},
    transfer::session::{DecompressionError, SessionError},
    wire::{
        WireError,
        peer::{Alert, AlertReason, Failure, FailureReason, MAX_TEXT},
        relay::{RejectReason, Rejected},
        relay_limit::RelayLimit,
        reset_code::{ENDED, EVICTED, OVERRUN, PEER_CLOSED, PEER_LOST, UNCONFIRMED},
    },
};

/// For a sender that is gone: if it was interrupted or killed, its next share of the same paths reuses the code. If its
/// share ended deliberately, the code is invalid.
const HINT_IF_SHARED_AGAIN: &str = "if the sender shares it again, repeat the command; otherwise ask for a new code";

const HINT_SAME_VERSION: &str = "install the same version of qshare on both machines";

const HINT_CHECK_NETWORK: &str = "check the network, then run the same command again";

/// Explains a relay's rejection.
pub(crate) fn explain_rejection(rejected: &Rejected) -> Error {
    match rejected.reason {
        RejectReason::NotFound => Error::new(Kind::NotFound, "the relay knows no such code")
            .hint("check the first four characters; if the sender was disconnected, try again shortly"),
        RejectReason::Token => {
            Error::new(Kind::Refused, "the relay requires an access token").hint("ask the relay's operator for a token")
        }
        RejectReason::Ended => Error::new(Kind::NotFound, "the sender has ended its share").hint(HINT_IF_SHARED_AGAIN),
        RejectReason::Away => {
            Error::new(Kind::NotFound, "the sender has not reconnected yet").hint("try again shortly")
        }
        RejectReason::Full => {
            Error::new(Kind::Refused, "the sender cannot take another download now").hint("try again in a minute")
        }
        RejectReason::Limit(limit) => {
            let wait = readable(rejected.retry_after.max(1));
            Error::new(Kind::Refused, format!("the relay refused: {} (limit {})", reached(limit), limit.name()))
                .hint(format!("try again in {wait}, or use another relay"))
        }
    }
}

/// Returns the error for a sender that was not found on this machine or on this many local networks.
///
/// `may_wait` is whether the user can still choose to wait for the sender.
pub(crate) fn not_found_nearby(networks: Option<usize>, searched: Duration, may_wait: bool) -> Error {
    let message = format!("no sender with this code was found {}{}", places(networks), after(searched));
    let hint = match networks {
        None => {
            "use the sender's link, or a relay with --relay HOST; without --no-lan, the local network is searched too"
        }
        Some(0) => "connect to the sender's network; or use the sender's link, or a relay with --relay HOST",
        Some(_) => "if the sender is on another network, use its link, or a relay with --relay HOST",
    };
    Error::new(Kind::NotFound, message).hint(with_wait(hint, may_wait))
}

/// Returns the error for a sender that neither the relay knows nor a search nearby has found.
pub(crate) fn not_found_anywhere(networks: Option<usize>, searched: Duration, may_wait: bool) -> Error {
    let message = format!(
        "the relay knows no such code, and no sender with it was found {}{}",
        places(networks),
        after(searched)
    );
    let hint = "check the first four characters; if the sender uses another relay, use its link";
    Error::new(Kind::NotFound, message).hint(with_wait(hint, may_wait))
}

/// Adds the advice to wait to a hint.
fn with_wait(hint: &str, may_wait: bool) -> String {
    let advice = if may_wait { "; if it has not started yet, add --wait 10m" } else { "" };
    format!("{hint}{advice}")
}

/// Returns where a sender was searched.
fn places(networks: Option<usize>) -> &'static str {
    match networks {
        None => "on this machine",
        Some(0) => "on this machine, which has no network",
        Some(1) => "on this machine or its network",
        Some(_) => "on this machine or its networks",
    }
}

/// Returns how long a search took, if it took long.
fn after(searched: Duration) -> String {
    match searched.as_secs() {
        0 => String::new(),
        seconds => format!(" (searched for {})", readable(seconds as u32)),
    }
}

/// Names the limit of the relay that is reached.
fn reached(limit: RelayLimit) -> &'static str {
    match limit {
        RelayLimit::Handshakes | RelayLimit::Connections => "too many connections from your network",
        RelayLimit::Streams => "too many requests from your network",
        RelayLimit::Registrations => "too many shares were started in your network",
        RelayLimit::Slots | RelayLimit::RestingSlots => "too many shares are running in your network",
        RelayLimit::RegistrationsPerConnection | RelayLimit::SlotsPerConnection => {
            "too many shares over one connection"
        }
        RelayLimit::Connects | RelayLimit::StartingBridges => "too many downloads were just started in your network",
        RelayLimit::Bridges => "too many downloads are running in your network",
        RelayLimit::Misses => "too many unknown codes were tried in your network",
        RelayLimit::Unconfirmed => "too many wrong codes were tried in your network",
        RelayLimit::SlotUnconfirmed => "too many wrong codes were tried for this share",
        RelayLimit::HandshakesTotal
        | RelayLimit::ConnectionsTotal
        | RelayLimit::StreamsTotal
        | RelayLimit::RegistrationsTotal
        | RelayLimit::SlotsTotal
        | RelayLimit::MissesTotal
        | RelayLimit::ConnectsTotal
        | RelayLimit::BridgesTotal => "it is busy",
    }
}

/// Explains why the sender opens no session. An alert is only a hint: anyone between the two ends can forge one.
pub(crate) fn explain_alert(alert: &Alert) -> Error {
    match alert.reason {
        AlertReason::Version => version_mismatch(),
        AlertReason::Suite => {
            Error::new(Kind::Transfer, "the sender supports no common cipher suite").hint(HINT_SAME_VERSION)
        }
        AlertReason::GuessBudgetSpent => {
            let e = Error::new(Kind::Refused, "the sender refuses the code after too many wrong attempts");
            match alert.retry_after {
                0 => e.hint("ask the sender for a new code"),
                seconds => e.hint(format!("try again in {}, or ask for a new code", readable(seconds))),
            }
        }
        AlertReason::Busy => {
            Error::new(Kind::Refused, "the sender is serving too many receivers").hint("try again in a minute")
        }
        AlertReason::SenderError => Error::new(Kind::Refused, "the sender cannot serve downloads now")
            .hint("see the error that the sender shows, then try again"),
        AlertReason::Malformed | AlertReason::UnknownSession => wrong_code(),
    }
}

fn readable(seconds: u32) -> String {
    if seconds < 90 { count(seconds.into(), "second") } else { count(seconds.div_ceil(60).into(), "minute") }
}

/// Returns the error for an unsupported protocol version.
pub(crate) fn version_mismatch() -> Error {
    Error::new(Kind::Transfer, "the sender uses an incompatible protocol version").hint(HINT_SAME_VERSION)
}

/// Returns the error for a compressed record that its sender has made wrongly.
pub(crate) fn invalid_compression(e: DecompressionError) -> Error {
    Error::new(Kind::Corrupt, e.to_string()).hint("ask the sender to share it with --compress never")
}

/// Returns the error for a wrong confirmation tag, and for anything that no honest sender sends before it.
pub(crate) fn wrong_code() -> Error {
    Error::new(Kind::WrongCode, "the code is wrong, or the session was tampered with")
        .hint("compare the code with the one the sender shows; each attempt uses up one of a few guesses")
}

/// Returns the error for a resumption that the sender rejects. It is final: the code is not tried instead.
pub(crate) fn resumption_rejected() -> Error {
    Error::new(Kind::WrongCode, "the sender no longer knows this download, or the session was tampered with")
        .hint("ask the sender for a new code; the data downloaded so far is kept and reused")
}

/// Returns the error for a sender that does not reply in time.
pub(crate) fn sender_silent() -> Error {
    Error::new(Kind::Network, "the sender does not answer").hint("check that the sender is online, then try again")
}

/// Explains a stream failure before the sender has confirmed the code. Most often the sender is gone.
pub(crate) fn explain_early_stream_error(e: &StreamError) -> Error {
    match e {
        StreamError::Aborted(PEER_LOST | PEER_CLOSED | ENDED) => sender_gone(),
        e => explain_stream_error(e),
    }
}

fn sender_gone() -> Error {
    Error::new(Kind::NotFound, "the sender is gone").hint(HINT_IF_SHARED_AGAIN)
}

/// Explains a stream failure.
pub(crate) fn explain_stream_error(e: &StreamError) -> Error {
    let message = match e {
        StreamError::Aborted(PEER_LOST) => "the other side lost its connection to the relay",
        StreamError::Aborted(PEER_CLOSED) => "the other side disconnected from the relay",
        StreamError::Aborted(EVICTED) => "the relay is short of memory and ended this transfer",
        StreamError::Aborted(OVERRUN) | StreamError::TooFarAhead => {
            "more data was in flight than the relay or the receiver can hold"
        }
        StreamError::Aborted(UNCONFIRMED) => "the confirmation of the code did not reach the sender in time",
        StreamError::Aborted(ENDED) => return sender_gone(),
        StreamError::Aborted(_) | StreamError::EndedEarly => "the transfer ended unexpectedly",
        StreamError::Lost(ConnectionLost::TimedOut) => "lost connection to the relay",
        StreamError::Lost(ConnectionLost::ClosedByPeer(_)) => "the relay closed the connection",
        StreamError::Lost(_) => "the connection to the relay failed",
        StreamError::Wire(_) => "received invalid data",
    };
    Error::new(Kind::Network, message).hint(HINT_CHECK_NETWORK)
}

/// Explains to the receiver why a session ended before it was complete.
pub(crate) fn explain_session_error(e: &SessionError) -> Error {
    match e {
        SessionError::Stream(e) => explain_stream_error(e),
        SessionError::Tampered(_) => Error::new(Kind::WrongCode, "the transfer was tampered with in transit")
            .hint("the altered data was discarded; try another relay or another network"),
        SessionError::Protocol(e) => {
            Error::new(Kind::Transfer, format!("the sender violated the protocol: {e}")).hint(HINT_SAME_VERSION)
        }
    }
}

/// Explains an invalid message from a sender that has confirmed the code.
pub(crate) fn explain_wire_error(e: WireError) -> Error {
    explain_session_error(&e.into())
}

/// Explains a failure that the sender reports about itself.
pub(crate) fn explain_failure(failure: &Failure) -> Error {
    let detail = visible(&failure.message);
    match failure.reason {
        FailureReason::Source => Error::new(Kind::Transfer, format!("the sender cannot continue: {detail}"))
            .hint("run the command again to download the current files"),
        FailureReason::DownloadLimitReached => Error::new(Kind::Refused, format!("the sender refused: {detail}"))
            .hint("try again later: a download that fails does not count"),
        FailureReason::PipeTaken => {
            Error::new(Kind::Refused, "the sender shares a pipe, and another download has begun to read it")
                .hint("a pipe can be downloaded once, and not resumed; ask the sender to share it again")
        }
        FailureReason::Protocol => {
            Error::new(Kind::Transfer, format!("the sender rejected the request: {detail}")).hint(HINT_SAME_VERSION)
        }
        FailureReason::ReceiverTimeout => {
            Error::new(Kind::Network, format!("the sender timed out: {detail}")).hint("run the same command again")
        }
    }
}

/// Adds to the error of the download of a pipe that no other download continues it.
pub(crate) fn pipe_failed(e: Error) -> Error {
    let advice = match e.kind() {
        Kind::Disk => "make room or raise the limit; a pipe cannot be resumed, so ask the sender to share it again",
        _ => "a pipe cannot be resumed; ask the sender to share it again",
    };
    e.hint(advice)
}

/// Returns the error for a sender that has credit and sends nothing.
pub(crate) fn sender_stalled() -> Error {
    Error::new(Kind::Network, "the sender stopped sending data").hint(HINT_CHECK_NETWORK)
}

/// Returns the error for a download that the user interrupted. The data received so far is staged.
pub(crate) fn download_interrupted() -> Error {
    Error::new(Kind::Interrupted, "interrupted").hint("run the same command again to resume")
}

/// Returns the error for an interruption before anything was downloaded.
pub(crate) fn nothing_downloaded() -> Error {
    Error::new(Kind::Interrupted, "interrupted; nothing was downloaded")
}

/// Returns an error's message, short enough for a message to the peer.
pub(crate) fn message_for_peer(e: &Error) -> String {
    e.message().chars().take(MAX_TEXT / 4).collect()
}
