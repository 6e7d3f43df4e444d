//! Generation with a key-value cache gives what the plain forward pass gives.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    unreachable_pub,
    reason = "a test that cannot go on fails, and tells what it measured"
)]

use anemone::Device;
use anemone::nn::data::rng;
use anemone::nn::generate::{GenerateOptions, Generator, PREFILL, Stop};
use anemone::nn::models::{Llama, llama2c};
use anemone::nn::tokenizer::{CharTokenizer, Tokenizer};
use anemone::nn::{Graph, Mode, Module};
use anemone::runtime::{Backend, CompileError, CompileOptions, Executable, States, Tensor};
use mil::{Program, TensorType, verify};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};

const LENGTH: usize = 13;

fn model(n_kv_heads: usize, tied: bool) -> Llama {
    Llama { dim: 32, hidden_dim: 48, n_layers: 2, n_heads: 4, n_kv_heads, vocab_size: 29, seq_len: 16, tied }
}

/// Weights large enough that positions and masks matter.
fn weights(model: &Llama, seed: u64) -> States {
    let states = States::new();
    for spec in model.weights().unwrap() {
        let mut tensor = Tensor::zeros(spec.ty).unwrap();
        let mean = if spec.name.ends_with("norm_weight") { 1.0 } else { 0.0 };
        rng::fill_normal(seed, rng::stream(&spec.name), tensor.as_mut_slice().unwrap(), mean, 0.3);
        states.lock().insert(spec.name, tensor);
    }
    states
}

fn tokens(model: &Llama) -> Vec<u32> {
    (0..LENGTH).map(|at| ((at * at * 7 + 3 * at + 1) % model.vocab_size) as u32).collect()
}

/// Logits of the plain forward pass, one row per position.
fn full_logits(model: &Llama, states: &States, backend: &dyn Backend, tokens: &[u32]) -> Vec<Vec<f32>> {
    let mut g = Graph::new("forward", Mode::Eval);
    let input = g.input("tokens", TensorType::int32([1, tokens.len()])).unwrap();
    let logits = model.forward(&mut g, input).unwrap();
    let program = verify(Program::single(g.finish(&[logits]).unwrap())).unwrap();
    let mut executable = backend.compile(&program, &CompileOptions::sharing(states)).unwrap();
    let data: Vec<i32> = tokens.iter().map(|&token| token as i32).collect();
    let outputs = executable.call(&[&Tensor::new([1, data.len()], &data).unwrap()]).unwrap();
    outputs[0].as_slice::<f32>().unwrap().chunks(model.vocab_size).map(<[f32]>::to_vec).collect()
}

fn assert_close(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len());
    for (index, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= 1e-4, "{what}, logit {index}: {a} is not {b}");
    }
}

fn greedy(max_tokens: usize) -> GenerateOptions {
    GenerateOptions { temperature: 0.0, max_tokens, ..GenerateOptions::default() }
}

fn go(_: u32) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

#[test]
fn cached_logits_are_those_of_the_forward_pass_at_every_position() {
    let backend = Device::Cpu.backend().unwrap();
    for (n_kv_heads, tied) in [(4, true), (2, true), (1, false)] {
        let model = model(n_kv_heads, tied);
        let states = weights(&model, 5);
        let tokens = tokens(&model);
        let full = full_logits(&model, &states, &*backend, &tokens);
        // The cache is longer than the sequence: what is not yet written must not count.
        let mut generator = Generator::new(&model, &states, &*backend, model.seq_len).unwrap();
        for (position, &token) in tokens.iter().enumerate() {
            let logits = generator.advance(&[token]).unwrap();
            assert_close(logits, &full[position], &format!("{n_kv_heads} kv heads, position {position}"));
        }
        // The same in chunks: a prompt, a longer one after it, single tokens.
        generator.restart();
        let mut at = 0;
        for chunk in [4, 6, 1, 2] {
            at += chunk;
            let logits = generator.advance(&tokens[at - chunk..at]).unwrap();
            assert_close(logits, &full[at - 1], &format!("{n_kv_heads} kv heads, chunk ending at {at}"));
        }
        // All in one pass.
        generator.restart();
        assert_close(generator.advance(&tokens).unwrap(), &full[LENGTH - 1], "one pass");
    }
}

/// A back end that counts what it compiles.
struct Counting {
    inner: Box<dyn Backend>,
    compiled: AtomicUsize,
}

