//! The configuration file, the state folder, and the relay and the networks that a command uses.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use etcetera::BaseStrategy;
use serde::Deserialize;

use super::args::LanArgs;
use crate::{
    code::{RelayChoice, RelaySpec},
    error::{Error, Kind, Result},
    event::Event,
    net::LanReach,
    state::StateAccess,
    text::visible,
};

/// The content of `config.toml`. Unknown keys are an error: a typo must not silently select the default.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigFile {
    /// The default relay, as `HOST[:PORT][#PIN]`.
    relay: Option<String>,
    /// Whether the local network is used.
    lan: Option<bool>,
}

/// Opens the state folder as far as the system allows it: `$XDG_STATE_HOME/qshare`, usually `~/.local/state/qshare`.
///
/// # Errors
/// [`Kind::Disk`] if others could have changed its content.
pub(super) fn open_state() -> Result<StateAccess> {
    match state_folder() {
        Ok(path) => StateAccess::open(path),
        Err(e) => Ok(StateAccess::unavailable(e)),
    }
}

/// Returns the warning about a state folder that cannot be used, if it cannot.
pub(super) fn state_warning(state: &StateAccess) -> Option<Event> {
    let e = state.problem()?;
    Some(Event::Warning {
        kind: "state",
        message: format!("{e}; continuing without stored state"),
        hint: Some("set XDG_STATE_HOME to a folder that you can write to".to_owned()),
    })
}

fn state_folder() -> Result<PathBuf> {
    let base = base_dirs()?;
    Ok(base.state_dir().unwrap_or_else(|| base.data_dir()).join("qshare"))
}

/// Returns the folders in which this tool keeps its state, now or with another environment. They may not exist.
pub(super) fn state_folders() -> Vec<PathBuf> {
    let default = env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state/qshare"));
    state_folder().into_iter().chain(default).collect()
}

/// Returns the relay to use: `choice`, from the command line or `QSHARE_RELAY`, otherwise the relay in the configuration
/// file.
pub(super) fn resolve_relay(choice: Option<RelayChoice>) -> Result<Option<RelaySpec>> {
    match choice {
        Some(RelayChoice::Relay(spec)) => return Ok(Some(spec)),
        Some(RelayChoice::None) => return Ok(None),
        None => {}
    }
    let Some((path, ConfigFile { relay: Some(relay), .. })) = read_config()? else { return Ok(None) };
    match relay.parse() {
        Ok(RelayChoice::Relay(spec)) => Ok(Some(spec)),
        Ok(RelayChoice::None) => Ok(None),
        Err(e) => Err(config_error(&path, Error::message(&e))),
    }
}

/// Returns how to use the local network; `None` if it is switched off: by an option, otherwise by `QSHARE_LAN`, otherwise
/// by the configuration file. `QSHARE_LAN` is `on`, `off`, or the address to which all questions go.
pub(super) fn lan_reach(args: &LanArgs) -> Result<Option<LanReach>> {
    if args.no_lan {
        return Ok(None);
    }
    match env::var("QSHARE_LAN").as_deref() {
        Ok("off") => return Ok(None),
        Ok("on") => return Ok(Some(LanReach::Multicast)),
        Ok(addr) if !addr.is_empty() => {
            let addr = addr.parse().map_err(|_| {
                Error::new(Kind::Usage, format!("QSHARE_LAN is “{}”", visible(addr)))
                    .hint("set it to on, to off, or to an address such as 192.0.2.7:5353")
            })?;
            return Ok(Some(LanReach::Only(addr)));
        }
        _ => {}
    }
    let is_on = read_config()?.is_none_or(|(_, config)| config.lan != Some(false));
    Ok(is_on.then_some(LanReach::Multicast))
}

/// Reads the configuration file, if there is one.
fn read_config() -> Result<Option<(PathBuf, ConfigFile)>> {
    let Ok(path) = config_file() else { return Ok(None) }; // without a home folder there is no file
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        // As another user, for example. A file that exists and cannot be read is an error.
        Err(_) if fs::symlink_metadata(&path).is_err() => return Ok(None),
        Err(e) => return Err(config_error(&path, &e.to_string())),
    };
    let config = toml::from_str(&text).map_err(|e| config_error(&path, e.message()))?;
    Ok(Some((path, config)))
}

/// Returns the path of the configuration file: `$XDG_CONFIG_HOME/qshare/config.toml`.
fn config_file() -> Result<PathBuf> {
    Ok(base_dirs()?.config_dir().join("qshare").join("config.toml"))
}

fn base_dirs() -> Result<impl BaseStrategy> {
    let no_home = || Error::new(Kind::Disk, "there is no home folder").hint("set HOME to a folder that exists");
    let base = etcetera::choose_base_strategy().map_err(|_| no_home())?;
    // An empty HOME would lead to the current folder.
    if base.home_dir().is_absolute() { Ok(base) } else { Err(no_home()) }
}

fn config_error(path: &Path, reason: &str) -> Error {
    Error::new(Kind::Usage, format!("{}: {reason}", path.display()))
        .hint("the settings are relay = \"HOST:PORT#PIN\" and lan = true or false")
}
