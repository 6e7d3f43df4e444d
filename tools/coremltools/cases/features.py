"""What surrounds a program in a package: flexible shapes, image inputs, several functions.

The ops in these are plain; how inputs are described, bound and chosen is what is tested.
"""

import os

import numpy as np

from judge.case import Case, Picture
from judge.package import TARGETS, ct, mb
from judge.tolerance import CHAIN, EXACT, SUM


def cases(f):
    flexible(f)
    pictures(f)
    functions(f)


def add(f, name, opset, inputs, build, reference, tolerance=EXACT, **more):
    full = f"{name}/ios{opset}"
    assert full not in f.names, full
    f.names.add(full)
    f.cases.append(Case(f.name, full, opset, inputs, build, reference, tolerance, **more))


def flexible(f):
    rng = np.random.default_rng(11)
    draw = lambda *shape: rng.normal(size=shape).astype(np.float32)  # noqa: E731
    weight = draw(5, 3)

    def rows(mb, v):
        return mb.softmax(x=mb.linear(x=v["x"], weight=weight), axis=-1)

    def softmax(x):
        y = x.astype(np.float64) @ weight.T.astype(np.float64)
        e = np.exp(y - y.max(-1, keepdims=True))
        return e / e.sum(-1, keepdims=True)

    for opset in (15, 16, 18, 26):
        steps = [{"x": draw(n, 3)} for n in (2, 7, 1)]
        add(f, "features/range", opset, steps[0], rows, lambda steps=steps: [[softmax(s["x"])] for s in steps], SUM, steps=steps,
            symbolic={"x": (0,)}, convert=dict(inputs=[ct.TensorType(name="x", shape=(ct.RangeDim(1, 8, default=2), 3))]))  # fmt: skip
    sizes = [(1, 2, 4, 4), (1, 2, 6, 8), (1, 2, 2, 10)]
    enumerated = [ct.TensorType(name="x", shape=ct.EnumeratedShapes(shapes=sizes, default=sizes[0]))]
    for opset in (15, 17):
        steps = [{"x": draw(*s)} for s in (sizes[2], sizes[0], sizes[1])]
        add(f, "features/enumerated", opset, steps[0],
            lambda mb, v: mb.reduce_mean(x=mb.max_pool(x=v["x"], kernel_sizes=[2, 2], strides=[2, 2], pad_type="valid"), axes=[2, 3],
                                         keep_dims=False),
            lambda steps=steps: [[s["x"].reshape(1, 2, s["x"].shape[2] // 2, 2, -1, 2).max(axis=(3, 5)).mean(axis=(2, 3))] for s in steps],
            SUM, steps=steps, symbolic={"x": (2, 3)}, convert=dict(inputs=enumerated))  # fmt: skip

    def shaped(mb, v):
        """The program asks for the shape it is run with."""
        shape = mb.shape(x=v["x"])
        flat = mb.reshape(x=v["x"], shape=mb.concat(values=(mb.gather(x=shape, indices=0, axis=0), np.int32(-1)), axis=0))
        return [mb.identity(x=flat), mb.identity(x=shape)]

    steps = [{"x": draw(n, 2, 3)} for n in (4, 1)]
    add(f, "features/shape", 16, steps[0], shaped, lambda: [[s["x"].reshape(len(s["x"]), -1), np.array(s["x"].shape)] for s in steps], EXACT,
        steps=steps, symbolic={"x": (0,)},
        convert=dict(inputs=[ct.TensorType(name="x", shape=(ct.RangeDim(1, 9, default=4), 2, 3))]))  # fmt: skip


def pictures(f):
    rng = np.random.default_rng(12)
    layouts = {
        "rgb": (ct.colorlayout.RGB, 3, lambda p: p.transpose(2, 0, 1)),
        "bgr": (ct.colorlayout.BGR, 3, lambda p: p[:, :, ::-1].transpose(2, 0, 1)),
        "grayscale": (ct.colorlayout.GRAYSCALE, 1, lambda p: p[None]),
    }
    for name, (layout, channels, order) in layouts.items():
        for opset in (15, 18):
            pixels = rng.integers(0, 256, (6, 5, 3) if channels == 3 else (6, 5)).astype(np.uint8)
            picture = Picture(pixels)
            shape = (1, channels, 6, 5)
            add(f, f"features/{name}", opset, {"image": picture}, lambda mb, v: mb.identity(x=v["image"]),
                lambda order=order, pixels=pixels: [order(pixels)[None]], EXACT, shapes={"image": shape},
                convert=dict(inputs=[ct.ImageType(name="image", shape=shape, color_layout=layout)]))  # fmt: skip
            bias = [-1.0, -0.5, 0.25][:channels] if channels == 3 else -1.0
            add(f, f"features/{name}_scaled", opset, {"image": picture},
                lambda mb, v: mb.reduce_sum(x=v["image"], axes=[2, 3], keep_dims=False),
                lambda order=order, pixels=pixels, bias=bias: [
                    (order(pixels) / 64.0 + np.reshape(bias, (-1, 1, 1))).sum(axis=(1, 2))[None]],
                CHAIN, shapes={"image": shape},
                convert=dict(inputs=[ct.ImageType(name="image", shape=shape, color_layout=layout, scale=1 / 64, bias=bias)]))  # fmt: skip


def weight_and_input():
    rng = np.random.default_rng(13)
    return rng.normal(size=(8, 8)).astype(np.float32), rng.normal(size=(2, 8)).astype(np.float32)


FUNCTIONS = {"plain": ("identity", lambda y: y), "squashed": ("tanh", np.tanh)}


def layer(mb, x, act):
    return getattr(mb, act)(x=mb.linear(x=x, weight=weight_and_input()[0]), name="y")


def functions(f):
    """One package, two functions that share a weight."""
    weight, x = weight_and_input()
    product = x.astype(np.float64) @ weight.T.astype(np.float64)
    for function, (act, after) in FUNCTIONS.items():
        add(f, f"features/function_{function}", 18, {"x": x}, lambda mb, v, act=act: layer(mb, v["x"], act),
            lambda after=after: [after(product)], SUM, function=function, merged=merged)  # fmt: skip


def merged(case, place):
    """Writes both functions' packages and joins them; the path of the joint one."""
    description = ct.utils.MultiFunctionDescriptor()
    for function, (act, _) in FUNCTIONS.items():

        @mb.program(input_specs=[mb.TensorSpec((2, 8))], opset_version=TARGETS[case.opset])
        def program(x):
            return layer(mb, x, act)

        path = os.path.join(place, f"{function}.mlpackage")
        ct.convert(program, convert_to="mlprogram", pass_pipeline=ct.PassPipeline.EMPTY, minimum_deployment_target=TARGETS[case.opset],
                   skip_model_load=True).save(path)  # fmt: skip
        description.add_function(path, src_function_name="main", target_function_name=function)
    description.default_function_name = "plain"
    joint = os.path.join(place, "joint.mlpackage")
    ct.utils.save_multifunction(description, joint)
    return joint
