//! Structure of what differentiation appends: types, sums, dead paths, errors. Values are checked against golden files
//! where an engine runs the programs.

mod every_op;
mod recurrent;

use super::*;
use mil::{Constant, FunctionBuilder, Opset, Program, TensorType, verify};

fn builder() -> FunctionBuilder {
    FunctionBuilder::new("main", Opset::Ios18)
}

/// Sums a value to a scalar.
fn total(f: &mut FunctionBuilder, value: ValueId) -> ValueId {
    f.op("reduce_sum").arg("x", value).bool("keep_dims", false).one().unwrap()
}

/// Fails with every fault of the finished function.
fn check(f: FunctionBuilder, outputs: &[ValueId]) -> mil::Verified {
    verify(Program::single(f.finish(outputs).unwrap())).unwrap()
}

fn count(f: &FunctionBuilder, op: &str) -> usize {
    f.function().body.ops.iter().filter(|operation| operation.op.declaration().name == op).count()
}

#[test]
fn every_rule_is_of_an_op_and_every_op_has_a_rule() {
    let missing: Vec<&str> =
        Op::all().filter(|&op| matches!(rule(op), Rule::Missing)).map(|op| op.declaration().name).collect();
    assert!(missing.is_empty(), "ops without a gradient rule: {missing:?}");
    for family in Op::all().map(|op| op.family) {
        for (name, _) in table(family) {
            assert!(Op::named(name).is_some_and(|op| op.family == family), "no op `{name}` in {family:?}");
        }
    }
}

#[test]
fn shared_values_get_one_sum() {
    let mut f = builder();
    let x = f.input("x", TensorType::fp32([4])).unwrap();
    let parts: Vec<_> = (0..5).map(|_| f.unary("exp", x).unwrap()).collect();
    let loss = f.op("concat").args("values", &parts).int("axis", 0).one().unwrap();
    let loss = total(&mut f, loss);
    let before = count(&f, "add");
    let dx = gradients(&mut f, loss, &[x]).unwrap();
    assert_eq!(count(&f, "add") - before, 4);
    assert_eq!(f.shape(dx[0]), [4]);
    check(f, &dx);
}

#[test]
fn broadcast_operands_get_sums() {
    let mut f = builder();
    let x = f.input("x", TensorType::fp32([2, 3, 4])).unwrap();
    let scale = f.input("scale", TensorType::fp32([4])).unwrap();
    let column = f.input("column", TensorType::fp32([3, 1])).unwrap();
    let scalar = f.input("scalar", TensorType::fp32([])).unwrap();
    let y = f.mul(x, scale).unwrap();
    let y = f.add(y, column).unwrap();
    let y = f.real_div(y, scalar).unwrap();
    let loss = total(&mut f, y);
    let grads = gradients(&mut f, loss, &[x, scale, column, scalar]).unwrap();
    let shapes: Vec<_> = grads.iter().map(|&grad| f.shape(grad).to_vec()).collect();
    assert_eq!(shapes, [vec![2, 3, 4], vec![4], vec![3, 1], vec![]]);
    check(f, &grads);
}

#[test]
fn a_mean_is_not_copied_out_before_it_is_needed() {
    let mut f = builder();
    let x = f.input("x", TensorType::fp32([8, 16])).unwrap();
    let square = f.mul(x, x).unwrap();
    let mean = f.reduce("reduce_mean", square, &[-1], true).unwrap();
    let loss = total(&mut f, mean);
    let dx = gradients(&mut f, loss, &[x]).unwrap();
    assert_eq!(count(&f, "tile"), 0);
    check(f, &dx);
}

#[test]
fn values_that_depend_on_nothing_asked_for_get_no_backward_ops() {
    let mut f = builder();
    let x = f.input("x", TensorType::fp32([4])).unwrap();
    let w = f.input("w", TensorType::fp32([4])).unwrap();
    let features = f.unary("tanh", x).unwrap();
    let y = f.mul(features, w).unwrap();
    let loss = total(&mut f, y);
    let before = f.function().body.ops.len();
    gradients(&mut f, loss, &[w]).unwrap();
    assert_eq!(f.function().body.ops.len() - before, 2, "one shape for the seed and one product");
}

