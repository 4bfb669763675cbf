#!/usr/bin/env python3
"""Writes tests/data/conformance_<robot>.safetensors: what MuJoCo 4.0.0 makes of 200 random states of each robot.

Gymnasium's five robots are read from its own files, Go1 from assets/robots, and `features`, a scene of what these do
not have, from tests/mujoco. Integrator and friction cone are the files'; the solver is Newton, run until it no longer
improves, so that the numbers are those of the optimum.
Each file holds, in float64 unless said otherwise, for S states:
  qpos [S, nq], qvel [S, nv], ctrl [S, nu]
  qm [S, nv, nv], qfrc_bias, qacc_smooth, qacc [S, nv]          of mj_forward with a cold solver
  sensordata [S, nsensordata]                                   where there are sensors
  contact_count [S] (i32), and for all contacts one after another:
  contact_geom [N, 2] (i32), contact_dist [N], contact_pos [N, 3], contact_normal [N, 3]
  qpos_next [S, nq], qvel_next [S, nv]                          of one mj_step
  condition [S]                                                 condition number of qm
and body_invweight0 [nbody, 2], dof_invweight0 [nv], meaninertia [1] of the compiled model.
About half of the states touch the floor; joints lie within their limits and beyond; shapes may lie deep in each other.
conformance_shapes.safetensors has random poses of spheres, capsules and boxes and only their contacts; in a quarter of
them all axes are parallel or at right angles.
Usage: python3 tests/mujoco/generate.py [--states N] [--shapes N] [--out FOLDER]
"""
import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from own_python import GYMNASIUM, MUJOCO, ROOT, ensure

PACKAGES = (MUJOCO, GYMNASIUM, "numpy", "safetensors")

# Robot: file, scale of joint velocities (rad/s).
ROBOTS = {
    "hopper": ("gymnasium/hopper.xml", 3.0),
    "half_cheetah": ("gymnasium/half_cheetah.xml", 5.0),
    "walker2d": ("gymnasium/walker2d_v5.xml", 3.0),
    "ant": ("gymnasium/ant.xml", 3.0),
    "humanoid": ("gymnasium/humanoid.xml", 2.0),
    "go1": ("assets/robots/go1.xml", 4.0),
    "features": ("tests/mujoco/features.xml", 2.0),
}


def lowest_point(model, data) -> float:
    """Height of the lowest point of any geom that collides, above the plane z = 0."""
    import mujoco
    import numpy as np

    lowest = np.inf
    for g in range(model.ngeom):
        plane = model.geom_type[g] == mujoco.mjtGeom.mjGEOM_PLANE
        if plane or not (model.geom_contype[g] or model.geom_conaffinity[g]):
            continue
        size, up = model.geom_size[g], data.geom_xmat[g].reshape(3, 3)[2]
        reach = {
            mujoco.mjtGeom.mjGEOM_SPHERE: size[0],
            mujoco.mjtGeom.mjGEOM_CAPSULE: size[0] + size[1] * abs(up[2]),
            mujoco.mjtGeom.mjGEOM_BOX: np.abs(up) @ size,
        }[mujoco.mjtGeom(model.geom_type[g])]
        lowest = min(lowest, data.geom_xpos[g][2] - reach)
    return lowest


def random_state(model, data, rng, speed: float) -> None:
    """A state near the initial pose or far from it, lifted so that it touches the floor or not."""
    import mujoco
    import numpy as np

    qpos = model.qpos0.copy()
    wide = rng.random() < 0.5
    one_robot = np.sum(model.body_parentid[1:] == 0) == 1
    for j in range(model.njnt):
        adr, kind, name = model.jnt_qposadr[j], model.jnt_type[j], model.joint(j).name
        if kind == mujoco.mjtJoint.mjJNT_FREE:
            qpos[adr : adr + 3] += rng.normal(0, 0.5 if one_robot else 0.02, 3)
            quat = np.array([1.0, 0, 0, 0]) + rng.normal(0, 3.0 if rng.random() < 0.3 else 0.15, 4)
            qpos[adr + 3 : adr + 7] = quat / np.linalg.norm(quat)
        elif kind == mujoco.mjtJoint.mjJNT_BALL:
            quat = np.array([1.0, 0, 0, 0]) + rng.normal(0, 0.5, 4)
            qpos[adr : adr + 4] = quat / np.linalg.norm(quat)
        elif model.jnt_limited[j]:
            low, high = model.jnt_range[j]
            spare = 0.15 * (high - low) if wide else 0.0
            qpos[adr] = rng.uniform(low - spare, high + spare)
        elif name == "rooty":
            qpos[adr] = rng.normal(0, 1.0 if rng.random() < 0.3 else 0.2)
        else:
            qpos[adr] += rng.normal(0, 0.5)
    data.qpos[:] = qpos
    if one_robot:
        mujoco.mj_kinematics(model, data)
        clearance = -rng.uniform(0, 0.08) if rng.random() < 0.5 else rng.uniform(0.02, 0.5)
        free = model.jnt_type[0] == mujoco.mjtJoint.mjJNT_FREE
        height = 2 if free else model.joint("rootz").qposadr[0]
        data.qpos[height] += clearance - lowest_point(model, data)
    data.qvel[:] = rng.normal(0, 1, model.nv) * rng.choice([0.1, 1.0, speed])
    low, high = model.actuator_ctrlrange.T
    data.ctrl[:] = rng.uniform(low, high)