impl Backend for Counting {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn compile(
        &self,
        program: &mil::Verified,
        options: &CompileOptions,
    ) -> Result<Box<dyn Executable>, CompileError> {
        self.compiled.fetch_add(1, Ordering::Relaxed);
        self.inner.compile(program, options)
    }
}

#[test]
fn prompts_of_any_length_give_what_single_tokens_give() {
    let backend = Counting { inner: Device::Cpu.backend().unwrap(), compiled: AtomicUsize::new(0) };
    let model = Llama { seq_len: 2 * PREFILL + 9, ..model(2, true) };
    let states = weights(&model, 17);
    let long: Vec<u32> = (0..model.seq_len).map(|at| (at * at % 29) as u32).collect();
    let mut generator = Generator::new(&model, &states, &backend, model.seq_len).unwrap();
    let single: Vec<Vec<f32>> =
        long.iter().map(|&token| generator.advance(&[token]).unwrap().to_vec()).collect();
    for length in [2, 3, PREFILL - 1, PREFILL, PREFILL + 1, PREFILL + 2, 2 * PREFILL, model.seq_len] {
        generator.restart();
        let found = generator.advance(&long[..length]).unwrap().to_vec();
        assert_eq!(found, single[length - 1], "a prompt of {length}");
        // What padding left in the cache must not show, up to the last position.
        for (at, token) in long.iter().enumerate().skip(length) {
            assert_eq!(generator.advance(&[*token]).unwrap(), single[at], "token {at} after {length}");
        }
    }
    // A second prompt after the first, and one that ends the sequence.
    generator.restart();
    let cut = model.seq_len - 5;
    generator.advance(&long[..cut]).unwrap();
    assert_eq!(generator.advance(&long[cut..]).unwrap(), single[model.seq_len - 1]);
    assert!(generator.advance(&[0]).is_err(), "the sequence is full");
    assert_eq!(backend.compiled.load(Ordering::Relaxed), 2, "one pass for prompts, one for tokens");
}

#[test]
fn greedy_generation_follows_the_forward_pass_and_repeats() {
    let backend = Device::Cpu.backend().unwrap();
    let model = model(2, true);
    let states = weights(&model, 11);
    let mut expected = vec![3u32, 1, 4];
    for _ in 0..8 {
        let logits = full_logits(&model, &states, &*backend, &expected);
        let last = logits.last().unwrap();
        let best = (0..last.len()).max_by(|&a, &b| last[a].total_cmp(&last[b])).unwrap();
        expected.push(best as u32);
    }
    let mut generator = Generator::new(&model, &states, &*backend, model.seq_len).unwrap();
    let mut seen = Vec::new();
    let first = generator.generate(&[3, 1, 4], &greedy(8), &mut |token| {
        seen.push(token);
        ControlFlow::Continue(())
    });
    let first = first.unwrap();
    assert_eq!(first.tokens, expected[3..]);
    assert_eq!(seen, first.tokens);
    assert_eq!((first.stop, first.prompt_tokens), (Stop::MaxTokens, 3));
    let second = generator.generate(&[3, 1, 4], &greedy(8), &mut go).unwrap();
    assert_eq!(second.tokens, first.tokens, "what came before must not matter");
}

#[test]
fn sampling_depends_on_the_seed_alone() {
    let backend = Device::Cpu.backend().unwrap();
    let model = model(4, true);
    let states = weights(&model, 2);
    let mut generator = Generator::new(&model, &states, &*backend, model.seq_len).unwrap();
    let mut draw = |seed| {
        let options =
            GenerateOptions { temperature: 2.0, top_p: 1.0, seed, max_tokens: 12, stop_tokens: vec![] };
        generator.generate(&[1, 2], &options, &mut go).unwrap().tokens
    };
    let first = draw(1);
    assert_eq!(first, draw(1));
    assert_ne!(first, draw(2));
}

