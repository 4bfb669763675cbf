#!/usr/bin/env python3
"""Writes tests/data/defaults.json: what MuJoCo 4.0.0 makes of random trees of default classes, and what it refuses.

  trees: `xml`, and one of
      `fields`  arrays of the compiled model, by MuJoCo's names, of the kind of element that the tree is about
      `line`    where MuJoCo refuses it
      `beyond`  read by MuJoCo, but with forces that Pavlov refuses: springs of tendons, dynamics of actuators ...
  forms: for each element of <default> and each of its attributes, how many numbers MuJoCo accepts, of 0 to 11
  files: whole files of odd form (names of classes, stray text, byte order marks, vectors of a wrong length), each with
      the line where MuJoCo refuses it, or null
Elements stand on lines of their own. Numbers have nine significant digits.
Usage: python3 tests/mujoco/defaults.py [--trees N] [--out FOLDER]
"""
import argparse
import json
import pathlib
import random
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from own_python import MUJOCO, ROOT, ensure

SIZES = (0.1, 0.2, 0.35, 0.5, 1, 1.5)
ORIENTATIONS = {"quat": 4, "axisangle": 4, "euler": 3, "zaxis": 3}
SHORTCUTS = ("motor", "position", "velocity", "general")
OTHERS = ("intvelocity", "damper", "cylinder", "adhesion")
INERTIAL = '<inertial pos="0 0 0" mass="1" diaginertia="1 1 1"/>'


