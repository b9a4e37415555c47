//! Meeting relays: connections that check whom they lead to, and remember it.

use super::buffers;
use crate::{
    code::{RelayAddr, RelaySpec},
    event::Event,
    net::{self, Dialer, KnownRelays, Tuning, trust::By},
    state::StateDir,
    transfer::Events,
};

/// What connects to a relay at one of these addresses: it must be whom `spec` and earlier contacts say. Reports what the
/// user should know of a first contact.
pub(super) fn dialer(
    state: &StateDir,
    addresses: Vec<RelayAddr>,
    spec: &RelaySpec,
    tuning: Tuning,
    events: &Events,
) -> Dialer {
    let (state, spec, events) = (state.clone(), spec.clone(), events.clone());
    Dialer::with(move || {
        let (state, addresses, spec, events) = (state.clone(), addresses.clone(), spec.clone(), events.clone());
        async move {
            let known = KnownRelays::new(state.clone());
            let connected = net::connect(&addresses, known.expect(&spec)?, tuning).await?;
            known.remember(&spec.addr, &connected.verified)?;
            if connected.verified.by == By::FirstContact {
                let message =
                    format!("first contact with the relay {}: its pin is {}", spec.addr, connected.verified.pin);
                let hint = Some("it is remembered; compare it with what whoever runs the relay says".to_owned());
                events.report(Event::Warning { kind: "first_contact", message, hint }).await;
            }
            buffers::warn_once(&state, connected.clamped(), &events).await;
            Ok(connected)
        }
    })
}
