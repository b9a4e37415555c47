//! Rendered text for the two output streams.

/// An output stream of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OutputStream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// Text for the two output streams, in the order in which it is written.
#[derive(Debug, Default)]
pub(super) struct Lines(Vec<(OutputStream, String)>);

impl Lines {
    pub(super) fn out(&mut self, text: String) {
        self.push(OutputStream::Out, text);
    }

    pub(super) fn err(&mut self, text: String) {
        self.push(OutputStream::Err, text);
    }

    fn push(&mut self, stream: OutputStream, text: String) {
        if !text.is_empty() {
            self.0.push((stream, text));
        }
    }

    /// Removes what was meant for standard error.
    pub(super) fn remove_err(&mut self) {
        self.0.retain(|(stream, _)| *stream == OutputStream::Out);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (OutputStream, &str)> {
        self.0.iter().map(|(stream, text)| (*stream, text.as_str()))
    }
}

#[cfg(test)]
impl Lines {
    /// Returns the text for one stream.
    pub(super) fn text_for(&self, stream: OutputStream) -> String {
        self.iter().filter(|(to, _)| *to == stream).map(|(_, text)| text).collect()
    }

    /// Returns the text for both streams, as a terminal shows it.
    pub(super) fn all(&self) -> String {
        self.iter().map(|(_, text)| text).collect()
    }
}
