//! The loss curve as a picture.

use crate::{NnError, file};
use plotters::prelude::*;
use std::io::Write;
use std::path::Path;

/// What to draw: points `(step, loss)`.
#[derive(Clone, Debug, Default)]
pub struct Curve {
    /// Title of the picture.
    pub title: String,
    /// Training loss.
    pub train: Vec<(u64, f32)>,
    /// Held-out loss.
    pub held_out: Vec<(u64, f32)>,
}

/// Points drawn at most; longer runs are averaged down to this, which a picture of this width cannot tell apart.
const MAX_POINTS: usize = 600;

/// Draws the curve as an SVG file, atomically.
pub fn write_curve(path: &Path, curve: &Curve) -> Result<(), NnError> {
    let mut svg = String::new();
    draw(&mut svg, curve)
        .map_err(|error| NnError::file(path, format!("the curve cannot be drawn: {error}")))?;
    file::write_atomically(path, |file| file.write_all(svg.as_bytes()))
        .map_err(|error| NnError::not_written(path, &error))
}

type DrawError = Box<dyn std::error::Error>;

fn draw(svg: &mut String, curve: &Curve) -> Result<(), DrawError> {
    let train = averaged(&curve.train);
    let held_out: Vec<(f64, f64)> = curve
        .held_out
        .iter()
        .filter(|(_, loss)| loss.is_finite())
        .map(|&(x, y)| (x as f64, y as f64))
        .collect();
    let all = train.iter().chain(&held_out);
    let last = all.clone().map(|point| point.0).fold(1.0, f64::max);
    let high = all.clone().map(|point| point.1).fold(f64::MIN, f64::max);
    let low = all.map(|point| point.1).fold(f64::MAX, f64::min);
    let (low, high) = if low <= high { (low, high) } else { (0.0, 1.0) };
    let margin = ((high - low) * 0.05).max(1e-3);

    let root = SVGBackend::with_string(svg, (900, 520)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(&curve.title, ("sans-serif", 22))
        .margin(16)
        .x_label_area_size(40)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..last, (low - margin)..(high + margin))?;
    chart
        .configure_mesh()
        .x_desc("step")
        .y_desc("loss")
        .x_label_formatter(&|x| format!("{x:.0}"))
        .light_line_style(RGBColor(240, 240, 240))
        .draw()?;
    let (blue, red) = (RGBColor(60, 110, 180), RGBColor(200, 60, 60));
    chart
        .draw_series(LineSeries::new(train, blue.stroke_width(2)))?
        .label("train")
        .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], blue.stroke_width(2)));
    chart
        .draw_series(LineSeries::new(held_out.clone(), red.stroke_width(2)))?
        .label("held out")
        .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], red.stroke_width(2)));
    chart.draw_series(held_out.into_iter().map(|point| Circle::new(point, 3, red.filled())))?;
    chart.configure_series_labels().background_style(WHITE.mix(0.8)).border_style(BLACK.mix(0.3)).draw()?;
    root.present()?;
    Ok(())
}

/// Means over runs of neighbouring points, at most [`MAX_POINTS`] of them.
fn averaged(points: &[(u64, f32)]) -> Vec<(f64, f64)> {
    let run = points.len().div_ceil(MAX_POINTS).max(1);
    points
        .chunks(run)
        .filter_map(|chunk| {
            let finite: Vec<f64> =
                chunk.iter().map(|point| point.1 as f64).filter(|y| y.is_finite()).collect();
            let last = chunk.last()?.0 as f64;
            (!finite.is_empty()).then(|| (last, finite.iter().sum::<f64>() / finite.len() as f64))
        })
        .collect()
}
