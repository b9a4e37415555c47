//! The state folder of this user.

use std::{env, path::PathBuf};

use etcetera::BaseStrategy;

use crate::{
    error::{Error, Kind, Result},
    event::Event,
    state::StateAccess,
};

/// Opens the state folder as far as the system allows it: `$XDG_STATE_HOME/qshare`, usually `~/.local/state/qshare`.
///
/// # Errors
/// [`Kind::Disk`] if others could have changed its content.
pub(super) fn open() -> Result<StateAccess> {
    match path() {
        Ok(path) => StateAccess::open(path),
        Err(e) => Ok(StateAccess::unavailable(e)),
    }
}

/// Returns the warning about a state folder that cannot be used, if it cannot.
pub(super) fn warning(state: &StateAccess) -> Option<Event> {
    let e = state.problem()?;
    Some(Event::Warning {
        kind: "state",
        message: format!("{e}; continuing without stored state"),
        hint: Some(HINT.to_owned()),
    })
}

/// What to do about a state folder that cannot be used.
pub(super) const HINT: &str = "set XDG_STATE_HOME to a folder that you can write to";

/// Returns the path of the state folder. `XDG_STATE_HOME` suffices for a service, which may have no home folder.
///
/// # Errors
/// [`Kind::Disk`] if there is no home folder.
pub(super) fn path() -> Result<PathBuf> {
    let named = env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let states = match named {
        Some(states) => states,
        None => base_dirs().map(|base| base.state_dir().unwrap_or_else(|| base.data_dir()))?,
    };
    Ok(states.join("qshare"))
}

/// Returns the folders in which this tool keeps its state, now or with another environment. They may not exist.
pub(super) fn all_paths() -> Vec<PathBuf> {
    let default = env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state/qshare"));
    path().into_iter().chain(default).collect()
}

/// Returns the base folders of this user.
///
/// # Errors
/// [`Kind::Disk`] if there is no home folder.
pub(super) fn base_dirs() -> Result<impl BaseStrategy> {
    let no_home = || Error::new(Kind::Disk, "there is no home folder").hint("set HOME to a folder that exists");
    let base = etcetera::choose_base_strategy().map_err(|_| no_home())?;
    // An empty HOME would lead to the current folder.
    if base.home_dir().is_absolute() { Ok(base) } else { Err(no_home()) }
}
