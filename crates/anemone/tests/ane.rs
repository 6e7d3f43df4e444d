//! Whole models rewritten for a chip: they still say the same.

#![allow(clippy::unwrap_used, reason = "test code")]

use anemone::ane::chips::{CHIPS, Chip};
use anemone::ane::legalize::legalize;
use anemone::ane::rules::{Severity, check};
use anemone::cpu::CpuBackend;
use anemone::export::Export;
use anemone::mil::{Verified, verify};
use anemone::nn::models::Llama;
use anemone::runtime::{Backend, CompileOptions, States, Tensor};

fn model() -> (Llama, Verified) {
    let model = Llama { seq_len: 32, vocab_size: 512, ..Llama::preset("stories260k").unwrap() };
    let states = States::new();
    for spec in model.weights().unwrap() {
        states.lock().insert(spec.name.clone(), spec.init.tensor(&spec.ty, 1, &spec.name).unwrap());
    }
    let package = Export::default().prefill(&model, &states, &[model.seq_len]).unwrap();
    (model, verify(package.program().unwrap()).unwrap())
}

fn logits(program: &Verified, tokens: &Tensor) -> Vec<f32> {
    let backend = CpuBackend::with_threads(1).unwrap();
    let mut executable = backend.compile(program, &CompileOptions::default()).unwrap();
    executable.call(&[tokens]).unwrap()[0].to_f32().unwrap().to_vec()
}

#[test]
fn a_transformer_says_the_same_after_rewriting() {
    let (model, program) = model();
    let tokens: Vec<i32> =
        (0..model.seq_len as i32).map(|i| (i * 37 + 5) % model.vocab_size as i32).collect();
    let tokens = Tensor::new([1, model.seq_len], &tokens).unwrap();
    let before = logits(&program, &tokens);
    let scale = before.iter().fold(0f32, |scale, value| scale.max(value.abs()));
    for name in ["M1", "M4", "M5"] {
        let (legal, changes) = legalize(&program, Chip::named(name).unwrap()).unwrap();
        assert_eq!(changes.is_empty(), legal == program, "{name}");
        let worst =
            before.iter().zip(logits(&legal, &tokens)).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
        assert!(worst <= scale * 5e-3, "{name}: {worst} of {scale}");
    }
    let (_, changes) = legalize(&program, Chip::named("M4").unwrap()).unwrap();
    assert!(changes.iter().any(|change| change.rule == "root-of-reduction"), "{changes:?}");
}

/// All that stands in a small transformer's way is the look-up of its tokens.
#[test]
fn what_a_transformer_is_refused_for() {
    let (_, program) = model();
    for chip in CHIPS.iter().filter(|chip| chip.family().limits().is_some()) {
        let report = check(&program, None, chip).unwrap();
        let refused: Vec<&str> = report.of(Severity::Refused).map(|finding| finding.value.as_str()).collect();
        assert_eq!(refused.len(), 2, "{}: {refused:?}", chip.name);
        assert!(
            refused.contains(&"tokens") && refused.iter().any(|value| value.contains("tok_embeddings")),
            "{refused:?}"
        );
    }
}
