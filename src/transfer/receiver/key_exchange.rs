//! The key exchange of a receiver: it requests a stream to the sender from a relay, and runs the handshake on it.

use tracing::debug;

use super::{
    nearby::FoundRelay, open_session_error::OpenSessionError, receive_error::ReceiveError,
    resumption_store::StoredResumption,
};
use crate::{
    code::Code,
    net::Connection,
    transfer::{
        handshake::{Credential, Established, Initiator, InitiatorError, InitiatorOptions},
        relay_request::send_relay_request,
    },
    wire::relay::{ConnectReply, ConnectRequest},
};

/// What a receiver authenticates with: the stored resumption if there is one, and the code otherwise.
#[derive(Clone)]
pub(super) struct Credentials {
    pub(super) code: Code,
    pub(super) resumption: Option<StoredResumption>,
    /// Whether this receiver reattaches after its stream has failed.
    pub(super) can_reattach: bool,
}

impl Credentials {
    /// Whether the receiver resumes.
    pub(super) fn is_resumption(&self) -> bool {
        self.resumption.is_some()
    }
}

/// The result of a key exchange.
pub(super) type Exchange = Result<(FoundRelay, Confirmed), OpenSessionError>;

/// A session that both ends have confirmed, before its offer is read.
pub(super) struct Confirmed {
    pub(super) established: Established,
    pub(super) reply: ConnectReply,
}

/// Requests a stream to the sender from the relay, and completes the handshake on it.
pub(super) async fn confirm(connection: &Connection, credentials: &Credentials) -> Result<Confirmed, OpenSessionError> {
    let Credentials { code, resumption, can_reattach } = credentials;
    let (slot, stored) = (code.slot(), resumption.as_ref());
    let credential = match stored {
        Some(stored) => Credential::Resumption { slot, resumption: &stored.resumption },
        None => Credential::Code(code),
    };
    let options = InitiatorOptions { can_reattach: *can_reattach, ..Default::default() };
    let initiator = Initiator::new(credential, options).map_err(ReceiveError::from)?;
    let request = ConnectRequest { slot, token: None, pass: stored.map(|stored| stored.pass.clone()) };
    // Flight 1 does not wait for the relay's reply.
    let (send, recv, reply) = send_relay_request(connection, &request, initiator.flight_1()).await?;
    debug!("the relay has replied");
    match initiator.complete(send, recv).await {
        Ok(established) => Ok(Confirmed { established, reply }),
        Err(InitiatorError::WrongCode) if stored.is_some() => Err(OpenSessionError::ResumptionRejected),
        Err(e) => Err(OpenSessionError::Handshake(e)),
    }
}
