#!/usr/bin/env bash
# Puts the golden packages' model and weight files, files that stand beside programs, and a few arrays, where the fuzzers look for
# their first inputs.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p fuzz/corpus/mlpackage_model fuzz/corpus/mlpackage_folder fuzz/corpus/weight_blob fuzz/corpus/npy
for package in tests/packages/*.mlpackage; do
    name=$(basename "$package" .mlpackage)
    cp "$package/Data/com.apple.CoreML/model.mlmodel" "fuzz/corpus/mlpackage_model/$name"
    weights="$package/Data/com.apple.CoreML/weights/weight.bin"
    [ ! -e "$weights" ] || cp "$weights" "fuzz/corpus/weight_blob/$name"
done

# Two bytes at the end choose the element type and the rank that are wanted: see fuzz_targets/npy.rs.
python3 - <<'PYTHON'
import io
import zipfile

for number, (descr, shape, fortran, size) in enumerate([
    ("<f4", "(2, 3)", False, 24), ("<f2", "(3,)", False, 6), (">i8", "(2, 2)", True, 32), ("|b1", "()", False, 1),
    ("|u1", "(0, 4)", False, 0), ("<f8", "(1, 2, 1)", True, 16),
]):
    header = f"{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    array = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + bytes(range(1, size + 1))
    rank = shape.count(",") + (not shape.endswith(",)") and shape != "()")
    with open(f"fuzz/corpus/npy/{number}.npy", "wb") as file:
        file.write(array + bytes([number, rank]))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED if number % 2 else zipfile.ZIP_STORED) as archive:
        archive.writestr("x.npy", array)
        archive.writestr("y.npy", array)
    with open(f"fuzz/corpus/npy/{number}.npz", "wb") as file:
        file.write(packed.getvalue() + bytes([number, rank]))
PYTHON

# A byte that chooses what is opened, then a program, the byte 0xff, and what stands beside: see fuzz_targets/mlpackage_folder.rs.
python3 - <<'PYTHON'
import json
import pathlib

corpus = pathlib.Path("fuzz/corpus/mlpackage_folder")
relu = (
    b"program(1.3)\n{\n    func main<ios15>(tensor<fp32, [2]> x) {\n"
    b'            tensor<fp32, [2]> y = relu(x = x)[name = string("y")];\n        } -> (y);\n}\n'
)


def message(*fields):
    """A protobuf message of (number, integer or bytes) fields."""
    def varint(value):
        more = value >> 7
        return bytes([value & 127 | (128 if more else 0)]) + (varint(more) if more else b"")

    return b"".join(
        varint(number << 3) + varint(value) if isinstance(value, int)
        else varint(number << 3 | 2) + varint(len(value)) + value
        for number, value in fields
    )


for package in pathlib.Path("tests/packages").glob("*.mlpackage"):
    (corpus / f"{package.stem}.manifest").write_bytes(b"\0\xff" + (package / "Manifest.json").read_bytes())

array = message((5, message((1, b"\2"), (2, 65568))))
feature = [message((1, name), (2, b"a feature"), (3, array)) for name in (b"x", b"y")]
described = message((1, feature[0]), (10, feature[1]), (100, message((1, b"a relu"), (100, message((1, b"run"), (2, b"17"))))))
(corpus / "described").write_bytes(b"\2" + relu + b"\xff" + message((1, 6), (2, described)))
number = lambda value: value.to_bytes(8, "little")
compiled = number(502) + bytes(20) + number(7) + b"generic" + number(6) + bytes(24) + number(len(described)) + described
(corpus / "in_pipeline").write_bytes(b"\3" + relu + b"\xff" + compiled + number(502) + bytes(8))
for text in pathlib.Path("crates/mil/tests/text/in").glob("*.mil"):
    (corpus / text.stem).write_bytes(b"\2" + text.read_bytes() + b"\xff")

features = [
    {"type": "MultiArray", "dataType": "Float32", "shape": "[2]", "isOptional": "1", "shapeRange": "[[1, -1]]"},
    {"type": "MultiArray", "dataType": "Float32", "shape": "[2]", "enumeratedShapes": "[[1], [2]]"},
    {"type": "Image", "colorspace": "BGR", "width": "6", "height": "4", "sizeRange": "[[1, 9], [2, -1]]"},
    {"type": "Dictionary", "keyType": "String"},
    {"type": "Sequence", "valueType": "Int64", "sizeRange": "[0, 5]"},
    {"type": "State", "dataType": "Float16", "shape": "[2]"},
    {"type": "String"},
]
for number, feature in enumerate(features):
    array = {"type": "MultiArray", "dataType": "Float32", "shape": "[2]"}
    schemas = {"inputSchema": [{"name": "x"} | feature], "outputSchema": [{"name": "y"} | array]}
    metadata = {"specificationVersion": 6, "author": "Ada", "userDefinedMetadata": {"run": "17"}} | schemas
    if number % 2:
        metadata |= {"defaultFunctionName": "main", "functions": [{"name": "main"} | schemas]}
    (corpus / f"{number}.compiled").write_bytes(b"\1" + relu + b"\xff" + json.dumps([metadata]).encode())
PYTHON
