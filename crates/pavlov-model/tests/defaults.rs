//! Default classes give what MuJoCo 4.0.0 makes of them: random trees of classes, the numbers each attribute takes, and
//! files of odd form, refused in the same line. `tests/data/defaults.json` is written by `tests/mujoco/defaults.py`.

use pavlov_model::{FrictionFrom, GeomKind, JointKind, Model, parse_mjcf};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Least relative difference that counts: the data have nine digits.
const ROUNDING: f64 = 1e-8;

fn data() -> Value {
    let folder = std::env::var("PAVLOV_TEST_DATA").map(PathBuf::from);
    let path = folder.unwrap_or_else(|_| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data"));
    let path = path.join("defaults.json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap()
}

fn list<'a>(data: &'a Value, name: &str) -> &'a [Value] {
    data[name].as_array().unwrap()
}

fn row(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn flag(value: bool) -> f64 {
    f64::from(u8::from(value))
}

/// `None` as MuJoCo has it: not limited.
fn limited(range: &Option<[f64; 2]>) -> f64 {
    flag(range.is_some())
}

fn all<T, I: IntoIterator<Item = f64>>(of: &[T], values: impl Fn(&T) -> I) -> Vec<f64> {
    of.iter().flat_map(|item| values(item).into_iter().collect::<Vec<_>>()).collect()
}

/// The array that MuJoCo calls `name`, of the model read here. Numbers that stand for nothing are NaN: a range that is
/// not enforced, the bias of an actuator that has none.
fn field(m: &Model, name: &str) -> Vec<f64> {
    let unread = || [f64::NAN; 2];
    let range = |r: &Option<[f64; 2]>| r.unwrap_or(unread());
    let shape = |kind: GeomKind| match kind {
        GeomKind::Plane => 0.0,
        GeomKind::Sphere => 2.0,
        GeomKind::Capsule => 3.0,
        GeomKind::Cylinder => 5.0,
        GeomKind::Box => 6.0,
    };
    let explicit: Vec<_> = m.pairs.iter().filter(|p| p.friction_from == FrictionFrom::Explicit).cloned().collect();
    match name {
        "body_mass" => all(&m.bodies, |b| [b.mass]),
        "body_inertia" => all(&m.bodies, |b| b.inertia),
        "geom_type" => all(&m.geoms, |g| [shape(g.kind)]),
        "geom_pos" => all(&m.geoms, |g| g.pos),
        "geom_quat" => all(&m.geoms, |g| g.quat),
        "geom_size" => all(&m.geoms, |g| g.size),
        "geom_friction" => all(&m.geoms, |g| g.friction),
        "geom_solref" => all(&m.geoms, |g| g.solref),
        "geom_solimp" => all(&m.geoms, |g| g.solimp),
        "geom_margin" => all(&m.geoms, |g| [g.margin]),
        "geom_gap" => all(&m.geoms, |g| [g.gap]),
        "geom_solmix" => all(&m.geoms, |g| [g.solmix]),
        "geom_condim" => all(&m.geoms, |g| [f64::from(g.condim)]),
        "geom_contype" => all(&m.geoms, |g| [f64::from(g.contype)]),
        "geom_conaffinity" => all(&m.geoms, |g| [f64::from(g.conaffinity)]),
        "geom_priority" => all(&m.geoms, |g| [f64::from(g.priority)]),
        "geom_group" => all(&m.geoms, |g| [f64::from(g.group)]),
        "geom_rgba" => all(&m.geoms, |g| g.rgba.map(f64::from)),
        "jnt_type" => all(&m.joints, |j| match j.kind {
            JointKind::Free => [0.0],
            JointKind::Ball => [1.0],
            JointKind::Slide => [2.0],
            JointKind::Hinge => [3.0],
        }),
        "jnt_pos" => all(&m.joints, |j| j.pos),
        "jnt_axis" => all(&m.joints, |j| if j.kind == JointKind::Ball { [f64::NAN; 3] } else { j.axis }),
        "jnt_limited" => all(&m.joints, |j| [flag(j.limited)]),
        "jnt_range" => all(&m.joints, |j| j.range),
        "jnt_margin" => all(&m.joints, |j| [j.margin]),
        "jnt_solref" => all(&m.joints, |j| j.solref_limit),
        "jnt_solimp" => all(&m.joints, |j| j.solimp_limit),
        "jnt_stiffness" => all(&m.joints, |j| [j.stiffness]),
        "jnt_actfrclimited" => all(&m.joints, |j| [limited(&j.actfrcrange)]),
        "jnt_actfrcrange" => all(&m.joints, |j| range(&j.actfrcrange)),
        "dof_armature" => all(&m.dofs, |d| [d.armature]),
        "dof_damping" => all(&m.dofs, |d| [d.damping]),
        "dof_frictionloss" => all(&m.dofs, |d| [d.frictionloss]),
        "dof_solref" => all(&m.dofs, |d| d.solref_friction),
        "dof_solimp" => all(&m.dofs, |d| d.solimp_friction),
        "qpos0" => m.qpos0.clone(),
        "qpos_spring" => m.qpos_spring.clone(),
        "site_pos" => all(&m.sites, |s| s.pos),
        "site_quat" => all(&m.sites, |s| s.quat),
        "site_size" => all(&m.sites, |s| s.size),
        "pair_geom1" => all(&explicit, |p| [p.geom1 as f64]),
        "pair_geom2" => all(&explicit, |p| [p.geom2 as f64]),
        "pair_dim" => all(&explicit, |p| [f64::from(p.condim)]),
        "pair_friction" => all(&explicit, |p| p.friction),
        "pair_solref" => all(&explicit, |p| p.solref),
        "pair_solimp" => all(&explicit, |p| p.solimp),
        "pair_margin" => all(&explicit, |p| [p.margin]),
        "pair_gap" => all(&explicit, |p| [p.gap]),
        "wrap_objid" => m.tendons.iter().flat_map(|t| &t.wraps).map(|w| w.0 as f64).collect(),
        "wrap_prm" => m.tendons.iter().flat_map(|t| &t.wraps).map(|w| w.1).collect(),
        "actuator_gear" => all(&m.actuators, |a| [a.gear, 0.0, 0.0, 0.0, 0.0, 0.0]),
        "actuator_gainprm" => all(&m.actuators, |a| std::iter::once(a.gain).chain([f64::NAN; 9])),
        "actuator_biasprm" => all(&m.actuators, |a| a.bias.into_iter().chain([f64::NAN; 7])),
        "actuator_ctrllimited" => all(&m.actuators, |a| [limited(&a.ctrlrange)]),
        "actuator_ctrlrange" => all(&m.actuators, |a| range(&a.ctrlrange)),
        "actuator_forcelimited" => all(&m.actuators, |a| [limited(&a.forcerange)]),
        "actuator_forcerange" => all(&m.actuators, |a| range(&a.forcerange)),
        _ => panic!("the data have `{name}`, which this test does not know"),
    }
}

/// What MuJoCo's arrays say, as the model read here can say it.
fn expected(fields: &Value, name: &str) -> Vec<f64> {
    let mut values = row(&fields[name]);
    match name {
        // a bias of kind none is no bias
        "actuator_biasprm" => {
            for (row, kind) in values.chunks_mut(10).zip(row(&fields["actuator_biastype"])) {
                row.iter_mut().filter(|_| kind == 0.0).for_each(|v| *v = 0.0);
            }
        }
        // what is drawn: the material's colour where the geom has none of its own
        "geom_rgba" if fields["geom_matid"].is_array() => {
            let (materials, colours) = (row(&fields["geom_matid"]), row(&fields["mat_rgba"]));
            for (rgba, material) in values.chunks_mut(4).zip(materials) {
                if material >= 0.0 && rgba == [0.5, 0.5, 0.5, 1.0] {
                    rgba.copy_from_slice(&colours[4 * material as usize..][..4]);
                }
            }
        }
        _ => {}
    }
    values
}

/// Same turn: a quaternion and its negative are one.
fn same(name: &str, found: &[f64], wanted: &[f64]) -> bool {
    let near = |a: f64, b: f64| a.is_nan() || (a - b).abs() <= ROUNDING * b.abs().max(1.0);
    let width = if name.ends_with("_quat") { 4 } else { 1 };
    found.len() == wanted.len()
        && found.chunks(width).zip(wanted.chunks(width)).all(|(a, b)| {
            a.iter().zip(b).all(|(a, b)| near(*a, *b)) || (width == 4 && a.iter().zip(b).all(|(a, b)| near(*a, -*b)))
        })
}

#[test]
fn trees_of_classes_give_mujocos_numbers() {
    let data = data();
    let (mut read, mut refused, mut wrong) = (0, 0, Vec::new());
    for tree in list(&data, "trees") {
        let xml = tree["xml"].as_str().unwrap();
        match (parse_mjcf(xml, "tree.xml"), tree["fields"].as_object()) {
            (Ok(model), Some(fields)) => {
                read += 1;
                for name in
                    fields.keys().filter(|n| !["geom_matid", "mat_rgba", "actuator_biastype"].contains(&n.as_str()))
                {
                    let (found, wanted) = (field(&model, name), expected(&tree["fields"], name));
                    if !same(name, &found, &wanted) {
                        wrong.push(format!("{name} is {found:?}, expected {wanted:?}\n{xml}"));
                    }
                }
            }
            (Err(e), Some(_)) => wrong.push(format!("refused: {e}\n{xml}")),
            (Ok(_), None) => wrong.push(format!("read, expected a refusal {}\n{xml}", tree["line"])),
            (Err(e), None) => {
                refused += 1;
                // of two faults, one may be none to MuJoCo
                let beyond = e.message.contains("not supported");
                if !beyond && tree["line"].as_u64().is_some_and(|line| line != e.line as u64) {
                    wrong.push(format!("refused: {e}, expected line {}\n{xml}", tree["line"]));
                }
            }
        }
    }
    println!("{read} trees read, {refused} refused");
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong[..wrong.len().min(5)].join("\n\n"));
    assert!(read >= 200 && refused >= 20, "{read} read, {refused} refused");
}

