//! The conditions that decide how events look.

use jiff::tz::TimeZone;

/// The conditions that decide how events look.
#[derive(Debug, Clone)]
pub(super) struct Appearance {
    /// Standard output is a terminal.
    pub(super) out_terminal: bool,
    /// Standard error is a terminal.
    pub(super) err_terminal: bool,
    /// Standard output has colors.
    pub(super) color_out: bool,
    /// Standard error has colors.
    pub(super) color_err: bool,
    /// Progress bars are shown, so the start of a download needs no line.
    pub(super) bars: bool,
    /// Only results and errors are shown.
    pub(super) quiet: bool,
    /// The link is drawn as a QR code.
    pub(super) qr: bool,
    /// The width of the terminal in columns.
    pub(super) width: usize,
    /// The height of the terminal in lines.
    pub(super) height: usize,
    /// The time zone of the user.
    pub(super) zone: TimeZone,
}

#[cfg(test)]
impl Appearance {
    /// Returns the appearance of a terminal of 80 columns without colors.
    pub(super) fn terminal() -> Self {
        Self {
            out_terminal: true,
            err_terminal: true,
            color_out: false,
            color_err: false,
            bars: true,
            quiet: false,
            qr: false,
            width: 80,
            height: 24,
            zone: TimeZone::UTC,
        }
    }
}
