"""What few labels do to a reward: is a policy trained on what was learned as fit as one trained on the reward before?

For each task two runs on its own reward give segments; a scripted teacher, who judges by that reward, answers 20, 60 or 200
questions; `pavlov prefs train` learns from them. Where it changes the reward, a policy is trained on the new one for as many
steps and with the same seed as one on the reward before, and both are judged on the same other episodes. Where it changes
nothing (exit code 1: undetermined), the reward before is what there is, and the share is 1. A cell is one task, teacher
and number of labels; it is met when the median of its seeds' shares is at least 0.9.

Results are lines in RESULTS; what is there already is not done again, so that the command can be stopped and gone on with.
Needs only Python's standard library and `target/release/pavlov` (cargo build --release).

    python3 tests/learning/few_labels.py --work DIR [--tasks NAME ...] [--seeds 1 2 3 4 5] [--labels 20 60 200]
        [--teachers oracle stochastic] [--strategies uniform information] [--program FILE] [--results FILE] [--list]
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Environment steps of every policy: enough to tell a reward that works from one that does not.
STEPS = {"cartpole_swingup": "2M", "hopper_hop": "1M", "half_cheetah_run": "1M", "ant_run": "2M"}
BAR = 0.9


class Bench:
    def __init__(self, program: pathlib.Path, work: pathlib.Path, results: pathlib.Path):
        self.program, self.work, self.results = program, work, results
        work.mkdir(parents=True, exist_ok=True)
        lines = results.read_text().splitlines() if results.is_file() else []
        self.rows = [json.loads(line) for line in lines]

    def known(self, **key) -> dict | None:
        return next((row for row in self.rows if all(row.get(k) == v for k, v in key.items())), None)

    def keep(self, row: dict) -> dict:
        self.rows.append(row)
        with self.results.open("a") as file:
            file.write(json.dumps(row) + "\n")
        return row

    def pavlov(self, *arguments, codes=(0,)) -> tuple[int, dict]:
        done = subprocess.run([self.program, *map(str, arguments), "--json"], cwd=ROOT, capture_output=True, text=True)
        if done.returncode not in codes:
            sys.exit(f"pavlov {' '.join(map(str, arguments))}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
        lines = done.stdout.strip().splitlines()
        return done.returncode, json.loads(lines[-1]) if lines else {}

    def fitness(self, task: str, seed: int, out: pathlib.Path, reward: list) -> float:
        """Trains a policy (unless it is there) and judges it on episodes that its own evaluation did not use."""
        if not (out / "summary.json").is_file():
            shutil.rmtree(out, ignore_errors=True)
            options = ["--seed", seed, "--steps", STEPS[task], "--profile", "fast", "--out", out]
            self.pavlov("train", task, *options, *reward)
        _, answer = self.pavlov("eval", out, "--episodes", 20, "--seed", 9000 + seed)
        fitness = answer["fitness"]
        return fitness["mean"] if isinstance(fitness, dict) else fitness

    def before(self, task: str, seed: int) -> float:
        row = self.known(kind="before", task=task, seed=seed)
        if row is None:
            fitness = self.fitness(task, seed, self.work / "before" / f"{task}-{seed}", [])
            row = self.keep({"kind": "before", "task": task, "seed": seed, "steps": STEPS[task], "fitness": fitness})
        return row["fitness"]

    def cell(self, task: str, teacher: str, labels: int, strategy: str, seed: int) -> dict:
        key = {"kind": "after", "task": task, "teacher": teacher, "labels": labels, "strategy": strategy, "seed": seed}
        row = self.known(**key)
        if row is not None:
            return row
        for run in (1, 2):
            self.before(task, run)
        name = f"{task}-{teacher}-{labels}-{strategy}-{seed}"
        # A label store lies beside its runs: these have one of their own, and share the files of the two runs.
        runs = self.work / "runs" / name
        shutil.rmtree(runs, ignore_errors=True)
        for run in (1, 2):
            shutil.copytree(self.work / "before" / f"{task}-{run}", runs / f"{task}-{run}", copy_function=os.link)
        self.pavlov("prefs", "label", task, "--runs", runs, "--rater", teacher, "--count", labels, "--any-reset", "--strategy", strategy, "--seed", seed)
        learned = self.work / "rewards" / name
        shutil.rmtree(learned, ignore_errors=True)
        code, answer = self.pavlov("prefs", "train", task, "--runs", runs, "--out", learned, "--seed", seed, codes=(0, 1, 2))
        factors = {c["term"]: c["factor"] for c in answer.get("changes", []) if c["factor"] != 1.0}
        row = {**key, "steps": STEPS[task], "code": code, "factors": factors, "doubt": answer.get("doubt")}
        if code == 0:
            before = self.before(task, seed)
            after = self.fitness(task, seed, self.work / "after" / name, ["--reward", learned])
            share = after / before if before > 0 else float(after >= before)
            row |= {"before": before, "after": after, "share": share}
        else:
            # Nothing was written: the reward before is what there is.
            row["share"] = 1.0
        shutil.rmtree(runs)
        return self.keep(row)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=pathlib.Path, required=True, help="folder for runs and rewards")
    parser.add_argument("--tasks", nargs="+", default=list(STEPS), choices=list(STEPS))
    parser.add_argument("--teachers", nargs="+", default=["oracle", "stochastic"])
    parser.add_argument("--labels", type=int, nargs="+", default=[20, 60, 200])
    parser.add_argument("--strategies", nargs="+", default=["uniform"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "target" / "release" / "pavlov")
    parser.add_argument("--results", type=pathlib.Path, help="default: few.jsonl in the folder of --work")
    parser.add_argument("--list", action="store_true", help="only show what is known already")
    args = parser.parse_args()
    work = args.work.resolve()
    bench = Bench(args.program.resolve(), work, args.results or work / "few.jsonl")
    if not args.list:
        for seed in args.seeds:
            for task in args.tasks:
                for cell in [(t, n, s) for t in args.teachers for n in args.labels for s in args.strategies]:
                    row = bench.cell(task, *cell, seed)
                    print(f"{task} {cell} seed {seed}: share {row['share']:.3f} {row['factors']}", flush=True)
    missed = 0
    print(f"{'task':18} {'teacher':10} {'labels':>6} {'strategy':12} {'seeds':>5} {'changed':>7} {'median share':>12}")
    for task in args.tasks:
        for teacher in args.teachers:
            for labels in args.labels:
                for strategy in args.strategies:
                    key = {"kind": "after", "task": task, "teacher": teacher, "labels": labels, "strategy": strategy}
                    rows = [row for row in bench.rows if all(row.get(k) == v for k, v in key.items())]
                    if not rows:
                        continue
                    median = statistics.median(row["share"] for row in rows)
                    changed = sum(row["code"] == 0 for row in rows)
                    missed += median < BAR
                    met = "" if median >= BAR else "   MISSED"
                    print(f"{task:18} {teacher:10} {labels:6} {strategy:12} {len(rows):5} {changed:7} {median:12.3f}{met}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
