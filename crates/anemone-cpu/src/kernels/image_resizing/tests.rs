//! The values that Apple's own tests expect of Core ML (coremltools 9.0, `ops/tests/iOS14` to `iOS17`,
//! `test_image_resizing.py`), and what golden files do not reach: extremes, threads, errors.

use crate::kernels::testing::{Case, Tolerance};
use mil::{Constant, DataType};

/// `fp32` only: the numbers are no `fp16`.
#[track_caller]
fn expect(case: &Case, want: &[f32]) {
    let got = &case.outputs(DataType::Fp32).unwrap()[0].1;
    assert_eq!(got.len(), want.len());
    for (at, (&got, &want)) in got.iter().zip(want).enumerate() {
        assert!(
            (got - f64::from(want)).abs() <= 2e-3 * f64::from(want).abs().max(0.01),
            "[{at}] {got}, not {want}"
        );
    }
}

fn case(op: &str, shape: &[usize], x: &[f64]) -> Case {
    let mut case = Case::new(op);
    case.given("x", shape, x.to_vec(), false);
    case
}

#[test]
fn bilinear_sizes() {
    for (mode, want) in [
        ("STRICT_ALIGN_CORNERS", [0.0, 0.25, 0.5, 0.75, 1.0]),
        ("DEFAULT", [0.0, 0.4, 0.8, 1.0, 1.0]),
        ("OFFSET_CORNERS", [0.1, 0.3, 0.5, 0.7, 0.9]),
        ("UNALIGN_CORNERS", [0.0, 0.1, 0.5, 0.9, 1.0]),
    ] {
        let mut case = case("resize_bilinear", &[1, 1, 2], &[0.0, 1.0]);
        case.int("target_size_width", 5);
        case.string("sampling_mode", mode);
        expect(&case, &want);
    }
    let third = 1.0 / 3.0;
    for (flags, want) in [
        ([true, false], [1.0, 1.2, 1.4, 1.6, 1.8, 2.0]),
        ([false, true], [1.0, 1.0, 1.0 + third, 2.0 - third, 2.0, 2.0]),
        ([false, false], [1.0, 1.0 + third, 2.0 - third, 2.0, 2.0, 2.0]),
    ] {
        let mut case = case("upsample_bilinear", &[1, 1, 1, 2], &[1.0, 2.0]);
        case.int("scale_factor_height", 2);
        case.int("scale_factor_width", 3);
        case.bool("align_corners", flags[0]);
        case.bool("half_pixel_centers", flags[1]);
        expect(&case, &[want, want].concat());
    }
    let mut case = case("upsample_bilinear", &[1, 1, 2], &[0.0, 1.0]);
    case.constant("scale_factor_height", Constant::scalar(1.0f32));
    case.constant("scale_factor_width", Constant::scalar(2.6f32));
    case.bool("align_corners", false);
    expect(&case, &[0.0, 0.1, 0.5, 0.9, 1.0]);
}

#[test]
fn nearest_sizes() {
    let mut sized = case("resize_nearest_neighbor", &[1, 1, 2, 1], &[0.37, 6.17]);
    sized.int("target_size_height", 2);
    sized.int("target_size_width", 3);
    expect(&sized, &[0.37, 0.37, 0.37, 6.17, 6.17, 6.17]);
    for (height, width, want) in [
        (3.17f32, 0.67f32, &[1.5, -2.5, 1.5, -2.5, 1.5, -2.5]),
        (2.0, 1.12, &[1.5, -2.5, 3.5, 1.5, -2.5, 3.5]),
    ] {
        let mut case = case("upsample_nearest_neighbor", &[1, 1, 1, 3], &[1.5, -2.5, 3.5]);
        case.constant("scale_factor_height", Constant::scalar(height));
        case.constant("scale_factor_width", Constant::scalar(width));
        expect(&case, want);
    }
    let mut shaped = case("resize", &[1, 1, 1, 2, 1], &[-6.174, 9.371]);
    shaped.constant("shape", Constant::ints(&[1, 1, 3, 2]));
    shaped.constant("resized_dims", Constant::scalar(2u32));
    shaped.string("interpolation_mode", "NEAREST_NEIGHBOR");
    expect(&shaped, &[-6.174, -6.174, 9.371, 9.371, 9.371, 9.371]);
}

