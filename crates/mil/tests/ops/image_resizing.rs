//! Resizing, cropping, resampling.

use super::support::{gives, gives_in, infer, refuses, refuses_in};
use mil::Opset;
use mil::ops::image_resizing::{Points, Resized, Sampling};

#[test]
fn sizes() {
    gives(&[
        ("crop", "x: fp16[2,3,8,9]; crop_height = [1, 2]; crop_width = [0, 3]", "fp16[2,3,5,6]"),
        ("crop", "x: fp32[3,4,4]; crop_height = [4, 0]; crop_width = [0, 0]", "fp32[3,0,4]"),
        ("resize_bilinear", "x: fp32[3,4,5]; target_size_height = 7; target_size_width = 2", "fp32[3,7,2]"),
        ("resize_bilinear", "x: fp32[1,2,3,4,5]", "fp32[1,2,3,1,1]"),
        (
            "resize_nearest_neighbor",
            "x: fp16[3,4,5]; target_size_height = 7; target_size_width = 2",
            "fp16[3,7,2]",
        ),
        (
            "upsample_bilinear",
            "x: fp32[1,1,2]; scale_factor_width = 2.6; scale_factor_height = 1.0",
            "fp32[1,1,5]",
        ),
        (
            "upsample_bilinear",
            "x: fp32[1,4,5]; scale_factor_height = 3; scale_factor_width = 2",
            "fp32[1,12,10]",
        ),
        (
            "upsample_nearest_neighbor",
            "x: fp32[1,1,3]; scale_factor_height = 3.17; scale_factor_width = 0.67",
            "fp32[1,3,2]",
        ),
        // In exact arithmetic 0.7 of 10 would be 6: the nearest fp32 is a little less than 0.7.
        (
            "upsample_nearest_neighbor",
            "x: fp32[1,1,10]; scale_factor_height = 1.0; scale_factor_width = 0.7",
            "fp32[1,1,7]",
        ),
        ("resize", "x: fp32[1,2,3,4]; shape = [1, 6, 8]; resized_dims = uint32 2", "fp32[1,2,6,8]"),
        ("resize", "x: int32[1,2,3,4]; shape = uint16 [1, 0, 0]; resized_dims = uint32 2", "int32[1,2,3,4]"),
        (
            "resize",
            "x: fp16[5]; shape = int16 [2]; resized_dims = uint32 1; interpolation_mode = \"NEAREST_NEIGHBOR\"",
            "fp16[2]",
        ),
        ("resize", "x: fp16[5]; shape = [2]; resized_dims = uint32 0", "fp16[5]"),
    ]);
}

