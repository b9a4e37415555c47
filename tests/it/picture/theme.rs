//! The colors of a picture.

/// The colors of a picture, as in CSS.
pub(super) struct Theme {
    pub(super) background: &'static str,
    pub(super) title_bar: &'static str,
    pub(super) border: &'static str,
    pub(super) text: &'static str,
    /// Dim text and titles.
    pub(super) dim: &'static str,
    /// The eight colors of a terminal: black, red, green, yellow, blue, magenta, cyan, white.
    pub(super) ansi: [&'static str; 8],
}

/// For pages with a white background.
pub(super) const LIGHT: Theme = Theme {
    background: "#ffffff",
    title_bar: "#f6f8fa",
    border: "#d1d9e0",
    text: "#1f2328",
    dim: "#59636e",
    ansi: ["#1f2328", "#cf222e", "#1a7f37", "#9a6700", "#0969da", "#8250df", "#1b7c83", "#59636e"],
};

/// For pages with a dark background.
pub(super) const DARK: Theme = Theme {
    background: "#0d1117",
    title_bar: "#151b23",
    border: "#3d444d",
    text: "#f0f6fc",
    dim: "#9198a1",
    ansi: ["#9198a1", "#ff7b72", "#3fb950", "#d29922", "#58a6ff", "#bc8cff", "#39c5cf", "#f0f6fc"],
};
