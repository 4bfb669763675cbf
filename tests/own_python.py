"""A virtual environment for the scripts that compare with MuJoCo: made once under target/, with pinned packages."""
import hashlib
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
MUJOCO, GYMNASIUM = "mujoco==4.0.0", "gymnasium==1.4.0"


def ensure(*packages: str) -> None:
    """Returns when run inside a virtual environment; else makes one with these packages and runs the script there."""
    if sys.prefix != sys.base_prefix:
        return
    key = hashlib.sha256(" ".join(packages).encode()).hexdigest()[:8]
    folder = ROOT / "target" / f"python-{key}"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        print(f"making {folder}: {' '.join(packages)}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *packages], check=True)
        (folder / "complete").touch()
    os.execv(python, [str(python), *sys.argv])
