"""Whether coremltools reads what Anemone writes, and reads the same as before.

    python tools/packages/check.py [NAME ...]     (golden packages; all by default)

1. Every golden package is read and written again by the `rewrite` example. Of the copy, coremltools must parse the
   specification; its bytes must be as many as protobuf itself would write, so that nothing in them is superfluous or
   unknown; the description must equal the original's; the program must be the same, operation by operation, weights read with coremltools' own blob reader
   and compared bit for bit; and the program must be imported by coremltools wherever the original is.
2. The packages that the `make` example builds from nothing must be imported too.
"""

import pathlib
import shutil
import subprocess
import sys
import tempfile
import warnings

warnings.filterwarnings("ignore")

import coremltools as ct
import numpy as np
from coremltools.converters.mil.frontend.milproto import load as milproto
from coremltools.libmilstoragepython import _BlobStorageReader
from coremltools.proto import MIL_pb2

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "packages"
MODEL = pathlib.Path("Data/com.apple.CoreML/model.mlmodel")

READERS = {
    MIL_pb2.FLOAT16: "read_fp16_data",
    MIL_pb2.FLOAT32: "read_float_data",
    MIL_pb2.INT8: "read_int8_data",
    MIL_pb2.UINT8: "read_uint8_data",
    MIL_pb2.INT16: "read_int16_data",
    MIL_pb2.UINT16: "read_uint16_data",
    MIL_pb2.INT32: "read_int32_data",
    MIL_pb2.UINT32: "read_uint32_data",
    MIL_pb2.INT4: "read_int4_data",
    MIL_pb2.UINT1: "read_uint1_data",
    MIL_pb2.UINT2: "read_uint2_data",
    MIL_pb2.UINT3: "read_uint3_data",
    MIL_pb2.UINT4: "read_uint4_data",
    MIL_pb2.UINT6: "read_uint6_data",
}


def run(example, *arguments):
    command = ["cargo", "run", "-q", "-p", "anemone-mlpackage", "--example", example, "--", *map(str, arguments)]
    subprocess.run(command, cwd=ROOT, check=True)


class Package:
    def __init__(self, path):
        self.path = path
        self.spec = ct.models.utils.load_spec(str(path))
        self.readers = {}

    def imported(self):
        """The program in coremltools' own representation, which infers every type again."""
        weights = self.path / MODEL.parent / "weights"
        return milproto.load(
            self.spec, specification_version=self.spec.specificationVersion, file_weights_dir=str(weights)
        )

    def blob(self, value):
        location = value.blobFileValue
        name = location.fileName
        assert name.startswith("@model_path/"), name
        if name not in self.readers:
            path = self.path / MODEL.parent / name.removeprefix("@model_path/")
            self.readers[name] = _BlobStorageReader(str(path))
        dtype = value.type.tensorType.dataType
        return np.asarray(getattr(self.readers[name], READERS[dtype])(location.offset))


def text(message):
    return message.SerializeToString(deterministic=True)


def elements(package, value):
    """Type and bits of a value, wherever it stands."""
    if value.WhichOneof("value") == "blobFileValue":
        return text(value.type), package.blob(value).tobytes()
    return text(value.type), immediate(value)


def immediate(value):
    """Bits as the blob reader would give them, so that the two places can be compared."""
    dtype = value.type.tensorType.dataType
    tensor = value.immediateValue.tensor
    kind = tensor.WhichOneof("value")
    if kind == "floats":
        return np.array(tensor.floats.values, np.float32).tobytes()
    if kind == "ints":
        sizes = {MIL_pb2.INT16: np.int16, MIL_pb2.UINT16: np.uint16, MIL_pb2.INT32: np.int32}
        return np.array(tensor.ints.values).astype(sizes[dtype]).tobytes()
    if kind == "bytes" and dtype in (MIL_pb2.FLOAT16, MIL_pb2.INT8, MIL_pb2.UINT8, MIL_pb2.UINT32):
        return tensor.bytes.values
    return text(value.immediateValue)


