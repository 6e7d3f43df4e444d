#!/usr/bin/env python3
"""One training step here and in PyTorch, side by side on the CPU: runs both in turn and prints times and ratios.

    python -m venv venv && venv/bin/pip install torch numpy
    cargo bench -p anemone --bench train_step --no-run
    venv/bin/python benches/compare_training.py --preset 15m --batch 4 --seq 256

Both train the same Llama (fp32, AdamW) on all cores. Rounds alternate, so that a machine whose speed drifts
treats both alike; the best round of each is compared, and all are printed.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def here(args):
    """Milliseconds of Anemone's step."""
    command = ["cargo", "bench", "-q", "-p", "anemone", "--bench", "train_step", "--"]
    command += [f"stories{args.preset.removeprefix('stories')}", str(args.batch), str(args.seq), str(args.steps)]
    return last_json(command)


def torch(args):
    """Milliseconds of PyTorch's step."""
    command = [sys.executable, str(ROOT / "benches/torch_train.py"), "--preset", args.preset]
    command += ["--batch", str(args.batch), "--seq", str(args.seq), "--steps", str(args.steps)]
    command += ["--threads", str(args.threads), "--compile", args.compile]
    return last_json(command)


def last_json(command):
    output = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    lines = [line for line in output.splitlines() if line.startswith("{")]
    return json.loads(lines[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="15m", choices=["stories260k", "15m", "42m", "110m"])
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--seq", type=int, default=256)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--compile", default="no", choices=["no", "yes", "auto"], help="torch.compile")
    args = parser.parse_args()
    ours, theirs = [], []
    for _ in range(args.rounds):
        ours.append(here(args)["best_ms"])
        theirs.append(torch(args)["best_ms"])
        print(f"anemone {ours[-1]:9.1f} ms    torch {theirs[-1]:9.1f} ms", flush=True)
    ratio = min(theirs) / min(ours)
    print(f"best: anemone {min(ours):.1f} ms, torch {min(theirs):.1f} ms: {ratio:.2f} times PyTorch's speed")


if __name__ == "__main__":
    main()