#[test]
fn attributes_take_as_many_numbers_as_mujocos() {
    let data = data();
    for (tag, attributes) in data["forms"].as_object().unwrap() {
        for (name, fits) in attributes.as_object().unwrap() {
            let fits = row(fits);
            for n in 0..12 {
                let numbers = vec!["1"; n].join(" ");
                let xml = format!("<mujoco>\n<default>\n<{tag} {name}='{numbers}'/></default><worldbody/></mujoco>");
                let found = parse_mjcf(&xml, "form.xml");
                assert_eq!(found.is_ok(), fits.contains(&(n as f64)), "{tag} {name} of {n} numbers: {:?}", found.err());
                if let Err(e) = found {
                    assert_eq!(
                        (e.line, e.element.as_str(), e.attribute.as_deref()),
                        (3, tag.as_str(), Some(name.as_str()))
                    );
                }
            }
        }
    }
}

#[test]
fn files_of_odd_form_are_read_or_refused_as_by_mujoco() {
    let data = data();
    let mut wrong = Vec::new();
    for file in list(&data, "files") {
        let xml = file["xml"].as_str().unwrap();
        match (parse_mjcf(xml, "odd.xml"), file["line"].as_u64()) {
            (Ok(_), None) => {}
            // where a tag that is never closed was opened, or where another closes, is a matter of taste
            (Err(e), Some(line)) if line == e.line as u64 || e.message.contains("not well-formed") => {}
            (Err(e), line) => wrong.push(format!("refused: {e}, expected {line:?}\n{xml}")),
            (Ok(_), line) => wrong.push(format!("read, expected a refusal in line {line:?}\n{xml}")),
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n\n"));
}