class Contacts:
    """Contacts of many states, one after another."""

    def __init__(self):
        self.count, self.rows = [], {k: [] for k in ("geom", "dist", "pos", "normal")}

    def see(self, data) -> None:
        self.count.append(data.ncon)
        for contact in data.contact[: data.ncon]:
            self.rows["geom"].append(contact.geom.copy())
            self.rows["dist"].append(contact.dist)
            self.rows["pos"].append(contact.pos.copy())
            self.rows["normal"].append(contact.frame[:3].copy())

    def arrays(self) -> dict:
        import numpy as np

        return {
            "contact_count": np.array(self.count, np.int32),
            "contact_geom": np.array(self.rows["geom"], np.int32).reshape(-1, 2),
            "contact_dist": np.array(self.rows["dist"], np.float64),
            "contact_pos": np.array(self.rows["pos"], np.float64).reshape(-1, 3),
            "contact_normal": np.array(self.rows["normal"], np.float64).reshape(-1, 3),
        }


def record_shapes(model, states: int, seed: int) -> dict:
    import mujoco
    import numpy as np

    rng = np.random.default_rng(seed)
    data, contacts, poses = mujoco.MjData(model), Contacts(), []
    for state in range(states):
        for body in range(model.nbody - 1):
            quat = rng.normal(0, 1, 4)
            if state % 4 == 0:
                quat = np.eye(4)[0] + (np.eye(4)[rng.integers(4)] if rng.random() < 0.7 else 0)
            pose = np.concatenate([rng.uniform(-0.25, 0.25, 3), quat / np.linalg.norm(quat)])
            data.qpos[7 * body : 7 * body + 7] = pose
        mujoco.mj_forward(model, data)
        poses.append(data.qpos.copy())
        contacts.see(data)
    return {"qpos": np.array(poses), **contacts.arrays()}


def record(model, speed: float, states: int, seed: int) -> dict:
    import mujoco
    import numpy as np

    model.opt.solver = mujoco.mjtSolver.mjSOL_NEWTON
    model.opt.iterations, model.opt.tolerance = 500, 0
    model.opt.ls_iterations, model.opt.ls_tolerance = 200, 1e-8
    rng = np.random.default_rng(seed)
    rows: dict[str, list] = {}
    contacts = Contacts()

    def keep(**values) -> None:
        for key, value in values.items():
            rows.setdefault(key, []).append(np.array(value, np.float64))

    data = mujoco.MjData(model)
    for _ in range(states):
        mujoco.mj_resetData(model, data)
        random_state(model, data, rng, speed)
        mujoco.mj_forward(model, data)
        keep(qpos=data.qpos, qvel=data.qvel, ctrl=data.ctrl)
        qm = np.zeros((model.nv, model.nv))
        mujoco.mj_fullM(model, data, qm)
        keep(qm=qm, condition=np.linalg.cond(qm))
        keep(qfrc_bias=data.qfrc_bias, qacc_smooth=data.qacc_smooth, qacc=data.qacc)
        if model.nsensor:
            keep(sensordata=data.sensordata)
        contacts.see(data)
        data.qacc_warmstart[:] = 0
        mujoco.mj_step(model, data)
        keep(qpos_next=data.qpos, qvel_next=data.qvel)
    arrays = {k: np.array(v) for k, v in rows.items()} | contacts.arrays()
    for weight in ("body_invweight0", "dof_invweight0"):
        arrays[weight] = getattr(model, weight).copy()
    arrays["meaninertia"] = np.array([model.stat.meaninertia])
    return arrays


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--states", type=int, default=200, help="states of each robot")
    parser.add_argument("--shapes", type=int, default=1000, help="poses of the shapes")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "tests" / "data")
    args = parser.parse_args()

    import gymnasium
    import mujoco
    from safetensors.numpy import save_file

    if mujoco.__version__ != "4.0.0":
        raise SystemExit(f"needs MuJoCo 4.0.0, found {mujoco.__version__}")
    args.out.mkdir(parents=True, exist_ok=True)
    theirs = pathlib.Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets"

    def write(name: str, arrays: dict) -> None:
        path = args.out / f"conformance_{name}.safetensors"
        save_file(arrays, path, metadata={"mujoco": mujoco.__version__})
        touching, most = (arrays["contact_count"] > 0).mean(), arrays["contact_count"].max()
        print(f"{path.name}: {path.stat().st_size} bytes, {touching:.0%} of states in contact, up to {most} contacts")

    for seed, (robot, (file, speed)) in enumerate(ROBOTS.items()):
        source = theirs / file.removeprefix("gymnasium/") if file.startswith("gymnasium/") else ROOT / file
        write(robot, record(mujoco.MjModel.from_xml_path(str(source)), speed, args.states, seed))
    shapes = mujoco.MjModel.from_xml_path(str(ROOT / "tests" / "mujoco" / "shapes.xml"))
    write("shapes", record_shapes(shapes, args.shapes, len(ROBOTS)))


if __name__ == "__main__":
    ensure(*PACKAGES)
    main()
