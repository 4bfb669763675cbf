//! A film strip: poses of an episode from the side, as SVG text. The first picture of what a policy does, for reports.
//!
//! Orthographic, looking along y and a little from above; every frame is centred on the robot and labelled with time
//! and distance. Capsules are lines with round ends, spheres circles, boxes the hull of their corners; far shapes are
//! drawn first.

use maud::{Markup, html};
use pavlov_common::page::short;
use pavlov_model::{GeomKind, Model};
use pavlov_physics::math::{V3, add, mul_mv, quat_mul, quat_rotate, splat3, splat4};
use pavlov_physics::{Data, Physics};
use std::sync::Arc;

/// Size of one frame, in pixels.
const FRAME: f64 = 150.0;
/// Rise of the camera: how much of a shape's distance shows as height.
const TILT: f64 = 0.25;

/// Poses of an episode: `(time in s, qpos)`.
pub(crate) fn strip(model: &Arc<Model>, poses: &[(f64, Vec<f64>)]) -> Option<String> {
    let physics = Physics::new(model.clone()).ok()?;
    let params = physics.params::<f64>();
    let mut data = physics.data::<f64>();
    let root = model.joints.first().map_or(1, |j| j.body);
    let mut height = 0.0;
    for (_, qpos) in poses {
        if qpos.len() != model.nq() {
            return None;
        }
        data.state.qpos.copy_from_slice(qpos);
        physics.refresh(&params, &mut data);
        height += data.xpos[root][2] / poses.len() as f64;
    }
    let mut frames = Vec::new();
    let mut reach = 0.0f64;
    for (time, qpos) in poses {
        data.state.qpos.copy_from_slice(qpos);
        physics.refresh(&params, &mut data);
        // Sideways the camera follows the robot; its height stays, so that the ground does too.
        let centre = [data.xpos[root][0], data.xpos[root][1], height];
        let mut shapes = shapes(model, &data, centre);
        shapes.sort_by(|a, b| b.depth.total_cmp(&a.depth));
        for s in &shapes {
            reach = s.points.iter().fold(reach, |r, p| r.max(p[0].abs() + s.radius).max((p[1]).abs() + s.radius));
        }
        frames.push((*time, centre, shapes));
    }
    let scale = 0.46 * FRAME / reach.clamp(0.05, 100.0);
    let (width, height) = (FRAME * frames.len() as f64, FRAME + 22.0);
    let start = frames.first().map_or(0.0, |f| f.1[0]);
    let picture = html! {
        svg.strip viewBox=(format!("0 0 {width:.0} {height:.0}")) xmlns="http://www.w3.org/2000/svg" role="img"
            aria-label="poses of one episode" {
            @for (i, (time, centre, shapes)) in frames.iter().enumerate() {
                (frame(i, *time, *centre, centre[0] - start, shapes, scale))
            }
        }
    };
    Some(picture.into_string())
}

/// The frame at a place in the strip: ground, robot, time and distance from the start.
fn frame(place: usize, time: f64, centre: V3<f64>, travelled: f64, shapes: &[Shape], scale: f64) -> Markup {
    let left = place as f64 * FRAME;
    let (x0, y0) = (left + 0.5 * FRAME, 0.5 * FRAME);
    let ground = (y0 + scale * centre[2]).min(FRAME);
    html! {
        g {
            rect x=(px(left)) y=(px(ground)) width=(px(FRAME)) height=(px((FRAME - ground).max(1.0))) fill="#8884" {}
            @for shape in shapes { (draw(shape, scale, (x0, y0))) }
            text x=(px(x0)) y=(px(FRAME + 15.0)) text-anchor="middle" font-size="12" fill="currentColor" {
                (short(time)) " s, " (short((travelled * 100.0).round() / 100.0)) " m"
            }
        }
    }
}

/// A coordinate, to a tenth of a pixel.
fn px(x: f64) -> String {
    format!("{x:.1}")
}

/// A shape on the picture plane, metres from the robot's centre.
struct Shape {
    points: Vec<[f64; 2]>,
    radius: f64,
    hull: bool,
    depth: f64,
    colour: String,
}

