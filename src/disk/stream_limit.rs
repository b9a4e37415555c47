//! The bound on a file whose size is known only at its end.

use std::io;

use cap_std::fs::Dir;

use super::free_space::FreeSpace;
use crate::{
    error::{Error, Kind, Result},
    text::bytes,
};

/// The maximum number of bytes that such a file leaves free on its disk.
const MAX_RESERVE: u64 = 1 << 30;

/// Bounds a file whose length the sender does not announce.
#[derive(Debug)]
pub(super) struct StreamLimit {
    dir: Dir,
    /// The limit that the user has set.
    max_size: Option<u64>,
    /// The bytes that stay free: a tenth of the free space, at most [`MAX_RESERVE`].
    reserve: u64,
}

impl StreamLimit {
    /// Creates the limit of a file on the disk of `dir`.
    ///
    /// # Errors
    /// Any I/O error when the handle is cloned.
    pub(super) fn new(dir: &Dir, max_size: Option<u64>) -> io::Result<Self> {
        let reserve = FreeSpace::of(dir).bytes.map_or(0, |free| (free / 10).min(MAX_RESERVE));
        Ok(Self { dir: dir.try_clone()?, max_size, reserve })
    }

    /// Checks that `more` bytes may be appended to the file, which has `length` bytes.
    ///
    /// # Errors
    /// [`Kind::Disk`] if the file would exceed the user's limit or the free space.
    pub(super) fn check(&self, length: u64, more: u64) -> Result<()> {
        match self.max_size {
            Some(max) if length.saturating_add(more) > max => return Err(too_large(None, max)),
            _ => {}
        }
        match FreeSpace::of(&self.dir).bytes {
            Some(free) if free < self.reserve.saturating_add(more) => {
                let message =
                    format!("the disk is almost full: {} were received, {} are free", bytes(length), bytes(free));
                Err(Error::new(Kind::Disk, message).hint("free up space, or use --out DIR to save to another disk"))
            }
            _ => Ok(()),
        }
    }
}

/// Returns the error for a share that exceeds the user's limit. `size` is its size, if known.
pub(super) fn too_large(size: Option<u64>, max: u64) -> Error {
    let message = match size {
        Some(size) => format!("the share has {}, more than --max-size {}", bytes(size), bytes(max)),
        None => format!("the share is larger than --max-size {}", bytes(max)),
    };
    Error::new(Kind::Disk, message).hint("nothing was saved; pass a larger --max-size to download it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_bounded_by_the_users_limit_and_by_the_free_space() {
        let home = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(home.path(), cap_std::ambient_authority()).unwrap();
        let limited = StreamLimit::new(&dir, Some(10)).unwrap();
        limited.check(5, 5).unwrap();
        let refused = limited.check(5, 6).unwrap_err();
        assert_eq!(refused.kind(), Kind::Disk);
        assert!(refused.message().contains("--max-size"), "{refused}");
        let unlimited = StreamLimit::new(&dir, None).unwrap();
        unlimited.check(1 << 40, 1).unwrap();
        if let Some(free) = FreeSpace::of(&dir).bytes {
            assert!(unlimited.reserve > 0 && unlimited.reserve < free);
            let refused = unlimited.check(0, free).unwrap_err();
            assert_eq!(refused.kind(), Kind::Disk);
            assert!(refused.message().contains("almost full"), "{refused}");
        }
    }
}
