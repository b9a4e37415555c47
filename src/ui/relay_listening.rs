//! The first lines of a relay: its address, its pin, and how to use it.

use super::{appearance::Appearance, lines::Lines, phrase::INDENT};
use crate::code::Pin;

/// Renders the address, the pin and the command for senders. A script gets `ADDR#PIN`.
pub(super) fn relay_listening(addr: &str, pin: &Pin, look: &Appearance) -> Lines {
    let mut lines = Lines::default();
    let plain = format!("{addr}#{pin}\n");
    if look.quiet {
        lines.out(plain);
        return lines;
    }
    let port = addr.rsplit_once(':').map_or("", |(_, port)| port);
    let text = format!(
        "Relay listening on {addr} (UDP)\nPin: {pin}\n\n\
         To share through it (HOST is this machine):\n\
         {INDENT}qshare send --relay HOST:{port}#{pin} PATH\n\n"
    );
    if look.out_terminal {
        lines.out(text);
    } else {
        lines.out(plain);
        lines.err(text);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::lines::OutputStream;

    #[test]
    fn a_relay_shows_how_to_use_it() {
        let pin = Pin::new([0; 32]);
        let text = relay_listening("[::]:4433", &pin, &Appearance::terminal()).text_for(OutputStream::Out);
        assert!(text.starts_with("Relay listening on [::]:4433 (UDP)\nPin: AAA"), "{text}");
        assert!(text.contains(&format!("\n  qshare send --relay HOST:4433#{pin} PATH\n")), "{text}");
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
        let quiet = relay_listening("[::]:4433", &pin, &Appearance { quiet: true, ..Appearance::terminal() });
        assert_eq!(quiet.all(), format!("[::]:4433#{pin}\n"));
    }
}
