//! The published programs, from their JSON to verified MIL.
//!
//! A row is a [`Case`]: programs with how often each is called, and what the host does beside them. The language is described in
//! `data/README.md`; pipelines of training steps are rebuilt from the sizes of their kernels.

use super::net::{Built, Encoding, Net, ProgramError};
pub use crate::cost::model::HostStep;
use mil::{ValueId, Verified};
use serde_json::Value;

/// One measured unit.
#[derive(Debug)]
pub struct Case {
    /// Programs and their calls.
    pub programs: Vec<(Verified, f64)>,
    /// What the host does, where the row is a whole step.
    pub host: Option<HostStep>,
}

/// Reads of the JSON object.
struct Json<'a>(&'a Value);

impl Json<'_> {
    fn get(&self, key: &str) -> Built<usize> {
        self.0
            .get(key)
            .and_then(Value::as_f64)
            .map(|number| number as usize)
            .filter(|&number| number > 0 && number < 1 << 32)
            .ok_or_else(|| ProgramError::Key(key.to_string()))
    }

    fn or(&self, key: &str, default: usize) -> usize {
        self.get(key).unwrap_or(default)
    }

    fn text(&self, key: &str) -> &str {
        self.0.get(key).and_then(Value::as_str).unwrap_or("")
    }

    fn flag(&self, key: &str, default: bool) -> bool {
        self.0.get(key).and_then(Value::as_bool).unwrap_or(default)
    }

    fn list(&self, key: &str) -> Built<Vec<usize>> {
        let list =
            self.0.get(key).and_then(Value::as_array).ok_or_else(|| ProgramError::Key(key.to_string()))?;
        let dims: Vec<usize> = list.iter().filter_map(Value::as_u64).map(|dim| dim as usize).collect();
        if dims.len() == list.len() && !dims.is_empty() {
            Ok(dims)
        } else {
            Err(ProgramError::Key(key.to_string()))
        }
    }

    fn encoding(&self) -> Encoding {
        match (self.text("encoding"), self.text("dtype")) {
            ("int8", _) | (_, "int8_w8a8") => Encoding::Int8,
            ("int4_lut", _) => Encoding::Lut4,
            ("sparse", _) => Encoding::Sparse(self.0.get("sparsity").and_then(Value::as_f64).unwrap_or(0.5)),
            _ => Encoding::Fp16,
        }
    }

    fn fp32(&self) -> bool {
        self.text("io") == "fp32"
    }
}

/// Builds a program of the published language.
///
/// # Errors
/// When the description is not of the language or does not give a valid program.
pub fn build(program: &str) -> Result<Case, ProgramError> {
    let value: Value = serde_json::from_str(program)?;
    let json = Json(&value);
    let single = |program: Verified| Ok(Case { programs: vec![(program, 1.0)], host: None });
    match (json.text("op"), json.text("model")) {
        ("matmul", _) => {
            let program = matmul(&json)?;
            Ok(Case { programs: vec![(program, json.or("calls", 1) as f64)], host: None })
        }
        (_, "rustane_forward") => rustane_forward(&json),
        (_, "train_step") => train_step(&json),
        (_, "jacobi") => single(jacobi(&json)?),
        (_, "decoder_step") => single(decoder_step(&json)?),
        (_, "rustane_sdpa_fwd") => single(rustane_sdpa(&json, json.fp32())?),
        (_, "rustane_ffn_fused") => single(rustane_ffn(&json)?),
        ("sdpa", _) => single(sdpa(&json)?),
        _ => {
            let mut net = Net::new(json.encoding());
            let fp32 = json.fp32();
            let outputs = match value.get("ops").and_then(Value::as_array) {
                Some(ops) => chain(&mut net, ops, fp32)?,
                None => vec![step(&mut net, &json, None, fp32)?],
            };
            for y in outputs {
                net.output(y, fp32)?;
            }
            single(net.finish()?)
        }
    }
}

