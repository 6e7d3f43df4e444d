"""Calls the `anemone` command."""

import os
import subprocess

import numpy as np


class Failure(Exception):
    """Anemone refused, crashed or left an output out."""


def run(anemone, model, steps, folder, function=None, timeout=120):
    """Runs `model` on each of `steps` (dicts of arrays) in one process, so that states carry over.

    Returns one dict of arrays per step.
    """
    # One thread: the judge runs several of these at a time.
    command = [anemone, "run", model, "--threads", "1"]
    if function is not None:
        command += ["--function", function]
    outputs = []
    for i, step in enumerate(steps):
        given, wanted = os.path.join(folder, f"in{i}.npz"), os.path.join(folder, f"out{i}.npz")
        np.savez(given, **step)
        command += ["--input", given]
        outputs.append(wanted)
    for path in outputs:
        command += ["--output", path]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        raise Failure(f"no answer within {timeout} s") from None
    if done.returncode != 0:
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise Failure(f"exit {done.returncode}: " + (" | ".join(lines[:3]) if lines else "no message"))
    results = []
    for path in outputs:
        if not os.path.exists(path):
            raise Failure("exit 0, but no output file")
        with np.load(path) as archive:
            results.append({k: archive[k] for k in archive.files})
    return results
