"""Calls the `anemone` command."""

import os
import struct
import subprocess
import zlib

import numpy as np

from .case import Picture


class Failure(Exception):
    """Anemone refused, crashed or left an output out."""


def fed(step, path, folder):
    """The arrays as one `.npz`, or where an input is an image, as `NAME=FILE` for each."""
    if not any(isinstance(value, Picture) for value in step.values()):
        np.savez(path, **step)
        return path
    files = []
    for name, value in step.items():
        file = os.path.join(folder, f"{name}.png" if isinstance(value, Picture) else f"{name}.npy")
        if isinstance(value, Picture):
            with open(file, "wb") as out:
                out.write(png(value.pixels))
        else:
            np.save(file, value)
        files.append(f"{name}={file}")
    return ",".join(files)


def png(pixels):
    """A PNG file of 8-bit grey or RGB pixels, without filters."""
    height, width = pixels.shape[:2]

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2 if pixels.ndim == 3 else 0, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


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
        command += ["--input", fed(step, given, folder)]
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
