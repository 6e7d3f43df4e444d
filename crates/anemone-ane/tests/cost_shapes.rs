//! Estimates of random programs: finite, never below the dispatch, never cheaper when something grows.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use anemone_ane::chips::Chip;
use anemone_ane::cost::graph::{Assumptions, FunctionWork};
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

/// A chain of layers whose weights are states, or of which the last reads what the first wrote.
fn stateful(layers: usize, width: usize, update: bool) -> Verified {
    let mut f = FunctionBuilder::new("main", Opset::Ios18);
    let state = f.state("memory", TensorType::fp16([1, width])).unwrap();
    let mut x = f.input("x", TensorType::fp16([1, width])).unwrap();
    for at in 0..layers {
        x = f.unary("tanh", x).unwrap();
        if update && at == 0 {
            x = f.op("coreml_update_state").arg("state", state).arg("value", x).one().unwrap();
        }
    }
    let held = f.op("read_state").arg("input", state).one().unwrap();
    let y = f.add(x, held).unwrap();
    f.name(y, "y");
    verify(Program::single(f.finish(&[y]).unwrap())).unwrap()
}

/// A state that several programs work on goes from one to the next.
#[test]
fn shared_states_are_passed() {
    let chip = Chip::named("M1").unwrap();
    let options = EstimateOptions::default();
    let width = 1 << 20;
    let of = |update: bool| plan(&stateful(900, width, update), "main", chip, &options).unwrap();
    let (own, shared) = (of(false), of(true));
    assert!(own.parts.len() == shared.parts.len() && own.parts.len() >= 3);
    // What only the last program reads stays with it.
    assert!(!own.notes.iter().any(|note| note.contains("passed")), "{:?}", own.notes);
    assert!(shared.notes.iter().any(|note| note.starts_with("1 state is passed")), "{:?}", shared.notes);
    let ports = |plan: &anemone_ane::cost::Plan, at: usize| plan.parts[at].estimate.terms.ports_us;
    let last = own.parts.len() - 1;
    // The first program writes it: three tensors of this size in place of two. The last reads it: the same.
    for at in [0, last] {
        let ratio = ports(&shared, at) / ports(&own, at);
        assert!((ratio - 1.5).abs() < 0.01, "part {at}: {ratio}");
    }
    assert_eq!(ports(&shared, 1), ports(&own, 1));
    assert!(shared.parts[0].inputs.contains(&"memory".to_string()));
    assert!(!shared.parts[1].inputs.contains(&"memory".to_string()));
}

/// Compressed weights weigh where they are used, wherever they are unpacked.
#[test]
fn compressed_weights_at_the_beginning_do_not_crowd_one_part() {
    let mut f = FunctionBuilder::new("main", Opset::Ios18);
    let width = 8192;
    let ty = TensorType::new(DataType::Int8, [width, width]);
    let scale = Constant::from_storage(TensorType::fp16([]), Arc::new(vec![0u8; 2])).unwrap();
    let weights: Vec<ValueId> = (0..50)
        .map(|_| {
            let data = Constant::from_storage(ty.clone(), Arc::new(vec![0u8; ty.bytes()])).unwrap();
            let call = f.op("constexpr_affine_dequantize").constant("quantized_data", data);
            let zero =
                Constant::from_storage(TensorType::new(DataType::Int8, []), Arc::new(vec![0u8])).unwrap();
            call.constant("zero_point", zero).constant("scale", scale.clone()).int("axis", 0).one().unwrap()
        })
        .collect();
    let mut x = f.input("x", TensorType::fp16([8, width])).unwrap();
    for weight in weights {
        x = f.op("linear").arg("x", x).arg("weight", weight).one().unwrap();
    }
    f.name(x, "y");
    let program = verify(Program::single(f.finish(&[x]).unwrap())).unwrap();
    // 50 layers of 67 MB are 3.4 GB.
    let plan = plan(&program, "main", Chip::named("M5").unwrap(), &EstimateOptions::default()).unwrap();
    assert!(plan.fits, "{:?}", plan.notes);
    assert_eq!(plan.parts.len(), 3);
    assert!(plan.parts.iter().all(|part| part.weight_bytes > 1e8 && part.weight_bytes <= 1.6e9));
    let linear = |program: &Verified| {
        program.functions[0].body.ops.iter().filter(|op| op.op.declaration().name == "linear").count()
    };
    assert_eq!(plan.programs.iter().map(linear).sum::<usize>(), 50);
}

/// Programs pass what a port can take.
#[test]
fn truth_values_do_not_pass_between_programs() {
    let mut f = FunctionBuilder::new("main", Opset::Ios18);
    let mut x = f.input("x", TensorType::fp16([4, 8])).unwrap();
    for _ in 0..150 {
        // Of three places to cut, the one before the choice has the fewest bytes alive: 4 × 8 truth values against 64.
        let other = f.unary("tanh", x).unwrap();
        let mask = f.op("greater").arg("x", other).arg("y", x).one().unwrap();
        let (one, zero) = (f.float(DataType::Fp16, 1.0), f.float(DataType::Fp16, 0.0));
        let chosen = f.select(mask, one, zero).unwrap();
        x = f.unary("sigmoid", chosen).unwrap();
    }
    f.name(x, "y");
    let program = verify(Program::single(f.finish(&[x]).unwrap())).unwrap();
    let plan = plan(&program, "main", Chip::named("M5").unwrap(), &EstimateOptions::default()).unwrap();
    assert!(plan.parts.len() >= 2);
    for program in &plan.programs {
        let function = &program.functions[0];
        for &id in function.inputs.iter().chain(&function.body.outputs) {
            assert_eq!(function.dtype(id), DataType::Fp16, "{}", function.display_name(id));
        }
    }
}