#[test]
fn independent_values_get_zeros() {
    let mut f = builder();
    let x = f.input("x", TensorType::fp32([4])).unwrap();
    let w = f.input("w", TensorType::fp16([2, 2])).unwrap();
    let s = f.input("s", TensorType::fp32([])).unwrap();
    let loss = total(&mut f, x);
    let grads = gradients(&mut f, loss, &[w, s]).unwrap();
    assert_eq!(f.ty(grads[0]).to_string(), "tensor<fp16, [2, 2]>");
    assert_eq!(f.ty(grads[1]).to_string(), "tensor<fp32, []>");
    check(f, &grads);
}

#[test]
fn gradients_have_the_type_of_their_value() {
    let mut f = builder();
    let master = f.state("master", TensorType::fp32([3, 3])).unwrap();
    let weight = f.read_state(master).unwrap();
    let half = f.cast(weight, DataType::Fp16).unwrap();
    let x = f.input("x", TensorType::fp16([2, 3])).unwrap();
    let y = f.matmul(x, half, false, false).unwrap();
    let y = f.cast(y, DataType::Fp32).unwrap();
    let loss = total(&mut f, y);
    let scale = f.input("scale", TensorType::fp32([])).unwrap();
    let grads = gradients_from(&mut f, loss, Some(scale), &[weight, half]).unwrap();
    assert_eq!(f.dtype(grads[0]), DataType::Fp32);
    assert_eq!(f.dtype(grads[1]), DataType::Fp16);
    check(f, &grads);
}

#[test]
fn integers_and_steps_stop_gradients() {
    let mut f = builder();
    let x = f.input("x", TensorType::fp32([4])).unwrap();
    let steps = f.unary("floor", x).unwrap();
    let index = f.op("reduce_argmax").arg("x", x).int("axis", 0).bool("keep_dims", true).one().unwrap();
    let index = f.cast(index, DataType::Fp32).unwrap();
    let y = f.mul(steps, index).unwrap();
    let loss = total(&mut f, y);
    let before = f.function().body.ops.len();
    let dx = gradients(&mut f, loss, &[x]).unwrap();
    assert_eq!(f.function().body.ops.len() - before, 1, "zeros and nothing else");
    check(f, &dx);
}

#[test]
fn a_written_state_passes_its_gradient_to_what_was_written() {
    let mut f = builder();
    let cache = f.state("cache", TensorType::fp32([2])).unwrap();
    let x = f.input("x", TensorType::fp32([2])).unwrap();
    let before = f.read_state(cache).unwrap();
    let sum = f.add(before, x).unwrap();
    f.update_state(cache, sum).unwrap();
    let after = f.read_state(cache).unwrap();
    let y = f.unary("exp", after).unwrap();
    let loss = total(&mut f, y);
    let exps = count(&f, "fill");
    let grads = gradients(&mut f, loss, &[x, before]).unwrap();
    assert_eq!(count(&f, "fill"), exps, "neither gradient is zero");
    check(f, &grads);
}

#[test]
fn faults_name_what_is_wrong() {
    let mut f = builder();
    let x = f.input("x", TensorType::fp32([4])).unwrap();
    let ids = f.input("ids", TensorType::int32([4])).unwrap();
    let state = f.state("w", TensorType::fp32([4])).unwrap();
    let loss = total(&mut f, x);
    let error = gradients(&mut f, x, &[x]).unwrap_err();
    assert!(matches!(error, AutodiffError::Loss { .. }), "{error}");
    let error = gradients(&mut f, loss, &[ids]).unwrap_err();
    assert!(error.to_string().contains("`ids`"), "{error}");
    let error = gradients(&mut f, loss, &[state]).unwrap_err();
    assert!(error.to_string().contains("read_state"), "{error}");
    let error = gradients_from(&mut f, loss, Some(x), &[x]).unwrap_err();
    assert!(matches!(error, AutodiffError::Seed { .. }), "{error}");
    let error = gradients(&mut f, loss, &[ValueId::from_index(999)]).unwrap_err();
    assert!(matches!(error, AutodiffError::UnknownValue(_)), "{error}");
}

