//! The form of paths in the share store: absolute, and percent-encoded to preserve all bytes.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf, absolute},
};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

use crate::error::{Error, Kind, Result};

/// Characters that are percent-encoded.
const ENCODED: AsciiSet = NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_');

/// Encodes a path. It is made absolute, and links in it are followed.
///
/// # Errors
/// [`Kind::Usage`] if it cannot be made absolute.
pub(super) fn encode_path(path: &Path) -> Result<String> {
    let absolute = fs::canonicalize(path)
        .or_else(|_| absolute(path))
        .map_err(|e| Error::new(Kind::Usage, format!("cannot find {}: {e}", path.display())))?;
    Ok(percent_encode(absolute.as_os_str().as_encoded_bytes(), &ENCODED).to_string())
}

/// Decodes a path of [`encode_path`].
pub(super) fn decode_path(text: &str) -> PathBuf {
    let bytes: Vec<u8> = percent_decode_str(text).collect();
    #[cfg(unix)]
    return <OsString as std::os::unix::ffi::OsStringExt>::from_vec(bytes).into();
    #[cfg(not(unix))]
    OsString::from(String::from_utf8_lossy(&bytes).into_owned()).into()
}

/// Returns the absolute forms of a path: with links followed, and without.
pub(super) fn equivalent_paths(path: &str) -> impl Iterator<Item = PathBuf> {
    [fs::canonicalize(path), absolute(path)].into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn any_path_survives_encoding() {
        use std::os::unix::ffi::OsStringExt;
        for bytes in [&b"/a b/%41/\xff\n"[..], b"/plain", "/ä".as_bytes()] {
            let path = PathBuf::from(OsString::from_vec(bytes.to_vec()));
            assert_eq!(decode_path(&encode_path(&path).unwrap()), path);
        }
    }
}
