//! `qshare relay`.

use super::{args::RelayArgs, buffers, config, console::Console, signals::interrupt};
use crate::{
    error::Result,
    event::{Event, StopReason},
    net::{self, Identity, Tuning},
    relay::{self, Config},
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
    relay::serve(listener, Config::default(), interrupted).await;
    console.show(&Event::Stopped { reason: StopReason::Interrupted })
}
