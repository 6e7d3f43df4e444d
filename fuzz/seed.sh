#!/usr/bin/env bash
# Copies the golden packages' model and weight files to where the fuzzers look for their first inputs.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p fuzz/corpus/mlpackage_model fuzz/corpus/weight_blob
for package in tests/packages/*.mlpackage; do
    name=$(basename "$package" .mlpackage)
    cp "$package/Data/com.apple.CoreML/model.mlmodel" "fuzz/corpus/mlpackage_model/$name"
    weights="$package/Data/com.apple.CoreML/weights/weight.bin"
    [ ! -e "$weights" ] || cp "$weights" "fuzz/corpus/weight_blob/$name"
done
