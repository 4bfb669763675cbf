#!/usr/bin/env python3
"""Plays policies trained here in Gymnasium's own environments, on MuJoCo, and compares the returns.

For each run folder: policy.onnx and policy.json are read, 20 episodes are played in the matching v5 environment, and
the mean return is set against that of `pavlov eval`. Exits 1 when MuJoCo's is below 85% of ours for any run.
Usage: python3 tests/sim2sim.py [--episodes N] [--seed N] [--json] RUN...
"""
import argparse
import json
import pathlib
import subprocess
import sys

from own_python import GYMNASIUM, MUJOCO, ROOT, ensure

ENVIRONMENTS = {
    "gym/ant": "Ant-v5",
    "gym/half_cheetah": "HalfCheetah-v5",
    "gym/hopper": "Hopper-v5",
    "gym/humanoid": "Humanoid-v5",
    "gym/walker2d": "Walker2d-v5",
}
SHARE = 0.85


def play(run: pathlib.Path, name: str, episodes: int, seed: int) -> list[float]:
    """Returns of whole episodes under the deterministic policy."""
    import gymnasium
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(run / "policy.onnx"), options, providers=["CPUExecutionProvider"])
    source, target = session.get_inputs()[0], session.get_outputs()[0]
    env = gymnasium.make(name)
    expected = (env.observation_space.shape[0], env.action_space.shape[0])
    if (found := (source.shape[-1], target.shape[-1])) != expected:
        raise SystemExit(f"{run}: the policy maps {found[0]} observations to {found[1]} actions, {name} has {expected}")
    returns = []
    for episode in range(episodes):
        obs, _ = env.reset(seed=seed + episode)
        total, over = 0.0, False
        while not over:
            action = session.run([target.name], {source.name: obs[None].astype(np.float32)})[0][0]
            action = np.clip(action, env.action_space.low, env.action_space.high)
            obs, reward, terminated, truncated, _ = env.step(action)
            total += float(reward)
            over = terminated or truncated
        returns.append(total)
    env.close()
    return returns


def evaluate(program: pathlib.Path, run: pathlib.Path, episodes: int, seed: int) -> dict:
    command = [str(program), "eval", str(run), "--episodes", str(episodes), "--seed", str(seed), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=pathlib.Path, metavar="RUN")
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "target" / "release" / "pavlov")
    parser.add_argument("--json", action="store_true", help="print one JSON object per run")
    args = parser.parse_args()

    import numpy as np

    below = False
    for run in (r.resolve() for r in args.runs):
        task = json.loads((run / "policy.json").read_text())["task"]
        if task not in ENVIRONMENTS:
            known = ", ".join(ENVIRONMENTS)
            raise SystemExit(f"{run}: task `{task}` has no counterpart in Gymnasium: expected one of {known}")
        returns = play(run, ENVIRONMENTS[task], args.episodes, args.seed)
        theirs, ours = float(np.mean(returns)), evaluate(args.program, run, args.episodes, args.seed)["return"]["mean"]
        # The share is of the size of our return: what is lost of a negative one counts the same way.
        passed = theirs >= ours - (1.0 - SHARE) * abs(ours)
        below |= not passed
        if args.json:
            result = {"run": str(run), "task": task, "mujoco": {"mean": theirs, "std": float(np.std(returns))}}
            print(json.dumps({**result, "pavlov": ours, "passed": passed}))
        else:
            verdict = "transfers" if passed else f"below {SHARE:.0%}"
            figures = f"MuJoCo {theirs:.1f} ± {np.std(returns):.1f}, Pavlov {ours:.1f}"
            print(f"{run.name}: {task}, {args.episodes} episodes: {figures}: {verdict}")
    sys.exit(1 if below else 0)


if __name__ == "__main__":
    # Gymnasium's MuJoCo environments import imageio even when nothing is drawn.
    ensure(MUJOCO, GYMNASIUM, "imageio", "numpy", "onnxruntime")
    main()