/// The error of differentiating a `cond` with `body` as its first block.
fn refused_in_a_block(body: impl Fn(&mut FunctionBuilder, ValueId, ValueId) -> ValueId) -> String {
    let mut f = builder();
    let state = f.state("s", TensorType::fp32([4])).unwrap();
    let x = f.input("x", TensorType::fp32([4])).unwrap();
    let pred = f.input("p", TensorType::bool([])).unwrap();
    let y = f.cond(pred, |f| Ok(vec![body(f, x, state)]), |_| Ok(vec![x])).unwrap()[0];
    let loss = f.op("reduce_sum").arg("x", y).declared(&[TensorType::fp32([]).into()]).one().unwrap();
    gradients(&mut f, loss, &[x]).unwrap_err().to_string()
}

#[test]
fn blocks_that_would_not_do_the_same_again_are_refused() {
    let error = refused_in_a_block(|f, x, state| {
        let held = f.read_state(state).unwrap();
        f.mul(held, x).unwrap()
    });
    assert!(error.contains("op `cond`") && error.contains("`read_state` in them reads a state"), "{error}");
    let error = refused_in_a_block(|f, x, state| f.update_state(state, x).unwrap());
    assert!(error.contains("written twice"), "{error}");
    let drawn = |f: &mut FunctionBuilder, x: ValueId, seed: i32| {
        let noise = f.op("random_normal").ints("shape", &[4]).int("seed", seed).one().unwrap();
        f.mul(noise, x).unwrap()
    };
    let error = refused_in_a_block(|f, x, _| drawn(f, x, -1));
    assert!(error.contains("give it one"), "{error}");
    // With a seed the numbers are the same again; here only the shape of the other block's result is in the way.
    let error = refused_in_a_block(|f, x, _| {
        let product = drawn(f, x, 7);
        f.op("concat").args("values", &[product, x]).int("axis", 0).one().unwrap()
    });
    assert!(error.contains("is tensor<fp32, [?]>, of which a dimension is not known"), "{error}");
}

#[test]
fn what_a_block_does_to_a_state_is_never_a_silent_zero() {
    // Written in a block, read after it.
    let written = |change: &dyn Fn(&mut FunctionBuilder, ValueId, ValueId) -> ValueId| {
        let mut f = builder();
        let state = f.state("s", TensorType::fp32([4])).unwrap();
        let x = f.input("x", TensorType::fp32([4])).unwrap();
        let pred = f.input("p", TensorType::bool([])).unwrap();
        f.cond(pred, |f| Ok(vec![change(f, x, state)]), |_| Ok(vec![x])).unwrap();
        let after = f.read_state(state).unwrap();
        let loss = total(&mut f, after);
        gradients(&mut f, loss, &[x]).map(|grads| f.function().display_name(grads[0]))
    };
    let error = written(&|f, x, state| f.update_state(state, x).unwrap()).unwrap_err().to_string();
    assert!(error.contains("op `read_state`") && error.contains("written in a block"), "{error}");
    let unrelated = written(&|f, x, state| {
        let ones = f.constant(Constant::splat(&TensorType::fp32([4]), 1.0).unwrap());
        f.update_state(state, ones).unwrap();
        x
    });
    assert!(unrelated.is_ok(), "{unrelated:?}");

    // Written before, read in a block; and by name.
    let mut f = builder();
    let state = f.state("s", TensorType::fp32([4])).unwrap();
    let x = f.input("x", TensorType::fp32([4])).unwrap();
    let pred = f.input("p", TensorType::bool([])).unwrap();
    f.update_state(state, x).unwrap();
    let y = f.cond(pred, |f| Ok(vec![f.read_state(state)?]), |_| Ok(vec![x])).unwrap()[0];
    let loss = total(&mut f, y);
    f.name(loss, "loss");
    let error = gradients(&mut f.clone(), loss, &[x]).unwrap_err().to_string();
    assert!(error.contains("op `cond`") && error.contains("reads a state"), "{error}");

    // By the name of a state that only a block reads.
    let mut f = builder();
    let state = f.state("s", TensorType::fp32([4])).unwrap();
    let pred = f.input("p", TensorType::bool([])).unwrap();
    let read = |f: &mut FunctionBuilder| Ok(vec![f.read_state(state)?]);
    let y = f.cond(pred, read, read).unwrap()[0];
    let loss = total(&mut f, y);
    f.name(loss, "loss");
    let program = check(f, &[loss]);
    let error = differentiate(&program, "main", "loss", &["s"]).unwrap_err().to_string();
    assert!(error.contains("state `s`") && error.contains("read it before"), "{error}");
}