fn chain(net: &mut Net, ops: &[Value], fp32: bool) -> Built<Vec<ValueId>> {
    let mut last = None;
    for op in ops {
        last = Some(step(net, &Json(op), last, fp32)?);
    }
    last.map(|value| vec![value]).ok_or_else(|| ProgramError::Key("ops".to_string()))
}

/// One op or network of a chain, on the value before it or on an input of its own.
fn step(net: &mut Net, json: &Json<'_>, x: Option<ValueId>, fp32: bool) -> Built {
    let on = |net: &mut Net, shape: &[usize]| match x {
        Some(x) => Ok(net.f.reshape(x, shape)?),
        None => net.port(shape, fp32),
    };
    match (json.text("op"), json.text("model")) {
        ("conv", _) => {
            let shape = [json.get("n")?, json.get("cin")?, json.get("h")?, json.get("w")?];
            let x = on(net, &shape)?;
            convs(net, json, x)
        }
        (op @ ("relu" | "gelu" | "sigmoid" | "silu" | "tanh"), _) => {
            let x = on(net, &json.list("shape")?)?;
            net.unary(op, x)
        }
        ("mul", _) => {
            let shape = json.list("shape")?;
            let x = on(net, &shape)?;
            // A matrix as the one operand, a vector broadcast over the last axis as the other, as published.
            let y = net.port(&shape, fp32)?;
            Ok(net.f.mul(x, y)?)
        }
        ("softmax", _) => {
            let x = on(net, &json.list("shape")?)?;
            net.softmax(x, json.or("axis", 1) as i32)
        }
        ("layer_norm", _) => {
            let x = on(net, &json.list("shape")?)?;
            net.layer_norm(x, json.flag("affine", false))
        }
        ("rms_norm", _) => {
            let x = on(net, &json.list("shape")?)?;
            net.rms_norm(x)
        }
        ("l2_norm", _) => {
            let x = on(net, &json.list("shape")?)?;
            let norm = net.f.reduce("reduce_l2_norm", x, &[-1], true)?;
            Ok(net.f.real_div(x, norm)?)
        }
        ("group_norm", _) => {
            let shape = json.list("shape")?;
            let x = on(net, &shape)?;
            group_norm(net, x, &shape, json.get("groups")?)
        }
        ("reduce_sum", _) => {
            let x = on(net, &json.list("shape")?)?;
            Ok(net.f.reduce("reduce_sum", x, &[json.or("axis", 1) as i32], true)?)
        }
        ("mha", _) => {
            let (b, s, d) = (json.or("batch", 1), json.get("s")?, json.get("d")?);
            let x = on(net, &[b, s, d])?;
            net.mha(x, b, s, d, json.get("heads")?)
        }
        (_, "resnet18") => resnet18(net, json.get("batch")?),
        (_, "vit_b16") => vit_b16(net, json.get("batch")?),
        (_, "bert_encoder") => {
            let sizes =
                [json.get("batch")?, json.get("s")?, json.get("d")?, json.get("heads")?, json.get("ffn")?];
            let mut x = on(net, &sizes[..3])?;
            for _ in 0..json.get("layers")? {
                x = net.encoder_block(x, sizes, false)?;
            }
            Ok(x)
        }
        (_, "encoder_block") => {
            let sizes =
                [json.get("batch")?, json.get("s")?, json.get("d")?, json.get("heads")?, json.get("ffn")?];
            let flat = [sizes[0] * sizes[1], sizes[2]];
            let x = if json.text("lowering") == "rank2" { on(net, &flat)? } else { on(net, &sizes[..3])? };
            net.encoder_block(x, sizes, true)
        }
        (_, "conv_classifier") => {
            let shape = [json.get("batch")?, json.get("cin")?, json.get("h")?, json.get("w")?];
            let mut x = on(net, &shape)?;
            for _ in 0..json.get("layers")? {
                x = net.conv(x, json.get("cout")?, [3, 3], 1, true, false)?;
                x = net.unary("relu", x)?;
            }
            let x = net.f.reduce("reduce_mean", x, &[2, 3], false)?;
            net.linear(x, json.get("classes")?, false)
        }
        (op, model) => {
            Err(ProgramError::Unknown(if op.is_empty() { model.to_string() } else { op.to_string() }))
        }
    }
}

