"""Whether coremltools accepts what `anemone export` writes.

    cargo build -p anemone-cli
    python tools/packages/check_exports.py [--anemone target/debug/anemone] [--keep FOLDER]

Tiny runs are trained and exported in every way that the command has. Of each package coremltools must parse the specification,
whose bytes must be as many as protobuf itself would write; import the program into its own representation, which infers every
type again, to the same operations; read every weight with its own blob reader to the elements that the import holds; name the
inputs, outputs and states that the description names; and open it as a model. coremltools then writes every package anew, and
`anemone run` must give the same results from both; packages of one function must also go through its weight compression, to the
end of its converter. (That end refuses states that are not `fp16`. Only the training step has such states, and it exists in a form without
states as well; the list below says which packages are for Core ML as it is.)
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import warnings

warnings.filterwarnings("ignore")
os.environ["TQDM_DISABLE"] = "1"

import coremltools as ct
import coremltools.optimize.coreml as cto
import numpy as np
from coremltools.proto import FeatureTypes_pb2
from check import READERS, ROOT, Package, check_bytes

TINY = {
    "stories": "--examples 40 --vocab 300 --dim 32 --layers 2 --heads 4 --kv-heads 2 --seq 16 --batch 2 --eval-batches 1",
    "cifar": "--examples 40 --width 4 --batch 4 --eval-batches 1",
    "mlp": "--examples 40 --width 8 --batch 4 --eval-batches 1",
}

# Name of the package, run, flags, and whether its states, if it has any, are all of the kind that Core ML takes.
EXPORTS = [
    ("cifar_fp32", "cifar", "--dtype fp32", True),
    ("cifar_fp16", "cifar", "--author Ada --license MIT", True),
    ("cifar_fp16_io", "cifar", "--io fp16", True),
    ("cifar_image", "cifar", "--image", True),
    ("cifar_labels", "cifar", "--image --classes", True),
    ("cifar_labels_array", "cifar", "--classes --io fp16", True),
    ("mlp_fp32", "mlp", "--dtype fp32 --image", True),
    ("mlp_fp16", "mlp", "", True),
    ("stories_fp32", "stories", "--dtype fp32", True),
    ("stories_fp16", "stories", "", True),
    ("stories_fp16_io", "stories", "--io fp16", True),
    ("stories_short", "stories", "--lengths 8", True),
    ("stories_lengths_fp32", "stories", "--lengths 4,8,16 --dtype fp32", True),
    ("stories_lengths_fp16", "stories", "--lengths 4,8,16 --io fp16", True),
    ("stories_decoder_fp32", "stories", "--stateful --dtype fp32", True),
    ("stories_decoder_fp16", "stories", "--stateful", True),
    ("stories_decoder_fp16_io", "stories", "--stateful --io fp16", True),
    ("stories_half_step", "stories_half", "--trainable", False),
    ("stories_half_step_arrays", "stories_half", "--trainable --arrays", True),
    ("stories_step", "stories", "--trainable", False),
    ("stories_step_arrays", "stories", "--trainable --arrays", True),
    ("cifar_step", "cifar", "--trainable", False),
    ("cifar_step_arrays", "cifar", "--trainable --arrays", True),
    ("mlp_step", "mlp", "--trainable", False),
    ("mlp_step_arrays", "mlp", "--trainable --arrays", True),
]


def operations(block):
    """Types of the operations that a specification holds, a write and the read after it as one."""
    found = []
    for operation in block.operations:
        if operation.type == "read_state" and found and found[-1] == ("write_state", state_of(operation)):
            found[-1] = ("coreml_update_state", None)
        elif operation.type == "write_state":
            found.append(("write_state", state_of(operation)))
        elif operation.type != "const":
            found.append((operation.type, None))
    return ["coreml_update_state" if kind == "write_state" else kind for kind, _ in found]


def state_of(operation):
    return operation.inputs["input"].arguments[0].name


def same_operations(package, program):
    for name, function in package.spec.mlProgram.functions.items():
        block = function.block_specializations[function.opset]
        imported = program.functions[name]
        kinds = [operation.op_type for operation in imported.operations if operation.op_type != "const"]
        # The import merges only where the two stand together; a constant may stand between them in a file.
        assert kinds == operations(block), f"{name}: {kinds} {operations(block)}"
        assert [output.name for output in imported.outputs] == list(block.outputs), name
        assert list(imported.inputs) == [value.name for value in function.inputs], name


def same_weights(package, program):
    """Every weight, read by the blob reader, against what the import holds. Returns their number and bytes."""
    count, total = 0, 0
    for name, function in package.spec.mlProgram.functions.items():
        imported = {
            operation.outputs[0].name: operation.outputs[0].val
            for operation in program.functions[name].operations
            if operation.op_type == "const"
        }
        for operation in function.block_specializations[function.opset].operations:
            value = operation.attributes["val"] if operation.type == "const" else None
            if value is None or value.WhichOneof("value") != "blobFileValue":
                continue
            assert value.type.tensorType.dataType in READERS
            stored = package.blob(value)
            held = np.asarray(imported[operation.outputs[0].name])
            assert stored.tobytes() == held.tobytes(), f"{name}: {operation.outputs[0].name}"
            count, total = count + 1, total + stored.nbytes
    return count, total


def same_features(package):
    description, program = package.spec.description, package.spec.mlProgram
    described = list(description.functions) or [description]
    assert len(described) == len(program.functions)
    for one in described:
        function = program.functions[getattr(one, "name", "") or "main"]
        block = function.block_specializations[function.opset]
        inputs = {value.name: value.type.WhichOneof("type") for value in function.inputs}
        states = {name for name, kind in inputs.items() if kind == "stateType"}
        assert {feature.name for feature in one.state} == states
        assert {feature.name for feature in one.input} == inputs.keys() - states
        assert [feature.name for feature in one.output] == list(block.outputs)
        for feature in [*one.input, *one.state]:
            array = feature.type.multiArrayType if feature.type.HasField("multiArrayType") else feature.type.stateType.arrayType
            assert feature.type.HasField("imageType") or len(array.shape) >= 1, f"{feature.name} has no dimensions"


def only_half_states(package):
    description = package.spec.description
    states = [state for one in [description, *description.functions] for state in one.state]
    kinds = {state.type.stateType.arrayType.dataType for state in states}
    return kinds <= {FeatureTypes_pb2.ArrayFeatureType.FLOAT16}


def written_anew(path, folder):
    """The package after coremltools has imported it and written every function again."""
    target = folder / f"{path.stem}_anew.mlpackage"
    functions = sorted(Package(path).spec.mlProgram.functions)
    description = ct.utils.MultiFunctionDescriptor()
    for name in functions:
        description.add_function(str(path), src_function_name=name, target_function_name=name)
    description.default_function_name = functions[0]
    ct.utils.save_multifunction(description, str(target))
    return target


def compressed(path, folder):
    """The package with weights of 8 bits."""
    target = folder / f"{path.stem}_int8.mlpackage"
    model = ct.models.MLModel(str(path), skip_model_load=True)
    config = cto.OptimizationConfig(global_config=cto.OpLinearQuantizerConfig(weight_threshold=0))
    cto.linear_quantize_weights(model, config=config).save(str(target))
    return target


def inputs_for(feature, random):
    """Something that an input takes."""
    if feature.type.HasField("imageType"):
        image = feature.type.imageType
        channels = 1 if image.colorSpace == image.GRAYSCALE else 3
        return random.integers(0, 256, (1, channels, image.height, image.width)).astype(np.float32)
    array = feature.type.multiArrayType
    shape = list(array.shape)
    if array.dataType == array.INT32:
        return random.integers(0, 10, shape).astype(np.int32)
    kind = np.float16 if array.dataType == array.FLOAT16 else np.float32
    # Second moments among them, which are not negative.
    return random.random(shape).astype(kind)


def same_results(anemone, package, other, folder, tolerance):
    """Whether both give the same in every function, twice in a row with states carried over. Returns the largest difference."""
    largest = 0.0
    description = package.spec.description
    for described in list(description.functions) or [description]:
        name = getattr(described, "name", "") or "main"
        random = np.random.default_rng(0)
        files = []
        for call in range(2):
            files.append(folder / f"in{call}.npz")
            np.savez(files[-1], **{feature.name: inputs_for(feature, random) for feature in described.input})
        results = []
        for path in (package.path, other.path):
            fed = [word for file in files for word in ("--input", str(file))]
            anemone("run", str(path), "--function", name, *fed, "--output", "out.npz")
            results.append(dict(np.load(folder / "out.npz")))
        before, after = results
        assert before.keys() == after.keys(), f"{before.keys()} {after.keys()}"
        for key, expected in before.items():
            found = after[key]
            if expected.dtype.kind != "f":
                assert (expected == found).all(), key
                continue
            assert np.isfinite(expected).all(), key
            scale = max(1.0, np.abs(expected).max())
            largest = max(largest, np.abs(expected.astype(np.float64) - found).max() / scale)
    assert largest <= tolerance, f"results differ by {largest:.2g}"
    return largest


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--anemone", default=str(ROOT / "target" / "debug" / "anemone"))
    parser.add_argument("--keep", help="a folder to leave the packages in")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    # Runs are made in a folder of their own.
    arguments.anemone = os.path.abspath(arguments.anemone)
    failed = 0
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(arguments.keep or work).resolve()
        work.mkdir(exist_ok=True)

        def anemone(*words):
            result = subprocess.run([arguments.anemone, *words], cwd=work, capture_output=True, text=True)
            assert result.returncode == 0, f"anemone {' '.join(words)}: {result.stderr}"
            return result.stdout

        for run in {*TINY, "stories_half"}:
            if not (work / "runs" / run).exists():
                task = run.split("_")[0]
                half = ["--dtype", "fp16"] if run.endswith("_half") else []
                anemone("train", task, *TINY[task].split(), *half, "--steps", "3", "--out", f"runs/{run}", "--quiet")
        for name, run, flags, core_ml in EXPORTS:
            if arguments.names and name not in arguments.names:
                continue
            target = f"{name}.mlpackage"
            told = json.loads(anemone("export", f"runs/{run}", "-o", target, *flags.split(), "--force", "--json"))
            try:
                package = Package(work / target)
                check_bytes(package)
                assert package.spec.specificationVersion == told["specification_version"]
                assert dict(package.spec.description.metadata.userDefined) == told["metadata"]
                same_features(package)
                program = package.imported()
                same_operations(package, program)
                count, total = same_weights(package, program)
                ct.models.MLModel(str(package.path), skip_model_load=True)
                again = Package(written_anew(work / target, work))
                again.imported()
                # What coremltools fuses rounds elsewhere; fp16 keeps three digits.
                tolerance = 1e-5 if told["precision"] == "fp32" else 1e-2
                largest = same_results(anemone, package, again, work, tolerance)
                if len(package.spec.mlProgram.functions) == 1:
                    Package(compressed(work / target, work)).imported()
                assert only_half_states(package) == core_ml
                print(
                    f"{target}: specification {package.spec.specificationVersion}, {count} weights of {total} bytes, "
                    f"written anew to results within {largest:.1g}" + ("" if core_ml else "; states not all fp16")
                )
            except Exception as error:  # noqa: BLE001  (every package is tried)
                failed += 1
                print(f"{target}: FAILED: {type(error).__name__}: {str(error)[:600]}")
    print(f"{failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
