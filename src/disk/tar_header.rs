//! The headers of a tar stream.

use std::io;

use tar::{Builder, EntryType, Header};

use crate::manifest::{Entry, EntryKind};

/// The length of a block of a tar stream in bytes.
pub(super) const BLOCK: usize = 512;

/// The end of a tar stream: two blocks of zeros.
pub(super) const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// Returns the headers of an entry in the format of GNU tar, which stores names and targets of any length.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] for a file whose size is unknown, and for a path that tar cannot store.
pub(super) fn headers_of(entry: &Entry) -> io::Result<Vec<u8>> {
    let mut header = Header::new_gnu();
    header.set_mode(entry.mode);
    header.set_mtime(entry.mtime.map_or(0, |mtime| mtime.seconds.max(0).unsigned_abs()));
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(0);
    let path = entry.path.as_str();
    let mut headers = Builder::new(Vec::new());
    match &entry.kind {
        EntryKind::File { size, .. } => {
            header.set_entry_type(EntryType::Regular);
            header.set_size(size.ok_or(io::ErrorKind::InvalidInput)?);
            headers.append_data(&mut header, path, io::empty())?;
        }
        EntryKind::Folder => {
            header.set_entry_type(EntryType::Directory);
            headers.append_data(&mut header, format!("{path}/"), io::empty())?;
        }
        EntryKind::Link { target } => {
            header.set_entry_type(EntryType::Symlink);
            // `append_link` would change a target such as `./a//b`.
            match header.set_link_name_literal(target) {
                Ok(()) => headers.append_data(&mut header, path, io::empty())?,
                Err(_) => headers.append_link(&mut header, path, target)?, // too long for the header
            }
        }
    }
    Ok(headers.get_ref().clone())
}

/// Returns the zeros that follow content of `length` bytes.
pub(super) fn padding_after(length: u64) -> &'static [u8] {
    const ZEROS: [u8; BLOCK] = [0; BLOCK];
    let used = (length % BLOCK as u64) as usize;
    if used == 0 { &[] } else { &ZEROS[used..] }
}
