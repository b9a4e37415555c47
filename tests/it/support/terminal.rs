//! A terminal for programs that ask.

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

/// What is typed at a terminal.
pub(crate) struct Keyboard(File);

impl Keyboard {
    /// Types this and enter.
    pub(crate) fn line(&mut self, text: &str) {
        writeln!(self.0, "{text}").unwrap();
    }

    /// Ctrl-D: the end of what is typed.
    pub(crate) fn end(&mut self) {
        self.0.write_all(&[4]).unwrap();
    }
}

/// A new terminal: its keyboard, its screen, and the end that a program gets.
pub(crate) fn open() -> (Keyboard, File, OwnedFd) {
    let near = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    fcntl_setfd(near.as_fd(), FdFlags::CLOEXEC).unwrap();
    grantpt(&near).unwrap();
    unlockpt(&near).unwrap();
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let far = rustix::fs::open(ptsname(&near, Vec::new()).unwrap(), flags, Mode::empty()).unwrap();
    let near = File::from(near);
    (Keyboard(near.try_clone().unwrap()), near, far)
}
