//! A request to a relay: it opens a stream, sends one message and reads the reply.

use std::time::Duration;

use crate::{
    error::{Error, Kind},
    net::{Connection, PeerWaitError, RecvHalf, SendHalf, StreamError, wait_on_peer},
    transfer::{
        timeouts::REPLY_TIMEOUT,
        user_errors::{explain_rejection, explain_stream_error},
    },
    wire::{
        Message, WireError, frame,
        peer::INITIAL_CREDIT,
        relay::{MAX_BODY, RejectReason, Rejected},
        reset_code::ENDED,
    },
};

/// Sends `request` on a new stream, with `payload` right behind it, and reads the relay's reply.
///
/// Returns the stream as well. The payload is for the peer to which the relay bridges the stream.
///
/// # Errors
/// [`RequestError`] if the relay rejects the request, does not reply within [`REPLY_TIMEOUT`], or the stream fails.
pub(crate) async fn send_relay_request<Request: Message, Reply: Message>(
    connection: &Connection,
    request: &Request,
    payload: &[u8],
) -> Result<(SendHalf, RecvHalf, Reply), RequestError> {
    send_patient_request(connection, request, payload, REPLY_TIMEOUT).await
}

/// Sends a request as [`send_relay_request`] does. The relay may take as long as `limit` to reply.
///
/// # Errors
/// The same as [`send_relay_request`].
pub(crate) async fn send_patient_request<Request: Message, Reply: Message>(
    connection: &Connection,
    request: &Request,
    payload: &[u8],
    limit: Duration,
) -> Result<(SendHalf, RecvHalf, Reply), RequestError> {
    let exchange = async {
        let (mut send, mut recv) = connection.open_stream().await?;
        recv.set_reorder_window(INITIAL_CREDIT as usize); // the first bytes of the sender may overtake the reply
        let mut bytes = Vec::new();
        frame::encode(request, &mut bytes)?;
        bytes.extend_from_slice(payload);
        send.write(bytes.into()).await?;
        let reply = recv.read_frame(MAX_BODY).await?;
        Ok::<_, StreamError>((send, recv, reply))
    };
    let (send, recv, reply) = wait_on_peer(limit, [], exchange).await?;
    let reply = reply.frame();
    if reply.kind == Rejected::TYPE {
        return Err(RequestError::Rejected(reply.decode()?));
    }
    Ok((send, recv, reply.decode()?))
}

/// Why a request to a relay failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RequestError {
    /// The relay rejected the request.
    Rejected(Rejected),
    /// The relay did not reply in time.
    NoReply,
    /// The stream failed, or the reply was malformed.
    Stream(StreamError),
}

impl RequestError {
    /// Returns the time, as stated by the relay, after which a request that one of its limits refused may succeed.
    pub(crate) fn limit_wait(&self) -> Option<Duration> {
        match self {
            Self::Rejected(Rejected { reason: RejectReason::Limit(_), retry_after }) => {
                Some(Duration::from_secs((*retry_after).max(1).into()))
            }
            _ => None,
        }
    }

    /// Whether the relay knows no sender with the slot.
    pub(crate) fn is_unknown_slot(&self) -> bool {
        matches!(self, Self::Rejected(Rejected { reason: RejectReason::NotFound, .. }))
    }

    /// Whether another request may succeed.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Rejected(rejected) => {
                matches!(rejected.reason, RejectReason::Away | RejectReason::Full | RejectReason::Limit(_))
            }
            Self::NoReply => true,
            Self::Stream(e) => *e != StreamError::Aborted(ENDED),
        }
    }
}

impl From<StreamError> for RequestError {
    fn from(e: StreamError) -> Self {
        Self::Stream(e)
    }
}

impl From<PeerWaitError> for RequestError {
    fn from(e: PeerWaitError) -> Self {
        match e {
            PeerWaitError::Silent => Self::NoReply,
            PeerWaitError::Stream(e) => Self::Stream(e),
        }
    }
}

impl From<WireError> for RequestError {
    fn from(e: WireError) -> Self {
        Self::Stream(e.into())
    }
}

impl From<RequestError> for Error {
    fn from(e: RequestError) -> Self {
        match e {
            RequestError::Rejected(rejected) => explain_rejection(&rejected),
            RequestError::NoReply => {
                Self::new(Kind::Network, "the relay does not answer").hint("try again, or use another relay")
            }
            RequestError::Stream(e) => explain_stream_error(&e),
        }
    }
}