class Tree:
    """One file with random default classes about one kind of element."""

    def __init__(self, rng: random.Random):
        self.rng = rng
        self.classes = ["main"]
        self.lines: list[str] = []

    def chance(self, p: float) -> bool:
        return self.rng.random() < p

    def numbers(self, least: int, most: int | None = None, of=SIZES) -> str:
        return " ".join(f"{self.rng.choice(of):g}" for _ in range(self.rng.randint(least, most or least)))

    def pick(self, options: dict, p: float) -> dict:
        """Some of the attributes, each with its value made."""
        return {name: make() for name, make in options.items() if self.chance(p)}

    def way_to_turn(self) -> dict:
        name = self.rng.choice(list(ORIENTATIONS))
        return {name: self.numbers(ORIENTATIONS[name], of=(-1, 0.5, 1, 2, 30))}

    def element(self, tag: str, attributes: dict, **more) -> str:
        return f"<{tag} " + " ".join(f'{k}="{v}"' for k, v in {**more, **attributes}.items()) + "/>"

    def defaults(self, tags, attributes, depth: int = 0) -> None:
        """A <default> with elements of some of the tags, and up to two classes within."""
        name = "" if depth == 0 else f' class="c{len(self.classes)}"'
        if depth:
            self.classes.append(f"c{len(self.classes)}")
        self.lines.append(f"<default{name}>")
        for tag in self.rng.sample(tags, min(len(tags), self.rng.choice((0, 1, 1, 1, 2, 3)))):
            self.lines.append(self.element(tag, attributes(tag, True)))
        for _ in range(self.rng.choice((0, 1, 1, 2) if depth < 2 else (0,))):
            self.defaults(tags, attributes, depth + 1)
        self.lines.append("</default>")

    def cls(self) -> dict:
        return {"class": self.rng.choice(self.classes)} if self.chance(0.7) else {}

    def text(self) -> str:
        return "\n".join(["<mujoco>", *self.lines, "</mujoco>"])

    # kinds of elements: the file, then the arrays that say what became of it

    def geom(self) -> list[str]:
        words = lambda *w: lambda: self.rng.choice(w)

        def attributes(_tag, default):
            options = {
                "type": words("capsule", "box", "cylinder", "sphere"),
                "size": lambda: self.numbers(3 if default else 1, 3),
                "friction": lambda: self.numbers(1, 3),
                "solref": lambda: self.numbers(1, 2),
                "solimp": lambda: self.numbers(1, 5),
                "margin": lambda: self.numbers(1),
                "gap": lambda: self.numbers(1),
                "solmix": lambda: self.numbers(1),
                "condim": words(1, 3, 4, 6),
                "contype": words(0, 1, 3),
                "conaffinity": words(0, 1, 2),
                "priority": words(-1, 0, 2),
                "group": words(0, 3),
                "density": words(5, 700),
                "rgba": lambda: self.numbers(4, of=(0, 0.25, 1)),
            }
            out = self.pick(options, 0.25)
            if self.chance(0.08):
                out["mass"] = self.numbers(1)
            if self.chance(0.3):
                out |= self.way_to_turn()
            if self.chance(0.2):
                out["pos"] = self.numbers(3)
            elif self.chance(0.12):
                out |= {"fromto": "0 0 0 " + self.numbers(3), "type": self.rng.choice(("capsule", "box"))}
            return out

        self.defaults(["geom"], attributes)
        kind = f' childclass="{self.rng.choice(self.classes)}"' if self.chance(0.6) else ""
        self.lines += ["<worldbody>", f"<body{kind}>", "<freejoint/>"]
        for _ in range(2):
            extra = {} if self.chance(0.5) else self.cls()
            self.lines.append(self.element("geom", {"size": self.numbers(3), **extra, **attributes("geom", False)}))
        self.lines += ["</body>", "</worldbody>"]
        names = "type pos quat size friction solref solimp margin gap solmix condim contype conaffinity priority group"
        return [f"geom_{n}" for n in (*names.split(), "rgba")] + ["body_mass", "body_inertia"]

    def joint(self) -> list[str]:
        def attributes(_tag, _default):
            options = {
                "axis": lambda: self.numbers(3),
                "pos": lambda: self.numbers(3),
                "margin": lambda: self.numbers(1),
                "stiffness": lambda: self.numbers(1),
                "damping": lambda: self.numbers(1),
                "armature": lambda: self.numbers(1),
                "frictionloss": lambda: self.numbers(1),
                "ref": lambda: self.numbers(1),
                "springref": lambda: self.numbers(1),
                "solreflimit": lambda: self.numbers(1, 2),
                "solimplimit": lambda: self.numbers(1, 5),
                "solreffriction": lambda: self.numbers(1, 2),
                "solimpfriction": lambda: self.numbers(1, 5),
                "actuatorfrcrange": lambda: self.rng.choice(("-1 2", "0 0", "-0.5 0.5")),
                "group": lambda: self.rng.choice((0, 2)),
            }
            out = self.pick(options, 0.25)
            if self.chance(0.3):
                out["type"] = self.rng.choice(("hinge", "slide", "ball", "slide"))
            if self.chance(0.3):
                out["range"] = self.rng.choice(("0 1", "0 0", "0 0.5"))
            if self.chance(0.1):
                out["limited"] = self.rng.choice(("true", "false", "auto"))
            if self.chance(0.05):
                out["actuatorfrclimited"] = self.rng.choice(("false", "auto"))
            return out

        self.defaults(["joint"], attributes)
        self.lines.append("<worldbody>")
        for _ in range(2):
            kind = f' childclass="{self.rng.choice(self.classes)}"' if self.chance(0.5) else ""
            self.lines += [f"<body{kind}>", INERTIAL, self.element("joint", attributes("joint", False) | self.cls())]
        self.lines += ["</body>", "</body>", "</worldbody>"]
        joints = "type pos axis limited range margin solref solimp stiffness actfrclimited actfrcrange"
        dofs = "armature damping frictionloss solref solimp"
        return [f"jnt_{n}" for n in joints.split()] + [f"dof_{n}" for n in dofs.split()] + ["qpos0", "qpos_spring"]

    def site(self) -> list[str]:
        def attributes(_tag, _default):
            out = self.pick({"size": lambda: self.numbers(1, 3), "group": lambda: self.rng.choice((0, 2))}, 0.4)
            if self.chance(0.3):
                out["type"] = self.rng.choice(("sphere", "capsule", "box", "cylinder", "ellipsoid"))
            if self.chance(0.3):
                out |= self.way_to_turn()
            if self.chance(0.3):
                out["pos"] = self.numbers(3)
            elif self.chance(0.15):
                kind = self.rng.choice(("capsule", "box", "cylinder", "ellipsoid"))
                out |= {"fromto": "0 0 0 " + self.numbers(3), "type": kind}
            return out

        self.defaults(["site"], attributes)
        kind = f' childclass="{self.rng.choice(self.classes)}"' if self.chance(0.6) else ""
        self.lines += ["<worldbody>", f"<body{kind}>", INERTIAL, "<freejoint/>"]
        for _ in range(2):
            extra = {} if self.chance(0.5) else self.cls()
            self.lines.append(self.element("site", {**extra, **attributes("site", False)}))
        self.lines += ["</body>", "</worldbody>"]
        return ["site_pos", "site_quat", "site_size"]

    def pair(self) -> list[str]:
        def attributes(tag, _default):
            if tag == "geom":
                return self.pick(
                    {
                        "friction": lambda: self.numbers(1, 3),
                        "solref": lambda: self.numbers(2),
                        "solimp": lambda: self.numbers(1, 5),
                        "margin": lambda: self.numbers(1),
                        "gap": lambda: self.numbers(1),
                        "condim": lambda: self.rng.choice((1, 4, 6)),
                        "priority": lambda: self.rng.choice((0, 1)),
                    },
                    0.4,
                )
            return self.pick(
                {
                    "condim": lambda: self.rng.choice((1, 3, 4, 6)),
                    "friction": lambda: self.numbers(1, 5),
                    "solref": lambda: self.numbers(1, 2),
                    "solimp": lambda: self.numbers(1, 5),
                    "margin": lambda: self.numbers(1),
                    "gap": lambda: self.numbers(1),
                },
                0.3,
            ) | ({"solreffriction": self.rng.choice(("0", "0 0", "0.1"))} if self.chance(0.05) else {})

        self.defaults(["pair", "geom"], attributes)
        self.lines += ["<worldbody>", '<geom name="floor" type="plane" size="1 1 1"/>']
        for name in "ab":
            geom = self.element("geom", {"size": "0.1", **self.cls()}, name=name)
            self.lines += ["<body>", "<freejoint/>", geom, "</body>"]
        self.lines += ["</worldbody>", "<contact>"]
        for one, two in self.rng.sample([("floor", "a"), ("b", "floor"), ("a", "b"), ("b", "a")], 2):
            self.lines.append(self.element("pair", attributes("pair", False) | self.cls(), geom1=one, geom2=two))
        self.lines.append("</contact>")
        return [f"pair_{n}" for n in "geom1 geom2 dim friction solref solimp margin gap".split()]

    def tendon(self) -> list[str]:
        def attributes(_tag, default):
            names = ("stiffness", "damping", "frictionloss", "armature")
            force = {name: lambda: self.rng.choice((0, 0, 0, 2)) for name in names}
            out = self.pick(force, 0.15) | self.pick(
                {
                    "group": lambda: self.rng.choice((0, 2)),
                    "margin": lambda: self.numbers(1),
                    "springlength": lambda: self.numbers(1),
                    "solreflimit": lambda: self.numbers(1, 2),
                    "solimpfriction": lambda: self.numbers(1, 5),
                },
                0.2,
            )
            if self.chance(0.15):
                out["range"] = self.rng.choice(("0 0", "0 0", "-1 1"))
            if self.chance(0.1):
                out["limited"] = self.rng.choice(("false", "auto"))
            if default and self.chance(0.3):
                out["width"] = self.numbers(1)
            return out

        self.defaults(["tendon"], attributes)
        self.lines += ["<worldbody>", "<body>", INERTIAL, '<joint name="a"/>', "<body>", INERTIAL, '<joint name="b"/>']
        self.lines += ["</body>", "</body>", "</worldbody>", "<tendon>"]
        attributes = self.element("fixed", attributes("fixed", False) | self.cls())
        self.lines += [attributes.replace("/>", ">"), '<joint joint="b" coef="-2"/>', '<joint joint="a" coef="0.5"/>']
        self.lines += ["</fixed>", "</tendon>"]
        return ["wrap_objid", "wrap_prm"]

    def actuator(self) -> list[str]:
        value = lambda: self.numbers(1, of=(2, 3, 4.5, 7.25, 11, 0.5))
        signed = lambda: self.numbers(1, 4, of=(-1, -2, -3, 4, -7.25))

        def attributes(tag, default):
            common = {"ctrlrange": lambda: self.rng.choice(("0 1", "0 2", "0 0")), "forcerange": lambda: "-3 4"}
            out = self.pick(common, 0.15)
            if self.chance(0.3) and tag != "adhesion":
                out["gear"] = value()
            if self.chance(0.07) and tag not in ("adhesion", "damper"):
                out["ctrllimited"] = self.rng.choice(("false", "auto"))
            if tag in ("position", "intvelocity"):
                out |= self.pick({"kp": value, "kv": value}, 0.4)
                if self.chance(0.12):
                    out["inheritrange"] = self.rng.choice(("0", "0.5", "1"))
                if self.chance(0.04) and "kv" not in out:
                    out["dampratio"] = value()
            if tag == "position" and self.chance(0.06):
                out["timeconst"] = self.rng.choice(("0", "0.1"))
            if tag in ("velocity", "damper"):
                out |= self.pick({"kv": value}, 0.5)
            if tag == "adhesion":
                out |= self.pick({"gain": value}, 0.5)
            if tag == "cylinder":
                out |= self.pick({"area": value, "timeconst": value, "bias": lambda: self.numbers(3, of=(-1, -2))}, 0.5)
            if tag == "general":
                many = lambda: self.numbers(1, 4, of=(2, 3, 4.5, 7.25))
                out |= self.pick({"gainprm": many, "biasprm": signed}, 0.4)
                if self.chance(0.4):
                    out["biastype"] = self.rng.choice(("none", "affine"))
                if self.chance(0.15):
                    out["gaintype"] = self.rng.choice(("fixed", "affine"))
                if self.chance(0.1):
                    out["dyntype"] = self.rng.choice(("none", "filter", "filterexact", "integrator"))
                if self.chance(0.05):
                    out["inheritrange"] = self.rng.choice(("0", "0.5"))
            return out

        self.defaults([*SHORTCUTS, *OTHERS] if self.chance(0.3) else list(SHORTCUTS), attributes)
        joint = '<joint name="a" range="-60 90"/>'
        self.lines += ["<worldbody>", "<body>", INERTIAL, joint, "</body>", "</worldbody>", "<actuator>"]
        for _ in range(2):
            tag = self.rng.choice(SHORTCUTS)
            self.lines.append(self.element(tag, attributes(tag, False) | self.cls(), joint="a"))
        self.lines.append("</actuator>")
        names = "gear gainprm biastype biasprm ctrllimited ctrlrange forcelimited forcerange"
        return [f"actuator_{n}" for n in names.split()]

    def material(self) -> list[str]:
        rgba = lambda: self.numbers(4, of=(0, 0.25, 1))

        def attributes(tag, _default):
            if tag == "geom":
                return self.pick({"rgba": rgba, "material": lambda: self.rng.choice("pq")}, 0.3)
            return self.pick({"rgba": rgba, "specular": lambda: self.numbers(1)}, 0.4)

        self.defaults(["material", "geom"], attributes)
        self.lines += ["<asset>"]
        self.lines += [self.element("material", attributes("material", False) | self.cls(), name=n) for n in "pq"]
        self.lines += ["</asset>", "<worldbody>"]
        for _ in range(2):
            self.lines.append(self.element("geom", attributes("geom", False) | self.cls(), size="0.1"))
        self.lines.append("</worldbody>")
        return ["geom_rgba", "geom_matid", "mat_rgba"]


