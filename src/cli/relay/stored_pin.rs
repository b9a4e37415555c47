//! The pin of a relay that has run on this machine, read from its stored certificate.

use std::path::{Path, PathBuf};

use crate::{
    cli::state_folder,
    code::Pin,
    error::{Error, Kind, Result},
    net::RelayIdentity,
};

/// The certificate of the packaged service, whose unit sets this state folder.
const SERVICE_FOLDER: &str = "/var/lib/qshare/relay";

/// Returns the folder and the pin of a relay: of the one that uses `certs`; otherwise of the user's relay, or of the
/// packaged service.
///
/// # Errors
/// [`Kind::Disk`] if there is no certificate, or it cannot be read.
pub(super) fn find(certs: Option<PathBuf>) -> Result<(PathBuf, Pin)> {
    let (folders, service) = match certs {
        Some(folder) => (vec![folder], None),
        None => {
            let folders = state_folder::all_paths().iter().map(|state| state.join("relay")).collect();
            (folders, Some(Path::new(SERVICE_FOLDER)))
        }
    };
    for folder in &folders {
        if let Some(pin) = RelayIdentity::stored_pin(folder)? {
            return Ok((folder.clone(), pin));
        }
    }
    if let Some(folder) = service {
        let pin = RelayIdentity::stored_pin(folder).map_err(|e| e.hint("run sudo qshare relay --show"))?;
        if let Some(pin) = pin {
            return Ok((folder.to_owned(), pin));
        }
    }
    let searched = folders.first().map(|folder| format!(" in {}", folder.display())).unwrap_or_default();
    Err(Error::new(Kind::Disk, format!("there is no certificate of a relay{searched}"))
        .hint("start the relay once; it then creates its certificate"))
}