#[test]
fn crops() {
    let x: Vec<f64> = (1..=16).map(f64::from).collect();
    let mut crop = case("crop", &[1, 1, 4, 4], &x);
    crop.ints("crop_height", &[0, 1]);
    crop.ints("crop_width", &[1, 1]);
    expect(&crop, &[2.0, 3.0, 6.0, 7.0, 10.0, 11.0]);
    let boxes = |boxes: &[f64], size: i32| {
        let mut case = case("crop_resize", &[1, 1, 4, 4], &x);
        case.given("boxes", &[boxes.len() / 4, 4], boxes.to_vec(), false);
        case.int_operand("box_indices", &[boxes.len() / 4], &vec![0; boxes.len() / 4]);
        case.int("target_height", size);
        case.int("target_width", size);
        case.string("sampling_mode", "ALIGN_CORNERS");
        case
    };
    expect(&boxes(&[1.0, 1.0, 2.0, 2.0], 2), &[6.0, 7.0, 10.0, 11.0]);
    expect(&boxes(&[1.0, 1.0, 2.0, 2.0], 1), &[8.5]);
    expect(&boxes(&[2.0, 2.0, 1.0, 1.0], 2), &[11.0, 10.0, 7.0, 6.0]);
    let third = 1.0 / 3.0;
    let rows = [6.0, 6.0 + 4.0 * third, 6.0 + 8.0 * third, 10.0];
    let want: Vec<f32> =
        rows.iter().flat_map(|row| [0.0, third, 2.0 * third, 1.0].map(|step| row + step)).collect();
    expect(&boxes(&[1.0, 1.0, 2.0, 2.0], 4), &want);
    let mut outside = boxes(&[0.1, 0.3, 1.3, 1.0, 0.5, 1.8, 1.0, 0.3, 0.0, 0.4, 0.6, 0.7], 2);
    outside.bool("normalized_coordinates", true);
    outside.constant("pad_value", Constant::scalar(10.0f32));
    expect(&outside, &[3.1, 5.2, 10.0, 10.0, 10.0, 7.899, 10.0, 13.9, 2.2, 3.1, 9.4, 10.3]);
}

#[test]
fn resampled_images() {
    let points = [-1.0, -2.0, -3.7, -1.0, 0.0, 0.0, 3.5, 1.2];
    for (sampling, padding, value, mode, align, want) in [
        ("bilinear", "constant", 6.17f32, "normalized_minus_one_to_one", true, [8.585, 6.17, 27.5, 6.17]),
        ("nearest", "border", -1.0, "unnormalized", false, [11.0, 11.0, 11.0, 44.0]),
        ("bilinear", "reflection", -1.0, "normalized_zero_to_one", true, [22.0, 36.3, 11.0, 34.1]),
        ("nearest", "symmetric", -1.0, "normalized_zero_to_one", false, [22.0, 33.0, 11.0, 33.0]),
    ] {
        let mut case = case("resample", &[1, 1, 2, 2], &[11.0, 22.0, 33.0, 44.0]);
        case.given("coordinates", &[1, 2, 2, 2], points.to_vec(), false);
        case.string("sampling_mode", sampling);
        case.string("padding_mode", padding);
        case.constant("padding_value", Constant::scalar(value));
        case.string("coordinates_mode", mode);
        case.bool("align_corners", align);
        expect(&case, &want);
    }
}

#[test]
fn transformed_images() {
    let (row, none) = ([10.7525, 5.94, 2.5025, 0.44, 0.0], [0.0; 5]);
    let square = [10.7525, 2.5025, 0.0, 1.98, 0.0, 0.0, 0.0, 0.0, 0.0];
    for (height, width, want) in [(3, 3, &square[..]), (2, 5, &[row, none].concat()[..])] {
        let mut case = case("affine", &[1, 1, 2, 2], &[11.0, 22.0, 33.0, 44.0]);
        case.given("transform_matrix", &[1, 6], vec![-1.0, -2.0, -3.7, -1.0, 3.5, 1.2], false);
        case.int("output_height", height);
        case.int("output_width", width);
        case.string("sampling_mode", "bilinear");
        case.string("padding_mode", "constant");
        case.constant("padding_value", Constant::scalar(0.0f32));
        case.string("coordinates_mode", "normalized_minus_one_to_one");
        case.bool("align_corners", true);
        expect(&case, want);
    }
}

