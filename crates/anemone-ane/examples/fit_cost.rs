//! Fits the cost model to the published measurements, judges it on rows that the fits have not seen, and prints the tables of
//! `docs/cost-model.md`.
//!
//! ```text
//! cargo run --release -p anemone-ane --example fit_cost                    fit, judge, print
//! cargo run --release -p anemone-ane --example fit_cost -- --write         the same, and renew src/cost/fitted.rs and the tables in docs/
//! cargo run --release -p anemone-ane --example fit_cost -- --predict FILE  id,predicted_ms of any table of rows, by the committed model
//! cargo run --release -p anemone-ane --example fit_cost -- --cv FILE       id,predicted_ms of the published rows by cross-validation
//! ```

use anemone_ane::cost::calibration::energy::{Engine, Rest, activity, rest_measured};
use anemone_ane::cost::calibration::fit::{Fitted, fit, fit_model};
use anemone_ane::cost::calibration::judge::{self, Errors, quantile};
use anemone_ane::cost::calibration::rows::{self, Observation};
use anemone_ane::cost::calibration::{estimate_row, roofline};
use anemone_ane::cost::energy::{GLOBALS as ENERGY, PACKAGE_GLOBALS, engine_mj};
use anemone_ane::cost::params::{DEVIATIONS, FACTS, GLOBALS};
use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;

const HEAD: &str = "<!-- written by `cargo run --release -p anemone-ane --example fit_cost -- --write` -->";
const FOOT: &str = "<!-- end -->";

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, file] = &args[..]
        && flag == "--predict"
    {
        return predict(file);
    }
    let mut observations = Vec::new();
    for row in rows::rows(rows::MEASUREMENTS) {
        observations.push(Observation::new(row)?);
    }
    let rows: Vec<&Observation> = observations.iter().collect();
    let judged = Judged::new(&rows);
    if let [flag, file] = &args[..]
        && flag == "--cv"
    {
        let lines =
            rows.iter().zip(&judged.by_program).map(|(row, time)| format!("{},{}\n", row.row.id, time / 1e3));
        std::fs::write(file, format!("id,predicted_ms\n{}", lines.collect::<String>()))?;
        return Ok(());
    }
    let tables = judged.tables()?;
    print(&tables);
    print(&judged.worst());
    if args.iter().any(|arg| arg == "--write") {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        std::fs::write(root.join("src/cost/fitted.rs"), judged.source()?)?;
        let page = root.join("../../docs/cost-model.md");
        let text = std::fs::read_to_string(&page)?;
        let (before, rest) = text.split_once(HEAD).ok_or("docs/cost-model.md has no place for the tables")?;
        let (_, after) = rest.split_once(FOOT).ok_or("docs/cost-model.md has no end of the tables")?;
        std::fs::write(page, format!("{before}{HEAD}\n\n{tables}\n{FOOT}{after}"))?;
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "this is a command")]
fn print(text: &str) {
    println!("{text}");
}

fn predict(file: &str) -> Result<(), Box<dyn Error>> {
    let mut out = "id,predicted_ms,predicted_mj\n".to_string();
    for row in rows::rows(&std::fs::read_to_string(file)?) {
        let found = estimate_row(&row).map_err(|error| format!("{}: {error}", row.id))?;
        writeln!(out, "{},{},{}", row.id, found.latency_ms, found.energy_mj)?;
    }
    print(out.trim_end());
    Ok(())
}

/// Everything that is fitted and judged.
struct Judged<'a> {
    rows: &'a [&'a Observation],
    fitted: Fitted,
    energy: Fitted,
    package: Fitted,
    /// Times in µs.
    by_program: Vec<f64>,
    by_chip: Vec<f64>,
    published: Vec<f64>,
    anchor: Vec<f64>,
    /// Rows with energy, and their energies in mJ by cross-validation.
    powered: Vec<&'a Observation>,
    energies: Vec<f64>,
}