fn convs(net: &mut Net, json: &Json<'_>, mut x: ValueId) -> Built {
    let layers = json.or("layers", 1);
    let kernel = json.list("k")?;
    let [kh, kw] = kernel[..] else { return Err(ProgramError::Key("k".to_string())) };
    let same = json.text("pad") == "same";
    let (act, act_last) = (json.text("act").to_string(), json.flag("act_last", true));
    let int8 = json.text("dtype") == "int8_w8a8";
    for layer in 0..layers {
        if int8 && layer > 0 {
            x = net
                .f
                .op("quantize")
                .arg("input", x)
                .float("scale", 0.1)
                .string("output_dtype", "int8")
                .one()?;
            let scale = net.f.float(mil::DataType::Fp16, 0.1);
            x = net.f.op("dequantize").arg("input", x).arg("scale", scale).one()?;
        }
        x = net.conv(x, json.get("cout")?, [kh, kw], json.or("stride", 1), same, false)?;
        if !act.is_empty() && (act_last || layer + 1 < layers) {
            x = net.unary(&act, x)?;
        }
    }
    Ok(x)
}

fn group_norm(net: &mut Net, x: ValueId, shape: &[usize], groups: usize) -> Built {
    let [n, c, h, w] = shape[..] else { return Err(ProgramError::Key("shape".to_string())) };
    let y = net.f.reshape(x, &[n, groups, c / groups.max(1) * h * w])?;
    let y = net.layer_norm(y, false)?;
    let y = net.f.reshape(y, shape)?;
    let mut affine = || -> Built {
        let vector = net.vector(c)?;
        let constant =
            net.f.function().constant(vector).cloned().ok_or_else(|| ProgramError::Key("c".into()))?;
        let per_channel = constant.reshaped([1, c, 1, 1])?;
        Ok(net.f.constant(per_channel))
    };
    let (gamma, beta) = (affine()?, affine()?);
    let y = net.f.mul(y, gamma)?;
    Ok(net.f.add(y, beta)?)
}

fn matmul(json: &Json<'_>) -> Built<Verified> {
    let mut net = Net::new(json.encoding());
    let (b, m, k, n) = (json.or("batch", 1), json.get("m")?, json.get("k")?, json.get("n")?);
    let (copies, fp32) = (json.or("copies", 1), json.fp32());
    if json.text("layout") == "packed_spatial" {
        let packed = net.port(&[k, b * m + copies * n], fp32)?;
        let rows = net.slice(packed, &[0, 0], &[k, b * m])?;
        for copy in 0..copies {
            let y = net.packed(packed, b * m + copy * n, k, rows, n)?;
            net.output(y, fp32)?;
        }
    } else if json.text("weights") == "input" {
        let x = net.port(&[b, m, k], fp32)?;
        for _ in 0..copies {
            let w = net.port(&[b, k, n], fp32)?;
            let y = net.f.matmul(x, w, false, false)?;
            net.output(y, fp32)?;
        }
    } else {
        let x = net.port(&[b * m, k], fp32)?;
        let tile = json.or("tile_n", n);
        for _ in 0..copies {
            for begin in (0..n).step_by(tile.max(1)) {
                let y = net.linear(x, tile.min(n - begin), false)?;
                net.output(y, fp32)?;
            }
        }
    }
    net.finish()
}

fn sdpa(json: &Json<'_>) -> Built<Verified> {
    let mut net = Net::new(Encoding::Fp16);
    let (b, h, d) = (json.or("batch", 1), json.get("heads")?, json.get("d")?);
    let (sq, skv) = (json.get("sq")?, json.get("skv")?);
    let q = net.input(&[b, h, sq, d])?;
    let k = net.input(&[b, h, skv, d])?;
    let v = net.input(&[b, h, skv, d])?;
    let y = net.attention(q, k, v, json.or("q_tiles", 1))?;
    net.output(y, false)?;
    net.finish()
}

