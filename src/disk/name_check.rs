//! Checks that the target's file system can hold the names of a share.

use super::{
    case_collision::{NameFolding, find_collision},
    errors::disk_error,
    target::Target,
};
use crate::{
    error::{Error, Kind, Result},
    manifest::{Manifest, windows_restriction},
};

/// Checks each name, and that no two names collide.
///
/// # Errors
/// [`Kind::Disk`], with the name, if Windows does not allow it or it collides with another name.
pub(super) fn check_names(manifest: &Manifest, target: &Target) -> Result<()> {
    if cfg!(windows)
        && let Some((path, why)) = manifest.rows().find_map(|row| Some((row.path(), windows_restriction(row.name())?)))
    {
        return Err(unusable(format!("Windows cannot store “{path}”: {why}")));
    }
    if find_collision(manifest, NameFolding::ALL).is_none() {
        return Ok(()); // no file system treats two of these names as equal
    }
    let folding = NameFolding::probe(target.existing_folder());
    let folding = folding.map_err(|e| disk_error("write to", target.printable(), &e))?;
    check_collisions(manifest, folding, &target.printable())
}

/// Checks that no two names are equal on a file system with this folding. `folder` is the printable path of a folder on
/// that file system.
///
/// # Errors
/// [`Kind::Disk`], with both names.
pub(super) fn check_collisions(manifest: &Manifest, folding: NameFolding, folder: &str) -> Result<()> {
    match find_collision(manifest, folding) {
        Some((one, other)) => {
            Err(unusable(format!("“{one}” and “{other}” are the same name on the file system of {folder}")))
        }
        None => Ok(()),
    }
}

fn unusable(message: String) -> Error {
    Error::new(Kind::Disk, message).hint("use --out DIR to save to another file system, or ask the sender to rename it")
}