#[test]
fn sizes_that_cannot_be() {
    refuses(&[
        ("crop", "x: fp32[4,4]; crop_height = [0, 0]; crop_width = [0, 0]", "rank 3 or more"),
        ("crop", "x: fp32[1,4,4]; crop_height = [3, 2]; crop_width = [0, 0]", "take at most 4 together"),
        ("crop", "x: fp32[1,4,4]; crop_height = [0, 0]; crop_width = [-1, 0]", "0 or more"),
        ("crop", "x: fp32[1,4,4]; crop_height = [1]; crop_width = [0, 0]", "must have 2 elements"),
        ("resize_bilinear", "x: fp32[4,5]; target_size_height = 7", "rank 3 or more"),
        ("resize_bilinear", "x: fp32[1,4,5]; target_size_height = 0", "is 0, but must be 1 or more"),
        ("resize_bilinear", "x: fp32[1,4,0]", "nothing along axis 2"),
        (
            "resize_bilinear",
            "x: fp32[1,4,5]; sampling_mode = \"default\"",
            "must be one of: STRICT_ALIGN_CORNERS",
        ),
        (
            "resize_nearest_neighbor",
            "x: fp32[1,4,5]; target_size_height = -3; target_size_width = 2",
            "is -3",
        ),
        (
            "resize_bilinear",
            "x: fp32[4194304,4,5]; target_size_height = 2147483647; target_size_width = 2147483647",
            "more than memory can hold",
        ),
        ("upsample_bilinear", "x: fp32[1,4,5]; scale_factor_height = 0", "leaves nothing of 4"),
        ("upsample_bilinear", "x: fp32[1,4,5]; scale_factor_height = 0.2", "leaves nothing of 4"),
        ("upsample_bilinear", "x: fp32[1,4,5]; scale_factor_height = -2.5", "leaves nothing of 4"),
        ("upsample_bilinear", "x: fp32[1,4,5]; scale_factor_height = NaN", "leaves nothing of 4"),
        (
            "upsample_bilinear",
            "x: fp32[1,4,5]; scale_factor_height = inf",
            "more elements than memory can hold",
        ),
        (
            "upsample_bilinear",
            "x: fp32[1,4,5]; scale_factor_height = 2; scale_factor_width = 2.5",
            "element type",
        ),
        ("upsample_bilinear", "x: fp32[1,4,5]; half_pixel_centers = true", "contradicts `align_corners`"),
        ("upsample_nearest_neighbor", "x: fp32[1,288230376151711743,1]; scale_factor_height = 3", "memory"),
        (
            "resize",
            "x: fp32[4]; shape = [1, 2]; resized_dims = uint32 1",
            "has 2 elements, but `x` has shape [4]",
        ),
        ("resize", "x: fp32[4]; shape = [2]; resized_dims = uint32 2", "at most the length of `shape`, 1"),
        ("resize", "x: fp32[4]; shape = [-2]; resized_dims = uint32 1", "holds -2"),
        ("resize", "x: fp32[4]; shape = [2]; resized_dims = 1", "uint32"),
        ("resize", "x: fp32[4]; shape: int32[1]; resized_dims = uint32 1", "must be a constant"),
        ("resize", "x: fp32[0]; shape = [2]; resized_dims = uint32 1", "nothing along axis 0"),
        (
            "resize",
            "x: fp32[4]; shape = [2]; resized_dims = uint32 1; interpolation_mode = \"CUBIC\"",
            "NEAREST_NEIGHBOR",
        ),
    ]);
    refuses_in(
        Opset::Ios15,
        &[
            (
                "upsample_bilinear",
                "x: fp32[1,4,5]; align_corners = false; half_pixel_centers = false",
                "new in ios16",
            ),
            ("resize", "x: fp32[4]; shape = [2]; resized_dims = uint32 1", "ios17"),
        ],
    );
}

#[test]
fn crops_of_boxes() {
    let size = "target_height = 3; target_width = 5";
    for opset in [Opset::Ios15, Opset::Ios16] {
        gives_in(
            opset,
            &[
                (
                    "crop_resize",
                    &format!("x: fp32[2,3,8,9]; roi: fp32[7,1,4,1,1]; {size}"),
                    "fp32[7,2,3,3,5]",
                ),
                (
                    "crop_resize",
                    &format!("x: fp16[2,3,8,9]; roi: fp16[7,1,5,1,1]; {size}"),
                    "fp16[7,1,3,3,5]",
                ),
                ("crop_resize", "x: fp32[2,3,8,9]; roi: fp32[0,1,4,1,1]", "fp32[0,2,3,1,1]"),
            ],
        );
        refuses_in(
            opset,
            &[
                ("crop_resize", "x: fp32[2,3,8,9]", "`roi`"),
                ("crop_resize", "x: fp32[2,3,8,9]; boxes: fp32[1,4]", "new in ios17"),
                ("crop_resize", "x: fp32[2,3,8,9]; roi: fp32[7,4]", "must have shape [N, 1, 4, 1, 1]"),
                ("crop_resize", "x: fp32[2,3,8,9]; roi: fp16[7,1,4,1,1]", "element type of `x`"),
                ("crop_resize", "x: fp32[3,8,9]; roi: fp32[7,1,4,1,1]", "rank 4"),
            ],
        );
    }
    refuses_in(
        Opset::Ios15,
        &[("crop_resize", "x: fp32[2,3,8,9]; roi: fp32[7,1,4,1,1]; pad_value = 1.0", "new in ios16")],
    );
    gives(&[
        ("crop_resize", &format!("x: fp32[2,3,8,9]; boxes: fp16[2,4]; {size}"), "fp32[2,3,3,5]"),
        (
            "crop_resize",
            "x: fp32[2,3,8,9]; boxes: uint16[7,4]; box_indices: uint16[7]; pad_value = 1.0",
            "fp32[7,3,1,1]",
        ),
        (
            "crop_resize",
            "x: fp16[2,3,8,9]; boxes: fp32[2,4]; box_indices = [1, 0]; spatial_scale = 0.5",
            "fp16[2,3,1,1]",
        ),
    ]);
    refuses(&[
        ("crop_resize", "x: fp32[2,3,8,9]; roi: fp32[7,1,4,1,1]", "use `boxes` and `box_indices`"),
        ("crop_resize", "x: fp32[2,3,8,9]", "`boxes`"),
        ("crop_resize", "x: fp32[2,3,8,9]; boxes: fp32[2,5]", "must have shape [N, 4]"),
        ("crop_resize", "x: fp32[2,3,8,9]; boxes: fp32[3,4]", "3 boxes need them for the 2 images"),
        ("crop_resize", "x: fp32[2,3,8,9]; boxes: fp32[3,4]; box_indices: int32[2]", "must have shape [3]"),
        (
            "crop_resize",
            "x: fp32[2,3,8,9]; boxes: fp32[2,4]; box_indices = [0, 2]",
            "holds 2, but `x` has 2 images",
        ),
        ("crop_resize", "x: fp32[2,3,8,9]; boxes: fp32[2,4]; box_indices = [0, -1]", "holds -1"),
        ("crop_resize", "x: fp32[2,3,0,9]; boxes: fp32[2,4]", "without pixels"),
        (
            "crop_resize",
            "x: fp32[2,3,8,9]; boxes: uint16[2,4]; normalized_coordinates = true",
            "needs fp16 or fp32 `boxes`",
        ),
        (
            "crop_resize",
            "x: fp32[2,3,8,9]; boxes: fp32[2,4]; box_coordinate_mode = \"CORNERS\"",
            "CENTER_SIZE_WIDTH_FIRST",
        ),
        ("crop_resize", "x: fp32[2,3,8,9]; boxes: fp32[2,4]; target_width = 0", "1 or more"),
        ("crop_resize", "x: fp32[2,3,8,9]; boxes: fp32[2,4]; pad_value = [1.0, 2.0]", "one number"),
    ]);
}

