#!/usr/bin/env python3
"""Steps per second of Pavlov's GPU environments and of MuJoCo Warp and MJX, measured in turn on this machine.

Pavlov: `pavlov bench env` (random actions; observation, reward, termination and resets included) and `pavlov bench physics` (a random
control for each world, held for the whole run, so that robots come to lie on the floor), both with `--device gpu`.
Peers: physics alone on the same robot files (`assets/robots`) with the same timestep, integrator, frame skip, number of worlds and limits
of the solver, in f32. Rollouts start from noisy initial states and last about as long as a random policy stays up; random controls, a new
one each control step. A peer runs where `--python` (this Python, if not given) imports it; it uses its first device, so hide others with
CUDA_VISIBLE_DEVICES. Pavlov always solves with Newton, and so do the peers, also where the file says PGS, which neither of them has.
All: compiled and warmed up before the clock starts; median of `--repeats` measurements, the programs taking turns.
`--train` times something else: Go1's training on the GPU until the velocity error of finished episodes is below 0.25 m/s.
Usage: python3 tests/gpu_throughput.py [--device gpu:0] [--worlds 1024 4096 16384] [--python venv/bin/python] [--json]
       python3 tests/gpu_throughput.py --train [--train-worlds 4096]
"""
import argparse
import collections
import dataclasses
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
import xml.etree.ElementTree as xml

from own_python import ROOT

# Task: control steps of a peer's rollout, noise of its initial state.
TASKS = {"gym/ant": (80, 0.1), "gym/humanoid": (20, 0.01), "go1_velocity": (50, 0.05)}
# Peer: the module that has to be there, how to install it.
PEERS = {
    "mujoco_warp": ("mujoco_warp", "pip install mujoco-warp warp-lang"),
    "mjx": ("mujoco.mjx", "pip install mujoco-mjx jax[cuda12]"),
}
# What the profile `fast` sets, as `Physics::with_profile` does; `accurate` leaves the file's options alone.
FAST = {"iterations": 4, "ls_iterations": 6, "tolerance": 1e-6, "ls_tolerance": 0.05}
# Updates over which the velocity error is averaged: one has only a few finished episodes.
WINDOW = 10


@dataclasses.dataclass(frozen=True)
class Settings:
    """What all programs have to do alike."""

    robot: str
    timestep: float
    integrator: str
    frame_skip: int
    iterations: int
    ls_iterations: int
    tolerance: float
    ls_tolerance: float
    file_solver: str

    @classmethod
    def of(cls, task: str, profile: str) -> "Settings":
        """From the task's and the robot's file; MuJoCo's defaults for what neither says."""
        about = tomllib.loads((ROOT / "tasks" / f"{task}.toml").read_text())
        robot = ROOT / "assets" / "robots" / about["robot"]
        option = xml.parse(robot).getroot().find("option")
        option = {} if option is None else option.attrib
        own = {**about["timing"], **about.get("physics", {}).get(profile, {})}
        solver = {"iterations": 100, "ls_iterations": 50, "tolerance": 1e-8, "ls_tolerance": 0.01}
        solver = {k: type(v)(option.get(k, v)) for k, v in solver.items()}
        integrator = option.get("integrator", "Euler")
        if profile == "fast":
            solver, integrator = FAST, "Euler" if integrator == "RK4" else integrator
        return cls(
            robot=str(robot),
            timestep=float(own.get("timestep", option.get("timestep", 0.002))),
            integrator=own.get("integrator", integrator),
            frame_skip=int(own["frame_skip"]),
            **{k: type(v)(own.get(k, v)) for k, v in solver.items()},
            file_solver=option.get("solver", "Newton"),
        )


def host_model(settings: dict):
    """The robot as MuJoCo compiles it, with these settings."""
    import mujoco

    model = mujoco.MjModel.from_xml_path(settings["robot"])
    model.opt.solver = mujoco.mjtSolver.mjSOL_NEWTON
    integrators = {"Euler": "EULER", "RK4": "RK4", "implicitfast": "IMPLICITFAST"}
    model.opt.integrator = getattr(mujoco.mjtIntegrator, f"mjINT_{integrators[settings['integrator']]}")
    for name in ("timestep", "iterations", "ls_iterations", "tolerance", "ls_tolerance"):
        setattr(model.opt, name, settings[name])
    return model


