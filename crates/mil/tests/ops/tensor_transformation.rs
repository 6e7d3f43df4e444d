//! Shapes, orders, slices, blocks.

use crate::support::{gives, gives_in, refuses, refuses_in};
use mil::ops::tensor_transformation::{SliceAxis, slice_at, slice_spec};
use mil::{FunctionBuilder, Opset, TensorType};

#[test]
fn shapes() {
    gives(&[
        ("reshape", "x: fp32[2,3,4]; shape = [6, 4]", "fp32[6,4]"),
        ("reshape", "x: fp32[2,3,4]; shape = [-1]", "fp32[24]"),
        ("reshape", "x: fp32[1]; shape = []", "fp32[]"),
        ("reshape", "x: fp32[2,3,4]; shape = int16 [4, -1]", "fp32[4,6]"),
        // From iOS17 on zeros count from the last dimension.
        ("reshape", "x: fp32[2,50]; shape = [1, 0, -1, 0]", "fp32[1,1,2,50]"),
        ("reshape", "x: fp32[2,3,4]; shape = [-1, 0]", "fp32[6,4]"),
        ("reshape", "x: fp32[0,3]; shape = [4, 0, 0]", "fp32[4,0,3]"),
        ("expand_dims", "x: fp32[2,3]; axes = [0, -1]", "fp32[1,2,3,1]"),
        ("expand_dims", "x: fp32[]; axes = [1, 0]", "fp32[1,1]"),
        ("squeeze", "x: fp32[1,2,1,3,1]", "fp32[2,3]"),
        ("squeeze", "x: fp32[1,2,1,3,1]; axes = [0, -1, 1]", "fp32[2,1,3]"),
        ("squeeze", "x: fp32[1]", "fp32[]"),
        ("transpose", "x: fp32[2,3,4]; perm = [2, 0, 1]", "fp32[4,2,3]"),
        ("transpose", "x: int8[2,3]; perm = [-1, 0]", "int8[3,2]"),
        ("transpose", "x: fp32[]; perm = []", "fp32[]"),
        ("reverse", "x: fp32[2,3]; axes = [1]", "fp32[2,3]"),
        ("reverse_sequence", "x: fp32[2,3]; lengths: int32[2]; seq_axis = 1", "fp32[2,3]"),
    ]);
    gives_in(Opset::Ios16, &[("reshape", "x: fp32[2,3,4]; shape = [0, -1, 2]", "fp32[2,6,2]")]);
    refuses(&[
        ("reshape", "x: fp32[2,3]; shape = [4]", "does not hold the 6 elements of `x`"),
        ("reshape", "x: fp32[2,3]; shape = [4, -1]", "does not hold the 6 elements of `x`"),
        ("reshape", "x: fp32[2,3]; shape = [-1, -1]", "holds -1 twice"),
        ("reshape", "x: fp32[2,3]; shape = [-2, 3]", "dimensions are positive, 0 or -1"),
        ("reshape", "x: fp32[0,3]; shape = [-1, 0, 3]", "does not hold the 0 elements"),
        ("reshape", "x: fp32[2,3]; shape: int32[1]", "`shape` is computed at run time"),
        ("reshape", "x: fp32[2,3]; shape = 6", "must be a vector"),
        ("expand_dims", "x: fp32[2]; axes = [2]", "axes -2 to 1"),
        ("expand_dims", "x: fp32[2]; axes = [0, -3]", "names axis 0 twice"),
        ("squeeze", "x: fp32[1]; axes = [1]", "axes -1 to 0"),
        ("transpose", "x: fp32[2,3]; perm = [0]", "one element per dimension"),
        ("transpose", "x: fp32[2,3]; perm = [0, 0]", "names a dimension twice"),
        ("transpose", "x: fp32[2,3]; perm = [0, 2]", "axes -2 to 1"),
        ("reverse_sequence", "x: fp32[2,3]; lengths: int32[2]", "as is `batch_axis`"),
        ("reverse_sequence", "x: fp32[2,3]; lengths: int32[3]; seq_axis = 1", "must have shape [2]"),
    ]);
    refuses_in(Opset::Ios16, &[("reshape", "x: fp32[2,3]; shape = [1, 0, 3]", "as many elements as `x`")]);
}

