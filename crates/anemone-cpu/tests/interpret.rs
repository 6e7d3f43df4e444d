//! Programs of which only running tells everything, and the binding of flexible inputs.

#![allow(clippy::unwrap_used, reason = "test code")]

use anemone_cpu::{CpuBackend, specialize};
use anemone_passes::{PrecisionOptions, compact, remove_dead, to_fp16};
use anemone_runtime::{Backend, CompileOptions, Executable, States, Tensor};
use mil::{Program, Shape, Verified, verify};
use std::collections::BTreeMap;

fn program(body: &str) -> Verified {
    let text = format!("program(1.3) {{ func main<ios18>{body} }}");
    let program: Program = text.parse().unwrap_or_else(|error| panic!("{error}\n{text}"));
    verify(program).unwrap()
}

fn compile(body: &str) -> Box<dyn Executable> {
    let backend = CpuBackend::with_threads(1).unwrap();
    backend.compile(&program(body), &CompileOptions::default()).unwrap()
}

fn floats(tensor: &Tensor) -> (Vec<usize>, Vec<f32>) {
    (tensor.shape().to_vec(), tensor.to_f32().unwrap().to_vec())
}

const COUNTING: &str = "(int32 n, tensor<fp32, [2]> x) {
    int32 zero = const()[val = int32(0)];
    int32 count, tensor<fp32, [2]> sum = while_loop(loop_vars = (zero, x))
        (int32 i, tensor<fp32, [2]> s) { bool go = less(x = i, y = n); } -> (go)
        (int32 j, tensor<fp32, [2]> t) {
            fp32 number = cast(x = j, dtype = string(\"fp32\"));
            int32 next = add(x = j, y = int32(1));
            tensor<fp32, [2]> more = add(x = t, y = number);
        } -> (next, more);
} -> (count, sum);";

#[test]
fn a_loop_counts() {
    let mut executable = compile(COUNTING);
    let x = Tensor::new([2], &[0.5_f32, -1.0]).unwrap();
    for n in [0, 1, 10] {
        let results = executable.call(&[&Tensor::scalar(n), &x]).unwrap();
        let sum = (0..n).sum::<i32>() as f32;
        assert_eq!(results[0].as_slice::<i32>().unwrap(), &[n]);
        assert_eq!(floats(&results[1]), (vec![2], vec![0.5 + sum, -1.0 + sum]));
    }
}

#[test]
fn a_condition_may_be_a_vector_of_one() {
    let body = COUNTING
        .replace("bool go = less(x = i, y = n);", "bool at = less(x = i, y = n); tensor<bool, [1]> go = expand_dims(x = at, axes = tensor<int32, [1]>([0]));");
    let x = Tensor::new([2], &[0.0_f32, 1.0]).unwrap();
    let results = compile(&body).call(&[&Tensor::scalar(4_i32), &x]).unwrap();
    assert_eq!(floats(&results[1]).1, [6.0, 7.0]);
}

const GROWING: &str = "(int32 n, tensor<fp32, [1, 2]> x) {
    int32 c, tensor<fp32, [?, 2]> y = while_loop(loop_vars = (n, x))
        (int32 i, tensor<fp32, [?, 2]> s) { bool go = greater(x = i, y = int32(0)); } -> (go)
        (int32 j, tensor<fp32, [?, 2]> t) {
            int32 next = sub(x = j, y = int32(1));
            tensor<fp32, [?, 2]> longer = concat(values = (t, x), axis = int32(0), interleave = bool(false));
        } -> (next, longer);
} -> (y);";

#[test]
fn a_loop_grows_what_it_carries() {
    let mut executable = compile(GROWING);
    let x = Tensor::new([1, 2], &[1.0_f32, 2.0]).unwrap();
    let results = executable.call(&[&Tensor::scalar(2_i32), &x]).unwrap();
    assert_eq!(floats(&results[0]), (vec![3, 2], [1.0, 2.0].repeat(3)));
}

const ACCUMULATING: &str = "(bool p, tensor<fp32, [2]> x, state<tensor<fp32, [2]>> total) {
    tensor<fp32, [2]> y = cond(pred = p)
        () {
            tensor<fp32, [2]> old = read_state(input = total);
            tensor<fp32, [2]> sum = add(x = old, y = x);
            tensor<fp32, [2]> new = coreml_update_state(state = total, value = sum);
        } -> (new)
        () {} -> (x);
} -> (y);";

#[test]
fn a_choice_with_a_state_in_it() {
    let backend = CpuBackend::with_threads(1).unwrap();
    let states = States::new();
    let mut executable = backend.compile(&program(ACCUMULATING), &CompileOptions::sharing(&states)).unwrap();
    let x = Tensor::new([2], &[1.0_f32, 3.0]).unwrap();
    let [yes, no] = [true, false].map(|p| Tensor::bools([], &[p]).unwrap());
    for (pred, y, total) in
        [(&yes, [1.0, 3.0], [1.0, 3.0]), (&no, [1.0, 3.0], [1.0, 3.0]), (&yes, [2.0, 6.0], [2.0, 6.0])]
    {
        let results = executable.call(&[pred, &x]).unwrap();
        assert_eq!(floats(&results[0]).1, y);
        assert_eq!(floats(&states.get("total").unwrap()).1, total);
    }
}

