"""The learning bars: trains each task with three seeds from the command line and reports the medians.

Wall clock has everything in it: start of the program, training, evaluation, report. Needs only Python's standard library and
`target/release/pavlov` (cargo build --release).

    python3 tests/learning/bars.py [--only NAME] [--seeds 1 2 3] [--json]
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "target" / "release" / "pavlov"

# name: (task, extra arguments, seconds allowed, what is compared, bound, larger is better)
BARS = {
    "cartpole_balance": ("cartpole_balance", [], 8, "success", 0.95, True),
    "half_cheetah_4000": ("gym/half_cheetah", [], 30, "return", 4000, True),
    "half_cheetah_6000": ("gym/half_cheetah", [], 180, "return", 6000, True),
    "ant_3000": ("gym/ant", [], 240, "return", 3000, True),
    "go1_velocity": ("go1_velocity", [], 480, "velocity_error", 0.25, False),
}


def run(task: str, arguments: list[str], seed: int, out: pathlib.Path) -> tuple[float, dict]:
    start = time.monotonic()
    subprocess.run(
        [PROGRAM, "train", task, "--seed", str(seed), "--out", out, "--json", *arguments],
        check=True, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    seconds = time.monotonic() - start
    # Judged afterwards on other seeds than the run's own evaluation used.
    answer = subprocess.run(
        [PROGRAM, "eval", out, "--episodes", "20", "--seed", str(9000 + seed), "--json"],
        check=True, cwd=ROOT, capture_output=True, text=True,
    )
    return seconds, json.loads(answer.stdout.strip().splitlines()[-1])


def value(evaluation: dict, what: str) -> float:
    found = evaluation.get(what, evaluation.get("metrics", {}).get(what))
    return found["mean"] if isinstance(found, dict) else found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=BARS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    missed = 0
    done: dict[tuple, list] = {}
    for name, (task, arguments, allowed, what, bound, larger) in BARS.items():
        if args.only and name != args.only:
            continue
        key = (task, tuple(arguments))
        if key not in done:
            with tempfile.TemporaryDirectory() as folder:
                done[key] = [run(task, arguments, seed, pathlib.Path(folder) / str(seed)) for seed in args.seeds]
        seconds = [s for s, _ in done[key]]
        values = [value(e, what) for _, e in done[key]]
        median_s, median = statistics.median(seconds), statistics.median(values)
        good = median_s <= allowed and (median >= bound if larger else median <= bound)
        missed += not good
        row = {"bar": name, "task": task, "seconds": median_s, "allowed_s": allowed, what: median, "bound": bound, "all": values, "met": good}
        if args.json:
            print(json.dumps(row), flush=True)
        else:
            sign = ">=" if larger else "<="
            print(f"{name:20} {median_s:7.1f} s of {allowed:4} s   {what} {median:9.3f} ({sign} {bound})   seeds {[round(v, 3) for v in values]}   {'met' if good else 'MISSED'}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
