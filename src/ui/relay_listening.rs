//! The first lines of a relay: its address, its pin, and how to use it.

use super::{appearance::Appearance, lines::Lines, phrase::INDENT};
use crate::code::Pin;

/// Renders the address, the pin and the command for senders. A script gets `ADDR#PIN`. `addresses` are those under which
/// other machines can reach the relay.
pub(super) fn relay_listening(addr: &str, addresses: &[String], pin: &Pin, look: &Appearance) -> Lines {
    let mut lines = Lines::default();
    let plain = format!("{addr}#{pin}\n");
    if look.quiet {
        lines.out(plain);
        return lines;
    }
    let text = format!("Relay listening on {addr} (UDP)\nPin: {pin}\n\n{}\n", usage(addr, addresses, pin));
    if look.out_terminal {
        lines.out(text);
    } else {
        lines.out(plain);
        lines.err(text);
    }
    lines
}

fn usage(addr: &str, addresses: &[String], pin: &Pin) -> String {
    let Some((first, others)) = addresses.split_first() else {
        let port = addr.rsplit_once(':').map_or("", |(_, port)| port);
        return format!(
            "This machine has no network. To share through the relay from this machine:\n\
             {INDENT}qshare send --relay localhost:{port}#{pin} PATH\n"
        );
    };
    let mut text = format!("To share through it:\n{INDENT}qshare send --relay {first}#{pin} PATH\n");
    if !others.is_empty() {
        text.push_str(&format!("Other addresses of this machine:\n{INDENT}{}\n", others.join(&format!("\n{INDENT}"))));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::lines::OutputStream;

    #[test]
    fn a_relay_shows_how_to_use_it() {
        let pin = Pin::new([0; 32]);
        let addresses = ["192.0.2.7:4433".to_owned(), "[2001:db8::7]:4433".to_owned()];
        let shown = relay_listening("[::]:4433", &addresses, &pin, &Appearance::terminal());
        assert_eq!(
            shown.text_for(OutputStream::Out),
            format!(
                "Relay listening on [::]:4433 (UDP)\nPin: {pin}\n\nTo share through it:\n  \
                 qshare send --relay 192.0.2.7:4433#{pin} PATH\nOther addresses of this machine:\n  \
                 [2001:db8::7]:4433\n\n"
            )
        );
        let offline = relay_listening("[::]:4433", &[], &pin, &Appearance::terminal()).all();
        assert!(offline.contains(&format!("\n  qshare send --relay localhost:4433#{pin} PATH\n")), "{offline}");
        let quiet = relay_listening("[::]:4433", &[], &pin, &Appearance { quiet: true, ..Appearance::terminal() });
        assert_eq!(quiet.all(), format!("[::]:4433#{pin}\n"));
    }
}
