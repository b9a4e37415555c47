//! Draws the screens of two terminals, one window above the other, as an SVG that needs no other file and no script.
//!
//! The frames are shown in turn with CSS. Programs without animations, and people who prefer none, see the last frame.

use std::fmt::Write;

use vt100::{Cell, Color, Screen};

use super::{COLUMNS, Frame, theme::Theme};

const TITLES: [&str; 2] = ["Sender", "Receiver"];
const FONT: &str = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono','Liberation Mono',monospace";
/// The time for which a frame is shown; the last one takes twice as long.
const SECONDS: usize = 3;

// Lengths in pixels.
const FONT_SIZE: f64 = 14.0;
const CELL_WIDTH: f64 = 8.4;
const ROW_HEIGHT: f64 = 20.0;
const TITLE_HEIGHT: f64 = 32.0;
const PADDING: f64 = 16.0;
const GAP: f64 = 16.0;
const WIDTH: f64 = COLUMNS as f64 * CELL_WIDTH + 2.0 * PADDING;

/// Draws a picture of these frames.
pub(super) fn draw(theme: &Theme, frames: &[Frame]) -> String {
    let heights = [0, 1].map(|window| {
        let rows = frames.iter().map(|screens| used_rows(&screens[window])).max().unwrap_or_default();
        TITLE_HEIGHT + f64::from(rows) * ROW_HEIGHT + 2.0 * PADDING
    });
    let tops = [0.0, heights[0] + GAP];
    let height = tops[1] + heights[1];
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" font-family=\"{FONT}\" font-size=\"{FONT_SIZE}\">\n\
         <title>qshare sends a folder from one terminal to another</title>\n<style>{}</style>\n",
        style(frames.len()),
    );
    for window in [0, 1] {
        out += &chrome(theme, TITLES[window], tops[window], heights[window]);
    }
    for (number, screens) in frames.iter().enumerate() {
        writeln!(out, "<g class=\"f{number}\" xml:space=\"preserve\">").unwrap();
        for (screen, top) in screens.iter().zip(tops) {
            for row in 0..used_rows(screen) {
                out += &text_of_row(theme, screen, row, top + TITLE_HEIGHT + PADDING);
            }
        }
        out += "</g>\n";
    }
    out + "</svg>\n"
}

/// Returns the rules that show `frames` frames in turn.
fn style(frames: usize) -> String {
    let (periods, mut hidden, mut animated) = (frames + 1, String::new(), String::new());
    for frame in 0..frames {
        let is_last = frame + 1 == frames;
        let percent = |period: usize| period * 100 / periods;
        let (start, end) = (percent(frame), if is_last { 100 } else { percent(frame + 1) });
        if !is_last {
            write!(hidden, ".f{frame}{{visibility:hidden}}").unwrap();
        }
        write!(
            animated,
            ".f{frame}{{animation:f{frame} {}s step-end infinite}}\
             @keyframes f{frame}{{0%{{visibility:hidden}}{start}%{{visibility:visible}}{end}%{{visibility:hidden}}}}",
            periods * SECONDS
        )
        .unwrap();
    }
    format!("{hidden}@media (prefers-reduced-motion:no-preference){{{animated}}}")
}

/// Draws a window without its content.
fn chrome(theme: &Theme, title: &str, top: f64, height: f64) -> String {
    let Theme { background, title_bar, border, dim, .. } = theme;
    let (top, right, width, height) = (top + 0.5, WIDTH - 0.5, WIDTH - 1.0, height - 1.0);
    let (center, bar, text) = (WIDTH / 2.0, top + TITLE_HEIGHT, top + TITLE_HEIGHT / 2.0 + 5.0);
    format!(
        "<rect x=\"0.5\" y=\"{top}\" width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"{background}\"/>\n\
         <path d=\"M0.5 {bar}V{}q0 -8 8 -8H{}q8 0 8 8V{bar}Z\" fill=\"{title_bar}\" stroke=\"{border}\"/>\n\
         <rect x=\"0.5\" y=\"{top}\" width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"none\" \
         stroke=\"{border}\"/>\n\
         <text x=\"{center}\" y=\"{text}\" text-anchor=\"middle\" fill=\"{dim}\">{title}</text>\n",
        top + 8.0,
        right - 8.0,
    )
}

/// Returns the number of rows down to the last one that is not empty.
fn used_rows(screen: &Screen) -> u16 {
    let rows = screen.rows(0, COLUMNS).collect::<Vec<_>>();
    rows.iter().rposition(|row| !row.trim().is_empty()).map_or(0, |last| last as u16 + 1)
}

/// Draws the text of a row, one element for each stretch of cells that look the same.
fn text_of_row(theme: &Theme, screen: &Screen, row: u16, top: f64) -> String {
    let mut out = String::new();
    let cells: Vec<&Cell> = (0..COLUMNS).filter_map(|column| screen.cell(row, column)).collect();
    let mut column = 0;
    for stretch in cells.chunk_by(|a, b| looks(theme, a) == looks(theme, b)) {
        let text: String = stretch.iter().map(|cell| if cell.has_contents() { cell.contents() } else { " " }).collect();
        let shown = text.trim_end();
        let start = column + shown.len() - shown.trim_start().len();
        column += stretch.len();
        let shown = shown.trim_start();
        if shown.is_empty() {
            continue;
        }
        let (x, y) = (PADDING + start as f64 * CELL_WIDTH, top + f64::from(row) * ROW_HEIGHT + FONT_SIZE);
        let length = shown.chars().count() as f64 * CELL_WIDTH;
        let (fill, weight) = looks(theme, stretch[0]);
        writeln!(
            out,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" textLength=\"{length:.1}\" fill=\"{fill}\"{weight}>{}</text>",
            escaped(shown)
        )
        .unwrap();
    }
    out
}

/// Returns the color and the weight of a cell. The program prints only the eight basic colors.
fn looks(theme: &Theme, cell: &Cell) -> (&'static str, &'static str) {
    let fill = match cell.fgcolor() {
        Color::Idx(color) => theme.ansi[usize::from(color)],
        _ if cell.dim() => theme.dim,
        _ => theme.text,
    };
    (fill, if cell.bold() { " font-weight=\"bold\"" } else { "" })
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