class Function:
    """A function with constants told by what they are, not by where they stand."""

    def __init__(self, package, function):
        self.package = package
        self.names = {}
        body = function.block_specializations[function.opset]
        self.content = (
            function.opset,
            [text(value) for value in function.inputs],
            self.block(body),
            sorted(function.attributes),
        )

    def block(self, block):
        operations = []
        for operation in block.operations:
            if operation.type == "const":
                name = operation.outputs[0].name
                self.names[name] = ("const", name, *elements(self.package, operation.attributes["val"]))
            else:
                operations.append(self.operation(operation))
        outputs = [self.names.get(name, name) for name in block.outputs]
        return [text(value) for value in block.inputs], operations, outputs

    def operation(self, operation):
        def bound(binding):
            if binding.WhichOneof("binding") == "name":
                return self.names.get(binding.name, binding.name)
            if binding.value.type.WhichOneof("type") == "listType":
                return text(binding.value)
            return elements(self.package, binding.value)

        inputs = {key: [bound(b) for b in value.arguments] for key, value in operation.inputs.items()}
        attributes = {key: elements(self.package, value) for key, value in operation.attributes.items()}
        blocks = [self.block(block) for block in operation.blocks]
        outputs = [text(value) for value in operation.outputs]
        return operation.type, inputs, attributes, blocks, outputs


def same_program(original, copy):
    before, after = original.spec.mlProgram, copy.spec.mlProgram
    assert sorted(before.functions) == sorted(after.functions)
    assert {k: text(v) for k, v in before.attributes.items()} == {k: text(v) for k, v in after.attributes.items()}
    assert before.version == after.version == 1
    for name, function in before.functions.items():
        assert Function(original, function).content == Function(copy, after.functions[name]).content, name


def check_bytes(package):
    stored = (package.path / MODEL).read_bytes()
    assert len(stored) == package.spec.ByteSize(), "protobuf would write it otherwise"


def importable(package):
    try:
        package.imported()
        return True
    except Exception as error:  # noqa: BLE001  (the reason is printed; only a difference is a fault)
        print(f"    coremltools does not import {package.path.name}: {str(error)[:100]}")
        return False


def notices_changes(work):
    """The comparison itself: one bit of one weight, and one name, must not go unseen."""
    original = Package(GOLDEN / "perceptron.mlpackage")
    copy = work / "changed.mlpackage"
    shutil.copytree(original.path, copy)
    same_program(original, Package(copy))
    weights = copy / MODEL.parent / "weights" / "weight.bin"
    content = bytearray(weights.read_bytes())
    content[128] ^= 1
    weights.write_bytes(content)
    renamed = Package(original.path)
    body = renamed.spec.mlProgram.functions["main"].block_specializations["CoreML6"]
    body.operations[-1].outputs[0].name += "_"
    for changed in (Package(copy), renamed):
        try:
            same_program(original, changed)
        except AssertionError:
            continue
        raise SystemExit("a changed program passes for the same")


def main():
    passed = 0
    names = sorted(path for path in GOLDEN.glob("*.mlpackage") if path.stem in sys.argv[1:] or not sys.argv[1:])
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        notices_changes(work)
        run("rewrite", *names, work)
        for path in names:
            original, copy = Package(path), Package(work / path.name)
            check_bytes(copy)
            assert text(original.spec.description) == text(copy.spec.description), path.name
            assert original.spec.specificationVersion == copy.spec.specificationVersion, path.name
            same_program(original, copy)
            imported = importable(original)
            if imported:
                copy.imported()
            print(f"{path.name}: the same" + (", and imported" if imported else ""))
            passed += 1
        made = work / "made"
        made.mkdir()
        run("make", made)
        for path in sorted(made.glob("*.mlpackage")):
            package = Package(path)
            check_bytes(package)
            package.imported()
            ct.models.MLModel(str(path), skip_model_load=True)
            print(f"{path.name}: imported")
            passed += 1
    print(f"{passed} passed, 0 failed")


if __name__ == "__main__":
    sys.exit(main())
