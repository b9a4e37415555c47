//! The command `qshare relay`.

mod stored_pin;

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::Arc,
};

use super::{
    args::RelayArgs, console::Console, service_manager, settings::Settings, signals, state_folder,
    ticket_key::ticket_key, udp_buffers,
};
use crate::{
    code::RelayAddr,
    error::{Error, Kind, Result},
    event::{Event, StopReason},
    net::{self, RelayIdentity, TransportOptions},
    relay::{self, MemoryBudget, OnWarning, RelayConfig, SlotJournal},
    state::StateDir,
};

/// Runs a relay until Ctrl-C or SIGTERM, or shows how to use those that are stored here. A closed terminal does not end
/// a relay.
pub(super) async fn run(args: RelayArgs, console: &Console) -> Result<()> {
    if args.show {
        for (folder, pin) in stored_pin::find(args.certs)? {
            let (folder, addr) = (folder.to_string_lossy().into_owned(), args.listen.to_string());
            console.show(Event::StoredRelay { folder, addr, addresses: reachable_addresses(args.listen), pin });
        }
        return Ok(());
    }
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
    let addresses = reachable_addresses(addr);
    console.show(Event::RelayListening { addr: addr.to_string(), addresses, pin: identity.pin() });
    service_manager::notify_ready();
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

/// Returns the addresses under which other machines can reach a relay that listens on `addr`.
fn reachable_addresses(addr: SocketAddr) -> Vec<String> {
    let is_served = |ip: &IpAddr| addr.is_ipv6() || ip.is_ipv4(); // a relay on `[::]` has both versions
    let addresses = if addr.ip().is_unspecified() { net::local_addresses() } else { vec![addr.ip()] };
    let addresses = addresses.into_iter().filter(is_served);
    addresses.map(|ip| RelayAddr::from(SocketAddr::new(ip, addr.port())).to_string()).collect()
}

/// A folder that is missing by mistake must not become a new identity, which clients would refuse.
fn missing_certs(dir: &Path) -> Error {
    Error::new(Kind::Usage, format!("{} is not a folder", dir.display()))
        .hint("create the folder first; the relay then creates its certificate there")
}
