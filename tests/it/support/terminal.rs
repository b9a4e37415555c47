//! A pseudo-terminal for programs that prompt.

use std::{
    fs::File,
    io::Write,
    os::fd::{AsFd, OwnedFd},
};

use rustix::{
    fs::{Mode, OFlags},
    io::{FdFlags, fcntl_setfd},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
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

/// Opens a terminal. Returns its keyboard, its screen, and the end for the program.
pub(super) fn open_terminal() -> (Keyboard, File, OwnedFd) {
    let near = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    fcntl_setfd(near.as_fd(), FdFlags::CLOEXEC).unwrap();
    grantpt(&near).unwrap();
    unlockpt(&near).unwrap();
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let far = rustix::fs::open(ptsname(&near, Vec::new()).unwrap(), flags, Mode::empty()).unwrap();
    let near = File::from(near);
    (Keyboard(near.try_clone().unwrap()), near, far)
}
