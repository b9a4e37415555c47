//! The warning about socket buffers that the system made smaller than a fast line needs.

use crate::{event::Event, net::ClampedBuffers, state::StateDir, text::bytes, transfer::Events};

/// The file that holds the sizes that were warned about last.
const SAID: &str = "socket_buffers";

/// More than this is no file of ours.
const LONGEST_FILE: u64 = 256;

/// The warning, for this system.
pub(super) fn warning(clamped: &ClampedBuffers) -> Event {
    warning_on(std::env::consts::OS, clamped)
}

/// Warns once for each pair of sizes: on most systems they are what they are, and every transfer would say it again.
pub(super) async fn warn_once(state: &StateDir, clamped: Option<ClampedBuffers>, events: &Events) {
    if let Some(clamped) = clamped
        && is_news(state, &clamped)
    {
        events.report(warning(&clamped)).await;
    }
}

/// Whether these sizes were not warned about last time; from now on they were. A state folder that cannot be written is
/// told by those who need it.
fn is_news(state: &StateDir, clamped: &ClampedBuffers) -> bool {
    let sizes = format!("{} {} {}\n", clamped.wanted, clamped.receive, clamped.send).into_bytes();
    let is_known = state.read(SAID, LONGEST_FILE).is_ok_and(|said| said.as_ref() == Some(&sizes));
    if !is_known {
        let _ = state.write(SAID, &sizes);
    }
    !is_known
}

fn warning_on(system: &str, clamped: &ClampedBuffers) -> Event {
    let ClampedBuffers { wanted, receive, send } = *clamped;
    let short: Vec<(&str, &str, usize)> =
        [("receive", "net.core.rmem_max", receive), ("send", "net.core.wmem_max", send)]
            .into_iter()
            .filter(|(_, _, got)| *got < wanted)
            .collect();
    let sizes: Vec<String> = short.iter().map(|(what, _, got)| format!("{what} {}", bytes(*got as u64))).collect();
    let message = format!(
        "the system limits the buffers of UDP sockets ({}, wanted: {}); fast lines will lose packets",
        sizes.join(", "),
        bytes(wanted as u64)
    );
    let hint = match system {
        "linux" | "android" => {
            let limits: Vec<String> = short.iter().map(|(_, limit, _)| format!("{limit}={wanted}")).collect();
            Some(format!("as root: sysctl -w {}", limits.join(" ")))
        }
        // There the limit counts the bookkeeping as well, an eighth on top (`sb_max_adj`).
        "macos" | "freebsd" => Some(format!("as root: sysctl -w kern.ipc.maxsockbuf={}", 2 * wanted)),
        _ => None,
    };
    Event::Warning { kind: "socket_buffer", message, hint }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB_4: usize = 4 << 20;

    fn said(system: &str, receive: usize, send: usize) -> (String, Option<String>) {
        match warning_on(system, &ClampedBuffers { wanted: MIB_4, receive, send }) {
            Event::Warning { kind: "socket_buffer", message, hint } => (message, hint),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_short_is_named_with_the_command_that_mends_it() {
        let (message, hint) = said("linux", 212_992, MIB_4);
        assert_eq!(
            message,
            "the system limits the buffers of UDP sockets (receive 213.0 kB, wanted: 4.2 MB); fast lines will lose \
             packets"
        );
        assert_eq!(hint.unwrap(), "as root: sysctl -w net.core.rmem_max=4194304");
        let (message, hint) = said("linux", 212_992, 1 << 20);
        assert!(message.contains("(receive 213.0 kB, send 1.0 MB, wanted: 4.2 MB)"), "{message}");
        assert_eq!(hint.unwrap(), "as root: sysctl -w net.core.rmem_max=4194304 net.core.wmem_max=4194304");
        assert_eq!(
            said("linux", MIB_4, 9_216).1.unwrap(),
            "as root: sysctl -w net.core.wmem_max=4194304",
            "only what is short"
        );
        assert_eq!(said("macos", 9_216, 9_216).1.unwrap(), "as root: sysctl -w kern.ipc.maxsockbuf=8388608");
        assert_eq!(said("windows", 65_536, 65_536).1, None);
    }

    #[test]
    fn the_same_sizes_are_news_once() {
        let home = tempfile::tempdir().unwrap();
        let state = StateDir::open(home.path()).unwrap();
        let clamped = |receive| ClampedBuffers { wanted: MIB_4, receive, send: MIB_4 };
        assert!(is_news(&state, &clamped(212_992)));
        assert!(!is_news(&state, &clamped(212_992)));
        assert!(is_news(&state, &clamped(425_984)), "other sizes");
        assert!(is_news(&state, &clamped(212_992)), "changed back");
        std::fs::write(state.path(SAID), [b'x'; 300]).unwrap();
        assert!(is_news(&state, &clamped(212_992)), "a file that is not ours");
        assert!(!is_news(&state, &clamped(212_992)), "is replaced");
    }

    #[tokio::test]
    async fn nothing_is_said_of_a_socket_that_got_what_it_asked_for() {
        let home = tempfile::tempdir().unwrap();
        let state = StateDir::open(home.path()).unwrap();
        let (events, mut happened) = Events::channel();
        warn_once(&state, None, &events).await;
        assert!(happened.try_recv().is_err());
        for _ in 0..2 {
            warn_once(&state, Some(ClampedBuffers { wanted: MIB_4, receive: 1, send: 1 }), &events).await;
        }
        assert!(matches!(happened.try_recv(), Ok(Event::Warning { .. })));
        assert!(happened.try_recv().is_err(), "said twice");
    }
}
