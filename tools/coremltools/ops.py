"""Single-op programs made by coremltools, run by Anemone, compared with NumPy.

    python tools/coremltools/ops.py --anemone target/release/anemone     every case; exit code 1 on any failure
    python tools/coremltools/ops.py --self-check                          the cases against coremltools, without Anemone
    python tools/coremltools/ops.py --list                                what is covered; exit code 1 on a gap
"""

import argparse
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections import defaultdict

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from judge import coverage, engine  # noqa: E402
from judge.collect import FAMILIES, collect  # noqa: E402

OK = "ok"


def main():
    arguments = parse()
    families = arguments.family or FAMILIES
    cases = [c for c in collect(families) if not arguments.filter or any(f in c.name for f in arguments.filter)]
    if arguments.list:
        sys.exit(coverage.report(cases, whole=families == FAMILIES and not arguments.filter))
    if not cases:
        sys.exit("no case has such a name; --list shows them")
    started = time.monotonic()
    folder = arguments.keep or tempfile.mkdtemp(prefix="anemone-ops-")
    os.makedirs(folder, exist_ok=True)
    # Workers take cases by index: the functions in a case cannot be pickled, but every worker can make the same list.
    work = [(c.name, c.family) for c in cases]
    try:
        with multiprocessing.Pool(arguments.jobs, prepare, (families, arguments.anemone, folder, bool(arguments.keep))) as pool:
            results = []
            for result in pool.imap_unordered(judge, work, chunksize=4):
                results.append(result)
                if result[1] != OK:
                    print(f"FAIL {result[0]}: {result[1]}", flush=True)
    finally:
        if not arguments.keep:
            shutil.rmtree(folder, ignore_errors=True)
    sys.exit(table(results, time.monotonic() - started, arguments.anemone is not None))


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--anemone", metavar="PATH", help="the anemone binary to judge")
    what.add_argument("--self-check", action="store_true", help="compare with coremltools' own value inference instead")
    what.add_argument("--list", action="store_true", help="count the programs by op, opset and dtype")
    parser.add_argument("--family", action="append", choices=FAMILIES, help="only this op family (may be repeated)")
    parser.add_argument("--filter", action="append", metavar="TEXT", help="only cases whose name contains TEXT (may be repeated)")
    parser.add_argument("--keep", metavar="DIR", help="keep packages, inputs, expected and actual outputs here")
    parser.add_argument("-j", "--jobs", type=int, default=2, help="processes (default 2)")
    return parser.parse_args()


def prepare(families, anemone, folder, keep):
    global STATE
    STATE = {c.name: c for c in collect(families)}, anemone, folder, keep


def judge(item):
    """(name, "ok" or complaint, ops, error in tolerances, absolute error)"""
    from judge import verdict

    cases, anemone, folder, keep = STATE
    name, _ = item
    place = os.path.join(folder, name.replace("/", "_"))
    os.makedirs(place, exist_ok=True)
    try:
        if anemone is None:
            ratio, difference, note = verdict.against_coremltools(cases[name], place)
        else:
            ratio, difference, note = verdict.against_anemone(cases[name], place, anemone)
    except engine.Failure as failure:
        ratio, difference, note = float("inf"), float("inf"), str(failure)
    except Exception as failure:  # a case that cannot be built is a failure of the judge, and must be seen
        ratio, difference, note = float("inf"), float("inf"), f"{type(failure).__name__}: {failure}"
    if not keep:
        shutil.rmtree(place, ignore_errors=True)
    return name, note or OK, name.split("/")[0], ratio, difference, cases[name].tolerance.name


def table(results, seconds, judged):
    rows = defaultdict(list)
    for result in results:
        rows[result[2]].append(result)
    print(f"{'op':40} {'passed':>6} {'failed':>6} {'error/tolerance':>15} {'abs error':>10}  tolerance")
    failed = 0
    for op in sorted(rows):
        bad = sum(r[1] != OK for r in rows[op])
        failed += bad
        good = [r for r in rows[op] if r[1] == OK]
        worst = max((r[3] for r in good), default=0.0)
        difference = max((r[4] for r in good), default=0.0)
        names = ", ".join(sorted({r[5] for r in rows[op]}))
        print(f"{op:40} {len(good):6} {bad:6} {worst:15.3f} {difference:10.2e}  {names}")
    what = "Anemone agrees with the references" if judged else "coremltools agrees where it has a value"
    print(f"{len(rows)} ops in {seconds:.0f} s; {what} in")
    print(f"{len(results) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    main()
