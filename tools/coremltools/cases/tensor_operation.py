"""Ops on whole tensors: sorting, joining, splitting, filling, padding, counting, suppression of boxes."""

import numpy as np

from judge.draw import Draw, distinct, ints, lit, normal, scalar
from judge.tolerance import EXACT, ROUNDED, SUM

EVERY = "15 16 17 18 26"
NUMBERS = "fp16 fp32 int32"
ALL15 = "fp16 fp32 int32 bool"
SIGNED17 = "fp16 fp32 int8 int16 int32"


def argsort(x, axis=-1, ascending=False):
    return np.argsort(x if ascending else -x, axis=axis, kind="stable")


def topk(x, k=1, axis=-1, ascending=False, return_indices=True):
    count = x.shape[axis] if k == -1 else int(k)
    order = np.take(argsort(x, axis, ascending), range(count), axis=axis)
    values = np.take_along_axis(x, order, axis=axis)
    return [values, order] if return_indices else values


def band_part(x, lower=-1, upper=-1):
    m, n = np.ogrid[: x.shape[-2], : x.shape[-1]]
    keep = ((lower < 0) | (m - n <= lower)) & ((upper < 0) | (n - m <= upper))
    return np.where(keep, x, np.zeros_like(x))


def concat(values, axis, interleave=False):
    if not interleave:
        return np.concatenate(values, axis=axis)
    axis %= values[0].ndim
    stacked = np.stack(values, axis=axis + 1)
    shape = list(values[0].shape)
    shape[axis] *= len(values)
    return stacked.reshape(shape)


def cumsum(x, axis=0, exclusive=False, reverse=False):
    x = np.flip(x, axis) if reverse else x
    total = np.cumsum(x, axis=axis)
    total = total - x if exclusive else total
    return np.flip(total, axis) if reverse else total


