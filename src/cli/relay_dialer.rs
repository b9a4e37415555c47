//! Meeting relays: connections that check whom they lead to, and remember it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::{sleep, timeout};

use super::udp_buffers;
use crate::{
    code::{RelayAddr, RelaySpec},
    error::Error,
    event::Event,
    net::{self, Dialer, KnownRelays, TransportOptions, TrustPolicy, VerifiedBy},
    state::StateDir,
    transfer::{Events, Registration},
};

/// A relay that has not answered by then is worth a word, the first time.
const SLOW: Duration = Duration::from_millis(1_500);

/// Tells the relay of a kept share that this has ended, so that its receivers do not wait for it. Only a relay that is known
/// is told, and only one that answers soon.
pub(super) async fn give_back(state: &StateDir, spec: RelaySpec, ticket: Vec<u8>) {
    const SOON: Duration = Duration::from_secs(2);
    let expect = KnownRelays::new(state.clone()).trust_policy(&spec);
    let Some(expect) = expect.ok().filter(|expect| *expect != TrustPolicy::FirstContact) else { return };
    let giving = async {
        let connected = net::connect(std::slice::from_ref(&spec.addr), expect, TransportOptions::default()).await?;
        Registration::request(connected.connection.clone(), None, Some(ticket)).await?.release().await;
        connected.close().await;
        Ok::<_, Error>(())
    };
    let _ = timeout(SOON, giving).await; // it is forgotten here in any case
}

/// What connects to a relay at one of these addresses: it must be whom `spec` and earlier contacts say. Reports what the
/// user should know of a first contact.
pub(super) fn dialer(
    state: &StateDir,
    addresses: Vec<RelayAddr>,
    spec: &RelaySpec,
    transport: TransportOptions,
    events: &Events,
) -> Dialer {
    let (state, spec, events) = (state.clone(), spec.clone(), events.clone());
    let is_first = Arc::new(AtomicBool::new(true));
    Dialer::from_fn(move || {
        let (state, addresses, spec, events) = (state.clone(), addresses.clone(), spec.clone(), events.clone());
        let is_first = is_first.swap(false, Ordering::Relaxed);
        async move {
            let known = KnownRelays::new(state.clone());
            let expect = known.trust_policy(&spec)?;
            let slow = async {
                sleep(if is_first { SLOW } else { Duration::MAX }).await;
                events.report(Event::Connecting { relay: spec.addr.to_string() }).await;
                std::future::pending().await
            };
            let connected = tokio::select! {
                connected = net::connect(&addresses, expect, transport) => connected?,
                never = slow => never,
            };
            known.remember(&spec.addr, &connected.verified)?;
            if connected.verified.by == VerifiedBy::FirstContact {
                let message =
                    format!("first contact with the relay {}: its pin is {}", spec.addr, connected.verified.pin);
                let hint = Some("it is remembered; compare it with what whoever runs the relay says".to_owned());
                events.report(Event::Warning { kind: "first_contact", message, hint }).await;
            }
            udp_buffers::warn_once(&state, connected.clamped_buffers(), &events).await;
            Ok(connected)
        }
    })
}