fn jacobi(json: &Json<'_>) -> Built<Verified> {
    let mut net = Net::new(Encoding::Fp16);
    let n = json.get("n")?;
    let mut x = net.input(&[1, n])?;
    let (b, inverse) = (net.input(&[1, n])?, net.input(&[1, n])?);
    let weight = net.weight(&[n, n])?;
    for _ in 0..json.get("iters")? {
        let y = net.f.op("linear").arg("x", x).arg("weight", weight).one()?;
        let y = net.f.sub(b, y)?;
        x = net.f.mul(y, inverse)?;
    }
    net.output(x, false)?;
    net.finish()
}

fn resnet18(net: &mut Net, b: usize) -> Built {
    let x = net.input(&[b, 3, 224, 224])?;
    let x = net.conv(x, 64, [7, 7], 2, true, true)?;
    let x = net.unary("relu", x)?;
    let pool = net.f.op("max_pool").arg("x", x).ints("kernel_sizes", &[3, 3]).ints("strides", &[2, 2]);
    let mut x = pool.string("pad_type", "same").one()?;
    for (stage, (columns, stride)) in [(64, 1), (128, 2), (256, 2), (512, 2)].into_iter().enumerate() {
        for block in 0..2 {
            let stride = if block == 0 { stride } else { 1 };
            let y = net.conv(x, columns, [3, 3], stride, true, true)?;
            let y = net.unary("relu", y)?;
            let y = net.conv(y, columns, [3, 3], 1, true, true)?;
            if block == 0 && stage > 0 {
                x = net.conv(x, columns, [1, 1], stride, true, true)?;
            }
            let y = net.f.add(x, y)?;
            x = net.unary("relu", y)?;
        }
    }
    let x = net.f.reduce("reduce_mean", x, &[2, 3], false)?;
    net.linear(x, 1000, true)
}

fn vit_b16(net: &mut Net, b: usize) -> Built {
    let (s, d) = (197, 768);
    let x = net.input(&[b, 3, 224, 224])?;
    let (class, position) = (net.input(&[1, 1, d])?, net.input(&[1, s, d])?);
    let x = net.conv(x, d, [16, 16], 16, false, true)?;
    let x = net.f.reshape(x, &[b, d, 196])?;
    let x = net.f.transpose(x, &[0, 2, 1])?;
    let class = net.f.op("tile").arg("x", class).ints("reps", &[b as i32, 1, 1]).one()?;
    let x = net.concat(&[class, x], 1)?;
    let mut x = net.f.add(x, position)?;
    for _ in 0..12 {
        x = net.encoder_block(x, [b, s, d, 12, 3072], true)?;
    }
    let x = net.layer_norm(x, true)?;
    let x = net.f.transpose(x, &[0, 2, 1])?;
    let x = net.linear(x, 1, false)?;
    let x = net.f.transpose(x, &[0, 2, 1])?;
    let x = net.f.reshape(x, &[b, d])?;
    net.linear(x, 1000, true)
}