fn shapes(model: &Model, d: &Data<f64>, centre: V3<f64>) -> Vec<Shape> {
    let flat = |p: V3<f64>| [p[0] - centre[0], p[2] - centre[2] + TILT * (p[1] - centre[1])];
    let mut out = Vec::new();
    for g in model.geoms.iter().filter(|g| g.body > 0 && g.rgba[3] > 0.0) {
        let pos = add(d.xpos[g.body], mul_mv(&d.xmat[g.body], splat3(g.pos)));
        let quat = quat_mul(d.xquat[g.body], splat4(g.quat));
        let placed = |v: [f64; 3]| add(pos, quat_rotate(quat, v));
        let (points, radius, hull) = match g.kind {
            GeomKind::Sphere => (vec![flat(pos)], g.size[0], false),
            GeomKind::Capsule => {
                (vec![flat(placed([0.0, 0.0, -g.size[1]])), flat(placed([0.0, 0.0, g.size[1]]))], g.size[0], false)
            }
            GeomKind::Box => {
                let corner = |i: usize| -> [f64; 3] {
                    std::array::from_fn(|k| if i >> k & 1 == 1 { g.size[k] } else { -g.size[k] })
                };
                (convex((0..8).map(|i| flat(placed(corner(i)))).collect()), 0.0, true)
            }
            _ => continue,
        };
        let [r, green, b, _] = g.rgba.map(|c| (c.clamp(0.0, 1.0) * 255.0) as u8);
        out.push(Shape { points, radius, hull, depth: pos[1], colour: format!("rgb({r},{green},{b})") });
    }
    out
}

/// Convex hull of points in the plane, counter-clockwise (Andrew's monotone chain).
fn convex(mut points: Vec<[f64; 2]>) -> Vec<[f64; 2]> {
    points.sort_by(|a, b| a[0].total_cmp(&b[0]).then(a[1].total_cmp(&b[1])));
    let turn = |a: [f64; 2], b: [f64; 2], c: [f64; 2]| (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]);
    let half = |points: &mut dyn Iterator<Item = [f64; 2]>| {
        let mut chain: Vec<[f64; 2]> = Vec::new();
        for p in points {
            while chain.len() >= 2 && turn(chain[chain.len() - 2], chain[chain.len() - 1], p) <= 0.0 {
                chain.pop();
            }
            chain.push(p);
        }
        chain.pop();
        chain
    };
    let mut hull = half(&mut points.iter().copied());
    hull.extend(half(&mut points.iter().rev().copied()));
    hull
}

fn draw(shape: &Shape, scale: f64, (x0, y0): (f64, f64)) -> Markup {
    let place = |p: &[f64; 2]| (x0 + scale * p[0], y0 - scale * p[1]);
    html! {
        @match (shape.hull, shape.points.as_slice()) {
            (true, points) => {
                @let corners: Vec<String> = points.iter().map(place).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
                polygon points=(corners.join(" ")) fill=(shape.colour) stroke="#0006" stroke-linecap="round"
                    stroke-linejoin="round" {}
            }
            (false, [p]) => {
                @let (x, y) = place(p);
                circle cx=(px(x)) cy=(px(y)) r=(px(scale * shape.radius)) fill=(shape.colour) stroke="#0006" {}
            }
            (false, [a, b]) => {
                @let ((xa, ya), (xb, yb), width) = (place(a), place(b), 2.0 * scale * shape.radius);
                // A dark line below a lighter one makes an outline.
                @for (colour, width) in [("#0006", width + 1.6), (shape.colour.as_str(), width)] {
                    line x1=(px(xa)) y1=(px(ya)) x2=(px(xb)) y2=(px(yb)) stroke=(colour) stroke-width=(px(width))
                        stroke-linecap="round" stroke-linejoin="round" {}
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROBOT: &str = r#"<mujoco><worldbody><geom type="plane" size="1 1 1"/><body pos="0 0 1"><freejoint/>
        <geom type="box" size="0.2 0.1 0.1"/><body pos="0.2 0 0"><joint axis="0 1 0"/>
        <geom type="capsule" fromto="0 0 0 0.3 0 0" size="0.03"/></body></body></worldbody></mujoco>"#;

    #[test]
    fn every_frame_shows_every_shape() {
        let model = Arc::new(pavlov_model::parse_mjcf(ROBOT, "robot.xml").unwrap());
        let mut qpos = model.qpos0.clone();
        let mut poses = vec![(0.0, qpos.clone())];
        qpos[0] = 2.5;
        poses.push((1.0, qpos));
        let svg = strip(&model, &poses).unwrap();
        assert_eq!((svg.matches("<polygon").count(), svg.matches("<line").count()), (2, 4));
        assert!(svg.contains("1 s, 2.5 m"), "{svg}");
        assert!(strip(&model, &[(0.0, vec![0.0])]).is_none(), "a pose of another robot");
    }

    #[test]
    fn the_hull_of_a_square_with_a_point_inside_is_the_square() {
        let hull = convex(vec![[0.0, 0.0], [1.0, 0.0], [0.5, 0.5], [1.0, 1.0], [0.0, 1.0]]);
        assert_eq!(hull.len(), 4);
    }
}
