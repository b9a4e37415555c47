//! `qshare relay`.

use super::{args::RelayArgs, buffers, config, console::Console, signals::interrupt};
use crate::{
    error::Result,
    event::{Event, StopReason},
    net::{self, Identity, Tuning},
    relay::{self, Config, Journal, Tickets},
    state::StateDir,
};

/// Runs a relay until Ctrl-C or SIGTERM.
pub(super) async fn run(args: RelayArgs, console: &mut Console) -> Result<()> {
    let certs = match args.certs {
        Some(dir) => StateDir::open(dir)?,
        None => config::state()?.folder("relay")?,
    };
    let identity = Identity::load_or_create(&certs)?;
    let tuning = Tuning { congestion: args.line.congestion, limit_up: None };
    let listener = net::listen(args.listen, &identity, tuning)?;
    let addr = listener.local_addr().unwrap_or(args.listen);
    let interrupted = interrupt();
    console.show(&Event::RelayListening { addr: addr.to_string(), pin: identity.pin() })?;
    if let Some(clamped) = listener.clamped() {
        console.show(&buffers::warning(&clamped))?;
    }
    let config = Config { tickets: tickets(&identity), journal: Some(Journal::new(certs)), ..Config::default() };
    relay::serve(listener, config, interrupted).await?;
    console.show(&Event::Stopped { reason: StopReason::Interrupted })
}

/// The tickets of a relay that keeps its identity.
pub(super) fn tickets(identity: &Identity) -> Tickets {
    Tickets::new(identity.derive("qshare relay 2026 tickets"))
}
