//! The command `qshare relay`.

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::Arc,
};

use super::{
    args::RelayArgs, console::Console, settings::Settings, signals, state_folder, ticket_key::ticket_key, udp_buffers,
};
use crate::{
    code::{Pin, RelayAddr},
    error::{Error, Kind, Result},
    event::{Event, StopReason},
    net::{self, RelayIdentity, TransportOptions},
    relay::{self, MemoryBudget, OnWarning, RelayConfig, SlotJournal},
    state::StateDir,
};

/// Runs a relay until Ctrl-C or SIGTERM. A closed terminal does not end it.
pub(super) async fn run(args: RelayArgs, console: &Console) -> Result<()> {
    let limits = args.limits().unwrap_or_default(); // `--limit help` has been handled
    let (certs, state_warning) = match args.certs {
        Some(dir) if dir.is_dir() => (Some(StateDir::open(dir)?), None),
        Some(dir) => return Err(missing_certs(&dir)),
        None => {
            let state = state_folder::open()?;
            (state.writable().map(|state| state.subfolder("relay")).transpose()?, state_folder::warning(&state))
        }
    };
    let identity = match &certs {
        Some(certs) => RelayIdentity::load_or_create(certs)?,
        None => RelayIdentity::temporary()?,
    };
    let congestion = Settings::read()?.congestion(args.connection.congestion)?.value;
    let transport = TransportOptions { congestion, ..TransportOptions::default() };
    let listener = net::listen(args.listen, &identity, transport)?;
    let addr = listener.local_addr().unwrap_or(args.listen);
    signals::ignore_hangup();
    let interrupted = signals::interrupt();
    console.show(listening(addr, identity.pin()));
    if let Some(warning) = state_warning {
        console.show(warning);
    }
    if let Some(clamped) = listener.clamped_buffers() {
        console.show(udp_buffers::warning(&clamped));
    }
    let events = console.events();
    let on_warning: OnWarning = Arc::new(move |warning| events.report(warning));
    let config = RelayConfig {
        ticket_key: ticket_key(&identity),
        journal: certs.map(SlotJournal::new),
        memory: MemoryBudget::new(args.memory),
        limits,
        limit_loopback: args.limit_loopback,
        on_warning: Some(on_warning),
        ..RelayConfig::default()
    };
    relay::serve(listener, None, config, interrupted).await?;
    console.show(Event::Stopped { reason: StopReason::Interrupted });
    Ok(())
}

/// Returns the event with the addresses under which other machines can reach the relay.
fn listening(addr: SocketAddr, pin: Pin) -> Event {
    let reachable = |ip: &IpAddr| addr.is_ipv6() || ip.is_ipv4(); // a relay on `[::]` has both versions
    let addresses = if addr.ip().is_unspecified() { net::local_addresses() } else { vec![addr.ip()] };
    let addresses = addresses.into_iter().filter(reachable);
    let addresses = addresses.map(|ip| RelayAddr::from(SocketAddr::new(ip, addr.port())).to_string()).collect();
    Event::RelayListening { addr: addr.to_string(), addresses, pin }
}

/// A folder that is missing by mistake must not become a new identity, which clients would refuse.
fn missing_certs(dir: &Path) -> Error {
    Error::new(Kind::Usage, format!("{} is not a folder", dir.display()))
        .hint("create the folder first; the relay then creates its certificate there")
}
