//! The picture of the grid: what each controller makes of each kind of loss, over all nine lines.

use std::{env, path::Path};

use plotters::prelude::*;

use crate::{
    Result,
    grid::{CONTROLLERS, Cell, LOSSES, Outcome},
};

const SIZE: (u32, u32) = (900, 780);

/// Blue, orange, green: told apart by those who do not see red or green (Okabe and Ito 2008).
const COLORS: [RGBColor; 3] = [RGBColor(0, 114, 178), RGBColor(230, 159, 0), RGBColor(0, 158, 115)];

struct Panel {
    title: &'static str,
    from: f64,
    to: f64,
    /// Where a transfer that was never done stands.
    failed: f64,
    value: fn(&Outcome) -> f64,
}

const PANELS: [Panel; 3] = [
    Panel {
        title: "goodput, as a share of what the line can carry",
        from: 0.0,
        to: 1.02,
        failed: 0.0,
        value: |o| o.steady,
    },
    Panel {
        title: "bytes sent for each byte that the line had to carry",
        from: 0.98,
        to: 1.5,
        failed: 1.5,
        value: |o| o.sent,
    },
    Panel { title: "mean round trip over the shortest", from: 0.98, to: 2.5, failed: 1.0, value: |o| o.round_trip },
];

/// Draws `docs/lossy.svg`.
pub(super) fn draw(cells: &[Cell]) -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/lossy.svg");
    let root = SVGBackend::new(&path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    for (area, panel) in root.split_evenly((PANELS.len(), 1)).iter().zip(&PANELS) {
        let mut chart = ChartBuilder::on(area)
            .caption(panel.title, ("sans-serif", 16))
            .margin(8)
            .x_label_area_size(24)
            .y_label_area_size(44)
            .build_cartesian_2d(-0.5..LOSSES.len() as f64 - 0.5, panel.from..panel.to)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .x_labels(LOSSES.len() * 2 + 1)
            .x_label_formatter(&|x| {
                let near = (x - x.round()).abs() < 0.01 && *x > -0.1;
                LOSSES.get(x.round() as usize).filter(|_| near).map_or(String::new(), |loss| loss.name.to_owned())
            })
            .y_labels(6)
            .light_line_style(TRANSPARENT)
            .draw()?;
        for (i, ((name, _), color)) in CONTROLLERS.iter().zip(COLORS).enumerate() {
            let columns = LOSSES.iter().enumerate().map(|(x, loss)| {
                let here = cells.iter().filter(|cell| cell.loss.name == loss.name);
                let mut values: Vec<f64> = here
                    .map(|cell| cell.outcomes[i].as_ref().map_or(panel.failed, panel.value).clamp(panel.from, panel.to))
                    .collect();
                values.sort_by(f64::total_cmp);
                (x as f64 + (i as f64 - 1.0) * 0.2, values)
            });
            let columns: Vec<(f64, Vec<f64>)> = columns.filter(|(_, values)| !values.is_empty()).collect();
            chart.draw_series(columns.iter().map(|(x, values)| {
                PathElement::new(vec![(*x, values[0]), (*x, values[values.len() - 1])], color.stroke_width(3))
            }))?;
            chart
                .draw_series(
                    columns.iter().map(|(x, values)| Circle::new((*x, values[values.len() / 2]), 5, color.filled())),
                )?
                .label(*name)
                .legend(move |(x, y)| Circle::new((x + 8, y), 5, color.filled()));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerLeft)
            .background_style(WHITE.mix(0.8))
            .draw()?;
    }
    root.present()?;
    println!("\ndrawn to {}: median and range over the nine lines", path.display());
    Ok(())
}
