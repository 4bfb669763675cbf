#!/usr/bin/env python3
"""Compares assets/robots with Gymnasium's v5 files: MuJoCo must compile both to the same numbers.

Every array of the compiled model and every option is compared, names of bodies, joints and tendons too, except what is
only drawn. Numbers may differ by rounding: our files give decimals where Gymnasium's carry the digits of an old
conversion (0.2 for 0.19999999999999996).
Usage: python3 tests/mujoco/same_robots.py
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from own_python import GYMNASIUM, MUJOCO, ROOT, ensure

ROBOTS = {
    "hopper": "hopper.xml",
    "half_cheetah": "half_cheetah.xml",
    "walker2d": "walker2d_v5.xml",
    "ant": "ant.xml",
    "humanoid": "humanoid.xml",
}
# Compared: what carries physics. Not: colours, textures, cameras, lights, user data, empty keyframes.
FIELDS = ("body_", "jnt_", "dof_", "geom_", "actuator_", "tendon_", "wrap_", "pair_", "exclude_", "eq_", "qpos")
DRAWN = ("geom_rgba", "geom_matid", "geom_user", "tendon_rgba", "tendon_matid", "geom_group")
COUNTS = ("nq", "nv", "nu", "na", "nbody", "njnt", "ngeom", "nsite", "ntendon", "nwrap", "npair", "nexclude", "neq")
ROUNDING = 1e-12


def differences(ours, theirs) -> tuple[list[str], float, int]:
    """What differs, the largest relative difference, and the number of arrays compared."""
    import mujoco
    import numpy as np

    wrong, worst, compared = [], 0.0, 0

    def compare(name: str, a, b) -> None:
        nonlocal worst, compared
        a, b = np.asarray(a), np.asarray(b)
        compared += 1
        if a.shape != b.shape:
            wrong.append(f"{name}: shape {a.shape}, expected {b.shape}")
        elif a.size:
            a, b = a.astype(float), b.astype(float)
            error = float(np.max(np.abs(a - b) / np.maximum(1.0, np.abs(b).max())))
            worst = max(worst, error)
            if error > ROUNDING:
                wrong.append(f"{name}: differs by {error:.1e}")

    for name in COUNTS:
        compare(name, getattr(ours, name), getattr(theirs, name))
    for name in dir(ours):
        if name.startswith(FIELDS) and name not in DRAWN and isinstance(getattr(ours, name), np.ndarray):
            compare(name, getattr(ours, name), getattr(theirs, name))
    for name in dir(ours.opt):
        if not name.startswith("_"):
            compare(f"opt.{name}", getattr(ours.opt, name), getattr(theirs.opt, name))
    compare("stat.meaninertia", ours.stat.meaninertia, theirs.stat.meaninertia)
    counts = {"BODY": theirs.nbody, "JOINT": theirs.njnt, "TENDON": theirs.ntendon, "ACTUATOR": theirs.nu}
    for kind, count in counts.items():
        for i in range(count):
            kind_id = getattr(mujoco.mjtObj, f"mjOBJ_{kind}")
            own, expected = (mujoco.mj_id2name(m, kind_id, i) for m in (ours, theirs))
            # Where Gymnasium gives no name, ours is free.
            if expected is not None and own != expected:
                wrong.append(f"{kind.lower()} {i} is called {own}, expected {expected}")
    return wrong, worst, compared


def main() -> None:
    import gymnasium
    import mujoco

    assets = pathlib.Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets"
    failed = False
    for robot, file in ROBOTS.items():
        ours = mujoco.MjModel.from_xml_path(str(ROOT / "assets" / "robots" / f"{robot}.xml"))
        theirs = mujoco.MjModel.from_xml_path(str(assets / file))
        wrong, worst, compared = differences(ours, theirs)
        print(f"{robot}: {compared} arrays, largest relative difference {worst:.1e}")
        for line in wrong:
            print(f"  {line}")
        failed |= bool(wrong)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    ensure(MUJOCO, GYMNASIUM, "numpy")
    main()
