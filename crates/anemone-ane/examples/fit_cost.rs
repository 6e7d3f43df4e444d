//! Fits the cost model to the published measurements.
fn main() {
    use anemone_ane::cost::calibration::{fit, rows};
    let observations: Vec<_> = rows::rows(rows::MEASUREMENTS)
        .into_iter()
        .filter_map(|row| {
            let id = row.id.clone();
            rows::Observation::new(row).map_err(|e| eprintln!("{id}: {e}")).ok()
        })
        .collect();
    println!("{} rows", observations.len());
    let all: Vec<_> = observations.iter().collect();
    let t = std::time::Instant::now();
    let fitted = fit::fit(&all, 60);
    println!("fit {:?}", t.elapsed());
    for (spec, value) in anemone_ane::cost::params::GLOBALS.iter().zip(&fitted.globals) {
        println!("{:12} {:9.4}   (start {})", spec.name, value, spec.start);
    }
    for (chip, values) in &fitted.chips {
        println!("{chip:9} {}", values.iter().map(|v| format!("{v:6.2}")).collect::<String>());
    }
    let mut errors: Vec<(f64, String)> = observations
        .iter()
        .map(|o| {
            let p = fitted.predict(o) / 1e3;
            (p / o.row.latency_ms, format!("{:9} {:10} meas {:9.4} pred {:9.4} {}", o.row.chip, o.row.workload, o.row.latency_ms, p, o.row.program))
        })
        .collect();
    let mut e: Vec<f64> = errors.iter().map(|(r, _)| (r - 1.0).abs()).collect();
    e.sort_by(f64::total_cmp);
    println!("median {:.3} p90 {:.3}", e[e.len() / 2], e[e.len() * 9 / 10]);
    errors.sort_by(|a, b| b.0.ln().abs().total_cmp(&a.0.ln().abs()));
    for (r, text) in errors.iter().take(90) {
        println!("x{r:.2} {text}");
    }
}
