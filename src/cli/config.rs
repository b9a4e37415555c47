//! The configuration file, the state folder, and the relay that a command uses.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use etcetera::BaseStrategy;
use serde::Deserialize;

use crate::{
    code::{RelayChoice, RelaySpec},
    error::{Error, Kind, Result},
    state::StateDir,
};

/// The content of `config.toml`. Unknown keys are an error: a typo must not silently select the default.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigFile {
    /// The default relay, as `HOST[:PORT][#PIN]`.
    relay: Option<String>,
}

/// Opens the state folder: `$XDG_STATE_HOME/qshare`, usually `~/.local/state/qshare`.
pub(super) fn open_state() -> Result<StateDir> {
    let base = base_dirs()?;
    StateDir::open(base.state_dir().unwrap_or_else(|| base.data_dir()).join("qshare"))
}

/// Returns the relay to use: `choice`, from the command line or `QSHARE_RELAY`, otherwise the relay in the configuration
/// file.
pub(super) fn resolve_relay(choice: Option<RelayChoice>) -> Result<Option<RelaySpec>> {
    match choice {
        Some(RelayChoice::Relay(spec)) => return Ok(Some(spec)),
        Some(RelayChoice::None) => return Ok(None),
        None => {}
    }
    let path = config_file()?;
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(config_error(&path, &e.to_string())),
    };
    let config: ConfigFile = toml::from_str(&text).map_err(|e| config_error(&path, e.message()))?;
    match config.relay {
        Some(relay) => match relay.parse() {
            Ok(RelayChoice::Relay(spec)) => Ok(Some(spec)),
            Ok(RelayChoice::None) => Ok(None),
            Err(e) => Err(config_error(&path, Error::message(&e))),
        },
        None => Ok(None),
    }
}

/// Returns the path of the configuration file: `$XDG_CONFIG_HOME/qshare/config.toml`.
fn config_file() -> Result<PathBuf> {
    Ok(base_dirs()?.config_dir().join("qshare").join("config.toml"))
}

fn base_dirs() -> Result<impl BaseStrategy> {
    etcetera::choose_base_strategy().map_err(|e| {
        Error::new(Kind::Disk, format!("cannot find the home folder: {e}")).hint("set HOME to a folder that exists")
    })
}

fn config_error(path: &Path, reason: &str) -> Error {
    Error::new(Kind::Usage, format!("{}: {reason}", path.display()))
        .hint("the only setting is relay = \"HOST:PORT#PIN\"")
}
