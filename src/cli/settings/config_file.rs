//! The configuration file.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use etcetera::BaseStrategy as _;
use serde::Deserialize;

use crate::{
    cli::state_folder::base_dirs,
    error::{Error, Kind, Result},
    text::visible,
};

/// The names of all settings, in the order in which they are shown.
pub(super) const NAMES: [&str; 6] = ["relay", "out", "limit-up", "limit-down", "lan", "congestion"];

/// How similar an unknown name must be to a setting to be taken for it, from 0 to 1.
const MIN_SIMILARITY: f64 = 0.7;

/// The content of the configuration file. Its values are checked when they are used.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct ConfigFile {
    #[serde(skip)]
    path: PathBuf,
    pub(super) relay: Option<String>,
    pub(super) out: Option<PathBuf>,
    pub(super) limit_up: Option<String>,
    pub(super) limit_down: Option<String>,
    pub(super) lan: Option<bool>,
    pub(super) congestion: Option<String>,
}

impl ConfigFile {
    /// Returns the path of the file: `$XDG_CONFIG_HOME/qshare/config.toml`. It may not exist.
    ///
    /// # Errors
    /// [`Kind::Disk`] if there is no home folder.
    pub(super) fn default_path() -> Result<PathBuf> {
        Ok(base_dirs()?.config_dir().join("qshare").join("config.toml"))
    }

    /// Reads the file. Without one, no setting has a value.
    ///
    /// # Errors
    /// [`Kind::Usage`] if it cannot be read, is not TOML, or has an unknown setting: a typo must not silently select
    /// the default.
    pub(super) fn read() -> Result<Self> {
        let Ok(path) = Self::default_path() else { return Ok(Self::default()) };
        match fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text, path),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            // As another user, for example. A file that exists and cannot be read is an error.
            Err(_) if fs::symlink_metadata(&path).is_err() => Ok(Self::default()),
            Err(e) => Err(invalid(&path, &e.to_string())),
        }
    }

    fn parse(text: &str, path: PathBuf) -> Result<Self> {
        let table: toml::Table = text.parse().map_err(|e: toml::de::Error| invalid(&path, e.message()))?;
        if let Some(unknown) = table.keys().find(|key| !NAMES.contains(&key.as_str())) {
            return Err(unknown_setting(&path, unknown));
        }
        let file = table.try_into::<Self>().map_err(|e| invalid(&path, e.message()))?;
        Ok(Self { path, ..file })
    }

    /// Returns the path of the file that was read.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the error for the value of a setting.
    pub(super) fn invalid_value(&self, name: &str, e: &Error) -> Error {
        let error = invalid(&self.path, &format!("{name}: {}", e.message()));
        match e.hint_text() {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

fn invalid(path: &Path, reason: &str) -> Error {
    Error::new(Kind::Usage, format!("{}: {reason}", visible(&path.to_string_lossy())))
        .hint(format!("the settings are {}; see qshare config --help", NAMES.join(", ")))
}

fn unknown_setting(path: &Path, name: &str) -> Error {
    let error = invalid(path, &format!("unknown setting “{}”", visible(name)));
    let similarity = |known: &&str| strsim::jaro_winkler(&name.to_lowercase().replace('_', "-"), known);
    let nearest = NAMES.into_iter().max_by(|a, b| similarity(a).total_cmp(&similarity(b)));
    match nearest.filter(|name| similarity(name) >= MIN_SIMILARITY) {
        Some(nearest) => error.hint(format!("did you mean {nearest}?")),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ConfigFile> {
        ConfigFile::parse(text, "/home/ann/config.toml".into())
    }

    #[test]
    fn all_settings_are_read() {
        let file = parse(
            "relay = \"a\"\nout = \"/b\"\nlimit-up = \"1MB\"\nlimit-down = \"2MB\"\nlan = false\ncongestion = \"bbr\"",
        );
        let ConfigFile { relay, out, limit_up, limit_down, lan, congestion, .. } = file.unwrap();
        assert_eq!((relay.as_deref(), out.as_deref()), (Some("a"), Some(Path::new("/b"))));
        assert_eq!((limit_up.as_deref(), limit_down.as_deref()), (Some("1MB"), Some("2MB")));
        assert_eq!((lan, congestion.as_deref()), (Some(false), Some("bbr")));
        assert!(parse("").unwrap().relay.is_none());
    }

    #[test]
    fn an_unknown_setting_is_an_error_with_the_nearest_name() {
        for (text, nearest) in [
            ("realy = 1", "did you mean relay?"),
            ("limit_up = 1", "did you mean limit-up?"),
            ("Lan = true", "did you mean lan?"),
            ("xyz = 1", "the settings are relay, out,"),
        ] {
            let e = parse(text).unwrap_err();
            assert!(e.message().starts_with("/home/ann/config.toml: unknown setting “"), "{e}");
            assert!(e.hint_text().unwrap().contains(nearest), "{text}: {:?}", e.hint_text());
        }
    }

    #[test]
    fn a_value_of_another_type_is_an_error() {
        for text in ["lan = \"no\"", "relay = 5", "relay"] {
            assert_eq!(parse(text).unwrap_err().kind(), Kind::Usage, "{text}");
        }
    }
}