const RESAMPLE: &str = "sampling_mode = \"nearest\"; padding_mode = \"symmetric\"; padding_value = 0.5; \
                        coordinates_mode = \"unnormalized\"; align_corners = true";

#[test]
fn resampling() {
    let with = |x: &str, coordinates: &str| format!("x: {x}; coordinates: {coordinates}; {RESAMPLE}");
    let fp32 = with("fp32[2,3,8,9]", "fp32[2,4,5,2]");
    let ints = with("fp32[2,3,8,9]", "int32[2,4,5,2]");
    let half = with("fp32[2,3,8,9]", "fp16[2,4,5,2]");
    let short = with("fp32[2,3,8,9]", "uint8[2,4,5,2]");
    for opset in Opset::ALL {
        gives_in(opset, &[("resample", &fp32, "fp32[2,3,4,5]"), ("resample", &ints, "fp32[2,3,4,5]")]);
    }
    gives_in(Opset::Ios16, &[("resample", &half, "fp32[2,3,4,5]")]);
    gives_in(Opset::Ios17, &[("resample", &half, "fp32[2,3,4,5]"), ("resample", &short, "fp32[2,3,4,5]")]);
    refuses_in(Opset::Ios15, &[("resample", &half, "fp16")]);
    refuses_in(Opset::Ios16, &[("resample", &short, "uint8")]);
    refuses(&[
        ("resample", &with("fp32[2,3,8,9]", "fp32[1,4,5,2]"), "must have shape [2, h, w, 2]"),
        ("resample", &with("fp32[2,3,8,9]", "fp32[2,4,5,3]"), "must have shape [2, h, w, 2]"),
        ("resample", &with("fp32[2,3,8,9]", "fp32[2,5,2]"), "rank 4"),
        ("resample", &with("fp32[2,8,9]", "fp32[2,4,5,2]"), "rank 4"),
        ("resample", &with("fp32[2,3,8,0]", "fp32[2,4,5,2]"), "without pixels"),
        ("resample", &fp32.replace("nearest", "bicubic"), "must be one of: bilinear, nearest"),
        (
            "resample",
            &fp32.replace("symmetric", "zeros"),
            "must be one of: constant, border, reflection, symmetric",
        ),
        ("resample", &fp32.replace("unnormalized", "normalized"), "normalized_zero_to_one"),
    ]);
}

const AFFINE: &str = "output_height = 4; output_width = 5; sampling_mode = \"bilinear\"; padding_mode = \"constant\"; \
                      padding_value = 0.0; coordinates_mode = \"normalized_minus_one_to_one\"; align_corners = true";