#[test]
fn every_reason_to_stop() {
    let backend = Device::Cpu.backend().unwrap();
    let model = model(4, true);
    let states = weights(&model, 2);
    let mut generator = Generator::new(&model, &states, &*backend, 6).unwrap();
    let full = generator.generate(&[1, 2, 3, 4], &greedy(100), &mut go).unwrap();
    // Positions 4 and 5 are left; the token after the last position needs none.
    assert_eq!((full.stop, full.tokens.len()), (Stop::Capacity, 3));
    let none = generator.generate(&[1, 2], &greedy(0), &mut go).unwrap();
    assert_eq!((none.stop, none.tokens.len()), (Stop::MaxTokens, 0));
    let options = GenerateOptions { stop_tokens: vec![full.tokens[1]], ..greedy(100) };
    if full.tokens[0] != full.tokens[1] {
        let stopped = generator.generate(&[1, 2, 3, 4], &options, &mut go).unwrap();
        assert_eq!((stopped.stop, stopped.tokens), (Stop::StopToken, full.tokens[..1].to_vec()));
    }
    let broken = generator.generate(&[1, 2, 3], &greedy(100), &mut |_| ControlFlow::Break(())).unwrap();
    assert_eq!((broken.stop, broken.tokens.len()), (Stop::Interrupted, 1));
}

#[test]
fn what_does_not_fit_is_refused() {
    let backend = Device::Cpu.backend().unwrap();
    let model = model(4, true);
    let states = weights(&model, 2);
    let before = states.names();
    {
        let mut generator = Generator::new(&model, &states, &*backend, 6).unwrap();
        let mut refused = |prompt: &[u32], expected: &str| {
            let message = generator.generate(prompt, &greedy(5), &mut go).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        };
        refused(&[], "is empty");
        refused(&[0; 7], "has 7 tokens, but only 6 of 6");
        refused(&[1, 29], "token 29");
        refused(&[u32::MAX], "vocabulary of 29");
        let second = Generator::new(&model, &states, &*backend, 6).unwrap_err().to_string();
        assert!(second.contains("another generator"), "{second}");
    }
    assert_eq!(states.names(), before, "a generator leaves no caches behind");
    for capacity in [0, usize::MAX] {
        assert!(Generator::new(&model, &states, &*backend, capacity).is_err());
    }
    let message = Generator::new(&self::model(4, false), &states, &*backend, 6).unwrap_err().to_string();
    assert!(message.contains("`output_weight`: is missing"), "{message}");
    let message = Generator::new(&self::model(2, true), &states, &*backend, 6).unwrap_err().to_string();
    assert!(message.contains("k_proj"), "{message}");
    assert_eq!(states.names(), before);
}

#[test]
fn text_streams_in_pieces() {
    let backend = Device::Cpu.backend().unwrap();
    let tokenizer = CharTokenizer::from_text("abcdefghijklmnopqrstuvwxyzäé ").unwrap();
    let model = Llama { vocab_size: tokenizer.vocab_size(), ..model(4, true) };
    let states = weights(&model, 8);
    let mut generator = Generator::new(&model, &states, &*backend, model.seq_len).unwrap();
    let options = GenerateOptions { max_tokens: 9, ..GenerateOptions::default() };
    let mut pieces = String::new();
    let generation = generator.generate_text(&tokenizer, "ab é", &options, &mut |piece| {
        pieces.push_str(piece);
        ControlFlow::Continue(())
    });
    let generation = generation.unwrap();
    assert_eq!(pieces, generation.text);
    assert_eq!(generation.text, tokenizer.decode(&generation.tokens));
    assert_eq!(generation.text.chars().count(), 9);
    assert!(generator.generate_text(&tokenizer, "A", &options, &mut |_| ControlFlow::Continue(())).is_err());
    let larger = CharTokenizer::from_text(&('a'..='z').chain('A'..='Z').collect::<String>()).unwrap();
    let message = generator.generate_text(&larger, "a", &options, &mut |_| ControlFlow::Continue(()));
    assert!(message.unwrap_err().to_string().contains("the model knows"));
}

#[test]
fn a_checkpoint_written_and_read_generates_the_same() {
    let backend = Device::Cpu.backend().unwrap();
    let model = model(2, false);
    let states = weights(&model, 3);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.bin");
    let first = Generator::new(&model, &states, &*backend, 16).unwrap().generate(&[5], &greedy(10), &mut go);
    llama2c::write(&path, &model, &states).unwrap();
    let (model, states) = llama2c::read(&path).unwrap();
    let second = Generator::new(&model, &states, &*backend, 16).unwrap().generate(&[5], &greedy(10), &mut go);
    assert_eq!(first.unwrap().tokens, second.unwrap().tokens);
}
