//! Checkpoints of llama2.c: `stories15M.bin` and its kin, read and written as they are.
//!
//! The layout is that of llama2.c's `legacy_export`: seven `int32` (dim, hidden_dim, n_layers, n_heads, n_kv_heads,
//! vocab_size, seq_len; a negative vocab_size says that the output projection has weights of its own), then `fp32`
//! tensors without gaps: the embedding, each kind of layer weight for all layers in a row, the last norm, two tables of
//! rotations that readers compute themselves, and the output projection if it is separate. Little-endian throughout.

use super::Llama;
use crate::train::StateSpec;
use crate::{NnError, file};
use anemone_runtime::{States, Tensor};
use std::io::{BufWriter, Write};
use std::path::Path;

/// Bytes of the seven integers.
const HEADER: usize = 28;

/// Kinds of layer weights in the order of the file, as [`Llama`] names them within a layer.
const LAYER_WEIGHTS: [&str; 9] = [
    "attention_norm_weight",
    "attention_q_proj_weight",
    "attention_k_proj_weight",
    "attention_v_proj_weight",
    "attention_out_proj_weight",
    "ffn_norm_weight",
    "feed_forward_w1_weight",
    "feed_forward_w2_weight",
    "feed_forward_w3_weight",
];

/// Largest size accepted for any dimension: far beyond every model, far below what overflows.
const MAX_SIZE: i32 = 1 << 24;
/// Most layers accepted.
const MAX_LAYERS: i32 = 1 << 12;

/// First word of the newer, versioned exports, which are laid out differently.
const VERSIONED: u32 = 0x616b_3432;

/// Reads a checkpoint: the model's sizes, and states with its weights.
///
/// # Errors
/// When the file cannot be read, its header makes no sense, or its size is not exactly what the header implies.
pub fn read(path: &Path) -> Result<(Llama, States), NnError> {
    let map = file::map(path)?;
    if map.len() < HEADER {
        let message =
            format!("holds {} bytes, but a llama2.c checkpoint begins with a header of {HEADER}", map.len());
        return Err(NnError::file(path, message));
    }
    let model = model_of(&map).map_err(|message| NnError::file(path, message))?;
    check_size(&model, map.len()).map_err(|message| NnError::file(path, message))?;
    let states = States::new();
    let mut at = HEADER;
    for part in layout(&model)? {
        let next = at + part.bytes();
        let bytes = map.get(at..next).ok_or_else(|| NnError::file(path, "ends within a tensor"))?;
        if let Part::Weight(spec) = part {
            states.lock().insert(spec.name, Tensor::from_bytes(spec.ty, bytes)?);
        }
        at = next;
    }
    Ok((model, states))
}

/// Writes a checkpoint, at once or not at all. States that are no weights of the model are left out.
///
/// # Errors
/// When a weight is missing or has another type, or the file cannot be written.
pub fn write(path: &Path, model: &Llama, states: &States) -> Result<(), NnError> {
    let header = header_of(model)?;
    let layout = layout(model)?;
    let guard = states.lock();
    for part in &layout {
        if let Part::Weight(spec) = part {
            spec.find(&guard)?;
        }
    }
    let written = file::write_atomically(path, |file| {
        let mut writer = BufWriter::new(file);
        for word in header {
            writer.write_all(&word.to_le_bytes())?;
        }
        for part in &layout {
            match part {
                Part::Weight(spec) => {
                    let tensor = spec.find(&guard).map_err(std::io::Error::other)?;
                    writer.write_all(tensor.bytes())?;
                }
                Part::Rotations { function, .. } => write_rotations(&mut writer, model, *function)?,
            }
        }
        writer.flush()
    });
    written.map_err(|error| NnError::not_written(path, &error))
}

/// A piece of the file after the header.
enum Part {
    /// One weight of the model.
    Weight(StateSpec),
    /// A table of rotations, `[seq_len, head_dim / 2]`: cosines or sines.
    Rotations { function: fn(f64) -> f64, count: usize },
}

impl Part {
    fn bytes(&self) -> usize {
        match self {
            Part::Weight(spec) => spec.ty.bytes(),
            Part::Rotations { count, .. } => count * size_of::<f32>(),
        }
    }
}

/// All parts in the order of the file. The names are those that the model itself asks a graph for.
fn layout(model: &Llama) -> Result<Vec<Part>, NnError> {
    let mut weights = model.weights()?;
    let mut take = |wanted: &str| {
        let at = weights.iter().position(|spec| spec.name == wanted);
        let at = at.ok_or_else(|| NnError::config("Llama", format!("has no weight `{wanted}`")))?;
        Ok::<Part, NnError>(Part::Weight(weights.swap_remove(at)))
    };
    let mut parts = vec![take("tok_embeddings_weight")?];
    for kind in LAYER_WEIGHTS {
        for layer in 0..model.n_layers {
            parts.push(take(&format!("layers_{layer}_{kind}"))?);
        }
    }
    parts.push(take("norm_weight")?);
    let count = model.seq_len * (model.dim / model.n_heads / 2);
    parts.push(Part::Rotations { function: libm::cos, count });
    parts.push(Part::Rotations { function: libm::sin, count });
    if !model.tied {
        parts.push(take("output_weight")?);
    }
    match weights.first() {
        Some(left) => {
            Err(NnError::config("Llama", format!("weight `{}` has no place in the file", left.name)))
        }
        None => Ok(parts),
    }
}