fn decoder_step(json: &Json<'_>) -> Built<Verified> {
    let mut net = Net::new(json.encoding());
    let (b, d, heads, hidden) = (json.get("batch")?, json.get("d")?, json.get("heads")?, json.get("ffn")?);
    let (vocab, s) = (json.get("vocab")?, json.get("s_kv")?);
    let dh = d / heads.max(1);
    let mut x = net.input(&[b, d])?;
    for _ in 0..json.get("layers")? {
        let keys = net.input(&[b, heads, s, dh])?;
        let values = net.input(&[b, heads, s, dh])?;
        let y = net.rms_norm(x)?;
        let mut parts = Vec::new();
        for _ in 0..3 {
            let part = net.linear(y, d, false)?;
            parts.push(net.f.reshape(part, &[b, heads, 1, dh])?);
        }
        let [q, k, v] = parts[..] else { return Err(ProgramError::Key("heads".to_string())) };
        let old = net.f.matmul(q, keys, false, true)?;
        let new = net.f.matmul(q, k, false, true)?;
        let scores = net.concat(&[old, new], 3)?;
        let scores = net.f.mul(scores, 0.125)?;
        let weights = net.softmax(scores, -1)?;
        let all = net.concat(&[values, v], 2)?;
        let y = net.f.matmul(weights, all, false, false)?;
        let y = net.f.reshape(y, &[b, d])?;
        let y = net.linear(y, d, false)?;
        x = net.f.add(x, y)?;
        let y = net.rms_norm(x)?;
        let gate = net.linear(y, hidden, false)?;
        let gate = net.unary("silu", gate)?;
        let up = net.linear(y, hidden, false)?;
        let y = net.f.mul(gate, up)?;
        let y = net.linear(y, d, false)?;
        x = net.f.add(x, y)?;
    }
    let x = net.rms_norm(x)?;
    let tile = json.or("head_tile", vocab);
    for begin in (0..vocab).step_by(tile.max(1)) {
        let y = net.linear(x, tile.min(vocab - begin), false)?;
        net.output(y, false)?;
    }
    net.finish()
}

/// Queries, keys and values by a packed product, rotary embedding, attention; all four results come out.
fn rustane_sdpa(json: &Json<'_>, fp32: bool) -> Built<Verified> {
    let (s, d) = (json.get("seq")?, json.get("dim")?);
    sdpa_forward(s, d, json.get("heads")?, json.get("hd")?, fp32)
}

fn sdpa_forward(s: usize, d: usize, heads: usize, hd: usize, fp32: bool) -> Built<Verified> {
    let mut net = Net::new(Encoding::Fp16);
    let q = heads * hd;
    let packed = net.port(&[d, s + 3 * q], fp32)?;
    let rows = net.slice(packed, &[0, 0], &[d, s])?;
    let mut parts = Vec::new();
    for part in 0..3 {
        let y = net.packed(packed, s + part * q, d, rows, q)?;
        let y = if part < 2 {
            let cosine = net.encoded(&[s, q], Encoding::Fp16)?;
            net.f.mul(y, cosine)?
        } else {
            y
        };
        net.output(y, fp32)?;
        let y = net.f.reshape(y, &[1, s, heads, hd])?;
        parts.push(net.f.transpose(y, &[0, 2, 1, 3])?);
    }
    let [a, b, c] = parts[..] else { return Err(ProgramError::Key("heads".to_string())) };
    let y = net.attention(a, b, c, 1)?;
    net.output(y, fp32)?;
    net.finish()
}

fn rustane_ffn(json: &Json<'_>) -> Built<Verified> {
    ffn_fused(json.get("seq")?, json.get("dim")?, json.get("hidden")?, json.fp32())
}

fn ffn_fused(s: usize, d: usize, hidden: usize, fp32: bool) -> Built<Verified> {
    let mut net = Net::new(Encoding::Fp16);
    let packed = net.port(&[d, 2 * s + 3 * hidden], fp32)?;
    let rows = net.slice(packed, &[0, 0], &[d, s])?;
    let residual = net.slice(packed, &[0, s], &[d, s])?;
    let gate = net.packed(packed, 2 * s, d, rows, hidden)?;
    let up = net.packed(packed, 2 * s + hidden, d, rows, hidden)?;
    let silu = net.unary("silu", gate)?;
    let y = net.f.mul(silu, up)?;
    let down = net.slice(packed, &[0, 2 * s + 2 * hidden], &[d, hidden])?;
    let z = net.f.matmul(down, y, false, true)?;
    let z = net.f.add(z, residual)?;
    for value in [gate, up, y, z] {
        net.output(value, fp32)?;
    }
    net.finish()
}

