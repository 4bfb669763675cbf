#!/usr/bin/env python3
"""Environment steps per second of Pavlov and of MuJoCo's own threaded rollouts, measured in turn on this machine.

MuJoCo: `mujoco.rollout` 4.0.0 on Gymnasium's v5 models as they are (integrator, solver, tolerance), physics only.
Rollouts start like episodes and last about as long as those of a random policy, so that robots do not lie about.
Pavlov: `pavlov bench env`, i.e. observation, reward, termination and resets included, with the task's files.
Both: random actions held for the task's frame skip, `--threads` threads, warmed up, median of `--repeats` runs.
Usage: python3 tests/throughput.py [--threads N] [--repeats N] [--seconds S] [--profile accurate|fast] [--json]
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import time

from own_python import GYMNASIUM, MUJOCO, ROOT, ensure

# Task: Gymnasium's file, frame skip, control steps of a rollout, noise of the initial state.
TASKS = {
    "ant": ("ant.xml", 5, 80, 0.1),
    "half_cheetah": ("half_cheetah.xml", 5, 500, 0.1),
    "humanoid": ("humanoid.xml", 5, 20, 0.01),
    "hopper": ("hopper.xml", 4, 30, 0.005),
    "walker2d": ("walker2d_v5.xml", 4, 30, 0.005),
}


class MujocoRollouts:
    """Rollouts of one task, measured for a while at a time."""

    def __init__(self, file: str, frame_skip: int, length: int, noise: float, threads: int):
        import gymnasium
        import mujoco
        import mujoco.rollout
        import numpy as np

        assets = pathlib.Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets"
        self.model = mujoco.MjModel.from_xml_path(str(assets / file))
        self.data = [mujoco.MjData(self.model) for _ in range(threads)]
        rng = np.random.default_rng(0)
        # Enough rollouts for every thread, few enough that the stored states stay small.
        self.rolls = max(threads * 8, 2048 // length)
        states = []
        data = self.data[0]
        for _ in range(self.rolls):
            mujoco.mj_resetData(self.model, data)
            data.qpos[:] += rng.uniform(-noise, noise, self.model.nq)
            data.qvel[:] = rng.normal(0, noise, self.model.nv)
            state = np.zeros(mujoco.mj_stateSize(self.model, mujoco.mjtState.mjSTATE_FULLPHYSICS))
            mujoco.mj_getState(self.model, data, state, mujoco.mjtState.mjSTATE_FULLPHYSICS)
            states.append(state)
        self.initial = np.array(states)
        low, high = self.model.actuator_ctrlrange.T
        actions = rng.uniform(low, high, (self.rolls, length, self.model.nu))
        self.control = np.repeat(actions, frame_skip, axis=1)
        self.states = np.zeros((self.rolls, length * frame_skip, self.initial.shape[1]))
        self.pool = mujoco.rollout.Rollout(nthread=threads)
        self.env_steps = self.rolls * length

    def measure(self, seconds: float) -> float:
        start, steps = time.perf_counter(), 0
        while (elapsed := time.perf_counter() - start) < seconds:
            self.pool.rollout([self.model] * self.rolls, self.data, self.initial, self.control, state=self.states)
            steps += self.env_steps
        return steps / elapsed


def pavlov(program: pathlib.Path, task: str, args: argparse.Namespace) -> float:
    command = [str(program), "bench", "env", "--task", f"gym/{task}", "--profile", args.profile]
    command += ["--threads", str(args.threads), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()}")
    return float(json.loads(done.stdout.strip().splitlines()[-1])["env_steps_per_s"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="length of one MuJoCo measurement")
    parser.add_argument("--profile", choices=["accurate", "fast"], default="accurate")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "target" / "release" / "pavlov")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()

    import mujoco

    if not args.program.exists():
        raise SystemExit(f"{args.program} is missing: build it with `cargo build --release`")
    results = []
    for task in args.tasks:
        peer = MujocoRollouts(*TASKS[task], args.threads)
        peer.measure(0.5 * args.seconds)
        theirs, ours = [], []
        # In turn, so that both see the same machine.
        for _ in range(args.repeats):
            theirs.append(peer.measure(args.seconds))
            ours.append(pavlov(args.program, task, args))
        theirs, ours = statistics.median(theirs), statistics.median(ours)
        results.append({"task": task, "mujoco": theirs, "pavlov": ours, "ratio": ours / theirs})
        print(f"{task}: {ours / theirs:.2f}", file=sys.stderr)
    if args.json:
        settings = {k: getattr(args, k) for k in ("threads", "repeats", "profile")}
        print(json.dumps({"mujoco_version": mujoco.__version__, **settings, "env_steps_per_s": results}))
        return
    print(f"env steps/s, {args.threads} threads, profile {args.profile}, median of {args.repeats}")
    print(f"{'task':14}{'mujoco ' + mujoco.__version__:>14}{'pavlov':>12}{'ratio':>8}")
    for r in results:
        print(f"{r['task']:14}{r['mujoco']:14,.0f}{r['pavlov']:12,.0f}{r['ratio']:8.2f}")


if __name__ == "__main__":
    ensure(MUJOCO, GYMNASIUM, "numpy")
    main()