KINDS = (Tree.geom, Tree.joint, Tree.site, Tree.pair, Tree.tendon, Tree.actuator, Tree.actuator, Tree.material)


def is_beyond(text: str, model) -> bool:
    """Has it forces that Pavlov refuses by name?"""
    import mujoco

    springs = (model.tendon_stiffness, model.tendon_damping, model.tendon_frictionloss, model.tendon_armature)
    if any(a.any() for a in springs) or model.tendon_limited.any() or model.pair_solreffriction.any():
        return True
    if model.actuator_gaintype.any() or model.actuator_dyntype.any() or (model.actuator_biastype > 1).any():
        return True
    # as the file says it: the compiled model has a coefficient in place of the ratio of damping
    for actuator in mujoco.MjSpec.from_string(text).actuators:
        servo = actuator.gainprm[0] == -actuator.biasprm[1] and actuator.biastype != mujoco.mjtBias.mjBIAS_NONE
        if servo and actuator.biasprm[2] > 0:
            return True
    return False


def verdict(text: str):
    """The compiled model, or the line where MuJoCo refuses the file."""
    import mujoco

    try:
        return mujoco.MjModel.from_xml_string(text)
    except ValueError as error:
        line = re.search(r"line (?:number=)?(\d+)", str(error), re.IGNORECASE)
        return int(line[1]) if line else 0


