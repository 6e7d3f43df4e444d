//! Each rule fires where it should, stays silent where it should, and what can be rewritten is.

#![allow(clippy::unwrap_used, reason = "test code")]
#![allow(dead_code, reason = "each test file uses a part of what is common")]

#[path = "common/cases.rs"]
mod cases;
mod common;

use anemone_ane::chips::{CHIPS, Chip};
use anemone_ane::legalize::legalize;
use anemone_ane::rules::{Report, Severity, Verdict, check, rules};
use cases::CASES;
use common::verified;
use mil::{Constant, DataType, FunctionBuilder, Opset, Program, TensorType, Verified};

fn report(program: &Verified, chip: &str) -> Report {
    check(program, None, Chip::named(chip).unwrap()).unwrap()
}

fn has(report: &Report, rule: &str) -> bool {
    report.findings.iter().any(|finding| finding.rule == rule)
}

#[test]
fn each_rule_fires_and_is_silent_where_it_should() {
    for case in CASES {
        let (hit, miss) = (case.program(case.hit, DataType::Fp16), case.program(case.miss, DataType::Fp16));
        let found = report(&hit, case.chip);
        let findings: Vec<_> = found.findings.iter().filter(|finding| finding.rule == case.rule).collect();
        assert!(!findings.is_empty(), "{} is silent on {}: {:#?}", case.rule, case.chip, found.findings);
        for finding in findings {
            assert!(finding.tested, "{}", case.rule);
            assert!(
                !finding.found.is_empty() && !finding.way_out.is_empty() && !finding.source.is_empty(),
                "{finding:?}"
            );
            assert_eq!(finding.fixable, case.fixable, "{finding:?}");
        }
        assert!(!has(&report(&miss, case.chip), case.rule), "{} fires on what is allowed", case.rule);
        if let Some(spared) = case.spared {
            assert!(!has(&report(&hit, spared), case.rule), "{} fires on {spared}", case.rule);
        }
    }
}

#[test]
fn what_can_be_rewritten_is_and_stays() {
    for case in CASES {
        let program = case.program(case.hit, DataType::Fp16);
        for chip in CHIPS {
            let (once, changes) = legalize(&program, chip).unwrap();
            let (twice, more) = legalize(&once, chip).unwrap();
            assert!(more.is_empty() && once == twice, "{} on {}: {more:?}", case.rule, chip.name);
            let after = check(&once, None, chip).unwrap();
            let left: Vec<_> = after.findings.iter().filter(|finding| finding.fixable).collect();
            assert!(left.is_empty(), "{} on {}: {left:#?} after {changes:?}", case.rule, chip.name);
            let before = check(&program, None, chip).unwrap();
            assert!(after.verdict <= before.verdict, "{} on {}: {:#?}", case.rule, chip.name, after.findings);
        }
        if case.fixable {
            let (legal, changes) = legalize(&program, Chip::named(case.chip).unwrap()).unwrap();
            // A concat is mended by what is done to its slices.
            let rule = if case.rule == "concat-of-width-slices" { "width-offset-slice" } else { case.rule };
            assert!(changes.iter().any(|change| change.rule == rule), "{}: {changes:?}", case.rule);
            let after = report(&legal, case.chip);
            assert!(!has(&after, case.rule), "{}: {:#?}", case.rule, after.findings);
        }
    }
}

#[test]
fn slices_put_together_are_turned_too() {
    let case = CASES.iter().find(|case| case.rule == "concat-of-width-slices").unwrap();
    let program = case.program(case.hit, DataType::Fp16);
    assert!(has(&report(&program, "M1"), "concat-of-width-slices"));
    let (legal, _) = legalize(&program, Chip::named("M1").unwrap()).unwrap();
    assert!(!has(&report(&legal, "M1"), "concat-of-width-slices"));
    assert_eq!(report(&legal, "M1").verdict, Verdict::Runs);
}

#[test]
fn single_precision_is_refused_as_a_whole_and_converted_at_the_border() {
    let plain = common::function(DataType::Fp32, |f, x, z| f.add(x, z)).unwrap();
    let report_of_plain = report(&plain, "M4");
    assert_eq!(report_of_plain.verdict, Verdict::Refused);
    assert!(has(&report_of_plain, "fp32-compute") && has(&report_of_plain, "io-type"));
    let bordered = common::function(DataType::Fp32, |f, x, z| {
        let (x, z) = (f.cast(x, DataType::Fp16)?, f.cast(z, DataType::Fp16)?);
        let y = f.add(x, z)?;
        f.cast(y, DataType::Fp32)
    })
    .unwrap();
    let report_of_bordered = report(&bordered, "M4");
    assert_eq!(report_of_bordered.verdict, Verdict::Runs, "{:#?}", report_of_bordered.findings);
    assert!(has(&report_of_bordered, "border-cast"));
}

