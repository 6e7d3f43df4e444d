"""Whole networks, converted by coremltools, run by Anemone, compared with PyTorch.

    python tools/coremltools/models.py --anemone target/release/anemone          small forms, every variant
    python tools/coremltools/models.py --anemone target/release/anemone --full   at full size
    python tools/coremltools/models.py --self-check                              conversion only, without Anemone
    python tools/coremltools/models.py --self-check --golden tests/models        what replay.py judges by, made anew
"""

import argparse
import copy
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
import warnings
from types import SimpleNamespace

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

# How far the largest error may be from the largest value of an output: (small, full, why). For scale: PyTorch's own float32 is
# off by up to 2e-6 on the small networks and 1.4e-5 at full size (ResNet-50), its half precision by up to 3e-3 and 2.7e-2.
TOLERANCE = {
    "fp32": (2e-5, 5e-5, "float32 sums in another order, through dozens of layers"),
    "fp16": (1e-2, 5e-2, "weights, and every value between two layers, rounded to 11 bits, through dozens of layers"),
}


def names():
    from architectures import language, vision

    return {**vision.ALL, **language.ALL}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--anemone", metavar="PATH", help="the anemone binary to judge")
    what.add_argument("--self-check", action="store_true", help="convert, compress, save and read back only")
    parser.add_argument("--only", action="append", metavar="NAME", help="only this architecture (may be repeated)")
    parser.add_argument("--golden", metavar="DIR", help="keep packages with inputs and PyTorch's outputs here, for replay.py")
    parser.add_argument("--full", action="store_true", help="full width, depth and resolution")
    parser.add_argument("--keep", metavar="DIR", help="keep packages, inputs and outputs here")
    parser.add_argument("-j", "--jobs", type=int, default=2, help="processes (default 2)")
    arguments = parser.parse_args()
    wanted = arguments.only or list(names())
    unknown = sorted(set(wanted) - set(names()))
    if unknown:
        sys.exit(f"no architecture {', '.join(unknown)}; there are {', '.join(names())}")
    folder = arguments.golden or arguments.keep or tempfile.mkdtemp(prefix="anemone-models-")
    os.makedirs(folder, exist_ok=True)
    started, rows = time.monotonic(), []
    try:
        with multiprocessing.Pool(arguments.jobs, maxtasksperchild=1 if arguments.full else None) as pool:
            work = [(n, arguments.full, arguments.anemone, folder, arguments.golden is not None) for n in wanted]
            for result in pool.imap_unordered(judge, work):
                for row in result:
                    rows.append(row)
                    print(line(row), flush=True)
    finally:
        if folder not in (arguments.golden, arguments.keep):
            shutil.rmtree(folder, ignore_errors=True)
    for precision, (small, whole, why) in TOLERANCE.items():
        print(f"{precision}: at most {whole if arguments.full else small:g} of the largest value: {why}")
    failed = sum(row["complaint"] is not None for row in rows)
    print(f"{len(wanted)} architectures in {time.monotonic() - started:.0f} s")
    print(f"{len(rows) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


def line(row):
    head = f"{row['name']:26} {row['variant']:15} iOS {row['opset']}  {row['ops']:4} ops {row['bytes'] / 2**20:8.2f} MiB"
    times = f"convert {row['convert']:5.1f} s" + (f", run {row['run']:6.2f} s" if row["run"] is not None else "")
    if row["complaint"] is not None:
        return f"FAIL {head}  {times}: {row['complaint']}"
    measured = "" if row["error"] is None else f"  error {row['error']:.1e} of {row['bound']:g}"
    return f"     {head}  {times}{measured}{row['note']}"


def judge(item):
    """Every variant of one architecture; a list of rows."""
    name, full, anemone, folder, keep_values = item
    import torch

    torch.set_num_threads(1)
    # What tracing warns of (a Python value frozen into the trace) is true of every one of these, and meant.
    warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)
    # Else attention layers trace to one op that no converter knows.
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        architecture = names()[name](full)
        traced = trace(architecture)
    except Exception as failure:
        return [dict(blank(name, "source", 0), complaint=f"{type(failure).__name__}: {failure}")]
    rows = []
    for variant in architecture.variants:
        row = blank(architecture.name, variant.name, variant.opset)
        try:
            place = os.path.join(folder, f"{name}_{variant.name.replace(' ', '_')}")
            os.makedirs(place, exist_ok=True)
            row["bound"] = TOLERANCE[variant.precision][1 if full else 0]
            compare(architecture, traced, variant, anemone, place, row, full, keep_values)
        except Exception as failure:
            row["complaint"] = f"{type(failure).__name__}: {failure}"
        rows.append(row)
    return rows


