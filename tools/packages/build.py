"""Makes the small models in tests/packages with coremltools, the reference for Core ML's formats.

    pip install -r tools/packages/requirements.txt
    python tools/packages/build.py [NAME ...]

Identifiers in manifests are random in coremltools and protobuf maps have no order, so a renewed file differs in bytes where it
does not differ in meaning; renew only what changed.
"""

import json
import pathlib
import shutil
import sys
import warnings

warnings.filterwarnings("ignore")

import coremltools as ct
import coremltools.optimize as cto
import numpy as np
from coremltools import proto
from coremltools.converters.mil import Builder as mb
from coremltools.converters.mil.mil import types
from coremltools.models import datatypes
from coremltools.models.neural_network import NeuralNetworkBuilder

OUT = pathlib.Path(__file__).resolve().parents[2] / "tests" / "packages"
MODELS = {}


def model(function):
    MODELS[function.__name__] = function
    return function


def weights(*shape, dtype=np.float32, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def convert(program, target, **options):
    """A package without any pass run over it: what is written is what the builder was told."""
    options.setdefault("pass_pipeline", ct.PassPipeline.EMPTY)
    return ct.convert(
        program,
        convert_to="mlprogram",
        minimum_deployment_target=target,
        compute_precision=ct.precision.FLOAT32,
        skip_model_load=True,
        **options,
    )


@model
def perceptron():
    @mb.program(
        input_specs=[mb.TensorSpec((1, 4), types.fp16)], opset_version=ct.target.iOS16
    )
    def prog(x):
        y = mb.linear(x=x, weight=weights(8, 4, dtype=np.float16), bias=np.zeros(8, np.float16))
        y = mb.relu(x=y, name="hidden")
        return mb.linear(x=y, weight=weights(3, 8, dtype=np.float16, seed=1), name="y")

    made = convert(prog, ct.target.iOS16)
    made.author = "Ada"
    made.license = "MIT"
    made.version = "1.2"
    made.short_description = "Two layers."
    made.input_description["x"] = "four numbers"
    made.user_defined_metadata["run"] = "17"
    return made


@model
def oldest():
    """iOS15, fp32, integers and truth values in place."""

    @mb.program(input_specs=[mb.TensorSpec((1, 2, 6, 6))], opset_version=ct.target.iOS15)
    def prog(x):
        y = mb.conv(x=x, weight=weights(3, 2, 3, 3), pad_type="custom", pad=[1, 1, 0, 0])
        y = mb.max_pool(x=y, kernel_sizes=[2, 2], strides=[2, 2], pad_type="valid")
        y = mb.reshape(x=y, shape=[1, -1])
        y = mb.gather(x=y, indices=np.arange(12, dtype=np.int32)[::-1].copy(), axis=1)
        mask = mb.greater(x=y, y=0.0)
        return mb.select(cond=mask, a=y, b=-1.0, name="y")

    return convert(prog, ct.target.iOS15)


def classes(program_labels, target):
    @mb.program(input_specs=[mb.TensorSpec((1, 3, 4, 4))], opset_version=target)
    def prog(image):
        y = mb.reduce_mean(x=image, axes=[2, 3], keep_dims=False)
        y = mb.linear(x=y, weight=weights(3, 3), bias=weights(3))
        return mb.softmax(x=y, axis=-1, name="probabilities")

    return convert(
        prog,
        target,
        inputs=[ct.ImageType(name="image", shape=(1, 3, 4, 4), color_layout=ct.colorlayout.BGR)],
        classifier_config=ct.ClassifierConfig(program_labels, predicted_feature_name="label"),
    )


@model
def classifier():
    return classes(["cat", "dog", "écureuil"], ct.target.iOS16)


@model
def classifier_ints():
    return classes([7, -1, 2**40], ct.target.iOS18)


@model
def image_out():
    @mb.program(input_specs=[mb.TensorSpec((1, 1, 4, 6), types.fp16)], opset_version=ct.target.iOS16)
    def prog(image):
        return mb.mul(x=image, y=np.float16(0.5), name="dimmed")

    return convert(
        prog,
        ct.target.iOS16,
        inputs=[ct.ImageType(name="image", shape=(1, 1, 4, 6), color_layout=ct.colorlayout.GRAYSCALE_FLOAT16)],
        outputs=[ct.ImageType(name="dimmed", color_layout=ct.colorlayout.GRAYSCALE_FLOAT16)],
    )


def flexible(shape, target=ct.target.iOS17):
    from coremltools.converters.mil.mil import get_new_symbol

    @mb.program(input_specs=[mb.TensorSpec((1, get_new_symbol(), 4))], opset_version=target)
    def prog(x):
        y = mb.linear(x=x, weight=weights(5, 4), bias=weights(5))
        return mb.reduce_sum(x=mb.relu(x=y), axes=[1], name="y")

    return convert(prog, target, inputs=[ct.TensorType(name="x", shape=shape)])


@model
def ranges():
    return flexible(ct.Shape((1, ct.RangeDim(2, 9, default=3), 4)))


@model
def unbounded():
    """coremltools makes no such ML Program, but the format has it."""
    made = flexible(ct.Shape((1, ct.RangeDim(2, 9, default=3), 4)))
    spec = made.get_spec()
    spec.description.input[0].type.multiArrayType.shapeRange.sizeRanges[1].upperBound = -1
    return ct.models.MLModel(spec, weights_dir=made.weights_dir, skip_model_load=True)


@model
def enumerated():
    return flexible(ct.EnumeratedShapes([[1, 3, 4], [1, 5, 4], [1, 7, 4]], default=[1, 5, 4]))


@model
def optional():
    made = flexible(ct.Shape((1, ct.RangeDim(2, 9, default=3), 4)))
    spec = made.get_spec()
    array = spec.description.input[0].type
    array.isOptional = True
    array.multiArrayType.floatDefaultValue = 0.0
    return ct.models.MLModel(spec, weights_dir=made.weights_dir, skip_model_load=True)


@model
def stateful():
    @mb.program(
        input_specs=[mb.TensorSpec((1, 4), types.fp16), mb.StateTensorSpec((1, 4), types.fp16)],
        opset_version=ct.target.iOS18,
    )
    def prog(x, total):
        old = mb.read_state(input=total, name="old")
        new = mb.add(x=mb.mul(x=x, y=weights(3, 4, dtype=np.float16)[:1]), y=old, name="new")
        mb.coreml_update_state(state=total, value=new, name="unread")
        doubled = mb.mul(x=new, y=np.float16(2))
        kept = mb.coreml_update_state(state=total, value=doubled, name="kept")
        return mb.linear(x=kept, weight=weights(3, 4, dtype=np.float16), name="y")

    return convert(prog, ct.target.iOS18)


@model
def multifunction():
    def part(scale):
        @mb.program(input_specs=[mb.TensorSpec((1, 4), types.fp16)], opset_version=ct.target.iOS18)
        def prog(x):
            y = mb.linear(x=x, weight=weights(4, 4, dtype=np.float16))
            return mb.mul(x=y, y=np.float16(scale), name="y")

        return convert(prog, ct.target.iOS18)

    work = OUT / ".work"
    work.mkdir(parents=True, exist_ok=True)
    merged = ct.utils.MultiFunctionDescriptor()
    for name, scale in [("zeta", 1.0), ("adapter", 2.0)]:
        path = str(work / f"{name}.mlpackage")
        part(scale).save(path)
        merged.add_function(path, src_function_name="main", target_function_name=name)
    merged.default_function_name = "zeta"
    target = str(work / "merged.mlpackage")
    ct.utils.save_multifunction(merged, target)
    return target


def dense(target, dtype=np.float32, hidden=32):
    @mb.program(
        input_specs=[mb.TensorSpec((1, hidden), types.numpy_type_to_builtin_type(dtype))], opset_version=target
    )
    def prog(x):
        y = mb.linear(x=x, weight=weights(hidden, hidden, dtype=dtype), bias=weights(hidden, dtype=dtype))
        return mb.linear(x=y, weight=weights(hidden, hidden, dtype=dtype, seed=1), name="y")

    return convert(prog, target)


@model
def palettized_16():
    config = cto.coreml.OpPalettizerConfig(mode="uniform", nbits=4, weight_threshold=64)
    return cto.coreml.palettize_weights(dense(ct.target.iOS16), cto.coreml.OptimizationConfig(config))


@model
def palettized_18():
    config = cto.coreml.OpPalettizerConfig(
        mode="uniform", nbits=3, granularity="per_grouped_channel", group_size=8, weight_threshold=64
    )
    return cto.coreml.palettize_weights(dense(ct.target.iOS18, np.float16), cto.coreml.OptimizationConfig(config))


@model
def int8_16():
    config = cto.coreml.OpLinearQuantizerConfig(mode="linear", weight_threshold=64)
    return cto.coreml.linear_quantize_weights(dense(ct.target.iOS16), cto.coreml.OptimizationConfig(config))


@model
def int4_blocks():
    config = cto.coreml.OpLinearQuantizerConfig(
        mode="linear_symmetric", dtype="int4", granularity="per_block", block_size=8, weight_threshold=64
    )
    return cto.coreml.linear_quantize_weights(
        dense(ct.target.iOS18, np.float16), cto.coreml.OptimizationConfig(config)
    )


@model
def sparse_16():
    config = cto.coreml.OpMagnitudePrunerConfig(target_sparsity=0.7, weight_threshold=64)
    return cto.coreml.prune_weights(dense(ct.target.iOS16), cto.coreml.OptimizationConfig(config))


@model
def sparse_palettized():
    pruned = cto.coreml.prune_weights(
        dense(ct.target.iOS18, np.float16),
        cto.coreml.OptimizationConfig(cto.coreml.OpMagnitudePrunerConfig(target_sparsity=0.7, weight_threshold=64)),
    )
    config = cto.coreml.OpPalettizerConfig(mode="uniform", nbits=2, weight_threshold=64)
    return cto.coreml.palettize_weights(pruned, cto.coreml.OptimizationConfig(config), joint_compression=True)


@model
def branches():
    @mb.program(
        input_specs=[mb.TensorSpec((1,), types.fp32), mb.TensorSpec((2, 3), types.fp32)],
        opset_version=ct.target.iOS17,
    )
    def prog(flag, x):
        big = mb.greater(x=mb.squeeze(x=flag), y=0.5, name="big")

        def yes():
            scaled = mb.mul(x=x, y=weights(4, 3)[:2])
            return mb.add(x=scaled, y=weights(12)[0])

        return mb.cond(pred=big, _true_fn=yes, _false_fn=lambda: mb.sub(x=x, y=1.0), name="y")

    return convert(prog, ct.target.iOS17)


@model
def loop():
    @mb.program(
        input_specs=[mb.TensorSpec((1,), types.int32), mb.TensorSpec((1, 3), types.fp32)],
        opset_version=ct.target.iOS15,
    )
    def prog(count, x):
        # A constant outside, used inside, and one that is used in both.
        step = mb.const(val=np.float32(0.5), name="step")
        limit = mb.squeeze(x=count, name="limit")

        def go_on(i, acc):
            return mb.less(x=i, y=limit)

        def body(i, acc):
            inner = mb.while_loop(
                _cond=lambda j: mb.less(x=j, y=2), _body=lambda j: mb.add(x=j, y=1), loop_vars=(0,)
            )
            grown = mb.mul(x=acc, y=mb.cast(x=inner, dtype="fp32"))
            return mb.add(x=i, y=1), mb.add(x=grown, y=step)

        i, acc = mb.while_loop(_cond=go_on, _body=body, loop_vars=(0, x))
        return mb.add(x=acc, y=step, name="y"), mb.mul(x=i, y=3, name="turns")

    return convert(prog, ct.target.iOS15)


@model
def lists():
    @mb.program(input_specs=[mb.TensorSpec((4, 2), types.fp32)], opset_version=ct.target.iOS16)
    def prog(x):
        ls = mb.make_list(init_length=4, dynamic_length=False, elem_shape=(2,), dtype="fp32")
        ls = mb.list_scatter(ls=ls, indices=np.arange(4, dtype=np.int32), value=x)
        ls = mb.list_write(ls=ls, index=1, value=np.zeros(2, np.float32))
        return mb.list_gather(ls=ls, indices=[3, 1], name="y")

    return convert(prog, ct.target.iOS16)


@model
def split():
    """Operations of several outputs and of several arguments."""

    @mb.program(input_specs=[mb.TensorSpec((2, 6))], opset_version=ct.target.iOS17)
    def prog(x):
        a, b, c = mb.split(x=x, num_splits=3, axis=1, name="parts")
        values, indices = mb.topk(x=x, k=2, axis=-1, name="top")
        return mb.concat(values=(a, c, b, values), axis=1, name="y"), mb.identity(x=indices, name="where")

    return convert(prog, ct.target.iOS17)


@model
def int8_io():
    @mb.program(input_specs=[mb.TensorSpec((1, 4), types.int8)], opset_version=ct.target.iOS26)
    def prog(x):
        y = mb.cast(x=mb.transpose(x=x, perm=[1, 0]), dtype="fp32")
        return mb.cast(x=y, dtype="int8", name="y")

    return convert(prog, ct.target.iOS26)


@model
def layers():
    """The format before MIL."""
    builder = NeuralNetworkBuilder([("x", datatypes.Array(4))], [("y", datatypes.Array(2))])
    builder.add_inner_product("fc", weights(2, 4), np.zeros(2), 4, 2, True, "x", "y")
    return builder.spec


@model
def pipeline():
    spec = proto.Model_pb2.Model()
    spec.specificationVersion = 1
    inner = layers()
    spec.description.CopyFrom(inner.description)
    spec.pipeline.models.add().CopyFrom(inner)
    spec.pipeline.names.append("only")
    return spec


def save(name, made):
    if isinstance(made, proto.Model_pb2.Model):
        (OUT / f"{name}.mlmodel").write_bytes(made.SerializeToString())
        return
    target = OUT / f"{name}.mlpackage"
    shutil.rmtree(target, ignore_errors=True)
    if isinstance(made, str):
        shutil.copytree(made, target)
    else:
        made.save(str(target))
    # Git keeps no empty folders, and the manifest names this one.
    folder = target / "Data" / "com.apple.CoreML" / "weights"
    folder.mkdir(exist_ok=True)
    if not any(folder.iterdir()):
        (folder / ".gitkeep").touch()


def descriptors():
    """Apple's schema as it stands in the wheel: the messages that the Rust table has, or should have."""
    modules = (proto.Model_pb2, proto.FeatureTypes_pb2, proto.MIL_pb2)
    found = {}

    def walk(message):
        if message.fields and not message.GetOptions().map_entry:
            name = message.full_name.removeprefix("CoreML.Specification.")
            found[name] = {str(field.number): field.name for field in message.fields}
        for inner in message.nested_types:
            walk(inner)

    for module in modules:
        for message in module.DESCRIPTOR.message_types_by_name.values():
            walk(message)
    text = json.dumps(found, indent=1, sort_keys=True)
    (OUT / "descriptors.json").write_text(text + "\n")


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    wanted = sys.argv[1:]
    for name, make in MODELS.items():
        if not wanted or name in wanted:
            print(name, flush=True)
            save(name, make())
    descriptors()
    shutil.rmtree(OUT / ".work", ignore_errors=True)


if __name__ == "__main__":
    main()
