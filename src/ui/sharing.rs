//! The first lines of a sender: the share, its code, and how to use it.

use console::Style;

use super::{
    appearance::Appearance,
    date::date_with_zone,
    lines::Lines,
    phrase::{self, INDENT, files_and_bytes, paint},
    qr,
};
use crate::{
    event::Sharing,
    text::{bytes, count, visible},
};

/// Returns the last line.
fn waiting(share: &Sharing) -> &'static str {
    match share.bytes {
        Some(_) => "Waiting for receivers; Ctrl-C ends the share.\n",
        None => "Waiting for the receiver; Ctrl-C ends the share.\n",
    }
}

/// Renders the summary, the code and the commands for receivers.
///
/// A script gets the code and the link, one per line. The code is on standard error only at a terminal, so that it does
/// not end up in a log by accident.
pub(super) fn sharing(share: &Sharing, look: &Appearance) -> Lines {
    let mut lines = Lines::default();
    let plain = format!("{}\n{}\n", share.code, share.link);
    if look.quiet {
        if look.qr && look.out_terminal {
            lines.out(qr(share, look, &plain, look.color_out));
        }
        lines.out(plain);
        return lines;
    }
    lines.err(summary(share, look));
    if look.out_terminal {
        lines.out(instructions(share, look, look.color_out));
    } else {
        lines.out(plain);
        if look.err_terminal {
            lines.err(instructions(share, look, look.color_err));
        }
    }
    lines.err(waiting(share).to_owned());
    lines
}

fn summary(share: &Sharing, look: &Appearance) -> String {
    let excluded = match share.excluded {
        0 => String::new(),
        excluded => format!(" ({} excluded)", count(excluded, "item")),
    };
    let name = visible(&share.name);
    let mut text = match share.bytes {
        Some(size) if share.text => format!("Sharing a text: {}\n", bytes(size)),
        Some(_) => format!("Sharing {name}: {}{excluded}\n", files_and_bytes(share.files, share.bytes)),
        None => format!("Sharing {name}: a pipe, for one receiver\n"),
    };
    if let Some(expires) = share.expires.and_then(|at| date_with_zone(at, &look.zone)) {
        text.push_str(&format!("The code expires at {expires}.\n"));
    }
    text
}

fn instructions(share: &Sharing, look: &Appearance, color: bool) -> String {
    let (code, link) = (&share.code, &share.link);
    let relay = visible(&share.relay);
    let with_code = match (share.embedded, share.announced) {
        (true, true) => "The code works on this machine and on this network:".to_owned(),
        (true, false) => "The code works on this machine:".to_owned(),
        (false, true) => format!("The code works on this network, and elsewhere through relay {relay}:"),
        (false, false) => format!("The code works through relay {relay}:"),
    };
    let (with_link, note) = match share.embedded {
        true => (
            "The link works wherever this machine can be reached:",
            "To share over the Internet, use a relay:\n  qshare send --relay HOST PATH\n\n",
        ),
        false => ("The link works on machines that do not use this relay, too:", ""),
    };
    let wrapped = |text: &str| phrase::wrapped(text, look.width);
    let (with_code, with_link) = (wrapped(&with_code), wrapped(with_link));
    let shown = format!("Code: {}\n", paint(code.as_str(), Style::new().bold().green(), color));
    let link_command = format!("{with_link}\n{INDENT}qshare recv \"{link}\"\n\n{note}");
    if look.qr {
        // The code and its command stay below a QR code that fills the terminal.
        let code_command = format!("{INDENT}qshare recv {code}\n");
        let below = format!("Code: {code}\n{code_command}{}", waiting(share));
        link_command + &qr(share, look, &below, color) + &shown + &code_command
    } else {
        format!("{shown}\n{with_code}\n{INDENT}qshare recv {code}\n{link_command}")
    }
}

