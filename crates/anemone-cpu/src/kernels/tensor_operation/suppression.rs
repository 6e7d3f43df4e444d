//! `non_maximum_suppression`: of boxes that overlap, the ones with the best scores.

use crate::kernels::{Call, Float, KernelResult, Lowered, for_float};
use mil::ops::Opset;
use mil::{InferError, OpView};

/// What the op is asked.
#[derive(Clone, Copy)]
struct Request {
    count: usize,
    classes: usize,
    most: usize,
    iou: f32,
    least: f32,
    per_class: bool,
    /// `[N, 4, B]` and `[N, K, B]` instead of `[N, B, 4]` and `[N, B, K]`.
    late: bool,
}

pub(super) fn lower(op: &OpView<'_>) -> Result<Lowered, InferError> {
    for_float!(op, "boxes", typed)
}

/// Boxes are `(x, y, width, height)` around a center, ranked by their best class, the first of equal ones first. Places that
/// are not filled hold zeros and the index -1. If no score reaches the threshold, the best box is kept all the same (Apple's tests
/// of the op in coremltools expect it). With `per_class_suppression` boxes of different best classes coexist.
fn typed<T: Float>(op: &OpView<'_>) -> Result<Lowered, InferError> {
    let late = op.function.opset >= Opset::Ios17;
    let scores = op.shape("scores")?;
    let (count, classes) = if late { (scores[2], scores[1]) } else { (scores[1], scores[2]) };
    let least = match op.value("score_threshold") {
        Some(_) => op.float("score_threshold")?,
        None => f32::NEG_INFINITY,
    };
    let request = Request {
        count,
        classes,
        most: op.int("max_boxes")? as usize,
        iou: op.float("iou_threshold")?,
        least,
        per_class: op.bool("per_class_suppression")?,
        late,
    };
    let batch = scores[0];
    let run = move |call: &mut Call<'_>| -> KernelResult {
        (0..batch).for_each(|item| suppress::<T>(call, request, item));
        Ok(())
    };
    // For each box its rank, then the selected ones.
    Ok(Lowered::new(run).scratch(4 * (count + request.most)))
}

fn suppress<T: Float>(call: &mut Call<'_>, request: Request, item: usize) {
    let Request { count, classes, most, iou, least, per_class, late } = request;
    let boxes = &call.inputs[0].slice::<T>()[item * count * 4..][..count * 4];
    let scores = &call.inputs[1].slice::<T>()[item * count * classes..][..count * classes];
    let at = |inner: usize, size: usize, index: usize| {
        if late { inner * count + index } else { index * size + inner }
    };
    let score = |index: u32, class: usize| scores[at(class, classes, index as usize)].to_f32();
    let best = |index: u32| {
        (0..classes).fold((0, f32::NEG_INFINITY), |best, class| {
            let score = score(index, class);
            if score > best.1 { (class, score) } else { best }
        })
    };
    let corner = |index: u32| {
        let [x, y, w, h] = std::array::from_fn(|i| boxes[at(i, 4, index as usize)].to_f32());
        [x - w / 2.0, y - h / 2.0, x + w / 2.0, y + h / 2.0]
    };
    let (order, selected) = bytemuck::cast_slice_mut::<u8, u32>(call.scratch).split_at_mut(count);
    order.iter_mut().zip(0..).for_each(|(order, index)| *order = index);
    order.sort_unstable_by(|a, b| best(*b).1.total_cmp(&best(*a).1).then(a.cmp(b)));
    let mut found = 0;
    for &index in order.iter() {
        let (class, score) = best(index);
        if found == most || score < least {
            break;
        }
        let hides = |other: &u32| {
            (!per_class || best(*other).0 == class) && overlap(corner(*other), corner(index)) > iou
        };
        if !selected[..found].iter().any(hides) {
            selected[found] = index;
            found += 1;
        }
    }
    if found == 0 && count > 0 && most > 0 {
        selected[0] = order[0];
        found = 1;
    }
    for place in 0..most {
        let index = selected[..found].get(place).copied();
        let to = |inner: usize, size: usize| {
            item * most * size + if late { inner * most + place } else { place * size + inner }
        };
        for i in 0..4 {
            let value = index.map_or(T::from_f32(0.0), |index| boxes[at(i, 4, index as usize)]);
            call.outputs[0].slice::<T>()[to(i, 4)] = value;
        }
        for class in 0..classes {
            let value = index.map_or(T::from_f32(0.0), |index| scores[at(class, classes, index as usize)]);
            call.outputs[1].slice::<T>()[to(class, classes)] = value;
        }
        call.outputs[2].slice::<i32>()[item * most + place] = index.map_or(-1, |index| index as i32);
    }
    if let Some(counts) = call.outputs.get_mut(3) {
        counts.slice::<i32>()[item] = found as i32;
    }
}

/// Intersection over union of two boxes given by their corners.
fn overlap(a: [f32; 4], b: [f32; 4]) -> f32 {
    let side = |low: usize| (a[low + 2].min(b[low + 2]) - a[low].max(b[low])).max(0.0);
    let area = |c: [f32; 4]| (c[2] - c[0]) * (c[3] - c[1]);
    let both = side(0) * side(1);
    let union = area(a) + area(b) - both;
    if union > 0.0 { both / union } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use crate::kernels::testing::{Case, Tolerance};

    #[test]
    fn keeps_the_best_of_those_that_overlap() {
        let mut case = Case::new("non_maximum_suppression");
        // [1, 4, B]: x, y, width, height of three boxes; the second nearly covers the first.
        case.given("boxes", &[1, 4, 3], vec![1., 1., 5., 1., 1.25, 5., 2., 2., 1., 2., 2., 1.], false);
        case.given("scores", &[1, 1, 3], vec![0.5, 0.75, 0.25], false);
        case.given("iou_threshold", &[], vec![0.5], true);
        case.int("max_boxes", 3);
        case.check_all(
            &[
                vec![1., 5., 0., 1.25, 5., 0., 2., 1., 0., 2., 1., 0.],
                vec![0.75, 0.25, 0.],
                vec![1., 2., -1.],
            ],
            Tolerance::EXACT,
        );
    }
}
