//! Standard output as the destination of content.

use std::{
    fs,
    io::{self, IsTerminal as _, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use super::standard_stream::{duplicate, enlarge_pipe};
use crate::{
    blocking_write::write_and_flush,
    error::{Error, Kind, Result},
};

/// The standard output of this process. Unlike [`std::io::Stdout`], it has no buffer and looks for no line feeds.
#[derive(Debug)]
pub struct StandardOutput {
    file: fs::File,
    reader: OutputReader,
}

/// The program that reads standard output, if that is a pipe.
#[derive(Debug, Clone, Default)]
pub struct OutputReader(Arc<AtomicBool>);

impl StandardOutput {
    /// Takes the standard output of this process.
    ///
    /// # Errors
    /// [`Kind::Usage`] if it is a terminal, which content could control with escape sequences. [`Kind::Disk`] if it is
    /// closed.
    pub fn open() -> Result<Self> {
        let file = duplicate(&io::stdout())
            .map_err(|e| Error::new(Kind::Disk, format!("cannot write to standard output: {e}")))?;
        if file.is_terminal() {
            return Err(Error::new(Kind::Usage, "standard output is a terminal")
                .hint("pipe it into a program, as in qshare recv CODE --out - | less, or redirect it to a file"));
        }
        enlarge_pipe(&file);
        Ok(Self { file, reader: OutputReader::default() })
    }

    /// Returns the program that reads it.
    pub fn reader(&self) -> OutputReader {
        self.reader.clone()
    }
}

impl Write for StandardOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = write_and_flush(&mut self.file, bytes);
        if written.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::BrokenPipe) {
            self.reader.0.store(true, Ordering::Relaxed);
        }
        written.map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(()) // nothing is buffered
    }
}

impl OutputReader {
    /// Whether a write has shown that it has closed its end.
    pub fn has_closed(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
