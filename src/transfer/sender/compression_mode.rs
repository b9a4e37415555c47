//! When content is compressed: `send --compress`.

/// When the content of a share is compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CompressionMode {
    /// While the connection is slow, and where a probe has shown that the content becomes shorter.
    #[default]
    Auto,
    /// Every record that becomes shorter.
    Always,
    /// Nothing.
    Never,
}