def inputs(model, worlds: int, length: int, noise: float):
    """Initial qpos and qvel, `[worlds][..]`, around the keyframe `home` where there is one; controls, `[length][worlds][nu]`."""
    import mujoco
    import numpy as np

    rng = np.random.default_rng(0)
    home = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_KEY, "home")
    start = model.qpos0 if home < 0 else model.key_qpos[home]
    qpos = start + rng.uniform(-noise, noise, (worlds, model.nq))
    qvel = rng.normal(0, noise, (worlds, model.nv))
    low, high = np.where(model.actuator_ctrllimited[:, None], model.actuator_ctrlrange, [-1.0, 1.0]).T
    controls = rng.uniform(low, high, (length, worlds, model.nu))
    return [x.astype(np.float32) for x in (qpos, qvel, controls)]


class Mjx:
    """Rollouts in MJX: one compiled function for a rollout of all worlds."""

    def __init__(self, model, settings: dict, worlds: int, length: int, noise: float):
        import jax
        from mujoco import mjx
        from importlib.metadata import version

        device = jax.devices()[0]
        self.about = {"version": version("mujoco-mjx"), "device": device.device_kind, "kind": device.platform}
        model_x = mjx.put_model(model, impl="jax")
        self.about["tolerance"] = float(model_x.opt.tolerance)
        qpos, qvel, controls = map(jax.numpy.asarray, inputs(model, worlds, length, noise))
        self.controls = controls
        empty = mjx.make_data(model, impl="jax")
        self.start = jax.jit(jax.vmap(lambda q, v: empty.replace(qpos=q, qvel=v)))(qpos, qvel)
        step = jax.vmap(mjx.step, in_axes=(None, 0))

        def control_step(data, ctrl):
            data = data.replace(ctrl=ctrl)
            return jax.lax.fori_loop(0, settings["frame_skip"], lambda _, d: step(model_x, d), data), None

        self.run = jax.jit(lambda data, controls: jax.lax.scan(control_step, data, controls)[0].qpos)

    def rollout(self) -> int:
        """Worlds that are not finite at the end."""
        import numpy as np

        end = np.asarray(self.run(self.start, self.controls).block_until_ready())
        return int((~np.isfinite(end)).any(axis=1).sum())


class Warp:
    """Rollouts in MuJoCo Warp: a control step is a CUDA graph where there is CUDA, its kernels one by one on a processor."""

    def __init__(self, model, settings: dict, worlds: int, length: int, noise: float):
        import mujoco_warp
        import warp
        from importlib.metadata import version

        warp.config.quiet = True
        device = warp.get_device()
        kind = "gpu" if device.is_cuda else "cpu"
        self.about = {"version": version("mujoco-warp"), "device": device.name, "kind": kind}
        self.warp = warp
        self.model = mujoco_warp.put_model(model)
        self.data = mujoco_warp.make_data(model, nworld=worlds)
        # Kernels that print would be slow. A limit of iterations that is reached is no fault, a buffer that is full is.
        self.model.opt.warn_overflow = 0
        self.about["tolerance"] = float(self.model.opt.tolerance.numpy().flat[0])
        kinds = mujoco_warp.OverflowType
        self.full = int(kinds.ALL & ~(kinds.ITERATIONS | kinds.LS_ITERATIONS))
        self.qpos, self.qvel, controls = (warp.array(x, dtype=float) for x in inputs(model, worlds, length, noise))
        self.controls = [controls[t] for t in range(length)]

        def control_step():
            for _ in range(settings["frame_skip"]):
                mujoco_warp.step(self.model, self.data)

        self.step = control_step
        if device.is_cuda:
            # Kernels are built by a step outside of the capture.
            control_step()
            with warp.ScopedCapture() as capture:
                control_step()
            self.step = lambda: warp.capture_launch(capture.graph)

    def rollout(self) -> int:
        """Worlds that are not finite at the end."""
        import numpy as np

        warp, data = self.warp, self.data
        warp.copy(data.qpos, self.qpos)
        warp.copy(data.qvel, self.qvel)
        data.qacc_warmstart.zero_()
        for ctrl in self.controls:
            warp.copy(data.ctrl, ctrl)
            self.step()
        end = data.qpos.numpy()
        if (data.overflow.numpy() & self.full).any():
            raise RuntimeError("contacts or constraints did not fit MuJoCo Warp's buffers and were left out: its figure would be wrong")
        return int((~np.isfinite(end)).any(axis=1).sum())