#[test]
fn old_engines_take_nothing() {
    let program = common::program_of("relu");
    for chip in ["A11", "A12", "A13", "h12"] {
        let report = report(&program, chip);
        assert_eq!(report.verdict, Verdict::Refused);
        assert_eq!(report.findings[0].rule, "no-mil");
    }
}

#[test]
fn open_shapes_are_told() {
    let mut f = FunctionBuilder::new("main", Opset::Ios18);
    let open = TensorType::fp16([1, mil::UNKNOWN]);
    let x = f.input("x", open.clone()).unwrap();
    let y = f.op("relu").arg("x", x).declared(&[open.into()]).one().unwrap();
    let program = verified(Program::single(f.finish(&[y]).unwrap()));
    let report = report(&program, "M1");
    assert!(has(&report, "open-shape"), "{report:#?}");
    let (legal, changes) = legalize(&program, Chip::named("M1").unwrap()).unwrap();
    assert!(changes.is_empty() && legal == program);
}

#[test]
fn a_function_that_is_not_there_is_an_error() {
    let program = common::program_of("relu");
    let error = check(&program, Some("other"), Chip::named("M1").unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "there is no function `other`; functions: main");
}

#[test]
fn rules_are_named_once_and_say_all() {
    let mut names: Vec<_> = rules().map(|rule| rule.id).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count);
    for rule in rules() {
        assert!(!rule.summary.is_empty(), "{}", rule.id);
        let told = !rule.way_out.is_empty() || rule.id == "unsupported-op";
        assert!(told, "{}", rule.id);
        for op in rule.ops {
            assert!(mil::Op::named(op).is_some(), "{}: {op}", rule.id);
        }
        if rule.severity == Severity::Wrong && rule.id != "batch-broadcast" {
            assert!(CASES.iter().any(|case| case.rule == rule.id), "{} has no case", rule.id);
        }
    }
}

#[test]
fn compressed_weights_are_told_about() {
    let affine = common::program_of("constexpr_affine_dequantize");
    assert!(has(&report(&affine, "M1"), "weights-expanded"));
    assert!(!has(&report(&affine, "M2"), "weights-expanded"));
    assert!(has(&report(&affine, "M5"), "int8-weights-no-faster"));
    let palette = common::program_of("constexpr_lut_to_dense");
    assert_eq!(report(&palette, "M1").verdict, Verdict::Runs);
    assert!(!has(&report(&palette, "M1"), "weights-expanded"));
    let blocks = common::program_of("constexpr_blockwise_shift_scale");
    assert!(
        has(&report(&blocks, "M4"), "blockwise-weight") && has(&report(&blocks, "M2"), "weights-expanded")
    );
    let vectors = common::function(DataType::Fp16, |f, x, _| {
        let table = Constant::new([1, 1, 4, 2], vec![half::f16::ONE; 8]).unwrap();
        let indices = Constant::packed(DataType::Uint2, [8, 16], &[1; 128]).unwrap();
        let w = f
            .op("constexpr_lut_to_dense")
            .constant("indices", indices)
            .constant("lut", table)
            .int("vector_axis", 0)
            .one()?;
        f.matmul(x, w, false, false)
    })
    .unwrap();
    assert!(
        has(&report(&vectors, "M4"), "vector-palette") && !has(&report(&vectors, "M1"), "vector-palette")
    );
    let turned = common::function(DataType::Fp16, |f, x, _| {
        let data = Constant::new([16, 16], vec![1i8; 256]).unwrap();
        let call = f
            .op("constexpr_affine_dequantize")
            .constant("quantized_data", data)
            .constant("zero_point", Constant::scalar(0i8));
        let w = call.constant("scale", Constant::float(DataType::Fp16, 0.5)).int("axis", 0).one()?;
        let w = f.reshape(w, &[1, 1, 16, 16])?;
        f.matmul(x, w, false, false)
    })
    .unwrap();
    assert!(has(&report(&turned, "M5"), "reshape-of-constexpr"));
}