/// A packed product of its own: `copies` weights beside one left operand.
fn product(rows: usize, depth: usize, columns: usize, copies: usize, fp32: bool) -> Built<Verified> {
    let mut net = Net::new(Encoding::Fp16);
    let packed = net.port(&[depth, rows + copies * columns], fp32)?;
    let left = net.slice(packed, &[0, 0], &[depth, rows])?;
    for copy in 0..copies {
        let y = net.packed(packed, rows + copy * columns, depth, left, columns)?;
        net.output(y, fp32)?;
    }
    net.finish()
}

/// Linear layers with constant weights on one input.
fn linears(rows: usize, depth: usize, columns: &[usize]) -> Built<Verified> {
    let mut net = Net::new(Encoding::Fp16);
    let x = net.input(&[rows, depth])?;
    for &columns in columns {
        let y = net.linear(x, columns, false)?;
        net.output(y, false)?;
    }
    net.finish()
}

/// Projections and attention with constant weights; queries, keys and values come out for the way back.
fn attention_layer(s: usize, d: usize, [heads, hd, kv]: [usize; 3]) -> Built<Verified> {
    let mut net = Net::new(Encoding::Fp16);
    let x = net.input(&[s, d])?;
    let q = heads * hd;
    let mut parts = Vec::new();
    for columns in [q, kv, kv] {
        let y = net.linear(x, columns, false)?;
        net.output(y, false)?;
        let y = if columns == q {
            y
        } else {
            net.f.op("tile").arg("x", y).ints("reps", &[1, (q / columns) as i32]).one()?
        };
        let y = net.f.reshape(y, &[1, s, heads, hd])?;
        parts.push(net.f.transpose(y, &[0, 2, 1, 3])?);
    }
    let y = net.attention(parts[0], parts[1], parts[2], 1)?;
    let y = net.f.transpose(y, &[0, 2, 1, 3])?;
    let y = net.f.reshape(y, &[s, q])?;
    net.output(y, false)?;
    let y = net.linear(y, d, false)?;
    net.output(y, false)?;
    net.finish()
}

/// A gated feed-forward layer with constant weights.
fn feed_forward(s: usize, d: usize, hidden: usize) -> Built<Verified> {
    let mut net = Net::new(Encoding::Fp16);
    let x = net.input(&[s, d])?;
    let gate = net.linear(x, hidden, false)?;
    let up = net.linear(x, hidden, false)?;
    let silu = net.unary("silu", gate)?;
    let y = net.f.mul(silu, up)?;
    let z = net.linear(y, d, false)?;
    for value in [gate, up, y, z] {
        net.output(value, false)?;
    }
    net.finish()
}

/// Attention, or a pass back through it, on inputs.
fn attention_program(s: usize, heads: usize, hd: usize) -> Built<Verified> {
    let mut net = Net::new(Encoding::Fp16);
    let mut inputs = Vec::new();
    for _ in 0..3 {
        inputs.push(net.input(&[1, heads, s, hd])?);
    }
    let y = net.attention(inputs[0], inputs[1], inputs[2], 1)?;
    net.output(y, false)?;
    net.finish()
}

fn rustane_forward(json: &Json<'_>) -> Built<Case> {
    let (s, d, hidden) = (json.get("seq")?, json.get("dim")?, json.get("hidden")?);
    let (heads, hd, layers) = (json.get("heads")?, json.get("hd")?, json.get("layers")? as f64);
    let (fp32, q) = (json.fp32(), heads * hd);
    let mut programs =
        vec![(sdpa_forward(s, d, heads, hd, fp32)?, layers), (product(s, q, d, 1, fp32)?, layers)];
    let mut staged = (d * (s + 3 * q) + 4 * q * s + q * (s + d) + d * s) as f64;
    if 2 * s + 3 * hidden <= 16384 {
        programs.push((ffn_fused(s, d, hidden, fp32)?, layers));
        staged += (d * (2 * s + 3 * hidden) + (d + 3 * hidden) * s) as f64;
    } else {
        let dual = s + 2 * hidden <= 16384;
        let (copies, calls) = if dual { (2, 1.0) } else { (1, 2.0) };
        programs.push((product(s, d, hidden, copies, fp32)?, layers * calls));
        programs.push((product(s, hidden, d, 1, fp32)?, layers));
        staged +=
            (d * (if dual { 1 } else { 2 } * s + 2 * hidden) + hidden * (s + d) + 2 * hidden * s + d * s)
                as f64;
    }
    let parameters = layers * (2 * d * (q + q) + 3 * d * hidden) as f64;
    // Parameters in fp32 once, and once more as operands in ports.
    let host = HostStep {
        flops: 0.0,
        updated: 0.0,
        staged: 4.0 * staged * layers,
        resident: parameters * 10.0,
        second_code: true,
    };
    Ok(Case { programs, host: Some(host) })
}

