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
    use anemone_ane::cost::calibration::{judge, roofline};
    let show = |name: &str, times: &[f64]| {
        let e = judge::Errors::of(&observations.iter().zip(times).map(|(o, t)| t / 1e3 / o.row.latency_ms).collect::<Vec<_>>());
        println!("{name:24} n {:4} median {:6.3} p90 {:6.3} fac2 {:.3}", e.rows, e.median, e.p90, e.within_two);
    };
    let fit_times: Vec<f64> = observations.iter().map(|o| fitted.predict(o)).collect();
    show("fit", &fit_times);
    if std::env::args().any(|a| a == "cv") {
        let cv = judge::by_program(&observations);
        show("cv by program", &cv);
        let loco = judge::by_chip(&observations);
        show("leave chip out", &loco);
        let scaled: Vec<f64> = observations.iter().map(|o| roofline::time(o, true)).collect();
        let plain: Vec<f64> = observations.iter().map(|o| roofline::time(o, false)).collect();
        show("roofline scaled", &scaled);
        show("roofline anchor", &plain);
        let by = |times: &[f64], key: fn(&rows::Observation) -> String| judge::ratios_by(&observations, times, key);
        for key in [(|o: &rows::Observation| o.row.chip.clone()) as fn(&rows::Observation) -> String, |o| o.row.workload.clone(), |o| format!("{} {}", o.row.chip, o.row.workload)] {
            for (name, ratios) in by(&cv, key) {
                let (e, l, s, p) = (judge::Errors::of(&ratios), judge::Errors::of(&by(&loco, key)[&name]), judge::Errors::of(&by(&scaled, key)[&name]), judge::Errors::of(&by(&plain, key)[&name]));
                println!("{name:22} n {:4} cv {:6.3} {:6.3} | loco {:6.3} {:6.3} | roof {:6.3} {:6.3} | anchor {:6.3} {:6.3}", e.rows, e.median, e.p90, l.median, l.p90, s.median, s.p90, p.median, p.p90);
            }
        }
        let which = if std::env::args().any(|a| a == "loco") { &loco } else { &cv };
        for (o, t) in observations.iter().zip(which) {
            let r: f64 = t / 1e3 / o.row.latency_ms;
            if !(0.72..1.4).contains(&r) {
                println!("x{r:.2} {:9} {:10} meas {:9.4} pred {:9.4} {}", o.row.chip, o.row.workload, o.row.latency_ms, t / 1e3, o.row.program);
            }
        }
    }
}
