//! The command `qshare relay`.

use super::{args::RelayArgs, config, console::Console, signals::interrupt, ticket_key::ticket_key, udp_buffers};
use crate::{
    error::Result,
    event::{Event, StopReason},
    net::{self, RelayIdentity, TransportOptions},
    relay::{self, RelayConfig, SlotJournal},
    state::StateDir,
};

/// Runs a relay until Ctrl-C or SIGTERM.
pub(super) async fn run(args: RelayArgs, console: &mut Console) -> Result<()> {
    let certs = match args.certs {
        Some(dir) => StateDir::open(dir)?,
        None => config::open_state()?.subfolder("relay")?,
    };
    let identity = RelayIdentity::load_or_create(&certs)?;
    let transport = TransportOptions { congestion: args.connection.congestion, send_rate_limit: None };
    let listener = net::listen(args.listen, &identity, transport)?;
    let addr = listener.local_addr().unwrap_or(args.listen);
    let interrupted = interrupt();
    console.show(&Event::RelayListening { addr: addr.to_string(), pin: identity.pin() })?;
    if let Some(clamped) = listener.clamped_buffers() {
        console.show(&udp_buffers::warning(&clamped))?;
    }
    let config = RelayConfig {
        ticket_key: ticket_key(&identity),
        journal: Some(SlotJournal::new(certs)),
        ..RelayConfig::default()
    };
    relay::serve(listener, config, interrupted).await?;
    console.show(&Event::Stopped { reason: StopReason::Interrupted })
}