impl<'a> Judged<'a> {
    fn new(rows: &'a [&'a Observation]) -> Judged<'a> {
        let fitted = fit(rows, judge::ROUNDS);
        let powered: Vec<&Observation> =
            rows.iter().copied().filter(|row| row.row.energy_mj.is_some()).collect();
        let both: Vec<&Observation> =
            rows.iter().copied().filter(|row| rest_measured(row).is_some()).collect();
        let all = judge::energy_by_program(rows);
        let energies =
            rows.iter().zip(all).filter(|(row, _)| row.row.energy_mj.is_some()).map(|(_, mj)| mj).collect();
        Judged {
            energy: fit_model(&Engine(&fitted), &powered, judge::ROUNDS),
            package: fit_model(&Rest(&fitted), &both, judge::ROUNDS),
            by_program: judge::by_program(rows),
            by_chip: judge::by_chip(rows),
            published: rows.iter().map(|row| roofline::time(row, true)).collect(),
            anchor: rows.iter().map(|row| roofline::time(row, false)).collect(),
            fitted,
            powered,
            energies,
            rows,
        }
    }

    fn ratios(&self, times: &[f64]) -> Vec<f64> {
        self.rows.iter().zip(times).map(|(row, time)| time / 1e3 / row.row.latency_ms).collect()
    }

    fn tables(&self) -> Result<String, std::fmt::Error> {
        let mut out = String::new();
        writeln!(out, "### Overall\n")?;
        writeln!(
            out,
            "| prediction | rows | median error | 90th percentile | within a factor of 2 |\n|---|--:|--:|--:|--:|"
        )?;
        let in_sample: Vec<f64> = self.rows.iter().map(|row| self.fitted.predict(row)).collect();
        for (name, times) in [
            ("rows seen by the fit (not a judgement)", &in_sample),
            ("**cross-validation by program** (10 folds)", &self.by_program),
            ("chip left out", &self.by_chip),
            ("published roofline, scaled by cores as published", &self.published),
            ("published roofline, anchors unscaled", &self.anchor),
        ] {
            let e = Errors::of(&self.ratios(times));
            writeln!(
                out,
                "| {name} | {} | {:.1}% | {:.1}% | {:.0}% |",
                e.rows,
                e.median * 100.0,
                e.p90 * 100.0,
                e.within_two * 100.0
            )?;
        }
        let energy: Vec<f64> = self
            .powered
            .iter()
            .zip(&self.energies)
            .filter_map(|(row, mj)| Some(mj / row.row.energy_mj?))
            .collect();
        let e = Errors::of(&energy);
        writeln!(
            out,
            "| energy of the engine's rail, cross-validation by program | {} | {:.1}% | {:.1}% | {:.0}% |",
            e.rows,
            e.median * 100.0,
            e.p90 * 100.0,
            e.within_two * 100.0
        )?;
        writeln!(
            out,
            "\n### By chip\n\nMedian / 90th percentile of the error. The published model is taken in whichever of its two forms is the better one on the chip.\n"
        )?;
        self.table(&mut out, "chip", |row| chip_key(&row.row.chip))?;
        writeln!(out, "\n### By workload\n")?;
        self.table(&mut out, "workload", |row| row.row.workload.clone())?;
        writeln!(out, "\n### By chip and workload\n")?;
        self.table(&mut out, "chip, workload", |row| {
            format!("{}, {}", chip_key(&row.row.chip), row.row.workload)
        })?;
        Ok(out)
    }

    fn table(&self, out: &mut String, what: &str, key: fn(&Observation) -> String) -> std::fmt::Result {
        writeln!(
            out,
            "| {what} | rows | cross-validation | chip left out | published roofline |\n|---|--:|--:|--:|--:|"
        )?;
        let by = |times: &[f64]| judge::ratios_by(self.rows, times, key);
        let (left_out, scaled, plain) = (by(&self.by_chip), by(&self.published), by(&self.anchor));
        for (name, ratios) in by(&self.by_program) {
            let (scaled, plain) = (Errors::of(&scaled[&name]), Errors::of(&plain[&name]));
            let better = if scaled.median <= plain.median { scaled } else { plain };
            let shown = name.split_once('~').map_or(name.as_str(), |(_, name)| name);
            let e = Errors::of(&ratios);
            let cell = |e: Errors| format!("{:.1}% / {:.1}%", e.median * 100.0, e.p90 * 100.0);
            writeln!(
                out,
                "| {shown} | {} | {} | {} | {} |",
                e.rows,
                cell(e),
                cell(Errors::of(&left_out[&name])),
                cell(better)
            )?;
        }
        Ok(())
    }

    /// The rows that cross-validation misses by most.
    fn worst(&self) -> String {
        let mut ratios: Vec<(f64, &Observation)> =
            self.ratios(&self.by_program).into_iter().zip(self.rows.iter().copied()).collect();
        ratios.sort_by(|a, b| libm::fabs(libm::log(b.0)).total_cmp(&libm::fabs(libm::log(a.0))));
        let line = |(ratio, row): &(f64, &Observation)| {
            format!("x{ratio:.2} of {:.4} ms  {} {}\n", row.row.latency_ms, row.row.chip, row.row.program)
        };
        ratios.iter().take(40).map(line).collect()
    }

    /// Quantiles of measured / predicted.
    fn spread(ratios: impl Iterator<Item = f64>, widen: f64) -> (f64, f64) {
        let mut logs: Vec<f64> = ratios.map(|ratio| -libm::log(ratio)).collect();
        logs.sort_by(f64::total_cmp);
        let at = |q: f64| libm::exp(quantile(&logs, q) * widen);
        (at(0.1).min(1.0), at(0.9).max(1.0))
    }

    /// `src/cost/fitted.rs`.
    fn source(&self) -> Result<String, std::fmt::Error> {
        let mut out = String::from(
            "//! The fitted parameters. Written by `cargo run --release -p anemone-ane --example fit_cost -- --write` from\n\
             //! `data/measurements.csv`; not to be edited.\n\n\
             /// Deviations of one chip from the shared laws.\n\
             pub(super) struct FittedChip {\n    /// Name.\n    pub(super) name: &'static str,\n    /// Published rows.\n    pub(super) rows: usize,\n    \
             /// In the order of `params::DEVIATIONS`.\n    pub(super) latency: [f64; 7],\n    /// Factor on the energy of the engine's rail.\n    pub(super) energy: f64,\n    \
             /// Factor on the energy of the rest of the package.\n    pub(super) package: f64,\n}\n\n\
             /// In the order of `params::GLOBALS`.\n#[rustfmt::skip]\npub(super) static GLOBALS: &[f64] = &[\n",
        );
        for (spec, value) in GLOBALS.iter().zip(&self.fitted.globals) {
            writeln!(out, "    {value:?}, // {}", spec.name)?;
        }
        let names: Vec<&str> = DEVIATIONS.iter().map(|spec| spec.name).collect();
        writeln!(
            out,
            "];\n\n/// Measured chips; `latency` is {}.\n#[rustfmt::skip]\npub(super) static CHIPS: &[FittedChip] = &[",
            names.join(", ")
        )?;
        for facts in FACTS.iter().filter(|facts| self.fitted.chips.contains_key(facts.name)) {
            let rows = self.rows.iter().filter(|row| row.row.chip == facts.name).count();
            let factor = |fitted: &Fitted| fitted.deviations(facts.name).first().copied().unwrap_or(1.0);
            writeln!(
                out,
                "    FittedChip {{ name: {:?}, rows: {rows}, latency: {:?}, energy: {:?}, package: {:?} }},",
                facts.name,
                self.fitted.deviations(facts.name),
                factor(&self.energy),
                factor(&self.package)
            )?;
        }
        writeln!(out, "];\n")?;
        for (name, specs, fitted) in
            [("ENERGY", ENERGY, &self.energy), ("PACKAGE", PACKAGE_GLOBALS, &self.package)]
        {
            let names: Vec<&str> = specs.iter().map(|spec| spec.name).collect();
            let values = &fitted.globals;
            writeln!(
                out,
                "/// {}.\n#[rustfmt::skip]\npub(super) static {name}: &[f64] = &{values:?};\n",
                names.join(", ")
            )?;
        }
        let known = |row: &&Observation| {
            self.rows.iter().filter(|other| other.row.chip == row.row.chip).count() >= 10
        };
        let of_known = self
            .rows
            .iter()
            .zip(self.ratios(&self.by_program))
            .filter(|(row, _)| known(row))
            .map(|(_, ratio)| ratio);
        let left_out = self.ratios(&self.by_chip);
        let spreads = [
            Self::spread(of_known, 1.0),
            Self::spread(left_out.iter().copied(), 1.0),
            Self::spread(left_out.iter().copied(), 1.5),
        ];
        writeln!(
            out,
            "/// Measured over predicted, 10th and 90th percentile, by provenance: cross-validation by program on chips with ten rows or\n\
             /// more; chip left out; and that again, with logarithms half as wide again (an assumption).\n#[rustfmt::skip]\n\
             pub(super) static SPREADS: [(f64, f64); 3] = {spreads:?};\n"
        )?;
        let energy =
            self.powered.iter().zip(&self.energies).filter_map(|(row, mj)| Some(mj / row.row.energy_mj?));
        writeln!(
            out,
            "/// The same for energy, cross-validation by program.\n#[rustfmt::skip]\npub(super) static ENERGY_SPREAD: (f64, f64) = {:?};\n",
            Self::spread(energy, 1.0)
        )?;
        let mut loops: Vec<f64> = self
            .rows
            .iter()
            .filter(|row| row.row.latency_ms >= 1.0)
            .filter_map(|row| Some(row.row.sustained_ms? / row.row.latency_ms))
            .collect();
        loops.sort_by(f64::total_cmp);
        writeln!(
            out,
            "/// Time in a loop over time alone: median of the {} rows of 1 ms or more that have both.\npub(super) static SUSTAINED: f64 = {:?};\n",
            loops.len(),
            quantile(&loops, 0.5).max(1.0)
        )?;
        let ops: BTreeSet<&str> = self
            .rows
            .iter()
            .flat_map(|row| &row.functions)
            .flat_map(|(work, _)| &work.ops)
            .map(|op| op.op)
            .collect();
        let ops: Vec<&str> = ops.into_iter().collect();
        writeln!(
            out,
            "/// Ops of the published programs.\n#[rustfmt::skip]\npub(super) static OPS: &[&str] = &{ops:?};"
        )?;
        let _ = (engine_mj, activity);
        Ok(out)
    }
}

/// Sorts chips by age; the part before `~` is not shown.
fn chip_key(chip: &str) -> String {
    let at = FACTS.iter().position(|facts| facts.name == chip).unwrap_or(0);
    format!("{at:02}~{chip}")
}
