//! The cost model against published measurements, and for any program.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use anemone_ane::chips::Chip;
use anemone_ane::cost::calibration::fit::fit;
use anemone_ane::cost::calibration::judge::{self, Errors, ROUNDS};
use anemone_ane::cost::calibration::rows::{self, Observation};
use anemone_ane::cost::calibration::{estimate_row, programs, roofline};
use anemone_ane::cost::graph::{Assumptions, FunctionWork};
use anemone_ane::cost::model::Rates;
use anemone_ane::cost::params::{Deviations, FACTS, Globals};
use anemone_ane::cost::{Estimate, EstimateOptions, Path, Provenance, estimate};
use mil::text::parse;
use mil::{
    Arg, Def, Function, Op, Operation, Opset, TensorType, Type, UNKNOWN, Value, ValueId, Verified, verify,
};
use std::sync::LazyLock;

static ROWS: LazyLock<Vec<Observation>> = LazyLock::new(|| {
    rows::rows(rows::MEASUREMENTS).into_iter().map(|row| Observation::new(row).unwrap()).collect()
});

fn chips() -> Vec<&'static Chip> {
    FACTS.iter().filter_map(|facts| Chip::named(facts.name).ok()).collect()
}

fn finite(found: &Estimate) {
    let figures = [found.latency_ms, found.energy_mj, found.package_mj];
    for range in figures {
        assert!(range.low.is_finite() && range.high.is_finite(), "{range:?}");
        assert!(0.0 < range.low && range.low <= range.mid && range.mid <= range.high, "{range:?}");
    }
    assert!(found.latency_ms.mid * 1e3 >= found.terms.dispatch_us);
    assert!((0.0..=1.0).contains(&found.utilization));
    for op in &found.ops {
        assert!(
            op.time_us.is_finite() && op.time_us >= 0.0 && op.tflops.is_finite() && op.gb_s.is_finite(),
            "{op:?}"
        );
    }
}