#[test]
fn too_many_constants_are_told() {
    let program = |bytes: usize| {
        let mut f = FunctionBuilder::new("main", Opset::Ios18);
        let x = f.input("x", TensorType::fp16([1])).unwrap();
        // Zeros, which no memory is touched for.
        let ty = TensorType::fp16([bytes / 2]);
        let zeros = f.constant(Constant::from_storage(ty, std::sync::Arc::new(vec![0u8; bytes])).unwrap());
        let y = f.add(x, zeros).unwrap();
        let y = f.reduce("reduce_sum", y, &[0], true).unwrap();
        verified(Program::single(f.finish(&[y]).unwrap()))
    };
    assert!(!has(&report(&program(1 << 20), "M5"), "program-size"));
    assert!(has(&report(&program(1_600_000_000), "M5"), "program-size"));
}

#[test]
fn passing_an_input_through_is_told() {
    let text = "(tensor<fp16, [4]> x) { tensor<fp16, [4]> y = relu(x = x); } -> (y, x);";
    assert!(has(&report(&common::parse(text), "M4"), "passthrough"));
}

/// Rules that no program can break while the tables are what they are.
const SILENT: &[&str] = &["unknown-op"];

#[test]
fn every_rule_is_broken_by_some_program() {
    let mut programs: Vec<Verified> =
        CASES.iter().map(|case| case.program(case.hit, DataType::Fp16)).collect();
    programs.extend(mil::Op::all().map(|op| common::program_of(op.declaration().name)));
    programs.push(common::function(DataType::Fp32, |f, x, z| f.add(x, z)).unwrap());
    programs.push(
        common::function(DataType::Fp32, |f, x, _| {
            let y = f.cast(x, DataType::Fp16)?;
            f.unary("relu", y)
        })
        .unwrap(),
    );
    programs.push(common::parse("(tensor<fp16, [4]> x) { tensor<fp16, [4]> y = relu(x = x); } -> (y, x);"));
    programs
        .push(common::parse("(tensor<fp16, [0, 4]> x) { tensor<fp16, [0, 4]> y = relu(x = x); } -> (y);"));
    let open = "(tensor<fp16, [1, ?]> x) { tensor<fp16, [1, ?]> y = relu(x = x); } -> (y);";
    programs.push(common::parse(open));
    let built = |body: &dyn Fn(&mut FunctionBuilder) -> Result<mil::ValueId, mil::BuildError>| {
        let mut f = FunctionBuilder::new("main", Opset::Ios18);
        let y = body(&mut f).unwrap();
        verified(Program::single(f.finish(&[y]).unwrap()))
    };
    let splat = |shape: &[usize]| Constant::splat(&TensorType::fp16(shape), 0.5).unwrap();
    programs.push(built(&|f| {
        let x = f.input("x", TensorType::fp16([1, 32000, 1, 4]))?;
        f.op("conv").arg("x", x).constant("weight", splat(&[2, 32000, 1, 1])).one()
    }));
    programs.push(built(&|f| {
        let x = f.input("x", TensorType::fp16([1, 8, 4, 4]))?;
        f.op("upsample_nearest_neighbor")
            .arg("x", x)
            .int("scale_factor_height", 4)
            .int("scale_factor_width", 4)
            .one()
    }));
    programs.push(built(&|f| {
        let x = f.input("x", TensorType::fp16([8, 4096]))?;
        f.reduce("reduce_sum", x, &[1], true)
    }));
    programs.push(built(&|f| {
        let x = f.input("x", TensorType::fp16([16, 32]))?;
        let data = Constant::packed(DataType::Int4, [32, 32], &[1; 1024]).unwrap();
        let w = f
            .op("constexpr_blockwise_shift_scale")
            .constant("data", data)
            .constant("scale", splat(&[32, 1]))
            .one()?;
        f.matmul(x, w, false, false)
    }));
    programs.push(built(&|f| {
        let x = f.input("x", TensorType::fp16([4]))?;
        let w = f.op("constexpr_lut_to_dense");
        let w = w.constant("indices", Constant::packed(DataType::Uint2, [8], &[1; 8]).unwrap());
        let w = w.constant("lut", splat(&[1, 4, 2])).int("vector_axis", 0).one()?;
        let w = f.reshape(w, &[4, 4])?;
        f.add(x, w)
    }));
    let mut seen: Vec<&str> = Vec::new();
    for chip in CHIPS {
        for program in &programs {
            seen.extend(check(program, None, chip).unwrap().findings.iter().map(|finding| finding.rule));
        }
    }
    // Too large a program to be built here; it has a test of its own.
    seen.push("program-size");
    let silent: Vec<_> =
        rules().map(|rule| rule.id).filter(|id| !seen.contains(id) && !SILENT.contains(id)).collect();
    assert!(silent.is_empty(), "no program breaks {silent:?}");
}