#[test]
fn shapes_of_references() {
    // [2, 3] wholly, then the last dimension of [9, 4].
    let references = "x: fp32[6,4]; ref_tensors: (int32[2,3], fp32[9,4])";
    let call = |begins: [i32; 2], ends: [i32; 2], masks: [bool; 2]| {
        let mut f = FunctionBuilder::new("main", Opset::Ios18);
        let x = f.input("x", TensorType::fp32([6, 4])).unwrap();
        let (a, b) = (
            f.input("a", TensorType::int32([2, 3])).unwrap(),
            f.input("b", TensorType::fp32([9, 4])).unwrap(),
        );
        let begins = begins.map(|value| f.int(value));
        let ends = ends.map(|value| f.int(value));
        let masks = masks.map(|value| f.constant(mil::Constant::bool(value)));
        let op = f.op("reshape_like").arg("x", x).args("ref_tensors", &[a, b]).args("begins", &begins);
        let id = op.args("ends", &ends).args("end_masks", &masks).one().map_err(|error| error.to_string())?;
        Ok::<_, String>(f.shape(id).to_vec())
    };
    assert_eq!(call([0, 1], [2, 0], [false, true]), Ok(vec![2, 3, 4]));
    assert_eq!(call([0, -1], [9, 2], [false, false]), Ok(vec![2, 3, 4]));
    assert!(call([0, 0], [1, 1], [false, false]).unwrap_err().contains("give shape [2, 9]"));
    refuses(&[(
        "reshape_like",
        &format!("{references}; begins: (const int32[]); ends: (const int32[]); end_masks: (const bool[])"),
        "one per reference: 2",
    )]);
}

#[test]
fn slices_by_index() {
    let op = "slice_by_index";
    gives(&[
        (op, "x: fp32[10,4]; begin = [2, 0]; end = [5, 4]", "fp32[3,4]"),
        (op, "x: fp32[10,4]; begin = [-3, 0]; end = [-1, 9]", "fp32[2,4]"),
        (op, "x: fp32[10]; begin = [1]; end = [9]; stride = [3]", "fp32[3]"),
        (op, "x: fp32[10]; begin = [9]; end = [0]; stride = [-2]", "fp32[5]"),
        (
            op,
            "x: fp32[10]; begin = [0]; end = [0]; stride = [-1]; begin_mask = [true]; end_mask = [true]",
            "fp32[10]",
        ),
        // As in NumPy, an end before the front still includes the first element when walking back.
        (op, "x: fp32[6]; begin = [3]; end = [-10]; stride = [-1]", "fp32[4]"),
        (op, "x: fp32[10]; begin = [5]; end = [2]", "fp32[0]"),
        (op, "x: fp32[10]; begin = [20]; end = [30]", "fp32[0]"),
        (op, "x: fp32[10]; begin = [3]; end = [0]; end_mask = [true]; stride = [4]", "fp32[2]"),
        (
            op,
            "x: fp32[10,4]; begin = [-1, 0]; end = [0, 0]; squeeze_mask = [true, false]; end_mask = [false, true]",
            "fp32[4]",
        ),
        (op, "x: fp32[10,4]; begin = [2, 3]; end = [0, 0]; squeeze_mask = [true, true]", "fp32[]"),
        (op, "x: bool[]; begin = []; end = []", "bool[]"),
    ]);
    refuses(&[
        (
            op,
            "x: fp32[10,4]; begin = [2]; end = [5, 4]",
            "`begin` has 1 elements, but must have one per dimension",
        ),
        (op, "x: fp32[10]; begin = [2]; end = [5]; stride = [0]", "`stride` holds 0"),
        (op, "x: fp32[10]; begin = [2]; end = [5]; begin_mask = [true, true]", "`begin_mask` has 2 elements"),
        (
            op,
            "x: fp32[10]; begin = [10]; end = [5]; squeeze_mask = [true]",
            "is 10 in dimension 0, which is squeezed",
        ),
        (op, "x: fp32[10]; begin = [-11]; end = [5]; squeeze_mask = [true]", "is -11 in dimension 0"),
        (op, "x: fp32[10]; begin: int32[1]; end = [5]", "`begin` is computed at run time"),
        (op, "x: fp32[10]; begin = [1]; end = int16 [5]", "must have the element type of `begin`, int32"),
    ]);
}

