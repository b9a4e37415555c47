//! The command `qshare relay`.

mod stored_pin;

use std::{net::SocketAddr, path::Path, sync::Arc};

use super::{args::RelayArgs, console::Console, service_manager, settings::Settings, signals, state_folder};
use crate::{
    client::{RelayServer, reachable_addresses, udp_buffers},
    error::{Error, Kind, Result},
    event::{Event, StopReason},
    net::TransportOptions,
    relay::{MemoryBudget, OnWarning, RelayConfig},
    state::StateDir,
};

/// Runs a relay until Ctrl-C or SIGTERM, or shows how to use those that are stored here. A closed terminal does not end
/// a relay.
pub(super) async fn run(args: RelayArgs, console: &Console) -> Result<()> {
    if args.show {
        for (folder, pin) in stored_pin::find(args.certs)? {
            let (folder, addr) = (folder.to_string_lossy().into_owned(), args.listen.to_string());
            console.show(Event::StoredRelay { folder, addr, addresses: shown_addresses(args.listen), pin });
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
    let congestion = Settings::read()?.congestion(args.connection.congestion)?.value;
    let transport = TransportOptions { congestion, ..TransportOptions::default() };
    let events = console.events();
    let on_warning: OnWarning = Arc::new(move |warning| events.report(warning));
    let config = RelayConfig {
        memory: MemoryBudget::new(args.memory),
        limits,
        limit_loopback: args.limit_loopback,
        on_warning: Some(on_warning),
        ..RelayConfig::default()
    };
    let server = RelayServer::listen(args.listen, certs, transport, config)?;
    signals::ignore_hangup();
    let interrupted = signals::interrupt();
    console.show(Event::RelayListening {
        addr: server.addr().to_string(),
        addresses: shown_addresses(server.addr()),
        pin: server.pin(),
    });
    service_manager::notify_ready();
    if let Some(warning) = state_warning {
        console.show(warning);
    }
    if let Some(clamped) = server.clamped_buffers() {
        console.show(udp_buffers::warning(&clamped));
    }
    server.serve(interrupted).await?;
    console.show(Event::Stopped { reason: StopReason::Interrupted });
    Ok(())
}

fn shown_addresses(addr: SocketAddr) -> Vec<String> {
    reachable_addresses(addr).iter().map(ToString::to_string).collect()
}

/// A folder that is missing by mistake must not become a new identity, which clients would refuse.
fn missing_certs(dir: &Path) -> Error {
    Error::new(Kind::Usage, format!("{} is not a folder", dir.display()))
        .hint("create the folder first; the relay then creates its certificate there")
}
