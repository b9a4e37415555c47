//! The chart of the grid: each controller with each kind of loss, over all nine paths.

use std::{env, path::Path};

use plotters::{
    coord::{Shift, types::RangedCoordf64},
    prelude::*,
};

use crate::{
    grid_cell::{CONTROLLERS, GridCell, LOSSES, TransferResult},
    support::Result,
};

const SIZE: (u32, u32) = (900, 780);

/// Blue, orange and green, which remain distinct for colour-blind readers (Okabe and Ito 2008).
const COLORS: [RGBColor; 3] = [RGBColor(0, 114, 178), RGBColor(230, 159, 0), RGBColor(0, 158, 115)];

struct Panel {
    title: &'static str,
    min: f64,
    max: f64,
    /// The value to draw for a transfer that did not complete.
    failed: f64,
    value: fn(&TransferResult) -> f64,
}

const PANELS: [Panel; 3] = [
    Panel {
        title: "goodput as a share of what the path can carry",
        min: 0.0,
        max: 1.02,
        failed: 0.0,
        value: |r| r.steady_goodput,
    },
    Panel {
        title: "bytes sent for each byte that the path had to carry",
        min: 0.98,
        max: 1.5,
        failed: 1.5,
        value: |r| r.sent_per_byte,
    },
    Panel { title: "mean RTT over the minimum RTT", min: 0.98, max: 2.5, failed: 1.0, value: |r| r.relative_rtt },
];

/// Draws `docs/lossy.svg`.
pub(super) fn draw(cells: &[GridCell]) -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/lossy.svg");
    let root = SVGBackend::new(&path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    for (area, panel) in root.split_evenly((PANELS.len(), 1)).iter().zip(&PANELS) {
        draw_panel(area, panel, cells)?;
    }
    root.present()?;
    println!("\ndrawn to {}: median and range over the nine paths", path.display());
    Ok(())
}

fn draw_panel(area: &DrawingArea<SVGBackend<'_>, Shift>, panel: &Panel, cells: &[GridCell]) -> Result<()> {
    let mut chart = ChartBuilder::on(area)
        .caption(panel.title, ("sans-serif", 16))
        .margin(8)
        .x_label_area_size(24)
        .y_label_area_size(44)
        .build_cartesian_2d(-0.5..LOSSES.len() as f64 - 0.5, panel.min..panel.max)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(LOSSES.len() * 2 + 1)
        .x_label_formatter(&|x| {
            let is_column = (x - x.round()).abs() < 0.01 && *x > -0.1;
            LOSSES.get(x.round() as usize).filter(|_| is_column).map_or(String::new(), |loss| loss.name.to_owned())
        })
        .y_labels(6)
        .light_line_style(TRANSPARENT)
        .draw()?;
    for i in 0..CONTROLLERS.len() {
        draw_controller(&mut chart, panel, cells, i)?;
    }
    chart.configure_series_labels().position(SeriesLabelPosition::LowerLeft).background_style(WHITE.mix(0.8)).draw()?;
    Ok(())
}

type PanelChart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// Draws range and median of controller `i` for each kind of loss.
fn draw_controller(chart: &mut PanelChart<'_, '_>, panel: &Panel, cells: &[GridCell], i: usize) -> Result<()> {
    let ((name, _), color) = (CONTROLLERS[i], COLORS[i]);
    let value =
        |cell: &GridCell| cell.results[i].as_ref().map_or(panel.failed, panel.value).clamp(panel.min, panel.max);
    let columns = LOSSES.iter().enumerate().map(|(x, loss)| {
        let mut values: Vec<f64> = cells.iter().filter(|cell| cell.loss.name == loss.name).map(value).collect();
        values.sort_by(f64::total_cmp);
        (x as f64 + (i as f64 - 1.0) * 0.2, values)
    });
    let columns: Vec<(f64, Vec<f64>)> = columns.filter(|(_, values)| !values.is_empty()).collect();
    chart.draw_series(columns.iter().map(|(x, values)| {
        PathElement::new(vec![(*x, values[0]), (*x, values[values.len() - 1])], color.stroke_width(3))
    }))?;
    chart
        .draw_series(columns.iter().map(|(x, values)| Circle::new((*x, values[values.len() / 2]), 5, color.filled())))?
        .label(name)
        .legend(move |(x, y)| Circle::new((x + 8, y), 5, color.filled()));
    Ok(())
}