#[test]
fn affine_transforms() {
    let with = |matrix: &str| format!("x: fp32[2,3,8,9]; transform_matrix: {matrix}; {AFFINE}");
    let all = with("fp32[1,6]");
    gives(&[
        ("affine", &all, "fp32[2,3,4,5]"),
        ("affine", &with("fp32[2,6]"), "fp32[2,3,4,5]"),
        (
            "affine",
            &all.replace("bilinear", "Bilinear").replace("align_corners = true", "align_corners = false"),
            "fp32[2,3,4,5]",
        ),
    ]);
    refuses(&[
        ("affine", &with("fp32[3,6]"), "must have shape [2, 6]"),
        ("affine", &with("fp32[1,5]"), "must have shape [1, 6]"),
        ("affine", &with("fp32[6]"), "rank 2"),
        ("affine", &with("fp16[1,6]"), "element type of `x`"),
        ("affine", &all.replace("bilinear", "nearest"), "must be one of: bilinear"),
        ("affine", &all.replace("constant", "border"), "must be one of: constant"),
        ("affine", &all.replace("minus_one", "zero"), "must be one of: normalized_minus_one_to_one"),
        ("affine", &all.replace("padding_value = 0.0", "padding_value = 0.5"), "pads with 0 only"),
        ("affine", &all.replace("output_height = 4", "output_height = 0"), "1 or more"),
    ]);
}

