//! Estimates of random programs: finite, never below the dispatch, never cheaper when something grows.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use anemone_ane::chips::Chip;
use anemone_ane::cost::params::FACTS;
use anemone_ane::cost::{EstimateOptions, Path, estimate, plan};
use mil::{
    BuildError, Constant, DataType, FunctionBuilder, Opset, Program, TensorType, ValueId, Verified, verify,
};
use proptest::prelude::*;
use std::sync::Arc;

/// A layer of a random network on `[N, C, H, W]` or, at the end, on `[M, K]`.
#[derive(Clone, Copy, Debug)]
enum Layer {
    Conv { columns: usize, kernel: usize, stride: usize },
    Linear { columns: usize },
    Relu,
    Gelu,
    Square,
    Residual,
    Softmax,
    Norm,
    Transpose,
}

#[derive(Clone, Debug)]
struct Net {
    batch: usize,
    channels: usize,
    height: usize,
    width: usize,
    layers: Vec<Layer>,
}

fn zeros(shape: &[usize]) -> Constant {
    let ty = TensorType::fp16(shape.to_vec());
    let bytes = ty.bytes();
    Constant::from_storage(ty, Arc::new(vec![0u8; bytes])).unwrap()
}

fn layer(f: &mut FunctionBuilder, x: ValueId, layer: Layer) -> Result<ValueId, BuildError> {
    let shape = f.shape(x).to_vec();
    match layer {
        Layer::Conv { columns, kernel, stride } => {
            let weight = f.constant(zeros(&[columns, shape[1], kernel, kernel]));
            let op = f.op("conv").arg("x", x).arg("weight", weight);
            op.ints("strides", &[stride as i32; 2]).string("pad_type", "same").one()
        }
        Layer::Linear { columns } => {
            let weight = f.constant(zeros(&[columns, shape[3]]));
            f.op("linear").arg("x", x).arg("weight", weight).one()
        }
        Layer::Relu => f.unary("relu", x),
        Layer::Gelu => f.unary("gelu", x),
        Layer::Square => f.mul(x, x),
        Layer::Residual => {
            let y = f.unary("tanh", x)?;
            f.add(x, y)
        }
        Layer::Softmax => f.op("softmax").arg("x", x).int("axis", -1).one(),
        Layer::Norm => f.op("layer_norm").arg("x", x).ints("axes", &[-1]).one(),
        Layer::Transpose => f.transpose(x, &[0, 1, 3, 2]),
    }
}

impl Net {
    fn build(&self) -> Verified {
        let mut f = FunctionBuilder::new("main", Opset::Ios18);
        let mut x =
            f.input("x", TensorType::fp16([self.batch, self.channels, self.height, self.width])).unwrap();
        for &next in &self.layers {
            x = layer(&mut f, x, next).unwrap();
        }
        if f.function().inputs.contains(&x) {
            x = f.unary("relu", x).unwrap();
        }
        f.name(x, "y");
        verify(Program::single(f.finish(&[x]).unwrap())).unwrap()
    }
}

fn layers() -> impl Strategy<Value = Layer> {
    let columns = 1usize..300;
    prop_oneof![
        (columns.clone(), prop_oneof![Just(1usize), Just(3), Just(5)], 1usize..3)
            .prop_map(|(columns, kernel, stride)| Layer::Conv { columns, kernel, stride }),
        columns.prop_map(|columns| Layer::Linear { columns }),
        Just(Layer::Relu),
        Just(Layer::Gelu),
        Just(Layer::Square),
        Just(Layer::Residual),
        Just(Layer::Softmax),
        Just(Layer::Norm),
        Just(Layer::Transpose),
    ]
}

fn nets() -> impl Strategy<Value = Net> {
    (1usize..9, 1usize..200, 1usize..80, 1usize..80, prop::collection::vec(layers(), 1..8))
        .prop_map(|(batch, channels, height, width, layers)| Net { batch, channels, height, width, layers })
}

fn chip() -> impl Strategy<Value = &'static Chip> {
    (0..FACTS.len()).prop_map(|at| Chip::named(FACTS[at].name).unwrap())
}

