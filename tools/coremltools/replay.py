"""Whole networks that coremltools converted, against what PyTorch gave: `models.py` without PyTorch.

    python tools/coremltools/replay.py --anemone target/release/anemone

`tests/models` holds the small forms of every architecture, with inputs and outputs; `models.py --self-check --golden tests/models` made them.
"""

import argparse
import os
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from judge import golden  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--anemone", metavar="PATH", required=True, help="the anemone binary to judge")
    parser.add_argument("--models", metavar="DIR", default=os.path.join(ROOT, "tests", "models"), help="default tests/models")
    arguments = parser.parse_args()
    failed, names = 0, sorted(os.listdir(arguments.models))
    for name in names:
        place = os.path.join(arguments.models, name)
        case, steps, expected = golden.load(place)
        with tempfile.TemporaryDirectory(prefix="anemone-replay-") as folder:
            package = os.path.join(place, "model.mlpackage")
            complaint, error, tokens = golden.judge(arguments.anemone, package, case, steps, expected, folder)
        failed += complaint is not None
        measured = f"error {error:.1e} of {case.bound:g}" if complaint is None else complaint
        note = f"  {tokens} tokens as the source model" if tokens else ""
        print(f"{'    ' if complaint is None else 'FAIL'} {case.name:26} {case.variant:15} iOS {case.opset}  {measured}{note}", flush=True)
    print(f"{len(names) - failed} passed, {failed} failed")
    sys.exit(1 if failed or not names else 0)


if __name__ == "__main__":
    main()