/// Grid points of two elements in five and in six, as Apple's notes at `resize_bilinear` list them.
#[test]
fn grid_points_are_the_documented_ones() {
    let points = |sampling, output| {
        let dimension = Resized { axis: 0, input: 2, output, points: Points::Linear(sampling) };
        dimension.taps().map(|tap| tap.low as f64 + tap.weight).collect::<Vec<f64>>()
    };
    for (sampling, five, six) in [
        (Sampling::UnalignCorners, [0.0, 0.1, 0.5, 0.9, 1.0], [0.0, 0.0, 0.33, 0.67, 1.0, 1.0]),
        (Sampling::StrictAlignCorners, [0.0, 0.25, 0.5, 0.75, 1.0], [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (Sampling::AlignCorners, [0.0, 0.25, 0.5, 0.75, 1.0], [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (Sampling::Default, [0.0, 0.4, 0.8, 1.0, 1.0], [0.0, 0.33, 0.67, 1.0, 1.0, 1.0]),
        (Sampling::OffsetCorners, [0.1, 0.3, 0.5, 0.7, 0.9], [0.08, 0.25, 0.42, 0.58, 0.75, 0.92]),
    ] {
        for (found, wanted) in
            points(sampling, 5).into_iter().zip(five).chain(points(sampling, 6).into_iter().zip(six))
        {
            assert!((found - wanted).abs() < 0.006, "{sampling:?}: {found}, not {wanted}");
        }
    }
    let single = |sampling| Resized { axis: 0, input: 4, output: 1, points: Points::Linear(sampling) }.tap(0);
    assert_eq!((single(Sampling::AlignCorners).low, single(Sampling::AlignCorners).weight), (1, 0.5));
    assert_eq!(
        (single(Sampling::StrictAlignCorners).low, single(Sampling::StrictAlignCorners).weight),
        (0, 0.0)
    );
}

/// What Apple's tests expect of the nearest element, by op (see the family's notes).
#[test]
fn nearest_elements_are_the_expected_ones() {
    let taken = |input, output, points| {
        let dimension = Resized { axis: 0, input, output, points };
        dimension.taps().map(|tap| tap.low).collect::<Vec<usize>>()
    };
    let middle = Points::Nearest(Sampling::Default);
    assert_eq!(taken(2, 3, middle), [0, 1, 1]);
    assert_eq!(taken(2, 6, middle), [0, 0, 0, 1, 1, 1]);
    assert_eq!(taken(2, 3, Points::Floor), [0, 0, 1]);
    assert_eq!(taken(3, 2, Points::Floor), [0, 1]);
    assert_eq!(taken(4, 7, Points::Nearest(Sampling::StrictAlignCorners)), [0, 1, 1, 2, 2, 3, 3]);
    for points in
        [Points::Floor, middle, Points::Nearest(Sampling::OffsetCorners), Points::Linear(Sampling::Default)]
    {
        for size in 1..40 {
            let dimension = Resized { axis: 0, input: size, output: size, points };
            assert!(
                dimension.is_identity()
                    && dimension.taps().enumerate().all(|(i, tap)| tap.low == i && tap.weight == 0.0)
            );
        }
    }
}

#[test]
fn points_stay_inside_for_any_size() {
    let sizes = [1, 2, 3, 7, 1 << 40, usize::MAX >> 2];
    let samplings = [
        Sampling::StrictAlignCorners,
        Sampling::AlignCorners,
        Sampling::UnalignCorners,
        Sampling::Default,
        Sampling::OffsetCorners,
    ];
    for (input, output) in sizes.iter().flat_map(|&input| sizes.map(|output| (input, output))) {
        for sampling in samplings {
            for points in [Points::Linear(sampling), Points::Nearest(sampling), Points::Floor] {
                let dimension = Resized { axis: 0, input, output, points };
                for i in [0, output / 3, output - 1] {
                    let tap = dimension.tap(i);
                    assert!(tap.low <= tap.high && tap.high < input, "{dimension:?}: {tap:?}");
                    assert!((0.0..=1.0).contains(&tap.weight), "{dimension:?}: {tap:?}");
                }
            }
        }
    }
}

/// Whatever the shapes and sizes, inference answers; what it takes, the verifier takes ([`infer`] asks both).
#[test]
fn any_shapes_and_sizes_are_answered() {
    let mut state = 7u64;
    let mut below = |n: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % n
    };
    let huge = [1 << 31, 1 << 40, 1 << 59, isize::MAX as usize / 8];
    let ints = ["0", "1", "2", "5", "-1", "2147483647", "-2147483648"];
    let floats = ["0.5", "2.0", "-1.0", "NaN", "inf", "3e38", "1e-30"];
    let mut taken = std::collections::BTreeMap::new();
    for _ in 0..6000 {
        let mut dims = |fixed: &[usize]| {
            let fixed: Vec<usize> = fixed
                .iter()
                .map(|&dim| match below(12) {
                    0 => 0,
                    1 => huge[below(huge.len())],
                    _ => dim,
                })
                .collect();
            format!("fp32{fixed:?}")
        };
        let (x, roi, boxes) = (dims(&[2, 3, 4, 5]), dims(&[2, 1, 4, 1, 1]), dims(&[2, 4]));
        let (coordinates, matrix) = (dims(&[2, 4, 5, 2]), dims(&[2, 6]));
        let (a, b) = (ints[below(ints.len())], ints[below(ints.len())]);
        let (c, d) = (floats[below(floats.len())], floats[below(floats.len())]);
        let opset = Opset::ALL[below(4)];
        let boxes = if opset < Opset::Ios17 { format!("roi: {roi}") } else { format!("boxes: {boxes}") };
        let calls = [
            ("crop", format!("x: {x}; crop_height = [{a}, {b}]; crop_width = [{b}, {a}]")),
            (
                "crop_resize",
                format!("x: {x}; {boxes}; target_height = {a}; target_width = {b}; spatial_scale = {c}"),
            ),
            ("resample", format!("x: {x}; coordinates: {coordinates}; {RESAMPLE}")),
            ("affine", format!("x: {x}; transform_matrix: {matrix}; {AFFINE}")),
            ("resize", format!("x: {x}; shape = [1, {a}, {b}]; resized_dims = uint32 2")),
            ("resize_bilinear", format!("x: {x}; target_size_height = {a}; target_size_width = {b}")),
            ("resize_nearest_neighbor", format!("x: {x}; target_size_height = {a}; target_size_width = {b}")),
            ("upsample_bilinear", format!("x: {x}; scale_factor_height = {c}; scale_factor_width = {d}")),
            (
                "upsample_nearest_neighbor",
                format!("x: {x}; scale_factor_height = {a}; scale_factor_width = {b}"),
            ),
        ];
        for (op, arguments) in calls {
            // A type that memory cannot hold is refused before there is an op.
            let too_large = |text: &str| {
                let dims = text.split(['[', ']']).nth(1).unwrap_or("").split(", ");
                dims.filter_map(|dim| dim.parse::<usize>().ok().filter(|&dim| dim != 0))
                    .try_fold(8usize, |a, b| a.checked_mul(b))
                    .is_none_or(|bytes| bytes > isize::MAX as usize)
            };
            if !arguments.split(';').any(|argument| argument.contains(": fp32[") && too_large(argument)) {
                *taken.entry(op).or_insert(0) += i32::from(infer(opset, op, &arguments).is_ok());
            }
        }
    }
    assert!(taken.len() == 9 && taken.values().all(|&count| count > 20), "too few were built: {taken:?}");
}