def one_tree(kind, seed: int) -> dict:
    tree = Tree(random.Random(seed))
    fields = kind(tree)
    text = tree.text()
    model = verdict(text)
    if isinstance(model, int):
        return {"xml": text, "line": model}
    if is_beyond(text, model):
        return {"xml": text, "beyond": True}
    short = lambda a: [float(f"{v:.9g}") if v % 1 else int(v) for v in a.astype(float).ravel()]
    return {"xml": text, "fields": {name: short(getattr(model, name)) for name in fields}}


NUMBERS = {
    "joint": "pos axis springdamper range actuatorfrcrange solreflimit solimplimit solreffriction solimpfriction"
    " stiffness margin ref springref armature damping frictionloss group user",
    "geom": "size friction mass density solmix solref solimp margin gap fromto pos quat axisangle euler xyaxes zaxis"
    " fitscale rgba fluidcoef contype conaffinity condim group priority user",
    "site": "size fromto pos quat axisangle euler xyaxes zaxis rgba group user",
    "pair": "condim friction solref solreffriction solimp gap margin",
    "tendon": "range actuatorfrcrange solreflimit solimplimit solreffriction solimpfriction margin frictionloss"
    " springlength width rgba stiffness damping armature group user",
    "equality": "solref solimp",
    "mesh": "scale",
    "material": "texrepeat emission specular shininess reflectance metallic roughness rgba",
    "camera": "fovy ipd resolution pos quat axisangle euler xyaxes zaxis focal focalpixel principal principalpixel"
    " sensorsize user",
    "light": "bulbradius intensity range pos dir attenuation cutoff exponent softness ambient diffuse specular",
    "general": "group ctrlrange forcerange actrange gear cranklength user dynprm gainprm biasprm inheritrange delay"
    " nsample actdim",
    "motor": "ctrlrange gear",
    "position": "kp kv dampratio timeconst inheritrange",
    "velocity": "kv",
    "intvelocity": "kp kv dampratio inheritrange actrange",
    "damper": "kv ctrlrange",
    "cylinder": "timeconst area diameter bias",
    "adhesion": "gain ctrlrange",
}


