//! The published measurements, one row each.

use super::net::ProgramError;
use super::programs::{HostStep, build};
use crate::cost::graph::{Assumptions, FunctionWork, Load};
use crate::cost::model::Path;
use std::collections::HashMap;

/// A row of `data/measurements.csv`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// Stable name.
    pub id: String,
    /// Chip.
    pub chip: String,
    /// Route: `e5rt` or `direct`.
    pub path: String,
    /// Kind of program.
    pub workload: String,
    /// The program, as JSON.
    pub program: String,
    /// Time per call in ms.
    pub latency_ms: f64,
    /// `yes`, `no` or `unknown`.
    pub host_copy: String,
    /// Energy of the engine's rail per call, in mJ.
    pub energy_mj: Option<f64>,
    /// Energy of the package.
    pub package_mj: Option<f64>,
    /// Time per call in a loop.
    pub sustained_ms: Option<f64>,
    /// Unit of cross-validation: chip and program.
    pub group: String,
}

/// What the model needs of a row.
#[derive(Clone, Debug)]
pub struct Observation {
    /// The row.
    pub row: Row,
    /// Route.
    pub path: Path,
    /// Whether the host converts and copies.
    pub host_copy: bool,
    /// Loads with their calls.
    pub loads: Vec<(Load, f64)>,
    /// Host part of a step.
    pub host: Option<HostStep>,
    /// Whole functions, for what looks at operations.
    pub functions: Vec<(FunctionWork, f64)>,
}

/// The table that comes with the crate.
pub const MEASUREMENTS: &str = include_str!("../../../data/measurements.csv");

/// Reads the rows of a table of measurements (RFC 4180); unknown columns are left out.
pub fn rows(csv: &str) -> Vec<Row> {
    let mut records = records(csv).into_iter();
    let Some(head) = records.next() else { return Vec::new() };
    let at: HashMap<&str, usize> =
        head.iter().enumerate().map(|(index, name)| (name.as_str(), index)).collect();
    records
        .filter(|record| record.len() == head.len())
        .map(|record| {
            let text = |name: &str| at.get(name).map_or(String::new(), |&index| record[index].clone());
            let number = |name: &str| text(name).parse::<f64>().ok().filter(|number| number.is_finite());
            Row {
                id: text("id"),
                chip: text("chip"),
                path: text("path"),
                workload: text("workload"),
                program: text("program"),
                latency_ms: number("latency_ms").unwrap_or(0.0),
                host_copy: text("includes_host_copy"),
                energy_mj: number("energy_mj"),
                package_mj: number("energy_pkg_mj"),
                sustained_ms: number("sustained_ms"),
                group: text("group"),
            }
        })
        .collect()
}

fn records(csv: &str) -> Vec<Vec<String>> {
    let (mut records, mut record, mut field, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut chars = csv.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                field.push('"');
                chars.next();
            }
            '"' => quoted = !quoted,
            ',' if !quoted => record.push(std::mem::take(&mut field)),
            '\n' if !quoted => {
                record.push(std::mem::take(&mut field));
                records.push(std::mem::take(&mut record));
            }
            '\r' if !quoted => {}
            c => field.push(c),
        }
    }
    if !field.is_empty() || !record.is_empty() {
        record.push(field);
        records.push(record);
    }
    records
}

impl Observation {
    /// The route of a row.
    pub(super) fn route(row: &Row) -> Path {
        if row.path == "direct" { Path::Direct } else { Path::E5rt }
    }

    /// Whether the time of a row has host copies in it. Through e5rt, a call that does not say otherwise is the Python one, which converts
    /// on the host; what the host does in a whole step is a term of its own.
    pub(super) fn copies(row: &Row, step: bool) -> bool {
        let unknown = row.host_copy == "unknown" && Observation::route(row) == Path::E5rt;
        !step && (row.host_copy == "yes" || unknown)
    }

    /// Builds the programs of a row and takes their work.
    ///
    /// # Errors
    /// When the program is not of the published language.
    pub fn new(row: Row) -> Result<Observation, ProgramError> {
        let case = build(&row.program)?;
        let assume = Assumptions { loop_turns: 1, unknown_dim: 1 };
        let works = case.programs.iter().filter_map(|(program, calls)| {
            program.functions.first().map(|function| (FunctionWork::new(function, assume), *calls))
        });
        let functions: Vec<(FunctionWork, f64)> = works.collect();
        Ok(Observation {
            path: Observation::route(&row),
            host_copy: Observation::copies(&row, case.host.is_some()),
            loads: functions.iter().map(|(work, calls)| (work.load(), *calls)).collect(),
            host: case.host.filter(|_| row.host_copy != "no"),
            functions,
            row,
        })
    }
}
