//! The command `qshare config`.

use super::{
    args::{ConfigArgs, ConfigCommand, ConfigShowArgs, values::congestion_name},
    console::Console,
    settings::{Setting, Settings},
};
use crate::{
    code::RelaySpec,
    error::Result,
    event::{Event, ShownSetting},
    net::LanReach,
    text,
};

/// Prints the path of the configuration file, or every setting.
pub(super) fn run(args: ConfigArgs, console: &Console) -> Result<()> {
    let file = Settings::path()?;
    let path = file.to_string_lossy().into_owned();
    match args.command {
        ConfigCommand::Path => console.show(Event::ConfigPath { path }),
        ConfigCommand::Show(args) => {
            let exists = file.exists();
            console.show(Event::Config { path, exists, settings: all(args)? });
        }
    }
    Ok(())
}

fn all(args: ConfigShowArgs) -> Result<Vec<ShownSetting>> {
    let settings = Settings::read()?;
    let rate = |limit: Option<_>| limit.map_or_else(|| "unlimited".to_owned(), rate_text);
    Ok(vec![
        shown("relay", settings.relay(args.relay)?, relay_text),
        shown("out", settings.out(args.out)?, |out| {
            out.map_or_else(|| "the current folder".to_owned(), |out| out.to_string_lossy().into_owned())
        }),
        shown("limit-up", settings.limit_up(args.limit_up)?, rate),
        shown("limit-down", settings.limit_down(args.limit_down)?, rate),
        shown("lan", settings.lan(&args.lan)?, lan_text),
        shown("congestion", settings.congestion(args.connection.congestion)?, |c| congestion_name(c).to_owned()),
    ])
}

fn shown<T>(name: &'static str, setting: Setting<T>, text: impl FnOnce(T) -> String) -> ShownSetting {
    let Setting { value, origin } = setting;
    ShownSetting { name, value: text(value), origin: origin.word(), source: origin.to_string() }
}

fn relay_text(relay: Option<RelaySpec>) -> String {
    match relay {
        Some(RelaySpec { addr, pin: Some(pin) }) => format!("{addr}#{pin}"),
        Some(RelaySpec { addr, pin: None }) => addr.to_string(),
        None => "none".to_owned(),
    }
}

fn rate_text(limit: std::num::NonZeroU64) -> String {
    format!("{}/s", text::bytes(limit.get()))
}

fn lan_text(reach: Option<LanReach>) -> String {
    match reach {
        Some(LanReach::Multicast) => "on".to_owned(),
        Some(LanReach::Only(addr)) => addr.to_string(),
        None => "off".to_owned(),
    }
}
