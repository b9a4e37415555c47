//! Where things are: the state folder, the configuration file, and the relay that they name.

use std::{fs, io, path::PathBuf};

use etcetera::BaseStrategy;
use serde::Deserialize;

use crate::{
    code::RelaySpec,
    error::{Error, Kind, Result},
    state::StateDir,
};

/// `config.toml`. Unknown keys are an error: a typo must not silently mean the default.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigFile {
    /// The relay to use where none is named: `HOST[:PORT][#PIN]`.
    relay: Option<String>,
}

fn base() -> Result<impl BaseStrategy> {
    etcetera::choose_base_strategy().map_err(|e| {
        Error::new(Kind::Disk, format!("this user has no home folder: {e}")).hint("set HOME to a folder that exists")
    })
}

/// The state folder: `$XDG_STATE_HOME/qshare`, mostly `~/.local/state/qshare`.
pub(super) fn state() -> Result<StateDir> {
    let base = base()?;
    StateDir::open(base.state_dir().unwrap_or_else(|| base.data_dir()).join("qshare"))
}

/// Where the configuration is: `$XDG_CONFIG_HOME/qshare/config.toml`.
fn config_file() -> Result<PathBuf> {
    Ok(base()?.config_dir().join("qshare").join("config.toml"))
}

/// The relay to use: the one named (on the command line or by `QSHARE_RELAY`), else that of the configuration.
pub(super) fn relay(named: Option<RelaySpec>) -> Result<Option<RelaySpec>> {
    if named.is_some() {
        return Ok(named);
    }
    let path = config_file()?;
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(bad_config(&path, &e.to_string())),
    };
    let config: ConfigFile = toml::from_str(&text).map_err(|e| bad_config(&path, e.message()))?;
    match config.relay {
        Some(relay) => relay.parse().map(Some).map_err(|e: Error| bad_config(&path, e.message())),
        None => Ok(None),
    }
}

fn bad_config(path: &std::path::Path, what: &str) -> Error {
    Error::new(Kind::Usage, format!("{}: {what}", path.display()))
        .hint("it may have one line: relay = \"HOST:PORT#PIN\"")
}