fn time(net: &Net, chip: &Chip, options: &EstimateOptions) -> f64 {
    estimate(&net.build(), "main", chip, options).unwrap().latency_ms.mid
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_program_has_a_finite_estimate(net in nets(), chip in chip(), host_copy: bool, sustained: bool, direct: bool) {
        let path = if direct { Path::Direct } else { Path::E5rt };
        let options = EstimateOptions { host_copy, sustained, path, ..EstimateOptions::default() };
        let found = estimate(&net.build(), "main", chip, &options).unwrap();
        prop_assert!(found.latency_ms.mid.is_finite() && found.latency_ms.mid * 1e3 >= found.terms.dispatch_us);
        prop_assert!(found.energy_mj.mid.is_finite() && found.energy_mj.mid > 0.0);
        let ops: f64 = found.ops.iter().map(|op| op.time_us).sum();
        let terms = found.terms;
        let rest = terms.dispatch_us + terms.ports_us + terms.host_copy_us;
        prop_assert!((ops + rest - found.latency_ms.mid * 1e3).abs() <= 1e-6 * found.latency_ms.mid * 1e3);
    }

    #[test]
    fn nothing_gets_cheaper_by_growing(net in nets(), chip in chip(), by in 1usize..40, more in layers()) {
        let options = EstimateOptions::default();
        let base = time(&net, chip, &options);
        let grown = |what: &str, net: Net| {
            let time = time(&net, chip, &options);
            prop_assert!(time >= base * (1.0 - 1e-9), "{what}: {time} ms, but {base} ms before");
            Ok(())
        };
        grown("batch", Net { batch: net.batch + by, ..net.clone() })?;
        grown("channels", Net { channels: net.channels + by, ..net.clone() })?;
        grown("height", Net { height: net.height + by, ..net.clone() })?;
        grown("width", Net { width: net.width + by, ..net.clone() })?;
        let mut deeper = net.clone();
        deeper.layers.push(more);
        // A stride makes what leaves the program smaller, which is cheaper indeed.
        if !matches!(more, Layer::Conv { .. } | Layer::Linear { .. }) {
            grown("depth", deeper)?;
        }
        let mut wider = net.clone();
        for layer in &mut wider.layers {
            if let Layer::Conv { columns, .. } | Layer::Linear { columns } = layer {
                *columns += by;
            }
        }
        grown("columns", wider)?;
    }
}

/// A chain of linear layers with weights of this many bytes in all.
fn heavy(layers: usize, width: usize) -> Verified {
    let mut f = FunctionBuilder::new("main", Opset::Ios18);
    let mut x = f.input("x", TensorType::fp16([8, width])).unwrap();
    for _ in 0..layers {
        let weight = f.constant(zeros(&[width, width]));
        x = f.op("linear").arg("x", x).arg("weight", weight).one().unwrap();
        x = f.unary("relu", x).unwrap();
    }
    let x = f.cast(x, DataType::Fp32).unwrap();
    f.name(x, "y");
    verify(Program::single(f.finish(&[x]).unwrap())).unwrap()
}

#[test]
fn a_program_that_fits_is_not_split() {
    let plan = plan(&heavy(3, 256), "main", Chip::named("M4").unwrap(), &EstimateOptions::default()).unwrap();
    assert!(plan.fits && plan.reasons.is_empty());
    assert_eq!((plan.parts.len(), plan.split_ms), (1, 0.0));
}

#[test]
fn weights_beyond_the_limit_are_split() {
    // 30 layers of 134 MB are 4 GB: three programs at least.
    let program = heavy(30, 8192);
    let chip = Chip::named("M5 Pro").unwrap();
    let options = EstimateOptions::default();
    let plan = plan(&program, "main", chip, &options).unwrap();
    assert!(plan.fits, "{:?}", plan.notes);
    assert!(plan.parts.len() >= 3);
    assert!(plan.parts.iter().all(|part| part.weight_bytes <= 1.6e9));
    let whole = estimate(&program, "main", chip, &options).unwrap();
    assert!(plan.latency_ms.mid > whole.latency_ms.mid && plan.split_ms > 0.0);
    // What one part gives, the next one takes; the parts are the function.
    for pair in plan.parts.windows(2) {
        assert_eq!(pair[0].end, pair[1].first);
        assert_eq!(pair[0].outputs, pair[1].inputs);
    }
    let ops: usize = plan.programs.iter().map(|program| program.functions[0].body.ops.len()).sum();
    assert_eq!(ops, program.functions[0].body.ops.len());
}

#[test]
fn long_programs_are_split() {
    let plan =
        plan(&heavy(500, 16), "main", Chip::named("M1").unwrap(), &EstimateOptions::default()).unwrap();
    assert!(plan.fits && plan.parts.len() >= 3, "{}", plan.parts.len());
}