#[test]
fn slices_by_size() {
    let op = "slice_by_size";
    gives(&[
        (op, "x: fp32[10,4]; begin = [2, 1]; size = [3, -1]", "fp32[3,3]"),
        (op, "x: fp32[10]; begin = [-4]; size = [2]", "fp32[2]"),
        (op, "x: fp32[10]; begin = [10]; size = [-1]", "fp32[0]"),
        (op, "x: fp32[10,4]; begin: int32[2]; size = [3, 4]", "fp32[3,4]"),
    ]);
    refuses(&[
        (
            op,
            "x: fp32[10]; begin = [8]; size = [3]",
            "asks for 3 elements from 8 on in dimension 0, which has size 10",
        ),
        (op, "x: fp32[10]; begin = [11]; size = [-1]", "asks for the rest from 11 on"),
        (op, "x: fp32[10]; begin = [-11]; size = [1]", "from -11 on"),
        (op, "x: fp32[10]; begin = [0]; size = [-2]", "must be -1 or at most 10"),
        (op, "x: fp32[10]; begin: int32[1]; size = [-1]", "needs `begin` to be a constant"),
        (op, "x: fp32[10]; begin: int32[1]; size = [11]", "at most 10"),
        (op, "x: fp32[10]; begin: int32[2]; size = [1]", "one per dimension"),
        (op, "x: fp32[10]; begin = [0]; size: int32[1]", "`size` is computed at run time"),
    ]);
}

#[test]
fn slice_updates() {
    let op = "slice_update";
    gives(&[
        (op, "x: fp32[10,4]; update: fp32[3,4]; begin = [2, 0]; end = [5, 4]", "fp32[10,4]"),
        (
            op,
            "x: fp32[10,4]; update: fp32[4]; begin = [2, 0]; end = [0, 4]; squeeze_mask = [true, false]",
            "fp32[10,4]",
        ),
        (op, "x: fp32[10,4]; update: fp32[3,4]; begin: int32[2]; end: int32[2]", "fp32[10,4]"),
        (
            op,
            "x: fp32[10,4]; update: fp32[10,1]; begin: int32[2]; end: int32[2]; begin_mask = [true, false]; end_mask = [true, false]",
            "fp32[10,4]",
        ),
        (op, "x: fp32[10]; update: fp32[5]; begin: int32[1]; end: int32[1]; stride = [2]", "fp32[10]"),
    ]);
    refuses(&[
        (
            op,
            "x: fp32[10,4]; update: fp32[2,4]; begin = [2, 0]; end = [5, 4]",
            "does not fit the slice in dimension 0",
        ),
        (op, "x: fp32[10]; update: fp32[11]; begin: int32[1]; end: int32[1]", "does not fit the slice"),
        (
            op,
            "x: fp32[10]; update: fp32[6]; begin: int32[1]; end: int32[1]; stride = [2]",
            "does not fit the slice",
        ),
        (
            op,
            "x: fp32[10]; update: fp32[9]; begin: int32[1]; end: int32[1]; begin_mask = [true]; end_mask = [true]",
            "does not fit the slice",
        ),
        (
            op,
            "x: fp32[10]; update: fp32[]; begin = [2]; end = [0]; squeeze_mask = [true]",
            "must have rank 0, at least 1",
        ),
        (op, "x: fp32[10]; update: fp32[1,3]; begin: int32[1]; end: int32[1]", "must have rank 1"),
        (op, "x: fp32[10]; update: fp16[3]; begin: int32[1]; end: int32[1]", "the element type of `x`"),
        (op, "x: fp32[10]; update: fp32[3]; begin: int32[]; end: int32[1]", "`begin` must be a vector"),
    ]);
    refuses_in(
        Opset::Ios17,
        &[(op, "x: fp32[10]; update: fp32[3]; begin = [0]; end = [3]", "needs opset ios18")],
    );
}

#[test]
fn slices_say_which_elements() {
    let mut f = FunctionBuilder::new("main", Opset::Ios18);
    let x = f.input("x", TensorType::fp32([10, 6])).unwrap();
    let op = f.op("slice_by_index").arg("x", x).ints("begin", &[-1, 5]).ints("end", &[0, -6]);
    op.ints("stride", &[1, -2]).bools("squeeze_mask", &[true, false]).one().unwrap();
    let function = f.finish(&[]).unwrap();
    let spec = slice_spec(&function.view(&function.body.ops[0])).unwrap();
    assert_eq!(spec.axes[0], SliceAxis { begin: 9, stride: 1, count: 1, squeeze: true });
    // 5, 3, 1: position -6 is the first element, which is left out.
    assert_eq!(spec.axes[1], SliceAxis { begin: 5, stride: -2, count: 3, squeeze: false });
    assert_eq!((&*spec.shape(), &*spec.full_shape()), (&[3][..], &[1, 3][..]));
}