def flatten2d(x, axis=1):
    before = int(np.prod(x.shape[:axis]))
    return x.reshape(before, x.size // before)


def one_hot(indices, one_hot_vector_size, axis=-1, on_value=1, off_value=0):
    size = int(one_hot_vector_size)
    places = np.expand_dims(indices, axis)
    shape = [1] * places.ndim
    shape[axis] = size
    return np.where(places == np.arange(size).reshape(shape), on_value, off_value)


def pad(x, pad, mode="constant", constant_val=0.0):
    widths = [(0, 0)] * (x.ndim - len(pad) // 2) + [(int(a), int(b)) for a, b in np.reshape(pad, (-1, 2))]
    if mode == "constant":
        return np.pad(x, widths, constant_values=constant_val)
    return np.pad(x, widths, mode={"reflect": "reflect", "replicate": "edge"}[mode])


def split(x, axis, num_splits=None, split_sizes=None):
    return np.split(x, num_splits if split_sizes is None else np.cumsum(split_sizes)[:-1], axis=axis)


def cases(f):
    for label, rest in {
        "": {},
        "ascending": dict(ascending=True),
        "axis0": dict(axis=0),
        "axis-2": dict(axis=-2, ascending=True),
    }.items():
        opsets = EVERY if not label else "15 18"
        f.op("argsort", opsets, NUMBERS, argsort, EXACT, label, x=distinct(3, 4, 5), **rest)
        f.op("topk", "15", NUMBERS, topk, EXACT, label, x=distinct(3, 4, 5), k=3, **rest)
        f.op("topk", "16", NUMBERS, topk, EXACT, label, x=distinct(3, 4, 5), k=2, **rest)
        f.op("topk", "17 18", SIGNED17 if not label else NUMBERS, topk, EXACT, label, x=distinct(3, 4, 5), k=3, **rest)
    # coremltools sorts unsigned numbers by their negatives.
    f.op("topk", "17 18", "uint8 uint16", topk, EXACT, "unsigned", x=distinct(3, 4, 5), k=3, foldable=False)
    f.op("topk", "15 18", "fp32 fp16", topk, EXACT, "default", x=distinct(3, 4))
    f.op("topk", "16 18", "fp32 fp16", topk, EXACT, "values", x=distinct(3, 6), k=4, return_indices=False)
    f.op("topk", "17 18", "fp32 fp16", topk, EXACT, "uint16", x=distinct(3, 6), k=4, output_indices_dtype="uint16")
    f.op("topk", "17", "fp32/int8 fp32/int16 fp32/int32", topk, EXACT, "k", x=distinct(3, 6), k=scalar(2, "U"))
    f.op("topk", "16 17", "fp32 int32", lambda x, k, sort: topk(x, k, -1, False), EXACT, "unsorted_all", x=distinct(2, 1), k=1,
         sort=False)  # fmt: skip

    for i, (lower, upper) in enumerate([(-1, -1), (0, -1), (-1, 0), (0, 0), (1, 2)]):
        f.op("band_part", EVERY if i == 4 else "15 18", ALL15, band_part, EXACT, f"{lower}_{upper}", x=normal(2, 4, 5),
             lower=lower, upper=upper)  # fmt: skip
    f.op("band_part", "17", "fp32", band_part, EXACT, "default", x=normal(3, 3))

    a, b, c = normal(2, 3, 4), normal(2, 5, 4), normal(2, 1, 4)
    f.op("concat", EVERY, ALL15, concat, EXACT, values=(a, b, c), axis=1)
    f.op("concat", "15 18", ALL15, concat, EXACT, "negative", values=(normal(2, 3), normal(2, 1)), axis=-1)
    f.op("concat", "15 18", ALL15, concat, EXACT, "interleave", values=(normal(2, 3, 2), normal(2, 3, 2)), axis=1, interleave=True,
         foldable=False)  # fmt: skip
    f.op("concat", "17", "fp32", concat, EXACT, "interleave3", values=(normal(3, 2), normal(3, 2), normal(3, 2)), axis=0,
         interleave=True, foldable=False)  # fmt: skip
    f.op("concat", "17", "fp32", concat, EXACT, "single", values=(normal(2, 3),), axis=0)
    f.op("concat", "17", "fp32", concat, EXACT, "constant", values=(normal(2, 3), normal(1, 3).const), axis=0)
    f.op("concat", "17", "fp32", concat, EXACT, "empty", values=(normal(2, 3), normal(0, 3)), axis=0)
    f.op("stack", EVERY, ALL15, lambda values, axis: np.stack(values, axis=axis), EXACT, values=(normal(2, 3), normal(2, 3)), axis=0)
    for axis in (1, 2, -1):
        f.op("stack", "15 18", "fp32 int32", lambda values, axis: np.stack(values, axis=axis), EXACT, f"axis{axis}",
             values=(normal(2, 3), normal(2, 3), normal(2, 3)), axis=axis)  # fmt: skip

    for exclusive in (False, True):
        for reverse in (False, True):
            label = ("exclusive" if exclusive else "") + ("reverse" if reverse else "")
            # coremltools' own folding of `exclusive` raises.
            f.op("cumsum", EVERY if not label else "15 17 18", NUMBERS, cumsum, SUM, label, x=normal(3, 5), axis=1,
                 exclusive=exclusive, reverse=reverse, foldable=not exclusive)  # fmt: skip
    f.op("cumsum", "15 18", NUMBERS, cumsum, SUM, "default", x=normal(4, 3))
    f.op("cumsum", "17", "fp32", cumsum, SUM, "last", x=normal(2, 2, 6), axis=-1)

    shape = np.array([2, 3, 1], dtype=np.int32)
    fill = lambda shape, value=0.0: np.full([int(n) for n in shape], value)  # noqa: E731
    f.program("fill", "15", "fp32", lambda mb, v: mb.fill(shape=v["shape"]), fill, EXACT, "default", shape=lit(shape, "int32"))
    for opset, dtype in zip(("15", "16", "17", "18", "26"), ALL15.split() + ["fp32"]):
        f.program("fill", opset, dtype, lambda mb, v: mb.fill(shape=v["shape"], value=v["value"]), fill, EXACT,
                  shape=lit(shape, "int32"), value=scalar(1.0))  # fmt: skip
        # The shape known, and an input only because a model must have one.
        f.program("fill", opset, dtype, lambda mb, v: [mb.fill(shape=shape, value=v["value"]), mb.identity(x=v["x"])],
                  lambda value, x: [fill(shape, value), x], EXACT, "constant", value=scalar(3.0), x=normal(2))  # fmt: skip
    like = lambda ref_tensor, value=0.0: np.full(ref_tensor.shape, value)  # noqa: E731
    pairs = "fp16/fp32 fp32/int32 int32/bool bool/fp16 fp32/fp32 int32/int32 bool/bool fp16/fp16"
    f.op("fill_like", "16 17 18 26", pairs, like, EXACT, ref_tensor=normal(2, 3), value=scalar(1, "U"))
    f.op("fill_like", "16", "fp32", like, EXACT, "default", ref_tensor=normal(2, 3))

    f.op("flatten2d", EVERY, ALL15, flatten2d, EXACT, x=normal(2, 3, 4))
    for axis in (0, 2, 3, -1, -2):
        f.op("flatten2d", "15 18", "fp32 fp16", flatten2d, EXACT, f"axis{axis}", x=normal(2, 3, 4), axis=axis,
             foldable=axis not in (0, 3))  # fmt: skip
    f.op("flatten2d", "15", "fp32", flatten2d, EXACT, "rank1", x=normal(5), axis=-1, foldable=False)
    f.op("identity", EVERY, ALL15, lambda x: x, EXACT, x=normal(2, 3))
    f.op("identity", "17 18", "int8 uint8 int16 uint16", lambda x: x, EXACT, "int", x=normal(2, 3))
    f.op("non_zero", EVERY, ALL15, lambda x: np.argwhere(x), EXACT, x=Draw((3, 4), lambda rng, s, d: rng.integers(0, 2, s)))
    f.op("non_zero", "17", "fp32", lambda x: np.argwhere(x), EXACT, "vector", x=lit([0.0, -1.0, 0.0, 2.0, -0.0]))
    f.op("non_zero", "17", "fp32", lambda x: np.argwhere(x), EXACT, "none", x=lit([[0.0, 0.0]]), foldable=False)

    f.op("one_hot", EVERY, ALL15, one_hot, EXACT, indices=ints(0, 5, 2, 3), one_hot_vector_size=5, on_value=scalar(1),
         off_value=scalar(0))  # fmt: skip
    f.op("one_hot", "15 18", NUMBERS, one_hot, EXACT, "axis", indices=ints(0, 4, 2, 3), one_hot_vector_size=4, axis=1,
         on_value=scalar(3), off_value=scalar(-2))  # fmt: skip
    f.op("one_hot", "15 18", "int32", one_hot, EXACT, "axis0", indices=ints(0, 4, 3), one_hot_vector_size=4, axis=0)
    f.op("one_hot", "15 18", "fp32", one_hot, EXACT, "size", indices=ints(0, 4, 3), one_hot_vector_size=lit(4, "int32"),
         on_value=scalar(1), off_value=scalar(0))  # fmt: skip

    x = normal(2, 3, 4, 5)
    for mode, most in (("constant", 3), ("reflect", 2), ("replicate", 3)):
        value = dict(constant_val=scalar(1.5 if mode == "constant" else 0.0))
        f.op("pad", EVERY, "fp16 fp32", pad, EXACT, mode, x=x, pad=[1, most, 2, 0], mode=mode, **value)
        f.op("pad", "15 18", "fp16 fp32", pad, EXACT, f"{mode}_last", x=normal(2, 6), pad=[most, 1], mode=mode, **value)
    f.op("pad", "15 18", "fp32", pad, EXACT, "default", x=normal(2, 3), pad=[0, 1, 2, 0])
    f.op("pad", "15 18", "fp16 fp32", pad, EXACT, "all_axes", x=normal(2, 3, 2), pad=[1, 0, 0, 2, 1, 1], constant_val=scalar(-1.0))
    f.op("pad", "15 18", "fp32 fp16", pad, EXACT, "runtime", x=normal(2, 3), pad=lit([1, 0, 2, 1], "int32"),
         constant_val=scalar(0.5))  # fmt: skip

    arange = lambda end, start, step: np.arange(start, end, step)  # noqa: E731
    f.op("range_1d", EVERY, NUMBERS, arange, ROUNDED, end=lit(9), start=lit(2), step=lit(3))
    f.op("range_1d", "15 18", NUMBERS, arange, ROUNDED, "down", end=lit(-4), start=lit(3), step=lit(-2))
    f.op("range_1d", "15 18", "fp32 fp16", arange, ROUNDED, "fraction", end=lit(2.0), start=lit(0.5), step=lit(0.25))
    f.op("range_1d", "17", "int32", arange, EXACT, "constant_start", end=lit(5), start=scalar(0), step=scalar(1))
    f.op("range_1d", "17", "int32", arange, EXACT, "empty", end=lit(2), start=lit(2), step=lit(1), foldable=False)

    f.op("shape", EVERY, ALL15, lambda x: np.array(x.shape), EXACT, x=normal(2, 3, 4))
    f.op("shape", "17 18", "fp32", lambda x: np.array(x.shape), EXACT, "vector", x=normal(7))

    f.op("split", EVERY, ALL15, split, EXACT, x=normal(2, 6, 3), num_splits=3, axis=1)
    f.op("split", "15 18", ALL15, split, EXACT, "sizes", x=normal(2, 6), split_sizes=[1, 3, 2], axis=-1)
    f.op("split", "15 18", "fp32", split, EXACT, "both", x=normal(5, 2), num_splits=2, split_sizes=[4, 1], axis=0)
    f.op("tile", EVERY, ALL15, lambda x, reps: np.tile(x, reps), EXACT, x=normal(2, 3), reps=[2, 1])
    f.op("tile", "15 18", "fp32 int32", lambda x, reps: np.tile(x, reps), EXACT, "rank3", x=normal(2, 1, 3), reps=[1, 4, 2])
    f.op("tile", "15 18", "fp32 fp16", lambda x, reps: np.tile(x, [int(n) for n in reps]), EXACT, "runtime", x=normal(2, 3),
         reps=lit([1, 3], "int32"))  # fmt: skip

    suppression(f)


def suppressed(boxes, scores, iou_threshold, score_threshold, max_boxes, per_class):
    """Greedy suppression of one image. `boxes` [B, 4] as centre and size, `scores` [B, K]; indices in order of score."""
    x, y, w, h = boxes.T
    left, right, low, high = x - w / 2, x + w / 2, y - h / 2, y + h / 2
    best, label = scores.max(axis=1), scores.argmax(axis=1)
    kept = []
    for i in np.argsort(-best, kind="stable"):
        if score_threshold is not None and best[i] < score_threshold:
            continue
        for j in kept:
            if per_class and label[i] != label[j]:
                continue
            across = max(0.0, min(right[i], right[j]) - max(left[i], left[j]))
            along = max(0.0, min(high[i], high[j]) - max(low[i], low[j]))
            shared = across * along
            if shared / (w[i] * h[i] + w[j] * h[j] - shared) > iou_threshold:
                break
        else:
            kept.append(i)
    if not kept:  # Core ML keeps the best box even when all are below the threshold
        kept = [int(best.argmax())]
    return kept[:max_boxes]


def suppression(f):
    def reference(boxes, scores, iou_threshold, max_boxes, score_threshold=None, per_class_suppression=False):
        """iOS 15: boxes before coordinates."""
        n, _, k = scores.shape
        results = np.zeros((n, max_boxes, 4)), np.zeros((n, max_boxes, k)), -np.ones((n, max_boxes), int), np.zeros(n, int)
        for image in range(n):
            kept = suppressed(boxes[image], scores[image], iou_threshold, score_threshold, max_boxes, per_class_suppression)
            results[0][image, : len(kept)] = boxes[image, kept]
            results[1][image, : len(kept)] = scores[image, kept]
            results[2][image, : len(kept)] = kept
            results[3][image] = len(kept)
        return results

    def reference17(boxes, scores, iou_threshold, max_boxes, per_class_suppression=False):
        """iOS 17: coordinates before boxes, no score threshold, no count."""
        b, s, i, _ = reference(boxes.swapaxes(1, 2), scores.swapaxes(1, 2), iou_threshold, max_boxes, None, per_class_suppression)
        return b.swapaxes(1, 2), s.swapaxes(1, 2), i

    def drawn(images, count, classes, swap):
        def boxes(rng, shape, dtype):
            # Centres on a coarse grid and sizes in eighths: fp16 holds them, and no overlap lies near the threshold.
            value = np.concatenate([rng.integers(0, 5, (images, count, 2)) * 2.0, rng.integers(16, 40, (images, count, 2)) / 8], 2)
            return value.swapaxes(1, 2) if swap else value

        def scores(rng, shape, dtype):
            value = (rng.permutation(images * count * classes) / 64).reshape(images, count, classes)
            return value.swapaxes(1, 2) if swap else value

        order = (lambda a, b: (images, b, a)) if swap else (lambda a, b: (images, a, b))
        return Draw(order(count, 4), boxes), Draw(order(count, classes), scores)

    for classes, per_class in ((1, False), (3, False), (3, True)):
        label = f"{classes}{'_per_class' if per_class else ''}"
        boxes, scores = drawn(1, 12, classes, False)
        f.op("non_maximum_suppression", "15 16", "fp32 fp16", reference, EXACT, label, boxes=boxes, scores=scores,
             iou_threshold=scalar(0.31), score_threshold=scalar(0.05), max_boxes=9, per_class_suppression=per_class)  # fmt: skip
        boxes, scores = drawn(2, 12, classes, True)
        f.op("non_maximum_suppression", "17 18 26", "fp32 fp16", reference17, EXACT, label, boxes=boxes, scores=scores,
             iou_threshold=scalar(0.31), max_boxes=10, per_class_suppression=per_class)  # fmt: skip
    boxes, scores = drawn(1, 12, 2, False)
    f.op("non_maximum_suppression", "15", "fp32", reference, EXACT, "threshold", boxes=boxes, scores=scores,
         iou_threshold=scalar(0.31), score_threshold=scalar(0.2), max_boxes=3)  # fmt: skip
    f.op("non_maximum_suppression", "15", "fp32", reference, EXACT, "none_above", boxes=boxes, scores=scores,
         iou_threshold=scalar(0.31), score_threshold=scalar(50.0), max_boxes=3)  # fmt: skip
