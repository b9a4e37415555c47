//! Draws QR codes at a terminal: two modules per character, with half blocks.

use console::{Color, Style, measure_text_width};
use qrcode::{EcLevel, QrCode, render::unicode::Dense1x2};

/// Returns `text` as a QR code, or a line that explains why it cannot be drawn.
///
/// With `color` it is black on white in every theme. Without, the blocks are the light modules, which is right for a
/// dark theme; current readers also accept inverted codes.
pub(super) fn draw(text: &str, width: usize, color: bool) -> String {
    let Ok(code) = QrCode::with_error_correction_level(text, EcLevel::L) else {
        return "(the link is too long for a QR code)\n".to_owned();
    };
    let (dark, light) = if color { (Dense1x2::Dark, Dense1x2::Light) } else { (Dense1x2::Light, Dense1x2::Dark) };
    let image = code.render::<Dense1x2>().dark_color(dark).light_color(light).build();
    let columns = image.lines().map(measure_text_width).max().unwrap_or_default();
    if columns > width {
        return format!("(the QR code needs {columns} columns; this terminal has {width})\n");
    }
    let style = Style::new().fg(Color::Color256(16)).bg(Color::Color256(231)).force_styling(color); // black on white
    image.lines().map(|line| format!("{}\n", style.apply_to(line))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: &str = "qshare://192.168.100.100:4433/XKY9-7HQ2ME?alt=192.168.100.101:4433\
                        #AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

    #[test]
    fn a_link_with_a_pin_fits_80_columns() {
        let qr = draw(LINK, 80, false);
        assert!(qr.lines().count() > 20, "{qr}");
        assert!(qr.lines().all(|line| measure_text_width(line) <= 80), "{qr}");
        assert!(qr.starts_with("████"), "the quiet zone is light: {qr}");
        assert!(!qr.contains('\x1b'));
        assert!(draw(LINK, 80, true).starts_with("\x1b["));
    }

    #[test]
    fn a_code_that_does_not_fit_is_explained() {
        assert!(draw(LINK, 40, false).contains("this terminal has 40"));
        assert!(draw(&"x".repeat(5_000), 80, false).contains("too long"));
    }
}
