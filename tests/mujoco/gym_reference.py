#!/usr/bin/env python3
"""Writes tests/data/gym_<name>.safetensors: what Gymnasium's v5 environments answer to fixed actions from fixed states.

Needs gymnasium 1.4, mujoco 4.0.0, numpy and safetensors; the Rust tests read only the files it leaves.
Each file holds, for S sequences of T steps:
  qpos [S, nq], qvel [S, nv]   state given to set_state after a reset
  action [S, T, nu]            within the action space
  obs [S, T+1, obs]            first the observation of the given state
  reward [S, T], terminated [S, T]
The solver is set to Newton at a tolerance of 1e-14 whatever the model asks for, so that the numbers are those of the optimum
(Humanoid's file asks for 50 sweeps of PGS, which stop short of it).
Usage: python tests/mujoco/gym_reference.py [output folder]
"""
import pathlib
import sys

import gymnasium
import mujoco
import numpy as np
from safetensors.numpy import save_file

ENVIRONMENTS = {
    "ant": ("Ant-v5", 4),
    "half_cheetah": ("HalfCheetah-v5", 6),
    "hopper": ("Hopper-v5", 6),
    "walker2d": ("Walker2d-v5", 6),
    "humanoid": ("Humanoid-v5", 3),
}
SEQUENCES = 50


def record(name: str, steps: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    env = gymnasium.make(name).unwrapped
    env.model.opt.solver = mujoco.mjtSolver.mjSOL_NEWTON
    env.model.opt.iterations = 200
    env.model.opt.tolerance = 1e-14
    rows: dict[str, list] = {k: [] for k in ("qpos", "qvel", "action", "obs", "reward", "terminated")}
    low, high = env.action_space.low, env.action_space.high
    for sequence in range(SEQUENCES):
        # A state that random actions lead to, some steps into an episode: in contact and in the air, not yet terminated.
        env.reset(seed=sequence)
        for _ in range(1 + int(rng.integers(0, 40))):
            qpos, qvel = env.data.qpos.copy(), env.data.qvel.copy()
            if env.step(rng.uniform(low, high))[2]:
                break
        env.reset(seed=sequence)
        env.set_state(qpos, qvel)
        actions = rng.uniform(low, high, (steps, len(low))).astype(np.float32)
        obs, reward, terminated = [env._get_obs()], [], []
        for action in actions:
            answer = env.step(action.astype(np.float64))
            obs.append(answer[0])
            reward.append(answer[1])
            terminated.append(answer[2])
        for key, value in zip(rows, (qpos, qvel, actions, np.array(obs), reward, terminated)):
            rows[key].append(value)
    return {
        "qpos": np.array(rows["qpos"], np.float64),
        "qvel": np.array(rows["qvel"], np.float64),
        "action": np.array(rows["action"], np.float32),
        "obs": np.array(rows["obs"], np.float32),
        "reward": np.array(rows["reward"], np.float32),
        "terminated": np.array(rows["terminated"], np.uint8),
    }


def main() -> None:
    out = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent / "data"
    out.mkdir(parents=True, exist_ok=True)
    for index, (name, (env, steps)) in enumerate(ENVIRONMENTS.items()):
        arrays = record(env, steps, np.random.default_rng(index))
        path = out / f"gym_{name}.safetensors"
        save_file(arrays, path, metadata={"gymnasium": gymnasium.__version__, "mujoco": mujoco.__version__, "environment": env})
        print(f"{path}: {path.stat().st_size} bytes, {int(arrays['terminated'].sum())} terminated of {arrays['reward'].size} steps")


if __name__ == "__main__":
    main()
