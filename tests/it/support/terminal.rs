//! A pseudo-terminal for programs that prompt.

use std::{
    fs::File,
    io::Write,
    num::NonZeroU16,
    os::fd::{AsFd, OwnedFd},
};

use rustix::{
    fs::{Mode, OFlags},
    io::{FdFlags, fcntl_setfd},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};

/// The keyboard of a terminal.
pub(crate) struct Keyboard(File);

impl Keyboard {
    /// Types a line.
    pub(crate) fn line(&mut self, text: &str) {
        writeln!(self.0, "{text}").unwrap();
    }

    /// Types Ctrl-D, the end of the input.
    pub(crate) fn end(&mut self) {
        self.0.write_all(&[4]).unwrap();
    }
}

/// Returns what a terminal of 24 lines shows after this output, without empty lines at its end.
pub(crate) fn screen(output: &str, columns: u16) -> String {
    let terminal = terminal_after(output, columns);
    let rows: Vec<_> = terminal.screen().rows(0, columns).map(|row| row.trim_end().to_owned()).collect();
    rows.join("\n").trim_end().to_owned()
}

/// Returns a terminal of 24 lines after this output.
pub(crate) fn terminal_after(output: &str, columns: u16) -> vt100::Parser {
    let size = |n| NonZeroU16::new(n).unwrap();
    let mut terminal = vt100::Parser::new(size(24), size(columns), 0);
    terminal.process(output.as_bytes());
    terminal
}

/// Opens a terminal of 80 columns. Returns its keyboard, its screen, and the end for the program.
pub(super) fn open_terminal() -> (Keyboard, File, OwnedFd) {
    open_terminal_of(80)
}

/// Opens a terminal with 24 lines of `columns`. Returns its keyboard, its screen, and the end for the program.
pub(super) fn open_terminal_of(columns: u16) -> (Keyboard, File, OwnedFd) {
    let near = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    fcntl_setfd(near.as_fd(), FdFlags::CLOEXEC).unwrap();
    grantpt(&near).unwrap();
    unlockpt(&near).unwrap();
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let far = rustix::fs::open(ptsname(&near, Vec::new()).unwrap(), flags, Mode::empty()).unwrap();
    tcsetwinsize(&far, Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    let near = File::from(near);
    (Keyboard(near.try_clone().unwrap()), near, far)
}
