//! The first words of a stream to a relay, and its answer.

use tokio::time::timeout;

use crate::transfer::timeouts::REPLY;
use crate::transfer::user_errors::{cut, rejected_by_relay};
use crate::{
    error::{Error, Kind},
    net::{Connection, RecvHalf, SendHalf, StreamError},
    wire::{
        Message, WireError, frame,
        relay::{MAX_BODY, RejectReason, Rejected},
    },
};

/// How a relay did not do what it was asked for.
#[derive(Debug)]
pub(crate) enum RequestError {
    /// It said no.
    Rejected(RejectReason),
    /// There was no answer that makes sense.
    Failed(Error),
}

impl From<RequestError> for Error {
    fn from(refused: RequestError) -> Self {
        match refused {
            RequestError::Rejected(reason) => rejected_by_relay(reason),
            RequestError::Failed(e) => e,
        }
    }
}

impl From<Error> for RequestError {
    fn from(e: Error) -> Self {
        Self::Failed(e)
    }
}

/// Opens a stream, says `question` and at once what is to stand `behind` it, and takes the relay's answer.
///
/// # Errors
/// [`RequestError`].
pub(crate) async fn ask<Q: Message, A: Message>(
    connection: &Connection,
    question: &Q,
    behind: &[u8],
) -> Result<(SendHalf, RecvHalf, A), RequestError> {
    let asking = async {
        let (mut send, mut recv) = connection.open_stream().await?;
        let mut bytes = Vec::new();
        frame::encode(question, &mut bytes)?;
        bytes.extend_from_slice(behind);
        send.write(bytes.into()).await?;
        let answer = recv.read_frame(MAX_BODY).await?;
        Ok::<_, StreamError>((send, recv, answer))
    };
    let silent =
        || Error::new(Kind::Network, "the relay does not answer").hint("try again, or use another relay").transient();
    let asked = timeout(REPLY, asking).await.map_err(|_| silent())?;
    let (send, recv, answer) = asked.map_err(|e| cut(&e))?;
    let answer = answer.frame();
    let nonsense = |e: WireError| cut(&e.into());
    if answer.kind == Rejected::TYPE {
        return Err(RequestError::Rejected(answer.decode::<Rejected>().map_err(nonsense)?.reason));
    }
    Ok((send, recv, answer.decode().map_err(nonsense)?))
}