fn train_step(json: &Json<'_>) -> Built<Case> {
    let (s, d, hidden) = (json.get("seq")?, json.get("dim")?, json.get("hidden")?);
    let (heads, hd, vocab) = (json.get("heads")?, json.get("hd")?, json.or("vocab", 32000));
    let layers = json.get("layers")? as f64;
    let (q, kv) = (heads * hd, json.or("kv_heads", heads) * hd);
    let pipeline = json.text("pipeline");
    let dynamic = pipeline.ends_with("dynamic");
    let mut programs = Vec::new();
    let attention = attention_program(s, heads, hd)?;
    if dynamic {
        // Forward: attention, output projection, feed-forward; back: the same products on transposed weights.
        programs.push((sdpa_forward(s, d, heads, hd, false)?, layers));
        programs.push((product(s, q, d, 1, false)?, layers));
        programs.push((product(s, d, hidden, 2, false)?, layers));
        programs.push((product(s, hidden, d, 1, false)?, layers));
        programs.push((product(s, d, hidden, 1, false)?, layers));
        programs.push((product(s, hidden, d, 2, false)?, layers));
        programs.push((product(s, d, q, 1, false)?, layers));
        programs.push((product(s, q, d, 3, false)?, layers));
        programs.push((attention, 2.0 * layers));
    } else {
        // Six kernels a layer: attention and feed-forward, and two each for the way back through them.
        programs.push((attention_layer(s, d, [heads, hd, kv])?, layers));
        programs.push((feed_forward(s, d, hidden)?, layers));
        programs.push((linears(s, hidden, &[d, d, d])?, layers));
        programs.push((linears(s, q, &[d, d, d, d])?, layers));
        programs.push((attention, 2.0 * layers));
    }
    if pipeline == "maderix_static_ane_extras" {
        programs.push((linears(s, d, &[vocab.min(16384), vocab.saturating_sub(16384).max(1)])?, 1.0));
        let mut net = Net::new(Encoding::Fp16);
        let x = net.input(&[s, d])?;
        let y = net.rms_norm(x)?;
        net.output(y, false)?;
        programs.push((net.finish()?, 2.25 * layers));
    }
    if json.text("scope") == "engine_calls" {
        return Ok(Case { programs, host: None });
    }
    let weights = (d * (q + 2 * kv) + q * d + 3 * d * hidden) as f64 * layers;
    let head = (vocab * d) as f64;
    // Gradients of the weights; the classifier forward and back unless the engine does its forward pass.
    let passes = if pipeline == "maderix_static_ane_extras" { 2.0 } else { 3.0 };
    let flops = 2.0 * s as f64 * (weights + passes * head);
    let activations = (s * (8 * d + 5 * hidden + 10 * q)) as f64 * layers;
    // Adam reads four arrays and writes three of fp32; dynamic pipelines write the weights to ports, twice.
    let updated = 28.0 * (weights + head);
    let staged = 4.0 * activations + if dynamic { 8.0 * weights } else { 0.0 };
    let host = HostStep {
        flops,
        updated,
        staged,
        resident: 16.0 * (weights + head),
        second_code: pipeline.starts_with("rustane"),
    };
    Ok(Case { programs, host: Some(host) })
}