/// The sizes that the publishers give for their networks.
#[test]
fn rebuilt_networks_have_the_published_sizes() {
    let megabytes = |program: &str| {
        let case = programs::build(program).unwrap();
        FunctionWork::new(&case.programs[0].0.functions[0], Assumptions { loop_turns: 1, unknown_dim: 1 })
            .weight_bytes
            / 1e6
    };
    let near =
        |found: f64, published: f64| assert!((found / published - 1.0).abs() < 0.01, "{found} {published}");
    near(megabytes(r#"{"model":"resnet18","batch":1}"#), 23.37);
    near(megabytes(r#"{"model":"vit_b16","batch":1}"#), 172.8);
    near(
        megabytes(r#"{"model":"bert_encoder","batch":1,"layers":6,"s":128,"d":384,"heads":12,"ffn":1536}"#),
        21.3,
    );
}

/// The judgement of `docs/cost-model.md`: rows that the fits have not seen, and the published model on the same rows.
#[test]
fn unseen_programs_are_estimated_better_than_by_the_published_model() {
    let rows: Vec<&Observation> = ROWS.iter().collect();
    let times = judge::by_program(&rows);
    let ratio = |(row, time): (&&Observation, &f64)| time / 1e3 / row.row.latency_ms;
    let all = Errors::of(&rows.iter().zip(&times).map(ratio).collect::<Vec<_>>());
    assert_eq!(all.rows, 444);
    assert!(all.median <= 0.15 && all.p90 <= 0.45, "{all:?}");
    for scaled in [true, false] {
        let published: Vec<f64> = rows.iter().map(|row| roofline::time(row, scaled)).collect();
        let chip = |row: &Observation| row.row.chip.clone();
        let theirs = judge::ratios_by(&rows, &published, chip);
        for (chip, ours) in judge::ratios_by(&rows, &times, chip) {
            let (ours, theirs) = (Errors::of(&ours), Errors::of(&theirs[&chip]));
            assert!(ours.median < theirs.median, "{chip}: {ours:?}, published {theirs:?}");
        }
    }
}

/// `fitted.rs` is what the command writes, and what users call gives what was judged.
#[test]
fn the_committed_fit_is_the_fit_of_the_committed_rows() {
    let fitted = fit(&ROWS.iter().collect::<Vec<_>>(), ROUNDS);
    for row in ROWS.iter() {
        let (fresh, committed) = (fitted.predict(row) / 1e3, estimate_row(&row.row).unwrap().latency_ms);
        let renew = "run `cargo run --release -p anemone-ane --example fit_cost -- --write`";
        assert!(
            (fresh / committed - 1.0).abs() < 1e-3,
            "{}: {committed} ms, but a fit gives {fresh}; {renew}",
            row.row.id
        );
    }
}

/// What compression is worth, as measured on M5 Pro: 8 bits nothing, palettes and zeros about half of the time.
#[test]
fn compressed_weights_stream_as_measured() {
    let time = |encoding: &str| {
        let program = format!(r#"{{"op":"matmul","m":1,"k":8192,"n":8192,"weights":"const",{encoding}}}"#);
        let case = programs::build(&program).unwrap();
        let chip = Chip::named("M5 Pro").unwrap();
        estimate(&case.programs[0].0, "main", chip, &EstimateOptions::default()).unwrap().latency_ms.mid
    };
    let dense = time(r#""encoding":"fp16""#);
    assert!((time(r#""encoding":"int8""#) / dense - 1.0).abs() < 0.05);
    assert!((0.4..0.7).contains(&(time(r#""encoding":"int4_lut""#) / dense)));
    assert!((0.4..0.7).contains(&(time(r#""encoding":"sparse","sparsity":0.68"#) / dense)));
}

/// Every op has a cost, even with arguments that no verified program has.
#[test]
fn every_op_has_a_finite_cost() {
    let mut seen = 0;
    let globals = Globals::from_slice(&[]);
    let chips = FACTS.iter().map(|facts| Rates::new(&globals, facts, &Deviations::from_slice(&[])));
    let chips: Vec<Rates> = chips.collect();
    let huge = vec![1 << 20, 1 << 20, 1 << 20];
    for op in Op::all() {
        seen += 1;
        for shape in
            [vec![2, 8, 16, 16], vec![4, 32], vec![], vec![0, 8, 4, 4], vec![2, UNKNOWN, 8, 8], huge.clone()]
        {
            let function = any(op, &shape);
            let work = FunctionWork::new(&function, Assumptions { loop_turns: 4, unknown_dim: 16 });
            assert!(work.flops().is_finite(), "{}", op.declaration().name);
            for rates in &chips {
                let time = rates.call(&work.load(), Path::Direct, true);
                let total = time.total();
                assert!(
                    total.is_finite() && total >= time.floor && time.floor > 0.0,
                    "{}",
                    op.declaration().name
                );
            }
        }
    }
    assert!(seen >= 160, "{seen} ops");
}

/// A function of one operation whose every data argument is an input of this shape.
fn any(op: Op, shape: &[usize]) -> Function {
    let ty = Type::Tensor(TensorType::fp16(shape.to_vec()));
    let value = |name: &str, def: Def| Value { name: Some(name.to_string()), ty: ty.clone(), def };
    let mut values = vec![value("x", Def::Input), value("y", Def::Op)];
    values.push(value("z", Def::Input));
    let id = ValueId::from_index;
    let args: Vec<Arg> = op
        .params
        .iter()
        .map(|param| {
            if param.constant {
                Arg::None
            } else if param.kind.is_tuple() {
                Arg::Many(vec![id(0), id(2)])
            } else {
                Arg::One(id(0))
            }
        })
        .collect();
    let mut operation = Operation::new(op, args);
    operation.outputs.push(id(1));
    let body = mil::Block { inputs: Vec::new(), ops: vec![operation], outputs: vec![id(1)] };
    Function { name: "main".to_string(), opset: Opset::Ios18, inputs: vec![id(0), id(2)], body, values }
}

/// Control flow, lists, states, unknown dimensions: the programs that test the text form.
#[test]
fn programs_of_the_text_tests_have_estimates() {
    let mut seen = 0;
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../mil/tests/text/in")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "mil") {
            continue;
        }
        let Ok(program) = parse(&std::fs::read_to_string(&path).unwrap()) else { continue };
        let Ok(program) = verify(program) else { continue };
        for function in &program.functions {
            for chip in chips() {
                finite(&estimate(&program, &function.name, chip, &EstimateOptions::default()).unwrap());
            }
            seen += 1;
        }
    }
    assert!(seen >= 5, "only {seen} functions");
}

#[test]
fn options_and_provenance() {
    let case = programs::build(
        r#"{"op":"conv","n":1,"cin":64,"cout":64,"h":30,"w":30,"k":[3,3],"stride":1,"pad":"same"}"#,
    )
    .unwrap();
    let program: &Verified = &case.programs[0].0;
    let on = |name: &'static str, options: &EstimateOptions| {
        estimate(program, "main", Chip::named(name).unwrap(), options).unwrap()
    };
    let plain = EstimateOptions::default();
    let copied = EstimateOptions { host_copy: true, ..plain };
    assert!(on("M1", &copied).latency_ms.mid > on("M1", &plain).latency_ms.mid);
    assert!(on("M1", &copied).package_mj.mid > on("M1", &plain).package_mj.mid);
    let direct = EstimateOptions { path: Path::Direct, ..plain };
    assert!(on("M4", &direct).terms.dispatch_us > on("M4", &plain).terms.dispatch_us);
    let sustained = EstimateOptions { sustained: true, ..plain };
    assert!(on("M4", &sustained).latency_ms.mid >= on("M4", &plain).latency_ms.mid);
    assert_eq!(on("M5 Pro", &plain).provenance, Provenance::MeasuredChip);
    assert_eq!(on("M3 Pro", &plain).provenance, Provenance::Interpolated);
    assert_eq!(on("A15", &plain).provenance, Provenance::Extrapolated);
    let error = estimate(program, "other", chips()[0], &plain).unwrap_err();
    assert_eq!(error.to_string(), "the program has no function `other`; functions: main");
    let json = serde_json::to_value(on("M4", &plain)).unwrap();
    assert!(json["latency_ms"]["mid"].is_f64() && json["ops"][0]["bound"].is_string());
}

/// The clocks and bandwidths that the laws go by are those of the table of chips, wherever that has them.
#[test]
fn facts_agree_with_the_table_of_chips() {
    let mut differ = Vec::new();
    let mut near = |ours: f64, table: Option<f64>, what: &str| {
        if let Some(table) = table.filter(|table| (ours / table - 1.0).abs() > 0.05) {
            differ.push(format!("{what}: {ours}, but the table has {table}"));
        }
    };
    for facts in FACTS {
        let chip = Chip::named(facts.name).unwrap();
        near(facts.clock_mhz, chip.target().clock.value, &format!("clock of {}", facts.name));
        // For M1 the table has 85 GB/s of a study, where Apple's specification says 68.
        if facts.name != "M1" {
            near(facts.dram_gb_s, chip.memory.value, &format!("memory of {}", facts.name));
        }
    }
    assert!(differ.is_empty(), "{differ:#?}");
}
