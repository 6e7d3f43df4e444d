#!/usr/bin/env bash
# Puts the golden packages' model and weight files, and a few arrays, where the fuzzers look for their first inputs.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p fuzz/corpus/mlpackage_model fuzz/corpus/weight_blob fuzz/corpus/npy
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