def work(peer: str, job: dict) -> None:
    """A peer's process: prepares, says so, then measures for as many seconds as each line of stdin asks for."""
    # Answers alone go to stdout; what libraries print goes to stderr.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    say = lambda answer: print(json.dumps(answer), file=answers, flush=True)
    try:
        model = host_model(job["settings"])
        begin = time.perf_counter()
        rollouts = {"mjx": Mjx, "mujoco_warp": Warp}[peer](model, job["settings"], job["worlds"], job["length"], job["noise"])
        rollouts.rollout()
        say({**rollouts.about, "ready_s": time.perf_counter() - begin})
        for line in sys.stdin:
            seconds, start, rolls, bad = float(line), time.perf_counter(), 0, 0
            while rolls == 0 or time.perf_counter() - start < seconds:
                bad = max(bad, rollouts.rollout())
                rolls += 1
            elapsed = time.perf_counter() - start
            say({"env_steps_per_s": rolls * job["length"] * job["worlds"] / elapsed, "nonfinite": bad})
    except Exception as e:
        say({"error": f"{type(e).__name__}: {str(e).strip().splitlines()[0] if str(e).strip() else 'no message'}"})


class Peer:
    """A running peer, seen from here. What goes wrong is kept in `error`."""

    def __init__(self, name: str, job: dict, args: argparse.Namespace):
        self.name, self.limit, self.error, self.about = name, args.limit, None, {}
        self.log = tempfile.TemporaryFile("w+")
        # Without this JAX takes three quarters of the memory that all share.
        env = {**os.environ, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
        command = [args.python, __file__, "--worker", name, json.dumps(job)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True, env=env)
        self.about = self.answer()

    def answer(self) -> dict:
        late = threading.Timer(self.limit, self.process.kill)
        late.start()
        line = self.process.stdout.readline()
        if not late.is_alive():
            answer = {"error": f"no answer in {self.limit:.0f} s (--limit)"}
        elif not line:
            self.log.seek(0)
            last = (self.log.read().strip().splitlines() or ["no message"])[-1]
            answer = {"error": f"ended with {self.process.wait()}: {last}"}
        else:
            answer = json.loads(line)
        late.cancel()
        self.error = answer.get("error")
        return answer

    def measure(self, seconds: float) -> dict:
        try:
            self.process.stdin.write(f"{seconds}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            # It has ended: its answer says why.
            pass
        return self.answer()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.log.close()


def installed(python: str) -> tuple[list[str], dict[str, str]]:
    """Peers that can be imported, and why the others cannot."""
    found, missing = [], {}
    for peer, (module, install) in PEERS.items():
        done = subprocess.run([python, "-c", f"import {module}"], capture_output=True, text=True)
        if done.returncode == 0:
            found.append(peer)
        else:
            reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
            missing[peer] = f"{peer} is not installed in {python} ({reason}): {install}"
    return found, missing


def run_pavlov(args: argparse.Namespace, *words: str) -> list[dict]:
    """Lines of JSON of a command."""
    command = [str(args.program), *words, "--root", str(ROOT), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {last}")
    return [json.loads(line) for line in done.stdout.strip().splitlines()]


def pavlov(kind: str, task: str, worlds: int, settings: Settings, args: argparse.Namespace) -> dict:
    words = ["bench", kind, "--task", task, "--device", args.device, "--worlds", str(worlds)]
    found = run_pavlov(args, *words, "--seconds", str(args.seconds), "--profile", args.profile)[-1]
    if found["frame_skip"] != settings.frame_skip:
        raise RuntimeError(f"{task}: Pavlov's frame skip is {found['frame_skip']}, its peers' {settings.frame_skip}: expected the same")
    return found


def adapter(args: argparse.Namespace) -> dict:
    """What `pavlov devices` says about the GPU that is measured."""
    wanted = "gpu:0" if args.device == "gpu" else args.device
    devices = {d["device"]: d for d in run_pavlov(args, "devices")}
    if wanted not in devices or wanted == "cpu":
        gpus = ", ".join(d for d in devices if d != "cpu")
        raise SystemExit(f"no device `{args.device}`: expected {gpus}" if gpus else f"no device `{args.device}`: there is no GPU adapter")
    return devices[wanted]


def cell(task: str, worlds: int, peers: list[str], args: argparse.Namespace) -> list[dict]:
    """All programs on a task with a number of worlds."""
    settings = Settings.of(task, args.profile)
    length, noise = TASKS[task]
    job = {"settings": dataclasses.asdict(settings), "worlds": worlds, "length": length, "noise": noise}
    rates, about = collections.defaultdict(list), {}
    running = []
    try:
        for peer in peers:
            running.append(Peer(peer, job, args))
        # In turn, so that all see the same machine.
        for _ in range(args.repeats):
            for kind in ("env", "physics"):
                name = f"pavlov {kind}"
                if "error" in about.get(name, {}):
                    continue
                try:
                    found = pavlov(kind, task, worlds, settings, args)
                    rates[name].append(found["env_steps_per_s"])
                    kept = {"version": found["version"], "ready_s": found["compile_s"], "nonfinite": found["nonfinite"]}
                    about[name] = {**kept, "device": args.adapter["name"], "kind": args.adapter["kind"]}
                except RuntimeError as e:
                    about[name] = {"error": str(e)}
            for peer in running:
                if peer.error is None:
                    found = peer.measure(args.seconds)
                    rates[peer.name].append(found.get("env_steps_per_s"))
                    about[peer.name] = {**peer.about, **found}
                else:
                    about[peer.name] = {"error": peer.error}
    finally:
        for peer in running:
            peer.close()
    rows = []
    for name, what in about.items():
        # What a peer made of the settings goes before what it was given.
        row = {"task": task, "worlds": worlds, "program": name, "solver": "Newton", **job["settings"], **what}
        row["robot"] = pathlib.Path(settings.robot).name
        if "error" not in what:
            row["env_steps_per_s"] = statistics.median(rates[name])
            row["physics_steps_per_s"] = row["env_steps_per_s"] * settings.frame_skip
        rows.append(row)
    ours = {r["program"]: r.get("env_steps_per_s") for r in rows}
    for row in rows:
        theirs = row.get("env_steps_per_s")
        if row["program"] in PEERS and theirs:
            for kind in ("env", "physics"):
                mine = ours.get(f"pavlov {kind}")
                row[f"{kind}_ratio"] = mine / theirs if mine else None
    return rows


def show(rows: list[dict]) -> None:
    """A task's rows with one number of worlds, under a line of what they have in common."""
    r = rows[0]
    print(f"\n{r['task']} ({r['robot']}), {r['worlds']:,} worlds: {r['integrator']} of {r['timestep']} s, {r['frame_skip']} substeps; "
          f"Newton, at most {r['iterations']} iterations with {r['ls_iterations']} of line search, tolerance {r['tolerance']:g}")
    if r["file_solver"] != "Newton":
        print(f"  the file says {r['file_solver']}, which neither MuJoCo Warp nor MJX has, nor Pavlov's engine: Newton everywhere")
    print(f"  {'':16}{'env steps/s':>13}{'physics steps/s':>17}{'env/it':>9}{'physics/it':>12}{'ready s':>9}  device")
    for r in rows:
        if "error" in r:
            print(f"  {r['program']:16}failed: {r['error']}")
            continue
        ratios = [f"{r[k]:.2f}" if r.get(k) else "-" for k in ("env_ratio", "physics_ratio")]
        bad = f"; {r['nonfinite']} worlds not finite" if r["nonfinite"] else ""
        if abs(r["tolerance"] - rows[0]["tolerance"]) > 0.01 * rows[0]["tolerance"]:
            bad += f"; its own tolerance is {r['tolerance']:.0e}"
        print(f"  {r['program']:16}{r['env_steps_per_s']:13,.0f}{r['physics_steps_per_s']:17,.0f}{ratios[0]:>9}{ratios[1]:>12}"
              f"{r['ready_s']:9.1f}  {r['device']} ({r['kind']}){bad}")


def train(args: argparse.Namespace) -> dict:
    """Seconds from the start of `pavlov train go1_velocity` until the velocity error is below the bound."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as log:
        out = pathlib.Path(folder) / "run"
        command = [args.program, "train", "go1_velocity", "--device", args.device, "--profile", args.profile]
        command += ["--worlds", str(args.train_worlds), "--root", ROOT, "--out", out, "--json"]
        start = time.monotonic()
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=log)
        recent, rest, file, last = collections.deque(maxlen=WINDOW), "", None, {}
        met = ended = False
        error = float("nan")
        try:
            while not met and not ended and time.monotonic() - start < 60 * args.train_minutes:
                time.sleep(0.1)
                # Asked before the last lines are read, so that none of a run that ends is missed.
                ended = process.poll() is not None
                if file is None and not (out / "metrics.jsonl").exists():
                    continue
                file = file or open(out / "metrics.jsonl")
                *lines, rest = (rest + file.read()).split("\n")
                for last in map(json.loads, lines):
                    if last["episodes"] > 0:
                        recent.append(last["metrics"]["velocity_error"])
                        error = statistics.mean(recent)
                    met = len(recent) == WINDOW and error < args.velocity_error
                    if met:
                        break
            seconds = time.monotonic() - start
        finally:
            if file:
                file.close()
            process.terminate()
            process.wait()
        log.seek(0)
        if ended and not last:
            raise SystemExit(f"{' '.join(map(str, command))} ended with {process.returncode}: {log.read().strip()}")
    return {
        "task": "go1_velocity", "device": args.adapter["name"], "kind": args.adapter["kind"], "profile": args.profile,
        "worlds": args.train_worlds, "bound": args.velocity_error, "met": met, "seconds": seconds, "velocity_error": error,
        "updates": last.get("update", 0), "env_steps": last.get("env_steps", 0),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="gpu:0", help="Pavlov's GPU, see `pavlov devices`")
    parser.add_argument("--worlds", type=int, nargs="+", default=[1024, 4096, 16384])
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS), help="programs compared with, where installed")
    parser.add_argument("--python", default=sys.executable, help="Python that has the peers (default: this one)")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="length of one measurement")
    parser.add_argument("--limit", type=float, default=900.0, help="seconds a peer may take to compile, or to measure once")
    parser.add_argument("--profile", choices=["accurate", "fast"], default="accurate")
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "target" / "release" / "pavlov")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--train", action="store_true", help="time Go1's training instead")
    parser.add_argument("--train-worlds", type=int, default=4096)
    parser.add_argument("--train-minutes", type=float, default=30.0, help="minutes after which --train gives up")
    parser.add_argument("--velocity-error", type=float, default=0.25, help="bound of --train, m/s")
    args = parser.parse_args()
    if not args.program.exists():
        raise SystemExit(f"{args.program} is missing: build it with `cargo build --release`")
    args.program = args.program.resolve()
    args.adapter = adapter(args)
    hardware = args.adapter["kind"] != "Cpu"
    if not hardware:
        print(f"{args.adapter['name']} computes on the processor: these figures say nothing about a GPU", file=sys.stderr)
    if args.train:
        result = train(args)
        if args.json:
            print(json.dumps(result))
        else:
            what = "below" if result["met"] else "NOT below"
            print(f"go1_velocity on {result['device']} ({result['kind']}), {result['worlds']:,} worlds, profile {args.profile}: "
                  f"velocity error {result['velocity_error']:.3f} m/s, {what} {result['bound']} m/s, after {result['seconds']:.1f} s "
                  f"({result['updates']} updates, {result['env_steps']:,} steps)")
        return 0 if result["met"] else 1
    found, missing = installed(args.python)
    found = [p for p in found if p in args.peers]
    missing = {p: why for p, why in missing.items() if p in args.peers}
    rows = []
    if not args.json:
        print(f"profile {args.profile}, median of {args.repeats}; env/it and physics/it: Pavlov's figure by that of the row; "
              "ready: seconds to compile and warm up, not in the figures")
    for task in args.tasks:
        for worlds in args.worlds:
            print(f"measuring {task} with {worlds} worlds", file=sys.stderr)
            new = cell(task, worlds, found, args)
            rows += new
            if not args.json:
                show(new)
                sys.stdout.flush()
    if args.json:
        settings = {k: getattr(args, k) for k in ("repeats", "seconds", "profile")}
        print(json.dumps({"adapter": args.adapter, **settings, "not_installed": missing, "results": rows}))
    elif missing:
        print("\nnot compared: " + "; ".join(missing.values()))
    kinds = {(r["program"].split()[0], r["kind"]) for r in rows if "kind" in r}
    if any(kind.lower() == "cpu" for _, kind in kinds) and not args.json:
        print("\nnot all of these ran on a GPU: " + ", ".join(f"{p} on {k}" for p, k in sorted(kinds)))
    return 1 if any("error" in r for r in rows) else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        work(sys.argv[2], json.loads(sys.argv[3]))
    else:
        sys.exit(main())
