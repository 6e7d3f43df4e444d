//! What `check` says of a small program around every op, against what a census found on an M5's engine.

#![allow(clippy::unwrap_used, reason = "test code")]

mod common;

use anemone_ane::chips::Chip;
use anemone_ane::rules::{Severity, Verdict, check, op_rule};
use std::collections::BTreeMap;

const CENSUS: &str = include_str!("data/census_m5.csv");

/// Where we say otherwise, and why.
const DISAGREEMENTS: &[(&str, &str)] = &[];

/// Least agreement, percent.
const LEAST: f64 = 97.0;

#[test]
fn predictions_agree_with_the_census() {
    let chip = Chip::named("M5").unwrap();
    let (mut agreed, mut total, mut others) = (0, 0, BTreeMap::new());
    for line in CENSUS.lines().filter(|line| !line.starts_with('#')).skip(1) {
        let mut cells = line.split(',');
        let (op, class) = (cells.next().unwrap(), cells.next().unwrap());
        let report = check(&common::program_of(op), None, chip).unwrap();
        let runs = matches!(class, "correct" | "reachable");
        let predicted = report.verdict != Verdict::Refused;
        total += 1;
        if runs == predicted {
            agreed += 1;
        } else {
            let refusals: Vec<_> =
                report.of(Severity::Refused).map(|f| format!("{}: {}", f.rule, f.found)).collect();
            others.insert(op, format!("census {class}, predicted {}: {refusals:?}", report.verdict.name()));
        }
    }
    assert_eq!(total, 166);
    let share = 100.0 * f64::from(agreed) / f64::from(total);
    println!("{agreed} of {total} agree, {share:.1} %: {others:#?}");
    let unexplained: Vec<_> =
        others.iter().filter(|(op, _)| !DISAGREEMENTS.iter().any(|(known, _)| known == *op)).collect();
    assert!(unexplained.is_empty(), "{unexplained:#?}");
    assert!(share >= LEAST, "{share:.1} %");
}

#[test]
fn every_op_has_an_entry_and_an_answer() {
    for op in mil::Op::all() {
        let name = op.declaration().name;
        assert!(op_rule(name).is_some(), "{name} has no entry");
        let program = common::program_of(name);
        for chip in anemone_ane::chips::CHIPS {
            let report = check(&program, None, chip).unwrap();
            assert_eq!(report.functions.len(), 1, "{name} on {}", chip.name);
        }
    }
    for rule in anemone_ane::rules::op_rules() {
        assert!(mil::Op::named(rule.op).is_some(), "{} is no op", rule.op);
    }
}
