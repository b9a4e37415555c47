//! The limit on the files and sockets that this process may have open.

/// The number of open files that the process asks for: macOS allows no more (`OPEN_MAX`).
#[cfg(unix)]
const WANTED: u64 = 10_240;

/// Raises the soft limit, which many systems set to 256 or 1,024, as far as the hard limit allows. A failure has no
/// consequence before the limit is reached.
#[cfg(unix)]
pub(super) fn raise_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(WANTED, |maximum| maximum.min(WANTED));
    if limit.current.is_some_and(|current| current < wanted) {
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..limit });
    }
}

#[cfg(not(unix))]
pub(super) fn raise_limit() {}