#[test]
fn a_fault_in_a_block_names_the_operation_in_it() {
    let mut f = builder();
    let x = f.input("x", TensorType::fp32([1, 2, 3, 3])).unwrap();
    let pred = f.input("p", TensorType::bool([])).unwrap();
    let begin = f.input("begin", TensorType::int32([4])).unwrap();
    let cut_and_summed = |f: &mut FunctionBuilder| {
        let unknown = TensorType::fp32([1, mil::UNKNOWN, 3, 3]);
        let cut = f.op("slice_by_size").arg("x", x).arg("begin", begin).ints("size", &[1, -1, 3, 3]);
        let cut = cut.declared(&[unknown.into()]).one()?;
        let all = f.op("reduce_sum").arg("x", cut).declared(&[TensorType::fp32([]).into()]).one()?;
        Ok(vec![all])
    };
    let y = f.cond(pred, cut_and_summed, |f| Ok(vec![total(f, x)])).unwrap()[0];
    let error = gradients(&mut f, y, &[x]).unwrap_err().to_string();
    assert!(
        error.contains("op `cond`") && error.contains("op `reduce_sum`") && error.contains("[1, ?, 3, 3]"),
        "{error}"
    );
}

#[test]
fn what_lies_beside_the_way_may_be_of_unknown_shape() {
    let mut f = builder();
    let x = f.input("x", TensorType::fp32([2])).unwrap();
    let any = f.input("any", TensorType::fp32([mil::UNKNOWN])).unwrap();
    let unknown =
        f.op("relu").arg("x", any).declared(&[TensorType::fp32([mil::UNKNOWN]).into()]).one().unwrap();
    let y = f.unary("exp", x).unwrap();
    let loss = total(&mut f, y);
    let grads = gradients(&mut f, loss, &[x]).unwrap();
    check(f, &[grads[0], unknown]);
}

#[test]
fn a_function_gets_gradient_outputs() {
    let mut f = builder();
    let w = f.state("w", TensorType::fp32([4])).unwrap();
    let b = f.state("b", TensorType::fp32([4])).unwrap();
    f.state("unused", TensorType::fp32([2])).unwrap();
    let x = f.input("x", TensorType::fp32([4])).unwrap();
    let (first, second) = (f.read_state(w).unwrap(), f.read_state(w).unwrap());
    let bias = f.read_state(b).unwrap();
    let y = f.mul(first, second).unwrap();
    let y = f.add(y, bias).unwrap();
    let y = f.mul(y, x).unwrap();
    let loss = total(&mut f, y);
    f.name(loss, "loss");
    let program = check(f, &[loss]);
    let differentiated = differentiate(&program, "main", "loss", &["w", "b", "unused", "x"]).unwrap();
    let verified = verify(differentiated).unwrap();
    let main = verified.function("main").unwrap();
    let outputs: Vec<String> =
        main.body.outputs.iter().map(|&id| format!("{} {}", main.display_name(id), main.shape(id))).collect();
    assert_eq!(outputs, ["loss []", "w_grad [4]", "b_grad [4]", "unused_grad [2]", "x_grad [4]"]);
    for (function, loss, state) in [("none", "loss", "w"), ("main", "none", "w"), ("main", "loss", "none")] {
        let error = differentiate(&program, function, loss, &[state]).unwrap_err();
        assert!(error.to_string().contains("there is no") && error.to_string().contains("`none`"), "{error}");
    }
}
