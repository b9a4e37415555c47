//! The command `qshare doctor`: it checks what works from here, and says what to do about the rest.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::{Instant, timeout};

use super::{
    args::DoctorArgs,
    console::{CommandEnd, Console},
    settings::{Setting, Settings},
    state_folder,
};
use crate::{
    client::{NamedBy, relay_dialer, udp_buffers},
    code::RelaySpec,
    error::{Error, Result},
    event::{Check, CheckStatus, Event, Events},
    net::{self, ClientRole, LanReach, LanSearch, TransportOptions},
    state::StateAccess,
    text::count,
    transfer::seen_address,
};

/// How long the search for other senders on the local network lasts.
const LAN_SEARCH: Duration = Duration::from_millis(800);

/// No correct clock is before this time (2026-01-01), in seconds since 1970.
const EARLIEST_TIME: u64 = 1_767_225_600;

/// The exit code if something works less well than it could.
const LESS_WELL: u8 = 1;

/// The exit code if the relay cannot be reached.
const NO_RELAY: u8 = 5;

/// Makes all checks, and reports each one when it is done.
pub(super) async fn run(args: DoctorArgs, console: &Console) -> Result<CommandEnd> {
    let settings = Settings::read()?;
    let (relay, lan) = (settings.relay(args.relay)?, settings.lan(&args.lan)?);
    let state = state_folder::open()?;
    let events = console.events();
    let mut worst = 0;
    let mut report = |check: Check| {
        worst = worst.max(match check.status {
            CheckStatus::Ok => 0,
            CheckStatus::Warning => LESS_WELL,
            CheckStatus::Failed => NO_RELAY,
        });
        events.report(Event::Check(check));
    };
    report(check_configuration());
    report(check_state(&state));
    report(check_clock());
    report(check_buffers());
    report(check_lan(&lan).await);
    report(check_relay(&relay, &state, &events).await);
    Ok(CommandEnd::Diagnosed { exit_code: worst })
}

fn ok(name: &'static str, detail: impl Into<String>) -> Check {
    Check { name, status: CheckStatus::Ok, detail: detail.into(), cost: None, hint: None }
}

fn warning(name: &'static str, detail: impl Into<String>, cost: &str, hint: impl Into<String>) -> Check {
    let (cost, hint) = (Some(cost.to_owned()), Some(hint.into()));
    Check { name, status: CheckStatus::Warning, detail: detail.into(), cost, hint }
}

/// The file has been read without an error by now.
fn check_configuration() -> Check {
    let detail = match Settings::path() {
        Ok(path) if path.exists() => path.to_string_lossy().into_owned(),
        Ok(path) => format!("none ({})", path.to_string_lossy()),
        Err(e) => format!("none ({e})"),
    };
    ok("configuration", detail)
}

fn check_state(state: &StateAccess) -> Check {
    match state.problem() {
        None => ok("state folder", state_folder::path().map_or_else(|_| String::new(), |p| p.display().to_string())),
        Some(e) => warning(
            "state folder",
            e.message(),
            "interrupted shares get another code, and pins of relays are forgotten",
            state_folder::HINT,
        ),
    }
}

fn check_clock() -> Check {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    if now >= EARLIEST_TIME {
        return ok("clock", "plausible");
    }
    warning(
        "clock",
        "the clock of this machine is wrong: it is before 2026",
        "certificates of relays are not valid yet, and shares expire at the wrong time",
        "set the clock, for example with timedatectl set-ntp true",
    )
}

fn check_buffers() -> Check {
    match net::udp_buffers() {
        Ok(None) => ok("UDP buffers", "large enough"),
        Ok(Some(clamped)) => match udp_buffers::warning(&clamped) {
            Event::Warning { message, hint, .. } => {
                warning("UDP buffers", message, "fast downloads are slower", hint.unwrap_or_default())
            }
            _ => ok("UDP buffers", "large enough"),
        },
        Err(e) => failed_locally("UDP buffers", &e),
    }
}

/// Returns the check of a socket that cannot be opened.
fn failed_locally(name: &'static str, e: &Error) -> Check {
    let hint = e.hint_text().unwrap_or("check the firewall and the limits of this system").to_owned();
    let cost = Some("no transfer works".to_owned());
    Check { name, status: CheckStatus::Failed, detail: e.message().to_owned(), cost, hint: Some(hint) }
}

async fn check_lan(lan: &Setting<Option<LanReach>>) -> Check {
    let Some(reach) = lan.value else {
        return ok("local network", format!("switched off ({})", lan.origin));
    };
    let mut search = LanSearch::start(reach);
    let mut senders = 0;
    let counting = async {
        loop {
            search.next().await;
            senders += 1;
        }
    };
    let _: Result<(), _> = timeout(LAN_SEARCH, counting).await; // it never ends by itself
    match search.asked_networks() {
        0 => warning(
            "local network",
            "this machine has no network with multicast",
            "a bare code works on this machine only",
            "connect to a network; or use the sender's link, or a relay",
        ),
        networks => {
            let networks = count(networks as u64, "network");
            ok("local network", format!("{networks} asked by multicast; {} answered", count(senders, "sender")))
        }
    }
}

async fn check_relay(relay: &Setting<Option<RelaySpec>>, state: &StateAccess, events: &Events) -> Check {
    let Some(spec) = &relay.value else {
        return ok("relay", "none is configured; shares work on this machine and the local network");
    };
    let transport = TransportOptions { role: ClientRole::Receiver, ..TransportOptions::default() };
    let dialer = relay_dialer(state, vec![spec.addr.clone()], (spec, NamedBy::User), transport, events);
    let asking = async {
        let connected = dialer.dial().await?;
        let started = Instant::now();
        let seen = seen_address(&connected.connection).await?;
        let took = started.elapsed();
        connected.close().await;
        Ok::<_, Error>((seen, took))
    };
    match asking.await {
        Ok((seen, took)) => {
            let millis = took.as_secs_f64() * 1_000.0;
            ok("relay", format!("{} answers in {millis:.0} ms, and sees {seen}", spec.addr))
        }
        Err(e) => Check {
            name: "relay",
            status: CheckStatus::Failed,
            detail: e.message().to_owned(),
            cost: Some("nothing can be sent or received through it".to_owned()),
            hint: e.hint_text().map(str::to_owned),
        },
    }
}