def forms() -> dict:
    """Of each attribute: how many numbers are accepted."""
    out: dict = {}
    for tag, names in NUMBERS.items():
        for name in names.split():
            file = '<mujoco><default><{} {}="{}"/></default><worldbody/></mujoco>'
            # kv and dampratio exclude each other, a range must not be empty: ones do for all
            fits = [n for n in range(12) if not isinstance(verdict(file.format(tag, name, " ".join("1" * n))), int)]
            out.setdefault(tag, {})[name] = fits
    return out


BODY = '<worldbody>\n<body pos="0 0 1">\n<joint name="a"/>\n<geom name="g" size=".1"/>\n</body>\n</worldbody>'
MARK = "\ufeff"


def files() -> list[str]:
    """Files of odd form."""
    default = lambda inner: f"<mujoco>\n{inner}\n{BODY}\n</mujoco>"
    nested = lambda inner: default(f'<default>\n<default class="c">\n{inner}\n</default>\n</default>')
    whole = f"<mujoco>\n{BODY}\n</mujoco>"
    wrong = whole.replace("size", "sise")
    in_body = lambda inner: f"<mujoco>\n<worldbody>\n<body>\n{inner}\n{INERTIAL}\n</body>\n</worldbody>\n</mujoco>"
    acting = lambda inner: f"<mujoco>\n{BODY}\n<actuator>\n{inner}\n</actuator>\n</mujoco>"
    return [
        # classes
        default('<default class="robot">\n<geom density="3"/>\n</default>'),
        default('<default class="main">\n<geom density="3"/>\n</default>'),
        default('<default class="">\n<geom density="3"/>\n</default>'),
        default('<default>\n<default class="main"/>\n</default>'),
        default("<default>\n<default/>\n</default>"),
        default('<default>\n<default class=""/>\n</default>'),
        default('<default>\n<default class="x"/>\n<default class="x"/>\n</default>'),
        default('<default>\n<default class="x">\n<default class="x"/>\n</default>\n</default>'),
        default('<default>\n<default class="x"/>\n</default>\n<default>\n<default class="x"/>\n</default>'),
        default('<default>\n<default class="x"/>\n</default>\n<default class="y"/>'),
        default('<default>\n<default class="x"/>\n</default>\n<default>\n<geom density="3"/>\n</default>'),
        default('<default name="x"/>'),
        default('<default>\n<default class="x" foo="1"/>\n</default>'),
        # what may stand in a class
        *(default(f"<default>\n<{tag}/>\n<{tag}/>\n</default>") for tag in "joint geom pair tendon position".split()),
        *(default(f"<default>\n<{tag}/>\n</default>") for tag in "fixed spatial freejoint body weld skin".split()),
        *(default(f"<default>\n<{tag}/>\n</default>") for tag in "mesh material texture camera light equality".split()),
        nested('<geom name="x"/>'),
        nested('<joint class="c"/>'),
        nested('<pair geom1="g"/>'),
        nested('<motor joint="a"/>'),
        nested('<tendon name="t"/>'),
        nested("<geom>\n<geom/>\n</geom>"),
        nested('<motor kp="3"/>'),
        nested('<velocity kp="3"/>'),
        nested('<position gainprm="3"/>'),
        nested('<general kp="3"/>'),
        nested('<motor timeconst="0"/>'),
        nested('<damper ctrllimited="true"/>'),
        nested('<joint damping="x"/>'),
        nested('<joint axis="0 1"/>'),
        nested('<geom type="ball"/>'),
        nested('<geom condim="2.5"/>'),
        nested('<geom quat="1 0 0 0" euler="0 0 1"/>'),
        nested('<position kv="-1"/>'),
        nested('<position kv="1" dampratio="1"/>'),
        nested('<position inheritrange="1" ctrlrange="-1 1"/>'),
        nested('<position timeconst="-1"/>'),
        nested('<general dyntype="integrators"/>'),
        # classes that are asked for
        in_body('<geom class="c" size=".1"/>'),
        in_body('<geom class="" size=".1"/>'),
        in_body('<geom class="main" size=".1"/>'),
        whole.replace("<body ", '<body childclass="c" '),
        whole.replace("<body ", '<body childclass="main" '),
        acting('<motor class="c" joint="a"/>'),
        # vectors
        in_body('<joint axis="0 1"/>'),
        in_body('<joint axis="0 1 0 0"/>'),
        in_body('<joint axis=""/>'),
        in_body('<joint pos="1"/>'),
        in_body('<joint range="1"/>'),
        in_body('<joint ref="1 2"/>'),
        in_body('<joint damping="1 0 0"/>'),
        in_body('<joint damping="1 0 0 0"/>'),
        in_body('<joint type=""/>'),
        in_body('<joint type="hinge "/>'),
        in_body('<geom size=".1" quat="1 0 0"/>'),
        in_body('<geom size=".1" rgba="1 0 0"/>'),
        in_body('<geom size=".1 .2 .3 .4"/>'),
        in_body('<geom size=".1" friction="1 1 1 1"/>'),
        in_body('<geom size=".1,.2"/>'),
        in_body('<geom size=".1" type="capsule" fromto="0 0 0 1 0"/>'),
        in_body('<geom size=".1" type="capsule" fromto="0 0 0 1 0 0" pos="0 0 0"/>'),
        in_body('<geom size=".1" type="capsule" fromto="0 0 0 1 0 0" pos="0 0 1"/>'),
        in_body('<geom size=".1" fromto="0 0 0 1 0 0"/>'),
        in_body('<site pos="1 2"/>'),
        in_body('<site fromto="0 0 0 1 0 0"/>'),
        in_body('<camera pos="1 2"/>'),
        in_body('<camera foo="1"/>'),
        in_body('<light dir="0 0"/>'),
        in_body('<light class="c"/>'),
        in_body('<freejoint class="main"/>'),
        whole.replace('pos="0 0 1"', 'pos="0 1"'),
        whole.replace('pos="0 0 1"', 'quat="1 0 0"'),
        acting('<motor joint="a" ctrlrange="1"/>'),
        acting('<motor joint="a" ctrlrange="0 0"/>'),
        acting('<motor joint="a" ctrllimited="true"/>'),
        acting('<motor joint="a" kp="3"/>'),
        acting('<motor joint="a" gear=""/>'),
        acting('<position joint="a" kp="1 2"/>'),
        acting('<position joint="a" kp=""/>'),
        acting('<position joint="a" inheritrange="1"/>'),
        acting('<position joint="a" kv="-1"/>'),
        acting('<general joint="a" actrange="0 0"/>'),
        acting('<general joint="a" actlimited="true"/>'),
        acting('<general joint="a" gainprm="1 2 3 4 5 6 7 8 9 10 11"/>'),
        # text, marks
        *(mark + whole for mark in (MARK, MARK + MARK, "\n\n", "hello ", MARK + "\n", '\n<?xml version="1.0"?>\n')),
        MARK + '<?xml version="1.0"?>\n' + whole,
        '<?xml version="1.0"?>\nhello\n<!-- <x> -->\n' + whole,
        whole + "hello",
        whole + "\n<!-- c -->\n",
        whole.replace("<body", "hello <body"),
        whole.replace("</body>", "</body>> -->"),
        whole.replace("<joint", f"{MARK}<joint"),
        whole.replace("<geom", "&amp;<geom"),
        default("<default>text\n<geom>text</geom>\n</default>"),
        *(mark + wrong for mark in ("", MARK, "\n\n", "hello\n", MARK + "\n\n", '\n<?xml version="1.0"?>\n')),
        wrong.replace("<joint", "text\n\n<joint"),
        wrong.replace("\n", "\r\n"),
        MARK + whole.replace("</body>", ""),
        "\n\nhello\n" + whole.replace("</body>", "</bod>"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trees", type=int, default=304)
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "tests" / "data")
    arguments = parser.parse_args()
    trees = [one_tree(KINDS[seed % len(KINDS)], seed) for seed in range(arguments.trees)]
    odd = [{"xml": text, "line": v if isinstance(v := verdict(text), int) else None} for text in files()]
    row = lambda item: json.dumps(item, ensure_ascii=True, separators=(",", ":"))
    rows = lambda items: "[\n" + ",\n".join(map(row, items)) + "\n]"
    text = f'{{"trees":{rows(trees)},\n"forms":{row(forms())},\n"files":{rows(odd)}}}\n'
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "defaults.json"
    path.write_text(text)
    counts = {key: sum(key in tree for tree in trees) for key in ("fields", "line", "beyond")}
    print(f"{path}: {len(text)} bytes, trees {counts}, {sum(f['line'] is None for f in odd)} of {len(odd)} files read")


if __name__ == "__main__":
    ensure(MUJOCO)
    main()
