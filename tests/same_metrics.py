#!/usr/bin/env python3
"""Do two builds of Pavlov train every shipped task to the same bytes, and how fast is one beside the other?

Trains each task shortly with both programs under the same seed and compares `metrics.jsonl` byte for byte, but for `timing`, the only
part that depends on the clock; then measures `pavlov bench env` of some tasks in turn (A B A B ...) and prints the median ratio.
Usage: python3 tests/same_metrics.py OLD NEW [--steps N] [--worlds N] [--repeats N] [--seconds S] [--tasks T...] [--json]
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
BENCHED = ["gym/ant", "gym/half_cheetah", "gym/humanoid", "go1_velocity", "cartpole_swingup"]


def tasks(program):
    lines = subprocess.run([program, "tasks", "--json"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [json.loads(line)["task"] for line in lines.splitlines() if line]


def metrics(program, task, options, folder):
    command = [program, "train", task, "--seed", "3", "--steps", str(options.steps), "--worlds", str(options.worlds)]
    command += ["--threads", "2", "--set", "eval_episodes=4", "--out", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{program} on {task}: {done.stderr.strip()}")
    lines = []
    for line in (folder / "metrics.jsonl").read_text().splitlines():
        value = json.loads(line)
        del value["timing"]
        lines.append(json.dumps(value))
    return lines


def rate(program, task, options):
    command = [program, "bench", "env", "--task", task, "--worlds", "256", "--threads", "2", "--json"]
    command += ["--seconds", str(options.seconds)]
    out = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return json.loads(out)["env_steps_per_s"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old")
    parser.add_argument("new")
    parser.add_argument("--steps", type=int, default=40000)
    parser.add_argument("--worlds", type=int, default=72, help="not a multiple of 64: blocks and lane groups that are not full")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--tasks", nargs="*")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    programs = [str(pathlib.Path(p).resolve()) for p in (options.old, options.new)]
    differ = []
    for task in options.tasks if options.tasks is not None else tasks(programs[0]):
        with tempfile.TemporaryDirectory() as folder:
            old, new = (metrics(p, task, options, pathlib.Path(folder) / name) for p, name in zip(programs, "ab"))
        where = next((i for i, (a, b) in enumerate(zip(old, new)) if a != b), None)
        where = where if where is not None or len(old) == len(new) else min(len(old), len(new))
        if where is not None:
            differ.append(task)
        same = "same" if where is None else f"differs from update {where + 1}"
        print(json.dumps({"task": task, "updates": len(new), "same": where is None}) if options.json
              else f"{task:32} {len(new):4} updates  {same}", flush=True)
    for task in BENCHED if options.repeats else []:
        pairs = [[rate(p, task, options) for p in programs] for _ in range(options.repeats)]
        ratio = statistics.median(new / old for old, new in pairs)
        new = statistics.median(new for _, new in pairs)
        print(json.dumps({"task": task, "ratio": ratio, "env_steps_per_s": new}) if options.json
              else f"{task:32} {new:12.0f} env steps/s, {ratio:.3f} of before", flush=True)
    sys.exit(1 if differ else 0)


if __name__ == "__main__":
    main()
