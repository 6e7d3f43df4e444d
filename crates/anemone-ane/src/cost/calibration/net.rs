//! A builder of the published programs: layers with weights of zeros, whose storage is never touched.

use mil::{
    BuildError, Constant, DataType, FunctionBuilder, Opset, Program, TensorType, ValueId, Verified, verify,
};
use std::sync::Arc;

/// How constant weights are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Encoding {
    /// Dense.
    #[default]
    Fp16,
    /// Linear, a scale per output channel.
    Int8,
    /// A palette of 16 values.
    Lut4,
    /// This share of zeros left out.
    Sparse(f64),
}

/// What can go wrong with a description.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// A key is missing or has another type.
    #[error("the program has no usable `{0}`")]
    Key(String),
    /// Not one of the language.
    #[error("`{0}` is not an op or model of the published programs")]
    Unknown(String),
    /// Not one of [`FACTS`](crate::cost::params::FACTS).
    #[error("nothing is known of a chip `{0}`; rows name chips as `anemone chips` lists them")]
    Chip(String),
    /// Not JSON.
    #[error("the program is not JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// MIL does not take it.
    #[error("the program cannot be built: {0}")]
    Build(#[from] BuildError),
    /// MIL does not take it.
    #[error("the program does not verify: {0}")]
    Verify(String),
    /// A constant of an impossible size.
    #[error("a weight cannot be made: {0}")]
    Constant(#[from] mil::ConstantError),
}

pub(super) type Built<T = ValueId> = Result<T, ProgramError>;

/// A function under construction; everything is `fp16`.
pub(super) struct Net {
    pub(super) f: FunctionBuilder,
    pub(super) encoding: Encoding,
    outputs: Vec<ValueId>,
    inputs: usize,
}

fn zeros(ty: TensorType) -> Built<Constant> {
    // Memory of zeros comes from the system untouched, so weights of gigabytes cost address space only.
    let bytes = ty.checked_bytes().ok_or_else(|| mil::ConstantError::TooLarge { ty: ty.clone() })?;
    Ok(Constant::from_storage(ty, Arc::new(vec![0u8; bytes]))?)
}

impl Net {
    pub(super) fn new(encoding: Encoding) -> Net {
        Net { f: FunctionBuilder::new("main", Opset::Ios18), encoding, outputs: Vec::new(), inputs: 0 }
    }

    pub(super) fn input(&mut self, shape: &[usize]) -> Built {
        self.inputs += 1;
        Ok(self.f.input(format!("x{}", self.inputs), TensorType::fp16(shape.to_vec()))?)
    }

    /// An input of either type, as `fp16`.
    pub(super) fn port(&mut self, shape: &[usize], fp32: bool) -> Built {
        if !fp32 {
            return self.input(shape);
        }
        self.inputs += 1;
        let x = self.f.input(format!("x{}", self.inputs), TensorType::fp32(shape.to_vec()))?;
        Ok(self.f.cast(x, DataType::Fp16)?)
    }

    pub(super) fn output(&mut self, value: ValueId, fp32: bool) -> Built<()> {
        let value = if fp32 { self.f.cast(value, DataType::Fp32)? } else { value };
        // A port of its own even where a value is given twice or is an input.
        let copy = self.outputs.contains(&value) || self.f.function().inputs.contains(&value);
        let value = if copy { self.f.op("identity").arg("x", value).one()? } else { value };
        self.f.name(value, format!("y{}", self.outputs.len() + 1));
        self.outputs.push(value);
        Ok(())
    }

    pub(super) fn finish(self) -> Built<Verified> {
        let Net { f, outputs, .. } = self;
        verify(Program::single(f.finish(&outputs)?)).map_err(|faults| {
            ProgramError::Verify(faults.first().map_or_else(String::new, ToString::to_string))
        })
    }

    pub(super) fn vector(&mut self, length: usize) -> Built {
        Ok(self.f.constant(zeros(TensorType::fp16([length]))?))
    }

    /// Weights `[out, ...]` in the net's encoding.
    pub(super) fn weight(&mut self, shape: &[usize]) -> Built {
        let encoding = self.encoding;
        self.encoded(shape, encoding)
    }

    pub(super) fn encoded(&mut self, shape: &[usize], encoding: Encoding) -> Built {
        let ones: Vec<usize> = vec![1; shape.len()];
        match encoding {
            Encoding::Fp16 => Ok(self.f.constant(zeros(TensorType::fp16(shape.to_vec()))?)),
            Encoding::Int8 => {
                let data = zeros(TensorType::new(DataType::Int8, shape.to_vec()))?;
                let mut per_channel = ones;
                per_channel[0] = shape[0];
                let scale = zeros(TensorType::fp16(per_channel))?;
                let op = self.f.op("constexpr_blockwise_shift_scale");
                Ok(op.constant("data", data).constant("scale", scale).one()?)
            }
            Encoding::Lut4 => {
                let indices = zeros(TensorType::new(DataType::Uint4, shape.to_vec()))?;
                let mut table = ones;
                table.extend([16, 1]);
                let lut = zeros(TensorType::fp16(table))?;
                Ok(self
                    .f
                    .op("constexpr_lut_to_dense")
                    .constant("indices", indices)
                    .constant("lut", lut)
                    .one()?)
            }
            Encoding::Sparse(sparsity) => {
                let count: usize = shape.iter().product();
                let kept = ((1.0 - sparsity.clamp(0.0, 1.0)) * count as f64) as usize;
                let mut bits = vec![0u8; count.div_ceil(8)];
                bits[..kept / 8].fill(0xff);
                if !kept.is_multiple_of(8) {
                    bits[kept / 8] = (1u8 << (kept % 8)) - 1;
                }
                let mask =
                    Constant::from_storage(TensorType::new(DataType::Uint1, shape.to_vec()), Arc::new(bits))?;
                let values = zeros(TensorType::fp16([kept]))?;
                let op = self.f.op("constexpr_sparse_to_dense");
                Ok(op.constant("nonzero_data", values).constant("mask", mask).one()?)
            }
        }
    }

    pub(super) fn linear(&mut self, x: ValueId, columns: usize, bias: bool) -> Built {
        let depth = *self.f.shape(x).last().unwrap_or(&1);
        let weight = self.weight(&[columns, depth])?;
        let bias = if bias { Some(self.vector(columns)?) } else { None };
        Ok(self.f.op("linear").arg("x", x).arg("weight", weight).maybe("bias", bias).one()?)
    }

    pub(super) fn conv(
        &mut self,
        x: ValueId,
        columns: usize,
        kernel: [usize; 2],
        stride: usize,
        same: bool,
        bias: bool,
    ) -> Built {
        let channels = self.f.shape(x).get(1).copied().unwrap_or(1);
        let weight = self.weight(&[columns, channels, kernel[0], kernel[1]])?;
        let bias = if bias { Some(self.vector(columns)?) } else { None };
        let op = self.f.op("conv").arg("x", x).arg("weight", weight).maybe("bias", bias);
        let op =
            op.ints("strides", &[stride as i32; 2]).string("pad_type", if same { "same" } else { "valid" });
        Ok(op.one()?)
    }

    pub(super) fn unary(&mut self, op: &str, x: ValueId) -> Built {
        Ok(self.f.unary(op, x)?)
    }

    pub(super) fn softmax(&mut self, x: ValueId, axis: i32) -> Built {
        Ok(self.f.op("softmax").arg("x", x).int("axis", axis).one()?)
    }

    /// `layer_norm` over the last dimension.
    pub(super) fn layer_norm(&mut self, x: ValueId, affine: bool) -> Built {
        let width = *self.f.shape(x).last().unwrap_or(&1);
        let (gamma, beta) =
            if affine { (Some(self.vector(width)?), Some(self.vector(width)?)) } else { (None, None) };
        let op = self.f.op("layer_norm").arg("x", x).ints("axes", &[-1]);
        Ok(op.maybe("gamma", gamma).maybe("beta", beta).one()?)
    }

    /// Root-mean-square norm over the last dimension: MIL has no op of it.
    pub(super) fn rms_norm(&mut self, x: ValueId) -> Built {
        let width = *self.f.shape(x).last().unwrap_or(&1);
        let sum = self.f.reduce("reduce_sum_square", x, &[-1], true)?;
        let scale = self.f.op("rsqrt").arg("x", sum).one()?;
        let y = self.f.mul(x, scale)?;
        let gamma = self.vector(width)?;
        Ok(self.f.mul(y, gamma)?)
    }

    pub(super) fn slice(&mut self, x: ValueId, begin: &[usize], size: &[usize]) -> Built {
        Ok(self.f.op("slice_by_size").arg("x", x).shape("begin", begin).shape("size", size).one()?)
    }

    pub(super) fn concat(&mut self, values: &[ValueId], axis: i32) -> Built {
        Ok(self.f.op("concat").args("values", values).int("axis", axis).bool("interleave", false).one()?)
    }

    /// `softmax(q kᵀ · scale) v` on `[b, h, s, d]`, the queries in tiles.
    pub(super) fn attention(&mut self, q: ValueId, k: ValueId, v: ValueId, tiles: usize) -> Built {
        let shape = self.f.shape(q).to_vec();
        let [b, h, s, d] = shape[..] else { return Err(ProgramError::Key("shape of a query".to_string())) };
        let tiles = tiles.max(1);
        let tile = s.div_ceil(tiles);
        let mut parts = Vec::new();
        for begin in (0..s).step_by(tile.max(1)) {
            let rows = tile.min(s - begin);
            let part = if tiles > 1 { self.slice(q, &[0, 0, begin, 0], &[b, h, rows, d])? } else { q };
            let scores = self.f.matmul(part, k, false, true)?;
            let scores = self.f.mul(scores, 0.125)?;
            let weights = self.softmax(scores, -1)?;
            parts.push(self.f.matmul(weights, v, false, false)?);
        }
        if let [only] = parts[..] { Ok(only) } else { self.concat(&parts, 2) }
    }

    /// Multi-head attention on `[b, s, d]` or, with the same rows, on `[b·s, d]`.
    pub(super) fn mha(&mut self, x: ValueId, b: usize, s: usize, d: usize, heads: usize) -> Built {
        let mut split = Vec::new();
        let full = self.f.shape(x).to_vec();
        for _ in 0..3 {
            let y = self.linear(x, d, true)?;
            let y = self.f.reshape(y, &[b, s, heads, d / heads.max(1)])?;
            split.push(self.f.transpose(y, &[0, 2, 1, 3])?);
        }
        let [q, k, v] = split[..] else { return Err(ProgramError::Key("heads".to_string())) };
        let y = self.attention(q, k, v, 1)?;
        let y = self.f.transpose(y, &[0, 2, 1, 3])?;
        let y = self.f.reshape(y, &full)?;
        self.linear(y, d, true)
    }

    pub(super) fn mlp(&mut self, x: ValueId, d: usize, hidden: usize) -> Built {
        let y = self.linear(x, hidden, true)?;
        let y = self.unary("gelu", y)?;
        self.linear(y, d, true)
    }

    pub(super) fn encoder_block(
        &mut self,
        x: ValueId,
        [b, s, d, heads, hidden]: [usize; 5],
        pre: bool,
    ) -> Built {
        if pre {
            let y = self.layer_norm(x, true)?;
            let y = self.mha(y, b, s, d, heads)?;
            let x = self.f.add(x, y)?;
            let y = self.layer_norm(x, true)?;
            let y = self.mlp(y, d, hidden)?;
            return Ok(self.f.add(x, y)?);
        }
        let y = self.mha(x, b, s, d, heads)?;
        let y = self.f.add(x, y)?;
        let x = self.layer_norm(y, true)?;
        let y = self.mlp(x, d, hidden)?;
        let y = self.f.add(x, y)?;
        self.layer_norm(y, true)
    }

    /// A product whose weights stand beside the activations in the last axis of one port: `[depth, rows + columns…]`.
    pub(super) fn packed(
        &mut self,
        packed: ValueId,
        at: usize,
        depth: usize,
        rows: ValueId,
        columns: usize,
    ) -> Built {
        let weight = self.slice(packed, &[0, at], &[depth, columns])?;
        Ok(self.f.matmul(rows, weight, true, false)?)
    }
}
