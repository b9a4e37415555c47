//! The pins of relays that have run on this machine, read from their stored certificates.

use std::path::{Path, PathBuf};

use crate::{
    cli::state_folder,
    code::Pin,
    error::{Error, Kind, Result},
    net::RelayIdentity,
};

/// The certificate of the packaged service, whose unit sets this state folder.
const SERVICE_FOLDER: &str = "/var/lib/qshare/relay";

/// Returns the folder and the pin of the relay that uses `certs`; otherwise of this user's relay and of the packaged
/// service, as far as they have run.
///
/// # Errors
/// [`Kind::Disk`] if there is no certificate, or it cannot be read.
pub(super) fn find(certs: Option<PathBuf>) -> Result<Vec<(PathBuf, Pin)>> {
    let service = certs.is_none().then(|| Path::new(SERVICE_FOLDER));
    let own = certs.or_else(|| Some(state_folder::path().ok()?.join("relay")));
    let mut found = Vec::new();
    if let Some(folder) = &own
        && let Some(pin) = RelayIdentity::stored_pin(folder)?
    {
        found.push((folder.clone(), pin));
    }
    if let Some(folder) = service.filter(|folder| own.as_deref() != Some(*folder)) {
        match RelayIdentity::stored_pin(folder) {
            Ok(pin) => found.extend(pin.map(|pin| (folder.to_owned(), pin))),
            Err(e) if found.is_empty() => return Err(e.hint("run sudo qshare relay --show")),
            Err(_) => {} // only root can read it
        }
    }
    if found.is_empty() {
        let searched = own.map(|folder| format!(" in {}", folder.display())).unwrap_or_default();
        return Err(Error::new(Kind::Disk, format!("there is no certificate of a relay{searched}"))
            .hint("start the relay once; it then creates its certificate"));
    }
    Ok(found)
}
