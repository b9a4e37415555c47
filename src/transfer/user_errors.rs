//! What goes wrong between the ends, told as what it means to the person at this one.

use crate::transfer::session::SessionError;
use crate::{
    error::{Error, Kind},
    net::{ConnectionLost, StreamError},
    text::visible,
    wire::{
        WireError,
        peer::{Alert, AlertReason, Failure, FailureReason, MAX_TEXT},
        relay::RejectReason,
        reset_code::{ENDED, EVICTED, OVERRUN, PEER_CLOSED, PEER_LOST},
    },
};

/// A sender that was stopped in the middle or killed keeps its code, one that has ended on purpose does not.
const IF_SHARED_AGAIN: &str = "if it is shared again, try the same command; else ask for a new code";

/// Why the sender gives no session, as it says itself: a hint, since anybody between the ends can say it.
pub(crate) fn alerted(alert: &Alert) -> Error {
    match alert.reason {
        AlertReason::Version => other_version(),
        AlertReason::Suite => Error::new(Kind::Transfer, "the two ends have no encryption in common")
            .hint("use the same version of qshare at both ends"),
        AlertReason::GuessBudgetSpent => {
            let e = Error::new(Kind::Refused, "the sender refuses: this code was tried wrongly too often");
            match alert.retry_after {
                0 => e.hint("ask the sender for a new code"),
                seconds => e.hint(format!("try again in {}, or ask for a new code", in_words(seconds))),
            }
        }
        AlertReason::Busy => Error::new(Kind::Refused, "the sender serves as many receivers as it can")
            .hint("try again in a minute")
            .transient(),
        AlertReason::SenderError => Error::new(Kind::Refused, "the sender cannot serve anybody now; it says why there")
            .hint("ask whoever shares, then try again")
            .transient(),
        AlertReason::Malformed | AlertReason::UnknownSession => wrong_code(),
    }
}

fn in_words(seconds: u32) -> String {
    if seconds < 90 {
        crate::text::count(seconds.into(), "second")
    } else {
        crate::text::count(seconds.div_ceil(60).into(), "minute")
    }
}

/// The two ends do not understand each other.
pub(crate) fn other_version() -> Error {
    Error::new(Kind::Transfer, "the sender speaks another version of the protocol")
        .hint("use the same version of qshare at both ends")
}

/// A tag that does not fit, or what no sender says before it.
pub(crate) fn wrong_code() -> Error {
    Error::new(Kind::WrongCode, "the code is wrong, or something between the two ends tampered with the session")
        .hint("compare the code with what the sender shows; each try spends one of the sender's few guesses")
}

/// The sender does not take what it once gave to come back with. Final: the code is not tried instead.
pub(crate) fn forgotten() -> Error {
    Error::new(Kind::WrongCode, "the sender does not know this download any more, or something in between tampered")
        .hint("ask the sender for a new code; what is here already is kept, and counts")
}

/// No answer in time.
pub(crate) fn silent() -> Error {
    Error::new(Kind::Network, "the sender does not answer")
        .hint("ask whether it is still online, then try again")
        .transient()
}

/// A cut before the sender has proved anything: mostly a sender that is gone.
pub(crate) fn early_cut(e: StreamError) -> Error {
    match e {
        StreamError::Aborted(PEER_LOST | PEER_CLOSED) => gone().transient(),
        StreamError::Aborted(ENDED) => gone(),
        StreamError::Wire(_) | StreamError::EndedEarly => wrong_code(),
        e => cut(&e),
    }
}

fn gone() -> Error {
    Error::new(Kind::NotFound, "the sender is gone").hint(IF_SHARED_AGAIN)
}

/// A cut, told as what it means.
pub(crate) fn cut(e: &StreamError) -> Error {
    let what = match e {
        StreamError::Aborted(PEER_LOST) => "the other side's line to the relay is dead",
        StreamError::Aborted(PEER_CLOSED) => "the other side has left the relay",
        StreamError::Aborted(EVICTED) => "the relay is short of memory, and this transfer took it longest",
        StreamError::Aborted(OVERRUN) | StreamError::TooFarAhead => {
            "more was sent than the relay or the receiver can hold"
        }
        StreamError::Aborted(ENDED) => return gone(),
        StreamError::Aborted(_) | StreamError::EndedEarly => "the transfer was cut",
        StreamError::Lost(ConnectionLost::TimedOut) => "the line to the relay is dead",
        StreamError::Lost(ConnectionLost::ClosedByPeer(_)) => "the relay ended the connection",
        StreamError::Lost(_) => "the connection to the relay failed",
        StreamError::Wire(_) => "what came over the line makes no sense",
    };
    Error::new(Kind::Network, what).hint("check the network and start again").transient()
}

/// A session that ended before it was complete, told as what it means to the receiver.
pub(crate) fn broken(e: &SessionError) -> Error {
    match e {
        SessionError::Line(e) => cut(e),
        SessionError::Tampered(_) => {
            Error::new(Kind::WrongCode, "something between the two ends tampered with the transfer")
                .hint("nothing of it was kept; try another relay or another network")
        }
        SessionError::Protocol(e) => Error::new(Kind::Transfer, format!("the sender broke the protocol: {e}"))
            .hint("use the same version of qshare at both ends"),
    }
}

/// What the sender, which has proved itself, says about its failure.
pub(crate) fn failed(failure: &Failure) -> Error {
    let said = visible(&failure.message);
    match failure.reason {
        FailureReason::Source => Error::new(Kind::Transfer, format!("the sender cannot go on: {said}"))
            .hint("start again to get the present state"),
        FailureReason::DownloadLimitReached => Error::new(Kind::Refused, format!("the sender refused: {said}"))
            .hint("if a running download fails, its place is free again: try later"),
        FailureReason::ShareEnded => {
            Error::new(Kind::NotFound, format!("the sender is gone: {said}")).hint(IF_SHARED_AGAIN)
        }
        FailureReason::Protocol => Error::new(Kind::Transfer, format!("the sender could not understand: {said}"))
            .hint("use the same version of qshare at both ends"),
        FailureReason::ReceiverTimeout => {
            Error::new(Kind::Network, format!("the sender waited no longer: {said}")).hint("start again")
        }
    }
}

/// The sender has credit and does not use it.
pub(crate) fn stalled() -> Error {
    Error::new(Kind::Network, "nothing arrives from the sender any more")
        .hint("check the network and start again")
        .transient()
}

/// A relay's refusal as a user sees it.
pub(crate) fn rejected_by_relay(reason: RejectReason) -> Error {
    match reason {
        RejectReason::NotFound => Error::new(Kind::NotFound, "the relay knows no such code").hint(
            "ask whether it is shared now, and compare the first four characters; who lost their line may be back soon",
        ),
        RejectReason::Token => {
            Error::new(Kind::Refused, "the relay asks for an access token").hint("ask whoever runs the relay for one")
        }
        RejectReason::Ended => Error::new(Kind::NotFound, "the sender has ended its share").hint(IF_SHARED_AGAIN),
        RejectReason::Away => {
            Error::new(Kind::NotFound, "the sender is not back yet").hint("try again in a moment").transient()
        }
        RejectReason::Full => Error::new(Kind::Refused, "the relay is full")
            .hint("try again in a minute, or use another relay")
            .transient(),
    }
}

/// An error as the other end is told.
pub(crate) fn told(e: &Error) -> String {
    e.message().chars().take(MAX_TEXT / 4).collect()
}

/// What the other end, which has proved itself, said and what makes no sense.
pub(crate) fn malformed(e: WireError) -> Error {
    broken(&e.into())
}
