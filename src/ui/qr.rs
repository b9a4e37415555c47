//! Draws QR codes at a terminal: two modules per character, with half blocks.

use console::{Color, Style};
use qrcode::{EcLevel, QrCode};

use crate::code::Link;

/// Returns the link as a QR code for a terminal of `width` columns and `height` lines, or a line that explains why it
/// cannot be drawn. `lines_below` lines of the terminal stay free for the text below the code and the cursor.
///
/// The standard asks for a margin of four modules. Where that or the relay's alternative addresses need more room than
/// there is, the margin is smaller, which readers accept, and the link is shorter.
///
/// With `color` the code is black on white in every theme. Without, the blocks are the light modules, which is right
/// for a dark theme; current readers also accept inverted codes.
pub(super) fn draw(link: &str, (width, height): (usize, usize), lines_below: usize, color: bool) -> String {
    let short = Link::parse(link).map(|link| link.reveal_short());
    let short = short.as_ref().map_or(link, |link| link.as_str());
    let candidates = [(link, 4), (link, 2), (short, 4), (short, 2), (short, 1)];
    let drawn = candidates.into_iter().filter_map(|(text, margin)| Some(Modules::new(text)?.draw(margin)));
    let mut smallest = None;
    for lines in drawn {
        let columns = lines.first().map_or(0, |line| line.chars().count());
        if columns <= width && lines.len() + lines_below <= height {
            let style = Style::new().fg(Color::Color256(16)).bg(Color::Color256(231)).force_styling(color);
            let shown = |line: &String| if color { inverted(line) } else { line.clone() };
            return lines.iter().map(|line| format!("{}\n", style.apply_to(shown(line)))).collect();
        }
        smallest = Some((columns, lines.len() + lines_below));
    }
    match smallest {
        Some((columns, rows)) => {
            format!("(the QR code needs {columns} columns and {rows} lines; this terminal has {width} and {height})\n")
        }
        None => "(the link is too long for a QR code)\n".to_owned(),
    }
}

/// The modules of a QR code.
struct Modules {
    dark: Vec<bool>,
    width: usize,
}

impl Modules {
    /// Encodes `text`; `None` if it is too long.
    fn new(text: &str) -> Option<Self> {
        let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
        let dark = code.to_colors().into_iter().map(|color| color == qrcode::Color::Dark).collect();
        Some(Self { dark, width: code.width() })
    }

    /// Draws the light modules, with a margin of `margin` modules.
    fn draw(&self, margin: usize) -> Vec<String> {
        let side = self.width + 2 * margin;
        let row = |y| (0..side).map(move |x| self.cell(x, y, margin)).collect();
        (0..side).step_by(2).map(row).collect()
    }

    /// Returns the character for a module and the one below it.
    fn cell(&self, x: usize, y: usize, margin: usize) -> char {
        match (self.is_light(x, y, margin), self.is_light(x, y + 1, margin)) {
            (true, true) => '█',
            (true, false) => '▀',
            (false, true) => '▄',
            (false, false) => ' ',
        }
    }

    fn is_light(&self, x: usize, y: usize, margin: usize) -> bool {
        let inside = |at: usize| at.checked_sub(margin).filter(|at| *at < self.width);
        inside(x).zip(inside(y)).is_none_or(|(x, y)| !self.dark[y * self.width + x])
    }
}

/// Returns a line in which the blocks are the dark modules.
fn inverted(line: &str) -> String {
    let invert = |c| match c {
        '█' => ' ',
        '▀' => '▄',
        '▄' => '▀',
        _ => '█',
    };
    line.chars().map(invert).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: &str = "qshare://192.168.100.100:4433/XKY9-7HQ2ME?alt=192.168.100.101:4433\
                        #AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

    fn size(qr: &str) -> (usize, usize) {
        (qr.lines().map(|line| line.chars().count()).max().unwrap(), qr.lines().count())
    }

    #[test]
    fn a_link_with_a_pin_and_four_lines_fit_80_columns_and_24_lines() {
        let qr = draw(LINK, (80, 24), 4, false);
        assert_eq!(size(&qr), (39, 20), "{qr}");
        assert!(qr.starts_with("█▀▀▀▀▀▀▀█"), "the margin is light: {qr}");
        assert!(!qr.contains('\x1b'));
        let colored = draw(LINK, (80, 24), 4, true);
        assert!(colored.starts_with("\x1b[") && colored.lines().last().unwrap().contains("      "), "{colored}");
        let usual = LINK.replace(".100.100", ".1.10");
        assert_eq!(size(&draw(&usual, (80, 24), 4, false)), (37, 19), "a shorter link has room for a margin of two");
    }

    #[test]
    fn a_large_terminal_gets_the_whole_link_and_margin() {
        assert_eq!(size(&draw(LINK, (80, 50), 4, false)), (49, 25));
    }

    #[test]
    fn a_code_that_does_not_fit_is_explained() {
        assert_eq!(
            draw(LINK, (80, 23), 4, false),
            "(the QR code needs 39 columns and 24 lines; this terminal has 80 and 23)\n"
        );
        assert!(draw(LINK, (30, 50), 4, false).contains("this terminal has 30 and 50"));
        assert!(draw(&"x".repeat(5_000), (80, 24), 4, false).contains("too long"));
    }
}
