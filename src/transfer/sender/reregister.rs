//! Registers a share again after its connection to the relay was lost.

use std::ops::ControlFlow;

use super::{registration::Registration, share::Share};
use crate::{
    code::Code,
    crypto::ShareKey,
    error::Error,
    event::Event,
    net::{ConnectionLost, Dialer, RelayConnection},
    transfer::{
        backoff::{LastConnection, RetriedWork, RetryDriver, Urgency},
        user_errors::explain_stream_error,
    },
    wire::relay::RegisterRequest,
};

/// Takes the code, the share key and the ticket of a new registration, and returns the events to report.
pub type OnRegistered = Box<dyn Fn(&Code, &ShareKey, &[u8]) -> Vec<Event> + Send + Sync>;

/// How a share registers again after a lost connection.
pub struct ReregisterConfig {
    /// Connects to the relay.
    pub dialer: Dialer,
    /// The access token of the relay, if it requires one.
    pub token: Option<Vec<u8>>,
    /// Called after each new registration. The code differs from the previous one if the relay has assigned another
    /// slot.
    pub on_registered: OnRegistered,
}

/// The registration under which receivers find the share.
pub(super) struct ActiveRegistration {
    pub(super) registration: Registration,
    /// The connection of the registration, if the share has opened it after an outage. Dropping it closes its socket.
    pub(super) connection: Option<RelayConnection>,
}

/// Reconnects and registers until the share has a slot again.
pub(super) async fn reregister(
    share: &Share,
    config: &ReregisterConfig,
    retry: &mut RetryDriver,
    ticket: Vec<u8>,
    lost: ConnectionLost,
) -> ActiveRegistration {
    let mut reregistration = Reregistration { share, config, ticket };
    retry.set_urgency(reregistration.urgency());
    retry.begin_outage(LastConnection::MadeNoProgress).await;
    retry.run(explain_stream_error(&lost.into()), &mut reregistration).await
}

struct Reregistration<'a> {
    share: &'a Share,
    config: &'a ReregisterConfig,
    /// The ticket of the lost registration; empty if the relay issues no tickets.
    ticket: Vec<u8>,
}

impl RetriedWork for Reregistration<'_> {
    type Output = ActiveRegistration;

    fn urgency(&self) -> Urgency {
        if self.share.sessions().is_empty() { Urgency::Idle } else { Urgency::Busy }
    }

    async fn attempt(&mut self, driver: &mut RetryDriver) -> ControlFlow<ActiveRegistration, Error> {
        let connection = driver.connect(&self.config.dialer, || self.urgency()).await;
        let ticket = Some(self.ticket.clone()).filter(|ticket| !ticket.is_empty());
        let request = RegisterRequest { token: self.config.token.clone(), ticket };
        let registration = match Registration::try_request(&connection.connection, &request).await {
            Ok(registration) => registration,
            Err(e) => {
                driver.delay_next(e.limit_wait().unwrap_or_default());
                return ControlFlow::Continue(e.into());
            }
        };
        self.share.adopt_slot(registration.slot());
        driver.note_success();
        let credentials = self.share.credentials();
        for event in (self.config.on_registered)(&credentials.code, &credentials.key, registration.ticket()) {
            self.share.events().report(event);
        }
        ControlFlow::Break(ActiveRegistration { registration, connection: Some(connection) })
    }
}