/// The model that a header describes. Errors say what is wrong with it.
fn model_of(bytes: &[u8]) -> Result<Llama, String> {
    let mut words = [0i32; 7];
    for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(4)) {
        *word = i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    }
    if words[0] as u32 == VERSIONED {
        let message =
            "is a versioned llama2.c export; export the model with --version 0, the layout that is read here";
        return Err(message.to_string());
    }
    let [dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab, seq_len] = words;
    let named = [
        ("dim", dim, MAX_SIZE),
        ("hidden_dim", hidden_dim, MAX_SIZE),
        ("n_layers", n_layers, MAX_LAYERS),
        ("n_heads", n_heads, MAX_SIZE),
        ("n_kv_heads", n_kv_heads, MAX_SIZE),
        ("the size of vocab_size", vocab.saturating_abs(), MAX_SIZE),
        ("seq_len", seq_len, MAX_SIZE),
    ];
    for (name, value, most) in named {
        if !(1..=most).contains(&value) {
            return Err(format!(
                "is no llama2.c checkpoint: its header gives {name} as {value}, but it must be between 1 and {most}"
            ));
        }
    }
    if dim % n_heads != 0 || (dim / n_heads) % 2 != 0 || n_heads % n_kv_heads != 0 {
        return Err(format!(
            "its header gives dim {dim}, {n_heads} heads and {n_kv_heads} key-value heads; heads must divide dim into even parts and key-value heads must divide heads"
        ));
    }
    Ok(Llama {
        dim: dim as usize,
        hidden_dim: hidden_dim as usize,
        n_layers: n_layers as usize,
        n_heads: n_heads as usize,
        n_kv_heads: n_kv_heads as usize,
        vocab_size: vocab.unsigned_abs() as usize,
        seq_len: seq_len as usize,
        tied: vocab > 0,
    })
}

/// Fails unless the file has exactly the size of the model. Done by arithmetic alone, before anything of that size is
/// made: the header may claim what it likes.
fn check_size(model: &Llama, found: usize) -> Result<(), String> {
    let [dim, hidden, layers, heads, kv_heads, vocab, seq_len] = sizes(model).map(|size| size as u128);
    let head_dim = dim / heads;
    let embeddings = vocab * dim * if model.tied { 1 } else { 2 };
    let layer = 2 * dim + 2 * dim * dim + 2 * dim * (kv_heads * head_dim) + 3 * dim * hidden;
    let expected = HEADER as u128 + 4 * (embeddings + layers * layer + dim + seq_len * head_dim);
    if found as u128 == expected {
        return Ok(());
    }
    let fault = if (found as u128) < expected { "is cut short" } else { "has bytes after its end" };
    Err(format!(
        "{fault}, or its header is wrong: it holds {found} bytes, but a model of dim {dim}, hidden_dim {hidden}, {layers} layers, {heads} heads, {kv_heads} key-value heads, vocabulary {vocab} and seq_len {seq_len} takes {expected}"
    ))
}

/// The sizes in the order of the header.
fn sizes(model: &Llama) -> [usize; 7] {
    let Llama { dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size, seq_len, tied: _ } = *model;
    [dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size, seq_len]
}

/// The header of a model.
fn header_of(model: &Llama) -> Result<[i32; 7], NnError> {
    let mut words = [0; 7];
    for (word, size) in words.iter_mut().zip(sizes(model)) {
        *word = i32::try_from(size).map_err(|_| NnError::config("Llama", format!("has a size of {size}")))?;
    }
    if !model.tied {
        words[5] = -words[5];
    }
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    // What could not be read again is not written.
    model_of(&bytes).map_err(|message| NnError::config("Llama", format!("cannot be written: {message}")))?;
    Ok(words)
}

/// `function(position * 10000^(-2 pair / head_dim))` for all positions and pairs.
fn write_rotations(writer: &mut impl Write, model: &Llama, function: fn(f64) -> f64) -> std::io::Result<()> {
    let head_dim = model.dim / model.n_heads;
    for position in 0..model.seq_len {
        for pair in 0..head_dim / 2 {
            let frequency = libm::pow(10000.0, -((2 * pair) as f64) / head_dim as f64);
            writer.write_all(&(function(position as f64 * frequency) as f32).to_le_bytes())?;
        }
    }
    Ok(())
}