/// Draws the link, with room for the text `below` and the cursor.
fn qr(share: &Sharing, look: &Appearance, below: &str, color: bool) -> String {
    let lines: usize = below.lines().map(|line| line.chars().count().max(1).div_ceil(look.width.max(1))).sum();
    qr::draw(share.link.as_str(), (look.width, look.height), lines + 1, color)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        code::{Code, Link},
        ui::lines::OutputStream,
    };

    const LINK: &str = "qshare://relay.example:4433/XKY9-7HQ2ME";

    fn share(embedded: bool, announced: bool) -> Sharing {
        Sharing {
            schema: 1,
            share: "00ff".into(),
            code: Code::parse("XKY9-7HQ2ME").unwrap().reveal(),
            link: Link::parse(LINK).unwrap().reveal(),
            name: "holi\x1bday".into(),
            files: 214,
            bytes: Some(1_300_000_000),
            text: false,
            left_out: Vec::new(),
            excluded: 0,
            relay: "relay.example:4433".into(),
            embedded,
            announced,
            expires: Some(1_767_225_599),
        }
    }

    #[test]
    fn at_a_terminal_the_commands_can_be_pasted() {
        let look = Appearance::terminal();
        let text = sharing(&share(false, false), &look).all();
        assert_eq!(
            text,
            "Sharing holi\\u{1b}day: 214 files, 1.3 GB\n\
             The code expires at 2025-12-31 23:59 UTC.\n\
             Code: XKY9-7HQ2ME\n\
             \n\
             The code works through relay relay.example:4433:\n\
             \x20 qshare recv XKY9-7HQ2ME\n\
             The link works on machines that do not use this relay, too:\n\
             \x20 qshare recv \"qshare://relay.example:4433/XKY9-7HQ2ME\"\n\
             \n\
             Waiting for receivers; Ctrl-C ends the share.\n"
        );
        let text = sharing(&share(true, true), &look).all();
        assert!(text.contains("on this machine and on this network:\n  qshare recv XKY9-7HQ2ME\n"), "{text}");
        assert!(text.contains("  qshare recv \"qshare://relay.example:4433/XKY9-7HQ2ME\"\n"), "{text}");
        assert!(text.contains("wherever this machine can be reached") && text.contains("--relay"), "{text}");
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
        for (embedded, announced, places) in [
            (true, false, "The code works on this machine:"),
            (false, true, "The code works on this network, and elsewhere through relay relay.example:4433:"),
        ] {
            let text = sharing(&share(embedded, announced), &look).all();
            assert!(text.contains(places), "{text}");
        }
    }

    #[test]
    fn a_script_gets_code_and_link_and_a_log_gets_neither() {
        let plain = format!("XKY9-7HQ2ME\n{LINK}\n");
        let piped = Appearance { out_terminal: false, err_terminal: false, ..Appearance::terminal() };
        let lines = sharing(&share(true, true), &piped);
        assert_eq!(lines.text_for(OutputStream::Out), plain);
        assert!(!lines.text_for(OutputStream::Err).contains("7HQ2M"));
        assert!(lines.text_for(OutputStream::Err).contains("Sharing"));

        let half = Appearance { err_terminal: true, ..piped };
        let lines = sharing(&share(true, true), &half);
        assert_eq!(lines.text_for(OutputStream::Out), plain);
        assert!(lines.text_for(OutputStream::Err).contains("qshare recv XKY9-7HQ2ME"));

        let lines = sharing(&share(true, true), &Appearance { quiet: true, ..Appearance::terminal() });
        assert_eq!((lines.text_for(OutputStream::Out), lines.text_for(OutputStream::Err)), (plain, String::new()));
    }

    #[test]
    fn the_qr_code_is_drawn_on_request_and_only_at_a_terminal() {
        let look = Appearance { qr: true, ..Appearance::terminal() };
        let text = sharing(&share(true, true), &look).text_for(OutputStream::Out);
        assert!(text.contains("████") && text.ends_with("█\nCode: XKY9-7HQ2ME\n  qshare recv XKY9-7HQ2ME\n"), "{text}");
        assert!(
            sharing(&share(true, true), &Appearance { quiet: true, ..look.clone() })
                .text_for(OutputStream::Out)
                .contains("████")
        );
        let piped = Appearance { out_terminal: false, err_terminal: false, ..look };
        assert!(!sharing(&share(true, true), &piped).all().contains('█'));
    }
}