/// Large enough for several threads and several chunks of a row, in both precisions.
#[test]
fn wide_rows_on_many_threads() {
    let (height, width, wide) = (9, 300, 700);
    let mut case = Case::new("resize_bilinear");
    let x = case.float("x", &[5, height, width]);
    case.int("target_size_height", 7);
    case.int("target_size_width", wide);
    case.string("sampling_mode", "STRICT_ALIGN_CORNERS");
    let tap = |i: usize, before: usize, after: usize| {
        let point = (i * (before - 1)) as f64 / (after - 1) as f64;
        (point as usize, (point as usize + 1).min(before - 1), point.fract())
    };
    let mut want = Vec::new();
    for (plane, row, column) in
        (0..5).flat_map(|p| (0..7).flat_map(move |r| (0..wide as usize).map(move |c| (p, r, c))))
    {
        let ((top, bottom, down), (left, right, over)) =
            (tap(row, height, 7), tap(column, width, wide as usize));
        let at = |y: usize, x_at: usize| x[(plane * height + y) * width + x_at];
        want.push(
            (at(top, left) * (1.0 - over) + at(top, right) * over) * (1.0 - down)
                + (at(bottom, left) * (1.0 - over) + at(bottom, right) * over) * down,
        );
    }
    case.check(&want, Tolerance::MATH);
}

/// Neighbours that have no share do not count, even infinite ones.
#[test]
fn infinite_neighbours() {
    let mut resized = case("resize_bilinear", &[1, 1, 3], &[1.0, f64::INFINITY, 2.0]);
    resized.int("target_size_width", 5);
    resized.string("sampling_mode", "STRICT_ALIGN_CORNERS");
    let infinity = f64::INFINITY;
    resized.check(&[1.0, infinity, infinity, infinity, 2.0], Tolerance::EXACT);
    let mut sampled = case("resample", &[1, 1, 2, 2], &[1.0, infinity, infinity, infinity]);
    sampled.given("coordinates", &[1, 1, 2, 2], vec![0.0, 0.0, 0.5, 0.0], false);
    sampled.string("sampling_mode", "bilinear");
    sampled.string("padding_mode", "border");
    sampled.given("padding_value", &[], vec![0.0], true);
    sampled.string("coordinates_mode", "unnormalized");
    sampled.bool("align_corners", true);
    sampled.check(&[1.0, infinity], Tolerance::EXACT);
}

/// Points anywhere, and nowhere, are answered.
#[test]
fn points_far_away() {
    let far = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 3e38, -3e38, 0.5, 1e10, -1e-30];
    let points: Vec<f64> = far.iter().flat_map(|&y| far.map(|x| [x, y])).flatten().collect();
    for sampling in ["bilinear", "nearest"] {
        for padding in ["constant", "border", "reflection", "symmetric"] {
            for mode in ["unnormalized", "normalized_minus_one_to_one", "normalized_zero_to_one"] {
                let mut case = case("resample", &[1, 1, 2, 2], &[1.0, 2.0, 3.0, 4.0]);
                case.given("coordinates", &[1, 8, 8, 2], points.clone(), false);
                case.string("sampling_mode", sampling);
                case.string("padding_mode", padding);
                case.given("padding_value", &[], vec![2.5], true);
                case.string("coordinates_mode", mode);
                case.bool("align_corners", false);
                for dtype in [DataType::Fp32, DataType::Fp16] {
                    let values = &case.outputs(dtype).unwrap()[0].1;
                    assert!(
                        values.iter().all(|value| (1.0..=4.0).contains(value)),
                        "{sampling} {padding}: {values:?}"
                    );
                }
            }
        }
    }
    let mut case = case("crop_resize", &[1, 1, 2, 2], &[1.0, 2.0, 3.0, 4.0]);
    let boxes: Vec<f64> = far.iter().flat_map(|&a| far.map(|b| [a, b, b, a])).flatten().collect();
    case.given("boxes", &[64, 4], boxes, false);
    case.int_operand("box_indices", &[64], &[0; 64]);
    case.int("target_width", 3);
    let values = &case.outputs(DataType::Fp32).unwrap()[0].1;
    assert!(values.iter().all(|value| (0.0..=4.0).contains(value)), "{values:?}");
}

#[test]
fn boxes_of_images_that_are_not_there() {
    for index in [2, -1] {
        let mut case = case("crop_resize", &[2, 1, 1, 1], &[1.0, 2.0]);
        case.given("boxes", &[2, 4], vec![0.0; 8], false);
        case.int_operand("box_indices", &[2], &[1, index]);
        let error = case.error();
        let wanted = format!("`box_indices` names image {index} for box 1, but `x` has 2 images");
        assert!(error.contains(&wanted), "{error}");
    }
}
