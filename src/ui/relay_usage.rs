//! How to use a relay: its pin, the command for senders, and the line for the configuration file.

use super::{
    appearance::Appearance,
    lines::Lines,
    phrase::{INDENT, visible_whole},
};
use crate::code::Pin;

/// Renders a relay that listens on `addr`. A script gets `ADDR#PIN`. `addresses` are those under which other machines
/// can reach the relay.
pub(super) fn relay_listening(addr: &str, addresses: &[String], pin: &Pin, look: &Appearance) -> Lines {
    let mut lines = Lines::default();
    let plain = format!("{addr}#{pin}\n");
    if look.quiet {
        lines.out(plain);
        return lines;
    }
    let text = format!("Relay listening on {addr} (UDP)\n{}\n", usage(addr, addresses, pin));
    if look.out_terminal {
        lines.out(text);
    } else {
        lines.out(plain);
        lines.err(text);
    }
    lines
}

/// Renders a relay whose certificate is in `folder` and that listens on `addr` when it runs. With `quiet`, there is
/// only `ADDRESS#PIN` for each address.
pub(super) fn stored_relay(folder: &str, addr: &str, addresses: &[String], pin: &Pin, quiet: bool) -> String {
    if quiet && addresses.is_empty() {
        return format!("{addr}#{pin}\n");
    }
    if quiet {
        return addresses.iter().map(|address| format!("{address}#{pin}\n")).collect();
    }
    format!("Relay with its key in {}\n{}\n", visible_whole(folder), usage(addr, addresses, pin))
}

/// Returns the pin, a command for each address, and the line of the configuration file for the best address.
fn usage(addr: &str, addresses: &[String], pin: &Pin) -> String {
    let port = addr.rsplit_once(':').map_or("", |(_, port)| port);
    let localhost = [format!("localhost:{port}")];
    let (heading, addresses) = match addresses {
        [] => ("This machine has no network. To share through the relay from this machine:", &localhost[..]),
        [_] => ("To share through it:", addresses),
        _ => ("To share through it, by one of the addresses of this machine:", addresses),
    };
    let commands: String =
        addresses.iter().map(|address| format!("{INDENT}qshare send --relay {address}#{pin} PATH\n")).collect();
    format!(
        "Pin: {pin}\n\n{heading}\n{commands}\nTo share by code alone, in ~/.config/qshare/config.toml at both ends:\n\
         {INDENT}relay = \"{}#{pin}\"\n",
        addresses[0]
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::lines::OutputStream;

    const CONFIG: &str = "To share by code alone, in ~/.config/qshare/config.toml at both ends:";

    #[test]
    fn a_relay_shows_how_to_use_it() {
        let pin = Pin::new([0; 32]);
        let addresses = ["192.0.2.7:4433".to_owned(), "[2001:db8::7]:4433".to_owned()];
        let usage = format!(
            "Pin: {pin}\n\nTo share through it, by one of the addresses of this machine:\n  \
             qshare send --relay 192.0.2.7:4433#{pin} PATH\n  \
             qshare send --relay [2001:db8::7]:4433#{pin} PATH\n\n{CONFIG}\n  relay = \"192.0.2.7:4433#{pin}\"\n"
        );
        let listening = relay_listening("[::]:4433", &addresses, &pin, &Appearance::terminal());
        let expected = format!("Relay listening on [::]:4433 (UDP)\n{usage}\n");
        assert_eq!(listening.text_for(OutputStream::Out), expected);
        let stored = stored_relay("/var/lib/x", "[::]:4433", &addresses, &pin, false);
        assert_eq!(stored, format!("Relay with its key in /var/lib/x\n{usage}\n"));
    }

    #[test]
    fn a_relay_without_a_network_is_named_localhost() {
        let pin = Pin::new([0; 32]);
        let offline = relay_listening("[::]:4433", &[], &pin, &Appearance::terminal()).all();
        assert!(offline.contains(&format!("\n  qshare send --relay localhost:4433#{pin} PATH\n")), "{offline}");
    }

    #[test]
    fn quiet_output_is_only_the_argument_of_the_relay_option() {
        let pin = Pin::new([0; 32]);
        let quiet = relay_listening("[::]:4433", &[], &pin, &Appearance { quiet: true, ..Appearance::terminal() });
        assert_eq!(quiet.all(), format!("[::]:4433#{pin}\n"));
        let addresses = ["192.0.2.7:4433".to_owned(), "192.0.2.8:4433".to_owned()];
        let stored = stored_relay("/x", "[::]:4433", &addresses, &pin, true);
        assert_eq!(stored, format!("192.0.2.7:4433#{pin}\n192.0.2.8:4433#{pin}\n"));
    }
}
