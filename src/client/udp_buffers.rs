//! The warning about UDP socket buffers that the system made smaller than a fast connection needs.

use std::env::consts::OS;

use crate::{
    event::{Event, Events},
    net::ClampedBuffers,
    state::StateDir,
    text::bytes,
};

/// The file that stores the sizes of the last warning.
const WARNED_FILE: &str = "socket_buffers";

/// The size limit of that file in bytes.
const MAX_FILE: u64 = 256;

/// Returns the warning for this system.
pub(crate) fn warning(clamped: &ClampedBuffers) -> Event {
    warning_on(OS, clamped)
}

/// Warns once for each combination of sizes. On most systems the sizes never change, and every transfer would repeat
/// the warning.
pub(crate) fn warn_once(state: Option<&StateDir>, clamped: Option<ClampedBuffers>, events: &Events) {
    if let Some(clamped) = clamped
        && state.is_none_or(|state| record_if_new(state, &clamped))
    {
        events.report(warning(&clamped));
    }
}

/// Records these sizes, and returns whether they differ from the recorded ones. A state folder that cannot be written
/// is reported by the code that depends on it.
fn record_if_new(state: &StateDir, clamped: &ClampedBuffers) -> bool {
    let sizes = format!("{} {} {}\n", clamped.wanted, clamped.receive, clamped.send).into_bytes();
    let is_known = state.read(WARNED_FILE, MAX_FILE).is_ok_and(|recorded| recorded.as_ref() == Some(&sizes));
    if !is_known {
        let _ = state.write(WARNED_FILE, &sizes); // on failure the warning is repeated next time
    }
    !is_known
}

fn warning_on(system: &str, clamped: &ClampedBuffers) -> Event {
    let ClampedBuffers { wanted, receive, send } = *clamped;
    let short: Vec<(&str, &str, usize)> =
        [("receive", "net.core.rmem_max", receive), ("send", "net.core.wmem_max", send)]
            .into_iter()
            .filter(|(_, _, size)| *size < wanted)
            .collect();
    let sizes: Vec<String> = short.iter().map(|(name, _, size)| format!("{name} {}", bytes(*size as u64))).collect();
    let message = format!(
        "the system limits UDP socket buffers to less than {} ({}); fast connections may lose packets",
        bytes(wanted as u64),
        sizes.join(", "),
    );
    let hint = match system {
        "linux" | "android" => {
            let limits: Vec<String> = short.iter().map(|(_, limit, _)| format!("{limit}={wanted}")).collect();
            Some(format!("run as root: sysctl -w {}", limits.join(" ")))
        }
        // On these systems the limit includes the kernel's bookkeeping, an eighth of the size (`sb_max_adj`).
        "macos" | "freebsd" => Some(format!("run as root: sysctl -w kern.ipc.maxsockbuf={}", 2 * wanted)),
        _ => None,
    };
    Event::Warning { kind: "socket_buffer", message, hint }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB_4: usize = 4 << 20;

    fn warned(system: &str, receive: usize, send: usize) -> (String, Option<String>) {
        match warning_on(system, &ClampedBuffers { wanted: MIB_4, receive, send }) {
            Event::Warning { kind: "socket_buffer", message, hint } => (message, hint),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_warning_names_the_short_buffers_and_the_command_that_enlarges_them() {
        let (message, hint) = warned("linux", 212_992, MIB_4);
        assert_eq!(
            message,
            "the system limits UDP socket buffers to less than 4.2 MB (receive 213.0 kB); fast connections may lose \
             packets"
        );
        assert_eq!(hint.unwrap(), "run as root: sysctl -w net.core.rmem_max=4194304");
        let (message, hint) = warned("linux", 212_992, 1 << 20);
        assert!(message.contains("4.2 MB (receive 213.0 kB, send 1.0 MB);"), "{message}");
        assert_eq!(hint.unwrap(), "run as root: sysctl -w net.core.rmem_max=4194304 net.core.wmem_max=4194304");
        assert_eq!(
            warned("linux", MIB_4, 9_216).1.unwrap(),
            "run as root: sysctl -w net.core.wmem_max=4194304",
            "only the short one"
        );
        assert_eq!(warned("macos", 9_216, 9_216).1.unwrap(), "run as root: sysctl -w kern.ipc.maxsockbuf=8388608");
        assert_eq!(warned("windows", 65_536, 65_536).1, None);
    }

    #[test]
    fn the_same_sizes_are_new_once() {
        let home = tempfile::tempdir().unwrap();
        let state = StateDir::open(home.path()).unwrap();
        let clamped = |receive| ClampedBuffers { wanted: MIB_4, receive, send: MIB_4 };
        assert!(record_if_new(&state, &clamped(212_992)));
        assert!(!record_if_new(&state, &clamped(212_992)));
        assert!(record_if_new(&state, &clamped(425_984)), "other sizes");
        assert!(record_if_new(&state, &clamped(212_992)), "changed back");
        std::fs::write(state.path(WARNED_FILE), [b'x'; 300]).unwrap();
        assert!(record_if_new(&state, &clamped(212_992)), "another program's file");
        assert!(!record_if_new(&state, &clamped(212_992)), "it was replaced");
    }

    #[tokio::test]
    async fn only_clamped_buffers_are_warned_about() {
        let home = tempfile::tempdir().unwrap();
        let state = StateDir::open(home.path()).unwrap();
        let (events, mut received) = Events::channel();
        warn_once(Some(&state), None, &events);
        assert!(received.try_recv().is_none());
        for _ in 0..2 {
            warn_once(Some(&state), Some(ClampedBuffers { wanted: MIB_4, receive: 1, send: 1 }), &events);
        }
        assert!(matches!(received.try_recv(), Some(Event::Warning { .. })));
        assert!(received.try_recv().is_none(), "warned twice");
    }
}