#[test]
fn a_process_holds_more_programs_of_one_route_than_of_the_other() {
    let mut f = FunctionBuilder::new("main", Opset::Ios18);
    let width = 27000;
    let mut x = f.input("x", TensorType::fp16([1, width])).unwrap();
    // One piece of memory, never touched, under many names.
    let weight = zeros(&[width, width]);
    for _ in 0..122 {
        let weight = f.constant(weight.clone());
        x = f.op("linear").arg("x", x).arg("weight", weight).one().unwrap();
    }
    f.name(x, "y");
    let program = verify(Program::single(f.finish(&[x]).unwrap())).unwrap();
    let of = |path| {
        let options = EstimateOptions { path, ..EstimateOptions::default() };
        plan(&program, "main", Chip::named("M1").unwrap(), &options).unwrap()
    };
    let (e5rt, direct) = (of(Path::E5rt), of(Path::Direct));
    assert_eq!((e5rt.parts.len(), direct.parts.len()), (122, 122));
    assert!(e5rt.fits, "128 of them: {:?}", e5rt.notes);
    assert!(!direct.fits && direct.notes.iter().any(|note| note.contains("about 119")), "{:?}", direct.notes);
    let parts: f64 = e5rt.parts.iter().map(|part| part.compile_s.mid).sum();
    let all = e5rt.compile_s;
    assert!((all.mid / parts - 1.0).abs() < 1e-9 && all.low < all.mid && all.mid < all.high);
}

#[test]
fn long_programs_are_split() {
    let plan =
        plan(&heavy(500, 16), "main", Chip::named("M1").unwrap(), &EstimateOptions::default()).unwrap();
    assert!(plan.fits && plan.parts.len() >= 3, "{}", plan.parts.len());
}

/// A product of inputs and weights of these shapes, counted with 24 for what is not known.
fn product(
    op: &str,
    [x, y, output]: [&[usize]; 3],
    stride: i32,
    groups: i32,
    transposed: bool,
) -> FunctionWork {
    let mut f = FunctionBuilder::new("main", Opset::Ios18);
    let x = f.input("x", TensorType::fp16(x.to_vec())).unwrap();
    let other = match op {
        "matmul" => f.input("z", TensorType::fp16(y.to_vec())).unwrap(),
        _ => f.constant(zeros(y)),
    };
    let call = f.op(op).arg("x", x).arg(if op == "matmul" { "y" } else { "weight" }, other);
    let call = match op {
        "matmul" => call.bool("transpose_x", transposed).bool("transpose_y", transposed),
        "linear" => call,
        _ => call.ints("strides", &[stride; 2]).string("pad_type", "same").int("groups", groups),
    };
    let y = call.declared(&[TensorType::fp16(output.to_vec()).into()]).one().unwrap();
    f.name(y, "y");
    let program = verify(Program::single(f.finish(&[y]).unwrap())).unwrap();
    FunctionWork::new(&program.functions[0], Assumptions { loop_turns: 1, unknown_dim: 24 })
}

/// What is not known is as much work as the length that is assumed for it, product for product.
#[test]
fn products_of_unknown_length_are_products() {
    let same = |what: &str, build: &dyn Fn(usize) -> FunctionWork| {
        let (open, bound) = (build(mil::UNKNOWN), build(24));
        assert!(open.assumed && !bound.assumed && bound.flops() > 0.0, "{what}");
        assert_eq!(open.ops, bound.ops, "{what}");
    };
    same("conv", &|n| product("conv", [&[2, 8, n, n], &[6, 8, 3, 3], &[2, 6, n, n]], 1, 1, false));
    same("groups", &|n| product("conv", [&[2, 8, n, n], &[6, 4, 3, 3], &[2, 6, n, n]], 1, 2, false));
    same("stride", &|n| product("conv", [&[n, 8, 16, 12], &[6, 8, 3, 3], &[n, 6, 8, 6]], 2, 1, false));
    same("transpose", &|n| {
        product("conv_transpose", [&[n, 8, 5, 7], &[8, 3, 2, 2], &[n, 6, 10, 14]], 2, 2, false)
    });
    same("linear", &|n| product("linear", [&[3, n, 40], &[50, 40], &[3, n, 50]], 1, 1, false));
    same("rows", &|n| product("matmul", [&[2, n, 40], &[2, 40, 50], &[2, n, 50]], 1, 1, false));
    same("depth", &|n| product("matmul", [&[5, n], &[n, 7], &[5, 7]], 1, 1, false));
    same("batch", &|n| product("matmul", [&[n, 40, 5], &[1, 50, 40], &[n, 5, 50]], 1, 1, true));
    same("vector", &|n| product("matmul", [&[n, 40], &[40], &[n]], 1, 1, false));
    same("vector on the left", &|n| product("matmul", [&[n], &[n, 40], &[40]], 1, 1, false));
}
