//! The command `qshare send`.

mod left_out;
mod shared_input;

use std::{pin::pin, sync::Arc};

use self::shared_input::SharedInput;
use super::{args::SendArgs, console::Console, settings::Settings, shared_paths, signals::interrupt, state_folder};
use crate::{
    blocking::run_blocking,
    client::{
        CodePlan, CodeWishes, HeldShare, OpenShare, ShareRequest, ShareStore, report_left_out_paths, warn_of_left_out,
    },
    code::RelaySpec,
    error::{Error, Kind, Result},
    event::Events,
    net::{ClientRole, TransportOptions},
    rate_limiter::RateLimiter,
    state::StateAccess,
    transfer::{ScanOptions, ShareSettings, Source},
};

/// Shares until the share ends or is interrupted.
pub(super) async fn run(args: SendArgs, console: &Console) -> Result<()> {
    let events = console.events();
    // One future for all steps, so that a signal between two steps is not lost.
    let mut interrupted = pin!(interrupt());
    let opened = async {
        let input = SharedInput::of(&args, console).await?;
        let settings = Settings::read()?;
        let scanned = ScannedShare::scan(&args, input, &settings).await?;
        if !args.skip_unsendable {
            left_out::confirm(&scanned.source, console).await?;
        }
        report_left_out_paths(&scanned.source, &events).await;
        warn_of_left_out(&scanned.source, left_out::max_listed(console), &events);
        OpenShare::open(scanned.into_request(&args, &settings, &events)?, &events).await
    };
    let opened = tokio::select! {
        opened = opened => opened?,
        () = interrupted.as_mut() => {
            return Err(Error::new(Kind::Interrupted, "interrupted; nothing was shared"));
        }
    };
    opened.serve(events, interrupted).await
}

/// A share that is scanned and not registered at a relay yet.
struct ScannedShare {
    state: StateAccess,
    configured: Option<RelaySpec>,
    held: HeldShare,
    plan: CodePlan,
    source: Source,
}

impl ScannedShare {
    async fn scan(args: &SendArgs, input: SharedInput, settings: &Settings) -> Result<Self> {
        shared_paths::check(&args.paths)?;
        let state = state_folder::open()?;
        let configured = settings.relay(args.relay.clone())?.value;
        let paths = match input {
            SharedInput::Files => &args.paths[..],
            SharedInput::Pipe(_) | SharedInput::Text(_) => &[],
        };
        let mut held = ShareStore::hold(state.writable(), paths, configured.as_ref(), args.keep)?;
        let wishes = CodeWishes {
            length: args.code_length,
            new_code: args.new_code,
            lifetime: args.keep.max(args.expire.unwrap_or_default()),
        };
        let plan = CodePlan::new(&wishes, &mut held);
        let (paths, name, share) = (args.paths.clone(), args.name.clone(), held.share());
        let source = match input.into_source(name.as_deref(), share) {
            Some(source) => source?,
            None => {
                let options = scan_options(args);
                run_blocking(move || Source::scan(&paths, name.as_deref(), share, options)).await?
            }
        };
        held.set_name(source.manifest().name());
        Ok(Self { state, configured, held, plan, source })
    }

    fn into_request(self, args: &SendArgs, settings: &Settings, events: &Events) -> Result<ShareRequest> {
        let Self { state, configured, held, plan, source } = self;
        if let Some(warning) = state_folder::warning(&state) {
            events.report(warning);
        }
        let transport = TransportOptions {
            congestion: settings.congestion(args.connection.congestion)?.value,
            send_limiter: settings.limit_up(args.limit_up)?.value.map(|rate| Arc::new(RateLimiter::new(rate))),
            role: ClientRole::Sender,
        };
        let lan = settings.lan(&args.lan)?.value;
        let settings = ShareSettings {
            max_downloads: if args.once { Some(1) } else { args.max_downloads },
            expire: args.expire,
            compression: args.compress,
            key: None,
        };
        Ok(ShareRequest { state, relay: configured, lan, transport, held, code: plan, source, settings })
    }
}

fn scan_options(args: &SendArgs) -> ScanOptions {
    ScanOptions {
        own_folders: state_folder::all_paths(),
        exclude: args.exclude.clone(),
        gitignore: args.gitignore,
        links: args.links,
    }
}