#[test]
fn run_time_slices_are_moved_inside() {
    let mut f = FunctionBuilder::new("main", Opset::Ios18);
    let x = f.input("x", TensorType::fp32([10, 6])).unwrap();
    let u = f.input("u", TensorType::fp32([3, 2])).unwrap();
    let b = f.input("b", TensorType::int32([2])).unwrap();
    let op = f.op("slice_update").arg("x", x).arg("update", u).arg("begin", b).arg("end", b);
    op.ints("stride", &[2, -3]).one().unwrap();
    f.op("slice_by_size").arg("x", x).arg("begin", b).ints("size", &[3, 6]).one().unwrap();
    let function = f.finish(&[]).unwrap();
    let begins = |op: usize, begin: [i64; 2]| {
        let spec = slice_at(&function.view(&function.body.ops[op]), &begin).unwrap();
        [spec.axes[0].begin, spec.axes[1].begin]
    };
    // Three elements, every second, span five: they begin at 0 to 5. Two, three back, begin at 3 to 5.
    assert_eq!(begins(0, [4, 4]), [4, 4]);
    assert_eq!(begins(0, [9, 0]), [5, 3]);
    assert_eq!(begins(0, [-8, -1]), [2, 5]);
    assert_eq!(begins(0, [i64::MIN, i64::MAX]), [0, 5]);
    assert_eq!(begins(1, [8, 3]), [7, 0]);
    let view = function.view(&function.body.ops[0]);
    assert!(slice_spec(&view).unwrap_err().to_string().contains("must be constants here"));
    assert!(slice_at(&view, &[1]).is_err());
}

#[test]
fn blocks_and_windows() {
    gives(&[
        ("depth_to_space", "x: fp32[1,12,2,3]; block_size = 2", "fp32[1,3,4,6]"),
        ("space_to_depth", "x: fp32[1,3,4,6]; block_size = 2", "fp32[1,12,2,3]"),
        ("pixel_shuffle", "x: fp32[1,9,2,3]; upscale_factor = 3", "fp32[1,1,6,9]"),
        ("pixel_unshuffle", "x: fp32[1,1,6,9]; downscale_factor = uint32 3", "fp32[1,9,2,3]"),
        (
            "space_to_batch",
            "x: fp32[2,3,4,7]; block_shape = [2, 4]; paddings = [[0, 0], [1, 0]]",
            "fp32[16,3,2,2]",
        ),
        (
            "batch_to_space",
            "x: fp32[16,3,2,2]; block_shape = [2, 4]; crops = [[0, 0], [1, 0]]",
            "fp32[2,3,4,7]",
        ),
        ("sliding_windows", "x: fp32[2,10,3]; axis = 1; size = 4", "fp32[2,7,4,3]"),
        ("sliding_windows", "x: fp32[2,10]; axis = -1; size = 4; stride = 3", "fp32[2,3,4]"),
    ]);
    refuses(&[
        ("depth_to_space", "x: fp32[1,6,2,3]; block_size = 2", "its square does not divide the 6 channels"),
        ("depth_to_space", "x: fp32[12,2,3]; block_size = 2", "must have rank 4"),
        ("depth_to_space", "x: fp32[1,12,2,3]; block_size = 0", "must be 1 or more"),
        (
            "space_to_depth",
            "x: fp32[1,3,4,5]; block_size = 2",
            "does not divide both spatial dimensions of `x`, 4 and 5",
        ),
        ("pixel_unshuffle", "x: fp32[1,1,6,8]; downscale_factor = uint32 3", "6 and 8"),
        (
            "space_to_batch",
            "x: fp32[2,3,4,7]; block_shape = [2, 4]; paddings = [[0, 0], [0, 0]]",
            "makes 7 to 7",
        ),
        (
            "space_to_batch",
            "x: fp32[2,3,4,7]; block_shape = [2]; paddings = [[0, 0], [0, 0]]",
            "`block_shape` has shape [1]",
        ),
        (
            "space_to_batch",
            "x: fp32[2,3,4,7]; block_shape = [2, 0]; paddings = [[0, 0], [0, 0]]",
            "must be 1 or more",
        ),
        (
            "batch_to_space",
            "x: fp32[3,3,2,2]; block_shape = [2, 2]; crops = [[0, 0], [0, 0]]",
            "do not divide the batch",
        ),
        (
            "batch_to_space",
            "x: fp32[4,3,2,2]; block_shape = [2, 2]; crops = [[3, 2], [0, 0]]",
            "takes 3 and 2 away from 4",
        ),
        ("sliding_windows", "x: fp32[2,3]; axis = 1; size = 4", "axis 1 of `x` has size 3"),
        ("sliding_windows", "x: fp32[2,3]; axis = 1; size = 2; stride = 0", "must be 1 or more"),
    ]);
    refuses_in(
        Opset::Ios15,
        &[("pixel_unshuffle", "x: fp32[1,1,6,9]; downscale_factor = uint32 3", "needs opset ios16")],
    );
}
