//! The tables of chips: complete, consistent, every figure with its source.

#![allow(clippy::unwrap_used, reason = "test code")]

use anemone_ane::chips::{BARE, CHIPS, Chip, Convolution, Family, PROCESS, TARGETS, Target};
use anemone_ane::facts::{Figure, Grade, SOURCES};

#[test]
fn the_28_targets_are_there_and_each_is_a_chip_by_some_name() {
    assert_eq!(TARGETS.iter().filter(|target| target.listed).count(), 28);
    for target in TARGETS {
        let chip = Chip::named(target.name).unwrap();
        assert_eq!(chip.target, target.name);
        assert!(std::ptr::eq(chip.target(), target));
    }
}

#[test]
fn chips_are_found_by_any_spelling() {
    for name in ["M1 Max", "m1max", "m1-max", "m1_max", "h13g", "H13G"] {
        assert_eq!(Chip::named(name).unwrap().name, "M1 Max", "{name}");
    }
    assert_eq!(Chip::named("h13").unwrap().name, "M1");
    assert_eq!(Chip::named("a17pro").unwrap().target, "h16");
    let error = Chip::named("m99").unwrap_err().to_string();
    assert!(error.starts_with("there is no chip `m99`; chips: A11, A12"), "{error}");
}

#[test]
fn every_figure_names_its_source() {
    let told = |name: &str, of: &str, figure: &Figure| match figure.value {
        Some(value) => {
            assert!(value.is_finite() && value >= 0.0, "{of}: {name}");
            assert!(figure.grade != Grade::Unknown, "{of}: {name} has a value of unknown origin");
            assert!(SOURCES.contains(&figure.cite.source), "{of}: {name}");
        }
        None => assert_eq!(figure.grade, Grade::Unknown, "{of}: {name}"),
    };
    for chip in CHIPS.iter().chain(BARE) {
        assert!(Target::named(chip.target).is_some(), "{}", chip.name);
        chip.figures().iter().for_each(|(name, figure)| told(name, chip.name, figure));
    }
    for family in Family::MIL {
        for (name, figure) in family.limits().unwrap().figures() {
            told(name, family.name(), figure);
            assert!(figure.value.is_some(), "{family}: {name}");
        }
    }
    for figure in [PROCESS.programs, PROCESS.compiles, PROCESS.in_flight, PROCESS.constants_proven] {
        told("limits", "process", &figure);
    }
}

#[test]
fn clocks_rise_and_end_at_the_highest() {
    for target in TARGETS.iter().filter(|target| !target.clock_steps.is_empty()) {
        assert!(target.clock_steps.windows(2).all(|pair| pair[0] < pair[1]), "{}", target.name);
        assert_eq!(
            target.clock.value,
            target.clock_steps.last().map(|&step| f64::from(step)),
            "{}",
            target.name
        );
        assert!(target.effective_clock.value <= target.clock.value, "{}", target.name);
    }
}

#[test]
fn what_sources_disagree_on_is_recorded() {
    let m4 = Chip::named("M4").unwrap();
    assert!(m4.target_conflicts.iter().any(|conflict| conflict.claim == "h16"));
    let limits = m4.family().limits().unwrap();
    assert!(!limits.contraction.conflicts.is_empty() && !limits.kernel_width.conflicts.is_empty());
}

#[test]
fn winograd_begins_with_the_m5() {
    let of = |name: &str| Chip::named(name).unwrap().convolution;
    assert_eq!([of("M1"), of("M2 Pro"), of("M4 Max")], [Convolution::Direct; 3]);
    assert_eq!([of("M5"), of("M5 Pro"), of("M6")], [Convolution::Winograd; 3]);
    assert_eq!(of("M3"), Convolution::Unknown);
    assert!(Chip::named("M3").unwrap().unknown().contains(&"arithmetic of convolutions"));
}

/// Measured throughput of sixteen 3x3 convolutions of 256 channels (ANEForge) against the peak: below it, and not by far.
#[test]
fn peaks_lie_above_what_was_measured() {
    for (name, measured, winograd) in
        [("M1 Max", 9.60, 1.0), ("M4", 16.13, 1.0), ("M4 Max", 16.99, 1.0), ("M5 Pro", 24.33, 1.5)]
    {
        let peak = Chip::named(name).unwrap().peak().value.unwrap() * winograd;
        let share = measured / peak;
        assert!((0.75..1.0).contains(&share), "{name}: {share}");
    }
    assert_eq!(Chip::named("A11").unwrap().peak().value, None);
}
