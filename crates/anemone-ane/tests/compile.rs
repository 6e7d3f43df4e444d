//! The law of compile times against what was published.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use anemone_ane::chips::{CHIPS, Chip};
use anemone_ane::cost::compile::{Compilation, LAW, PUBLISHED};
use anemone_ane::cost::compile_time;
use anemone_ane::cost::params::ChipFacts;

/// Rows that the law is held to, of chips from M3 on.
fn recent() -> Vec<&'static Compilation> {
    let recent = |row: &&Compilation| {
        row.is_plain() && ChipFacts::of(Chip::named(row.chip).unwrap()).generation >= 2.9
    };
    PUBLISHED.iter().filter(recent).collect()
}

/// The sum of absolute logarithms of published over predicted.
fn miss(rows: &[&Compilation], fixed: f64, per_megabyte: f64) -> f64 {
    let one = |row: &&Compilation| {
        let predicted = fixed + per_megabyte * row.weight_mb.unwrap();
        (row.ms / row.programs / predicted).ln().abs()
    };
    rows.iter().map(one).sum()
}

#[test]
fn fixed_time_and_slope_are_the_best_there_are() {
    let rows = recent();
    assert!(rows.len() >= 20, "{}", rows.len());
    let (fixed, slope) = (LAW.fixed.value.unwrap(), LAW.per_megabyte.value.unwrap());
    let ours = miss(&rows, fixed, slope);
    let mut best = (f64::INFINITY, 0.0, 0.0);
    for fixed in 10..120 {
        for slope in 1..60 {
            let (fixed, slope) = (f64::from(fixed), f64::from(slope) / 10.0);
            let found = miss(&rows, fixed, slope);
            if found < best.0 {
                best = (found, fixed, slope);
            }
        }
    }
    assert!(ours <= best.0 * 1.001, "{fixed} and {slope} miss by {ours}, {best:?}");
}

#[test]
fn eight_of_ten_rows_are_in_the_range() {
    let rows = recent();
    let inside = rows.iter().filter(|row| {
        let found = compile_time(Chip::named(row.chip).unwrap(), 1, row.weight_mb.unwrap() * 1e6);
        let seconds = row.ms / row.programs / 1e3;
        (found.low..=found.high).contains(&seconds)
    });
    let share = inside.count() as f64 / rows.len() as f64;
    assert!(
        (0.8..1.0).contains(&share),
        "{share}: a range that holds all says nothing, one that holds few is wrong"
    );
    let below = |row: &&&Compilation| {
        row.ms / row.programs / 1e3
            < compile_time(Chip::named(row.chip).unwrap(), 1, row.weight_mb.unwrap() * 1e6).mid
    };
    let below = rows.iter().filter(below).count() as f64 / rows.len() as f64;
    assert!((0.35..0.65).contains(&below), "{below} of the rows are below the estimate");
}

/// What the fit did not see: the static pipelines of the first generation, and the monolith that its last term stands on.
#[test]
fn old_chips_and_large_programs() {
    for row in PUBLISHED.iter().filter(|row| matches!(row.chip, "M1 Pro" | "M1 Max")) {
        let found = compile_time(Chip::named(row.chip).unwrap(), 1, row.weight_mb.unwrap() * 1e6).mid;
        let seconds = row.ms / row.programs / 1e3;
        assert!((found / seconds - 1.0).abs() < 0.25, "{}: {found} s, published {seconds} s", row.chip);
    }
    let m5 = Chip::named("M5 Pro").unwrap();
    let monolith = PUBLISHED.iter().find(|row| row.ms > 1e5).unwrap();
    assert!((compile_time(m5, 2500, 0.0).mid / (monolith.ms / 1e3) - 1.0).abs() < 0.05);
    // Six programs of a layer: some 30 operations forward, 90 backward.
    let layers = PUBLISHED.iter().find(|row| row.what.starts_with("six programs")).unwrap();
    let six: f64 = [30, 90, 10, 30, 10, 30].iter().map(|&ops| compile_time(m5, ops, 0.0).mid).sum();
    assert!((six / (layers.ms / 1e3)).ln().abs() < f64::ln(2.0), "{six} s");
}

#[test]
fn rows_have_their_source_and_times_grow() {
    for row in PUBLISHED {
        assert!(row.ms > 0.0 && row.programs >= 1.0 && !row.cite.source.name.is_empty(), "{row:?}");
        assert!(row.chip.is_empty() || Chip::named(row.chip).is_ok(), "{}", row.chip);
        assert!(row.seen.is_none_or(|(least, most)| least <= row.ms && row.ms <= most), "{row:?}");
    }
    for chip in CHIPS {
        let time = |ops: usize, bytes: f64| compile_time(chip, ops, bytes);
        let base = time(10, 1e6);
        assert!(0.0 < base.low && base.low < base.mid && base.mid < base.high, "{}", chip.name);
        assert!(time(20, 1e6).mid > base.mid && time(10, 2e6).mid > base.mid);
        for found in [time(0, 0.0), time(usize::MAX, f64::INFINITY), time(1, f64::MAX), time(1, -1.0)] {
            assert!(found.mid > 0.0 && found.high.is_finite(), "{found:?}");
        }
    }
}

/// The page says what the table has.
#[test]
fn the_page_tells_the_figures() {
    let page = include_str!("../../../docs/cost-model.md");
    let parts = [
        format!("{} figures with source and grade", PUBLISHED.len()),
        format!("; {} of them are of one new program", recent().len()),
        format!(
            "{} ms + {} ms per MB of weights + {:.2} µs × operations^{}",
            LAW.fixed.value.unwrap(),
            LAW.per_megabyte.value.unwrap(),
            LAW.per_operation.value.unwrap() * 1e3,
            LAW.exponent.value.unwrap()
        ),
        format!("The range is {} to {} times", LAW.low.value.unwrap(), LAW.high.value.unwrap()),
        format!("{} for M1 and A14 and older", LAW.first_generation.value.unwrap()),
    ];
    for part in parts {
        assert!(page.contains(&part), "{part}");
    }
}