const LISTED: &str = "(tensor<fp32, [2]> x, int32 at) {
    list<tensor<fp32, [2]>, ?> a = make_list(init_length = int32(1), elem_shape = (int32(2)));
    list<tensor<fp32, [2]>, ?> b = list_write(ls = a, index = at, value = x);
    int32 length = list_length(ls = b);
    tensor<fp32, [2]> first = list_read(ls = b, index = int32(0));
    tensor<fp32, [2, 2]> pair = list_gather(ls = b, indices = tensor<int32, [2]>([2, 0]));
    list<tensor<fp32, [2]>, ?> c = list_scatter(ls = b, indices = tensor<int32, [2]>([1, 0]), value = pair);
    tensor<fp32, [2, 2]> swapped = list_gather(ls = c, indices = tensor<int32, [2]>([0, 1]));
} -> (length, first, pair, swapped);";

#[test]
fn lists_are_written_and_read() {
    let mut executable = compile(LISTED);
    let x = Tensor::new([2], &[5.0_f32, 7.0]).unwrap();
    let results = executable.call(&[&x, &Tensor::scalar(2_i32)]).unwrap();
    assert_eq!(results[0].as_slice::<i32>().unwrap(), &[3]);
    assert_eq!(floats(&results[1]), (vec![2], vec![0.0, 0.0]));
    assert_eq!(floats(&results[2]), (vec![2, 2], vec![5.0, 7.0, 0.0, 0.0]));
    assert_eq!(floats(&results[3]), (vec![2, 2], vec![0.0, 0.0, 5.0, 7.0]));
    for (at, message) in
        [(-1, "index -1 is outside the list"), (i32::MAX, "can grow to 16777216"), (1, "index 2 is outside")]
    {
        let error = executable.call(&[&x, &Tensor::scalar(at)]).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn results_as_long_as_the_data_make_them() {
    let mut executable = compile(
        "(tensor<fp32, [2, 3]> x, tensor<int32, [2]> dims) {
            tensor<int32, [?, 2]> positions = non_zero(x = x);
            tensor<fp32, [?, ?]> shaped = reshape(x = x, shape = dims);
            tensor<fp32, [?, ?]> y = relu(x = shaped);
        } -> (positions, y);",
    );
    let x = Tensor::new([2, 3], &[0.0_f32, 1.0, 0.0, -2.0, 0.0, -0.0]).unwrap();
    let dims = |dims: [i32; 2]| Tensor::new([2], &dims).unwrap();
    let results = executable.call(&[&x, &dims([3, 2])]).unwrap();
    assert_eq!(
        (results[0].shape().to_vec(), results[0].as_slice::<i32>().unwrap()),
        (vec![2, 2], &[0, 1, 1, 0][..])
    );
    assert_eq!(floats(&results[1]), (vec![3, 2], vec![0.0, 1.0, 0.0, 0.0, 0.0, 0.0]));
    assert_eq!(executable.call(&[&x, &dims([1, 6])]).unwrap()[1].shape().to_vec(), [1, 6]);
    let error = executable.call(&[&x, &dims([4, 2])]).unwrap_err().to_string();
    assert!(error.contains("op `reshape` (value `shaped`)"), "{error}");
}

#[test]
fn a_slice_takes_what_remains_from_where_it_begins() {
    let mut executable = compile(
        "(tensor<fp32, [2, 3]> x, tensor<int32, [2]> begin) {
            tensor<fp32, [?, 2]> rest = slice_by_size(x = x, begin = begin, size = tensor<int32, [2]>([-1, 2]));
        } -> (rest);",
    );
    let x = Tensor::new([2, 3], &[1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
    let begin = |begin: [i32; 2]| Tensor::new([2], &begin).unwrap();
    let mut results = |at: [i32; 2]| executable.call(&[&x, &begin(at)]);
    assert_eq!(floats(&results([1, 0]).unwrap()[0]), (vec![1, 2], vec![4.0, 5.0]));
    assert_eq!(floats(&results([0, 1]).unwrap()[0]), (vec![2, 2], vec![2.0, 3.0, 5.0, 6.0]));
    assert_eq!(floats(&results([2, 1]).unwrap()[0]), (vec![0, 2], vec![]));
    let error = results([0, 2]).unwrap_err().to_string();
    assert!(error.contains("2 elements from 2 on in dimension 1, which has size 3"), "{error}");
}

/// Flattens all but the first dimension by computed sizes, as converters write it.
const FLEXIBLE: &str = "(tensor<fp32, [?, 2, ?]> x) {
    tensor<int32, [3]> dims = shape(x = x);
    int32 batch = gather(x = dims, indices = int32(0), axis = int32(0));
    tensor<int32, [1]> first = expand_dims(x = batch, axes = tensor<int32, [1]>([0]));
    tensor<int32, [2]> wanted = concat(values = (first, tensor<int32, [1]>([-1])), axis = int32(0), interleave = bool(false));
    tensor<fp32, [?, ?]> flat = reshape(x = x, shape = wanted);
    bool big = greater(x = batch, y = int32(1));
    tensor<fp32, [?, ?]> y = cond(pred = big)
        () { tensor<fp32, [?, ?]> a = relu(x = flat); } -> (a)
        () { tensor<fp32, [?, ?]> b = square(x = flat); } -> (b);
} -> (y, dims);";

#[test]
fn flexible_inputs_are_bound_or_interpreted() {
    let verified = program(FLEXIBLE);
    let source = &verified.functions[0];
    assert!(!source.is_static());
    let shapes = |dims: &[usize]| BTreeMap::from([("x".to_string(), Shape::new(dims))]);
    let bound = specialize(source, &shapes(&[2, 2, 3])).unwrap();
    assert!(bound.is_static());
    let names: Vec<&str> = bound.body.ops.iter().map(|op| op.op.declaration().name).collect();
    assert_eq!(names, ["reshape", "relu", "identity"]);
    verify(Program::single(bound)).unwrap();

    let backend = CpuBackend::with_threads(1).unwrap();
    let options = CompileOptions::default().shape("x", [1, 2, 2]);
    let mut compiled = backend.compile_cpu(&verified, &options).unwrap();
    let mut interpreted = compile(FLEXIBLE);
    let x = Tensor::new([1, 2, 2], &[1.0_f32, -2.0, 3.0, -4.0]).unwrap();
    assert_eq!(compiled.call(&[&x]).unwrap(), interpreted.call(&[&x]).unwrap());
    let x = Tensor::new([2, 2, 1], &[1.0_f32, -2.0, 3.0, -4.0]).unwrap();
    let results = interpreted.call(&[&x]).unwrap();
    assert_eq!(floats(&results[0]), (vec![2, 2], vec![1.0, 0.0, 3.0, 0.0]));
    assert_eq!(results[1].as_slice::<i32>().unwrap(), &[2, 2, 1]);

    for (shapes, message) in [
        (
            shapes(&[1, 3, 2]),
            "input `x` is tensor<fp32, [?, 2, ?]>, so it cannot be bound to shape [1, 3, 2]",
        ),
        (shapes(&[1, 2]), "cannot be bound to shape [1, 2]"),
        (
            BTreeMap::from([("z".to_string(), Shape::scalar())]),
            "there is no input `z` to give a shape to; there are: x",
        ),
    ] {
        let error = specialize(source, &shapes).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
    let x = Tensor::new([2, 3, 1], &[0.0_f32; 6]).unwrap();
    let error = interpreted.call(&[&x]).unwrap_err().to_string();
    assert!(
        error.contains("input `x` must be tensor<fp32, [?, 2, ?]>, but is tensor<fp32, [2, 3, 1]>"),
        "{error}"
    );
    let error = backend.compile_cpu(&verified, &CompileOptions::default()).err().unwrap().to_string();
    assert!(error.contains("bind its flexible inputs"), "{error}");
}

/// What is computed here fits `fp16`, so that the results must be the same.
#[test]
fn what_is_interpreted_can_be_lowered_to_fp16() {
    let x2 = Tensor::new([2], &[0.5_f32, -1.0]).unwrap();
    let [two, five] = [2_i32, 5].map(Tensor::scalar);
    let yes = Tensor::bools([], &[true]).unwrap();
    let row = Tensor::new([1, 2], &[1.0_f32, 2.0]).unwrap();
    let flat = Tensor::new([2, 2, 1], &[1.0_f32, -2.0, 3.0, -4.0]).unwrap();
    for (body, inputs, in_blocks) in [
        (COUNTING, vec![&five, &x2], "tensor<fp16, [2]> more = add("),
        (GROWING, vec![&two, &row], "tensor<fp16, [?, 2]> longer = concat("),
        (ACCUMULATING, vec![&yes, &x2], "tensor<fp16, [2]> sum = add("),
        (LISTED, vec![&x2, &two], "list<tensor<fp32, [2]>, ?> b = list_write("),
        (FLEXIBLE, vec![&flat], "tensor<fp16, [?, ?]> a = relu("),
    ] {
        let source = program(body);
        let lowered = to_fp16(&source.functions[0], &PrecisionOptions::default()).unwrap();
        // Nothing is lost by renumbering and by leaving out what nothing uses either.
        let mut smaller = lowered.clone();
        remove_dead(&mut smaller);
        let lowered = verify(Program::single(lowered)).unwrap();
        let smaller = verify(Program::single(compact(&smaller))).unwrap();
        assert!(lowered.to_string().contains(in_blocks), "{lowered}");
        let results = [source, lowered, smaller].map(|program| {
            let backend = CpuBackend::with_threads(1).unwrap();
            let mut executable = backend.compile(&program, &CompileOptions::default()).unwrap();
            [(); 2].map(|()| executable.call(&inputs).unwrap())
        });
        assert_eq!(results[0], results[1], "{body}");
        assert_eq!(results[0], results[2], "{body}");
    }
}
