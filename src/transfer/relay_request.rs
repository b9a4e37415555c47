//! A request to a relay: it opens a stream, sends one message and reads the reply.

use tokio::time::timeout;

use crate::{
    error::{Error, Kind},
    net::{Connection, RecvHalf, SendHalf, StreamError},
    transfer::{
        timeouts::REPLY_TIMEOUT,
        user_errors::{explain_rejection, explain_stream_error},
    },
    wire::{
        Message, WireError, frame,
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
    let exchange = async {
        let (mut send, mut recv) = connection.open_stream().await?;
        let mut bytes = Vec::new();
        frame::encode(request, &mut bytes)?;
        bytes.extend_from_slice(payload);
        send.write(bytes.into()).await?;
        let reply = recv.read_frame(MAX_BODY).await?;
        Ok::<_, StreamError>((send, recv, reply))
    };
    let (send, recv, reply) = timeout(REPLY_TIMEOUT, exchange).await.map_err(|_| RequestError::NoReply)??;
    let reply = reply.frame();
    if reply.kind == Rejected::TYPE {
        return Err(RequestError::Rejected(reply.decode::<Rejected>()?.reason));
    }
    Ok((send, recv, reply.decode()?))
}

/// Why a request to a relay failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RequestError {
    /// The relay rejected the request.
    Rejected(RejectReason),
    /// The relay did not reply in time.
    NoReply,
    /// The stream failed, or the reply was malformed.
    Stream(StreamError),
}

impl RequestError {
    /// Whether another request may succeed.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Rejected(reason) => matches!(reason, RejectReason::Away | RejectReason::Full),
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

impl From<WireError> for RequestError {
    fn from(e: WireError) -> Self {
        Self::Stream(e.into())
    }
}

impl From<RequestError> for Error {
    fn from(e: RequestError) -> Self {
        match e {
            RequestError::Rejected(reason) => explain_rejection(reason),
            RequestError::NoReply => {
                Self::new(Kind::Network, "the relay does not answer").hint("try again, or use another relay")
            }
            RequestError::Stream(e) => explain_stream_error(&e),
        }
    }
}
