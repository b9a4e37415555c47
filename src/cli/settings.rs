//! The settings that a user can choose with an option, a variable or the configuration file, in this order.

mod config_file;

use std::{
    env, fmt,
    num::NonZeroU64,
    path::{Path, PathBuf},
};

use self::config_file::ConfigFile;
use super::{
    args::{LanArgs, values},
    state_folder::base_dirs,
};
use crate::{
    code::{RelayChoice, RelaySpec},
    error::{Error, Kind, Result},
    net::{CongestionControl, LanReach},
    text::visible,
};

/// The variable that names the relay.
const RELAY_VARIABLE: &str = "QSHARE_RELAY";

/// The variable that switches the local network on or off.
const LAN_VARIABLE: &str = "QSHARE_LAN";

/// The relay that the packager of this build has chosen: `QSHARE_DEFAULT_RELAY` when it was compiled.
const BUILD_RELAY: Option<&str> = option_env!("QSHARE_DEFAULT_RELAY");

/// The value of a setting, and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting<T> {
    pub(super) value: T,
    pub(super) origin: Origin,
}

/// Where the value of a setting comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// This option.
    Flag(&'static str),
    /// This environment variable.
    Variable(&'static str),
    /// The configuration file.
    File(PathBuf),
    /// The packager of this build.
    Build,
    /// Nobody has chosen a value.
    Default,
}

impl Origin {
    /// Returns the word for scripts.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Flag(_) => "flag",
            Self::Variable(_) => "variable",
            Self::File(_) => "file",
            Self::Build => "build",
            Self::Default => "default",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) | Self::Variable(name) => f.write_str(name),
            Self::File(path) => f.write_str(&path.to_string_lossy()),
            Self::Build => f.write_str("chosen by the packager"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// The settings of this user.
#[derive(Debug)]
pub(super) struct Settings(ConfigFile);

impl Settings {
    /// Reads the configuration file.
    ///
    /// # Errors
    /// [`Kind::Usage`] if it cannot be read, is not TOML, or has an unknown setting.
    pub(super) fn read() -> Result<Self> {
        ConfigFile::read().map(Self)
    }

    /// Returns the path of the configuration file. It may not exist.
    ///
    /// # Errors
    /// [`Kind::Disk`] if there is no home folder.
    pub(super) fn path() -> Result<PathBuf> {
        ConfigFile::default_path()
    }

    /// Returns the relay, if any. `given` comes from the option or from `QSHARE_RELAY`.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a value that names no relay.
    pub(super) fn relay(&self, given: Option<RelayChoice>) -> Result<Setting<Option<RelaySpec>>> {
        let setting = match (given, &self.0.relay, BUILD_RELAY.filter(|relay| !relay.is_empty())) {
            (Some(choice), ..) => {
                let variable = env::var(RELAY_VARIABLE).ok().and_then(|text| text.parse::<RelayChoice>().ok());
                let is_variable = variable.is_some_and(|variable| variable == choice);
                let origin = if is_variable { Origin::Variable(RELAY_VARIABLE) } else { Origin::Flag("--relay") };
                Setting { value: choice, origin }
            }
            (None, Some(text), _) => self.checked("relay", text.parse::<RelayChoice>())?,
            (None, None, Some(text)) => Setting { value: text.parse::<RelayChoice>()?, origin: Origin::Build },
            (None, None, None) => Setting { value: RelayChoice::None, origin: Origin::Default },
        };
        Ok(setting.map(|choice| match choice {
            RelayChoice::Relay(spec) => Some(spec),
            RelayChoice::None => None,
        }))
    }

    /// Returns how to use the local network; `None` if it is switched off. `QSHARE_LAN` is `on`, `off`, or the address
    /// to which all questions go.
    ///
    /// # Errors
    /// [`Kind::Usage`] for another value of `QSHARE_LAN`.
    pub(super) fn lan(&self, args: &LanArgs) -> Result<Setting<Option<LanReach>>> {
        if args.no_lan {
            return Ok(Setting { value: None, origin: Origin::Flag("--no-lan") });
        }
        let from_variable = |value| Ok(Setting { value, origin: Origin::Variable(LAN_VARIABLE) });
        match env::var(LAN_VARIABLE).as_deref() {
            Ok("off") => return from_variable(None),
            Ok("on") => return from_variable(Some(LanReach::Multicast)),
            Ok(addr) if !addr.is_empty() => {
                let addr = addr.parse().map_err(|_| {
                    Error::new(Kind::Usage, format!("{LAN_VARIABLE} is “{}”", visible(addr)))
                        .hint("set it to on, to off, or to an address such as 192.0.2.7:5353")
                })?;
                return from_variable(Some(LanReach::Only(addr)));
            }
            _ => {}
        }
        let is_on = self.plain(self.0.lan, true);
        Ok(is_on.map(|is_on| is_on.then_some(LanReach::Multicast)))
    }

    /// Returns the folder or file for downloads; `None` for the current folder.
    ///
    /// # Errors
    /// [`Kind::Usage`] if the folder in the configuration file is not absolute.
    pub(super) fn out(&self, given: Option<PathBuf>) -> Result<Setting<Option<PathBuf>>> {
        if given.is_some() {
            return Ok(Setting { value: given, origin: Origin::Flag("--out") });
        }
        let out = self.0.out.as_deref().map(absolute_folder).transpose();
        let out = out.map_err(|e| self.0.invalid_value("out", &e))?;
        Ok(self.plain(out.map(Some), None))
    }

    /// Returns the rate limit of a sender in bytes per second.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a value that is no rate.
    pub(super) fn limit_up(&self, given: Option<NonZeroU64>) -> Result<Setting<Option<NonZeroU64>>> {
        self.rate("limit-up", "--limit-up", self.0.limit_up.as_deref(), given)
    }

    /// Returns the rate limit of a receiver in bytes per second.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a value that is no rate.
    pub(super) fn limit_down(&self, given: Option<NonZeroU64>) -> Result<Setting<Option<NonZeroU64>>> {
        self.rate("limit-down", "--limit-down", self.0.limit_down.as_deref(), given)
    }

    /// Returns the congestion control.
    ///
    /// # Errors
    /// [`Kind::Usage`] for an unknown name.
    pub(super) fn congestion(&self, given: Option<CongestionControl>) -> Result<Setting<CongestionControl>> {
        match (given, &self.0.congestion) {
            (Some(value), _) => Ok(Setting { value, origin: Origin::Flag("--congestion") }),
            (None, Some(name)) => self.checked("congestion", values::congestion_control_of(name)),
            (None, None) => Ok(Setting { value: CongestionControl::default(), origin: Origin::Default }),
        }
    }

    fn rate(
        &self,
        name: &'static str,
        flag: &'static str,
        text: Option<&str>,
        given: Option<NonZeroU64>,
    ) -> Result<Setting<Option<NonZeroU64>>> {
        match (given, text) {
            (Some(_), _) => Ok(Setting { value: given, origin: Origin::Flag(flag) }),
            (None, Some(text)) => Ok(self.checked(name, values::rate(text))?.map(Some)),
            (None, None) => Ok(Setting { value: None, origin: Origin::Default }),
        }
    }

    /// Returns a setting of the file that needs no check, or its default.
    fn plain<T>(&self, value: Option<T>, default: T) -> Setting<T> {
        match value {
            Some(value) => Setting { value, origin: Origin::File(self.0.path().to_owned()) },
            None => Setting { value: default, origin: Origin::Default },
        }
    }

    /// Returns a setting of the file whose value has been checked.
    fn checked<T>(&self, name: &str, value: Result<T>) -> Result<Setting<T>> {
        let value = value.map_err(|e| self.0.invalid_value(name, &e))?;
        Ok(Setting { value, origin: Origin::File(self.0.path().to_owned()) })
    }
}

impl<T> Setting<T> {
    fn map<U>(self, f: impl FnOnce(T) -> U) -> Setting<U> {
        Setting { value: f(self.value), origin: self.origin }
    }
}

/// Returns an absolute folder. `~/` stands for the home folder.
fn absolute_folder(path: &Path) -> Result<PathBuf> {
    if let Ok(below) = path.strip_prefix("~") {
        return Ok(etcetera::BaseStrategy::home_dir(&base_dirs()?).join(below));
    }
    if path.is_absolute() {
        return Ok(path.to_owned());
    }
    Err(Error::new(Kind::Usage, "the path is not absolute").hint("write it as /home/ann/Downloads or ~/Downloads"))
}