def blank(name, variant, opset):
    return dict(name=name, variant=variant, opset=opset, ops=0, bytes=0, convert=0.0, run=None, error=None, bound=0.0, complaint=None,
                note="")  # fmt: skip


def trace(architecture):
    import torch

    architecture.module.requires_grad_(False)
    with torch.no_grad():
        return torch.jit.trace(architecture.module, tuple(architecture.inputs.values()), check_trace=False)


def compare(architecture, traced, variant, anemone, place, row, full, keep_values):
    import numpy as np

    from judge import compress, golden, package

    began = time.monotonic()
    model = convert(architecture, traced, variant)
    # The reference computes with the weights the package holds, not with those it was made from.
    module = copy.deepcopy(architecture.module)
    if variant.compression:
        dense, model = model, compress.compress(model, variant.compression, full)
        row["note"] = f"  {compress.put_back(module, dense._mil_program, model._mil_program)} weights compressed"
    path = os.path.join(place, "model.mlpackage")
    shutil.rmtree(path, ignore_errors=True)
    model.save(path)
    spec = model.get_spec()
    package.reload(spec, path)
    row["convert"] = time.monotonic() - began
    function = spec.mlProgram.functions["main"]
    row["ops"] = sum(len(b.operations) for b in function.block_specializations.values())
    row["bytes"] = sum(os.path.getsize(os.path.join(d, f)) for d, _, files in os.walk(path) for f in files)
    steps, expected, chosen = reference(architecture, module)
    kinds = {n: np.int32 if str(x.dtype) == "torch.int32" else np.float32 for n, x in architecture.inputs.items()}
    steps = [{n: np.asarray(v, dtype=kinds[n]) for n, v in step.items()} for step in steps]
    case = SimpleNamespace(name=architecture.name, variant=variant.name, opset=variant.opset, bound=row["bound"], chosen=chosen,
                           outputs=list(architecture.outputs), unordered=architecture.unordered)  # fmt: skip
    if keep_values:
        golden.save(place, case, steps, expected)
    if anemone is not None:
        run(anemone, path, case, steps, expected, place, row)


def convert(architecture, traced, variant):
    import contextlib

    import numpy as np
    import torch

    from judge.package import QUIET, TARGETS, ct

    kinds = {torch.int32: np.int32, torch.float32: np.float32}
    more = {}
    if architecture.states:
        more["states"] = [ct.StateType(wrapped_type=ct.TensorType(shape=s), name=n) for n, s in architecture.states.items()]
    with contextlib.redirect_stderr(QUIET):
        return ct.convert(
            traced,
            inputs=[ct.TensorType(name=n, shape=x.shape, dtype=kinds[x.dtype]) for n, x in architecture.inputs.items()],
            outputs=[ct.TensorType(name=n) for n in architecture.outputs],
            convert_to="mlprogram",
            minimum_deployment_target=TARGETS[variant.opset],
            compute_precision=ct.precision.FLOAT16 if variant.precision == "fp16" else ct.precision.FLOAT32,
            skip_model_load=True,
            **more,
        )


def reference(architecture, module):
    """(inputs of every call, outputs of every call, tokens chosen by a generating model) by PyTorch in float64."""
    import torch

    from architectures.language import generate

    module = module.double()
    if architecture.states:
        fed, logits, chosen = generate(module, architecture.extra)
        steps = [{"token": [[token]], "position": [place]} for token, place in fed]
        return steps, [[step] for step in logits], chosen
    values = [x.double() if x.is_floating_point() else x for x in architecture.inputs.values()]
    with torch.no_grad():
        outputs = module(*values)
    outputs = outputs if isinstance(outputs, (tuple, list)) else [outputs]
    return [{n: x.numpy() for n, x in architecture.inputs.items()}], [[o.numpy() for o in outputs]], None


def run(anemone, path, case, steps, expected, place, row):
    from judge import golden

    began = time.monotonic()
    row["complaint"], row["error"], tokens = golden.judge(anemone, path, case, steps, expected, place)
    row["run"] = time.monotonic() - began
    if tokens:
        row["note"] += f"  {tokens} tokens as the source model"


if __name__ == "__main__":
    main()
