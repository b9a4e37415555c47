//! What a sender and a relay show first: how others come to it.

use console::Style;

use super::{
    listing::minute,
    phrase::{INDENT, files_and_bytes, paint},
    qr,
    render::{Appearance, Lines},
};
use crate::{code::Pin, event::Sharing, text::visible};

/// The summary, the code and how to use it.
///
/// A script gets the code and the link, one a line. The code is on standard error only where that is a terminal: it
/// must not end up in a log by the way.
pub(super) fn sharing(share: &Sharing, look: &Appearance) -> Lines {
    let mut lines = Lines::default();
    let plain = format!("{}\n{}\n", share.code, share.link);
    if look.quiet {
        lines.out(plain);
        if look.qr && look.out_terminal {
            lines.out(qr::draw(share.link.as_str(), look.width, look.color_out));
        }
        return lines;
    }
    lines.err(summary(share));
    if look.out_terminal {
        lines.out(instructions(share, look, look.color_out));
    } else {
        lines.out(plain);
        if look.err_terminal {
            lines.err(instructions(share, look, look.color_err));
        }
    }
    lines.err("Waiting for receivers; Ctrl-C ends the share.\n".to_owned());
    lines
}

fn summary(share: &Sharing) -> String {
    let mut text = format!("Sharing {}: {}\n", visible(&share.name), files_and_bytes(share.files, share.bytes));
    let until = share.expires.and_then(|at| i64::try_from(at).ok()).and_then(minute);
    if let Some(until) = until {
        text.push_str(&format!("The code is good until {until} UTC.\n"));
    }
    text
}

fn instructions(share: &Sharing, look: &Appearance, color: bool) -> String {
    let (code, link) = (&share.code, &share.link);
    let shown = paint(code.as_str(), Style::new().bold().green(), color);
    let (first, second, after) = if share.embedded {
        (
            "On this machine:",
            "On this machine or another one in the local network:".to_owned(),
            "The link does not cross a NAT.\n\
             hint: for the Internet, share through a relay: qshare send --relay HOST PATH\n\n",
        )
    } else {
        ("On the other machine:", format!("Where {} is not set up as the relay:", visible(&share.relay)), "")
    };
    let qr = if look.qr { qr::draw(link.as_str(), look.width, color) + "\n" } else { String::new() };
    format!(
        "Code: {shown}\n\n{first}\n{INDENT}qshare recv {code}\n{second}\n{INDENT}qshare recv \"{link}\"\n\n{after}{qr}"
    )
}

/// Where a relay listens and how it is used. A script gets `ADDR#PIN`.
pub(super) fn relay_listening(addr: &str, pin: &Pin, look: &Appearance) -> Lines {
    let mut lines = Lines::default();
    let plain = format!("{addr}#{pin}\n");
    if look.quiet {
        lines.out(plain);
        return lines;
    }
    let port = addr.rsplit_once(':').map_or("", |(_, port)| port);
    let text = format!(
        "The relay listens on {addr} (UDP).\nIts pin: {pin}\n\n\
         Through it (HOST is this machine's name or address):\n\
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
    use crate::{
        code::{Code, Link},
        ui::render::Stream,
    };

    const LINK: &str = "qshare://relay.example:4433/XKY9-7HQ2ME";

    fn share(embedded: bool) -> Sharing {
        Sharing {
            schema: 1,
            share: "00ff".into(),
            code: Code::parse("XKY9-7HQ2ME").unwrap().reveal(),
            link: Link::parse(LINK).unwrap().reveal(),
            name: "holi\x1bday".into(),
            files: 214,
            bytes: Some(1_300_000_000),
            relay: "relay.example:4433".into(),
            embedded,
            expires: Some(1_767_225_599),
        }
    }

    #[test]
    fn at_a_terminal_the_commands_are_ready_to_paste() {
        let look = Appearance::terminal();
        let text = sharing(&share(false), &look).all();
        assert_eq!(
            text,
            "Sharing holi\\u{1b}day: 214 files, 1.3 GB\n\
             The code is good until 2025-12-31 23:59 UTC.\n\
             Code: XKY9-7HQ2ME\n\
             \n\
             On the other machine:\n  qshare recv XKY9-7HQ2ME\n\
             Where relay.example:4433 is not set up as the relay:\n  qshare recv \"qshare://relay.example:4433/XKY9-7HQ2ME\"\n\
             \n\
             Waiting for receivers; Ctrl-C ends the share.\n"
        );
        let text = sharing(&share(true), &look).all();
        assert!(text.contains("On this machine:\n  qshare recv XKY9-7HQ2ME\n"), "{text}");
        assert!(text.contains("  qshare recv \"qshare://relay.example:4433/XKY9-7HQ2ME\"\n"), "{text}");
        assert!(text.contains("does not cross a NAT") && text.contains("--relay"), "{text}");
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
    }

    #[test]
    fn a_script_gets_code_and_link_and_a_log_gets_neither() {
        let plain = format!("XKY9-7HQ2ME\n{LINK}\n");
        let piped = Appearance { out_terminal: false, err_terminal: false, ..Appearance::terminal() };
        let lines = sharing(&share(true), &piped);
        assert_eq!(lines.of(Stream::Out), plain);
        assert!(!lines.of(Stream::Err).contains("7HQ2M"));
        assert!(lines.of(Stream::Err).contains("Sharing"));

        let half = Appearance { err_terminal: true, ..piped };
        let lines = sharing(&share(true), &half);
        assert_eq!(lines.of(Stream::Out), plain);
        assert!(lines.of(Stream::Err).contains("qshare recv XKY9-7HQ2ME"));

        let lines = sharing(&share(true), &Appearance { quiet: true, ..Appearance::terminal() });
        assert_eq!((lines.of(Stream::Out), lines.of(Stream::Err)), (plain, String::new()));
    }

    #[test]
    fn the_qr_code_is_drawn_on_request_at_a_terminal() {
        let look = Appearance { qr: true, ..Appearance::terminal() };
        assert!(sharing(&share(true), &look).of(Stream::Out).contains("████"));
        assert!(sharing(&share(true), &Appearance { quiet: true, ..look.clone() }).of(Stream::Out).contains("████"));
        let piped = Appearance { out_terminal: false, err_terminal: false, ..look };
        assert!(!sharing(&share(true), &piped).all().contains('█'));
    }

    #[test]
    fn a_relay_says_how_it_is_used() {
        let pin = Pin::new([0; 32]);
        let text = relay_listening("[::]:4433", &pin, &Appearance::terminal()).of(Stream::Out);
        assert!(text.starts_with("The relay listens on [::]:4433 (UDP).\nIts pin: AAA"), "{text}");
        assert!(text.contains(&format!("\n  qshare send --relay HOST:4433#{pin} PATH\n")), "{text}");
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
        let quiet = relay_listening("[::]:4433", &pin, &Appearance { quiet: true, ..Appearance::terminal() });
        assert_eq!(quiet.all(), format!("[::]:4433#{pin}\n"));
    }
}
