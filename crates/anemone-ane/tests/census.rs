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

/// What sources other than the census say of ops on the newest engines: lists of what is not there, and of what has been from some
/// generation on.
const ELSEWHERE: &[(&str, &[&str], bool)] = &[
    (
        "M6 study, ops that are not on the engine",
        &[
            "asin",
            "acos",
            "tan",
            "sinh",
            "cosh",
            "mod",
            "cumsum",
            "reduce_prod",
            "lstm",
            "gru",
            "one_hot",
            "non_zero",
        ],
        false,
    ),
    ("hollance, unsupported layers", &["rnn", "lstm", "gru", "gather"], false),
    (
        "ANEForge, op floors",
        &[
            "sin",
            "cos",
            "crop_resize",
            "affine",
            "gather",
            "resize_bilinear",
            "resize_nearest_neighbor",
            "upsample_bilinear",
            "random_bernoulli",
            "random_categorical",
            "random_normal",
            "random_uniform",
            "reduce_argmax",
            "reduce_argmin",
            "topk",
            "argsort",
            "conv",
            "matmul",
            "layer_norm",
            "scaled_dot_product_attention",
            "erf",
            "rsqrt",
            "atan",
        ],
        true,
    ),
    (
        "mil-hwx-compiler, programs for H13 and H14",
        &[
            "add",
            "mul",
            "maximum",
            "minimum",
            "sub",
            "relu",
            "clip",
            "abs",
            "exp",
            "gelu_exact",
            "leaky_relu",
            "rsqrt",
            "sigmoid",
            "silu",
            "sqrt",
            "tanh",
            "matmul",
            "layer_norm",
            "reduce_sum",
            "reduce_mean",
            "reduce_max",
            "conv",
        ],
        true,
    ),
];

/// The table follows the census where it and another source disagree; each such case must stand in it as a conflict.
#[test]
fn where_other_sources_disagree_with_the_census_the_table_says_so() {
    let census: BTreeMap<&str, bool> = CENSUS
        .lines()
        .filter(|line| !line.starts_with('#'))
        .skip(1)
        .map(|line| {
            (line.split(',').next().unwrap(), line.contains(",correct,") || line.contains(",reachable,"))
        })
        .collect();
    let (mut agreed, mut total) = (0, 0);
    for (source, ops, runs) in ELSEWHERE {
        for op in *ops {
            total += 1;
            if census[op] == *runs {
                agreed += 1;
                continue;
            }
            let entry = op_rule(op).unwrap();
            assert!(
                !entry.conflicts.is_empty(),
                "{source} says otherwise of {op}, and the table does not tell"
            );
        }
    }
    println!("{agreed} of {total} claims of other sources agree with the census");
    assert!(agreed * 100 >= total * 80, "{agreed} of {total}");
}
