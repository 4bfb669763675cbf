//! Which rapier link stands for which MuJoCo joint.
//!
//! A rapier multibody has one joint per link, a MuJoCo body any number of joints: every joint becomes a link, the last
//! one of a body carries its mass and geoms, those before it have none. Bodies without joints belong to the link of
//! their nearest ancestor that has one (`Body::weld`), or to the ground.

use pavlov_model::{JointKind, Model};

/// One joint and the frame it moves.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    /// MuJoCo's joint.
    pub joint: usize,
    /// Link it hangs from; none for the ground.
    pub parent: Option<usize>,
    /// Body whose frame this is once all joints of the body have acted.
    pub body: usize,
    /// First joint of its body.
    pub first: bool,
    /// Last joint of its body.
    pub last: bool,
}

/// The links of a robot, parents first, in the order of the model's joints.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub links: Vec<Link>,
    /// Link that carries each body; none for what is fixed to the world.
    pub body_link: Vec<Option<usize>>,
    /// `pair_of[geom1 * geoms + geom2]`, both ways.
    pairs: Vec<Option<u32>>,
    geoms: usize,
}

impl Layout {
    pub fn new(model: &Model) -> Self {
        let mut links: Vec<Link> = Vec::with_capacity(model.joints.len());
        let mut body_link: Vec<Option<usize>> = vec![None; model.bodies.len()];
        for (b, body) in model.bodies.iter().enumerate().skip(1) {
            let mut carrier = body_link[body.parent];
            for joint in body.joints.clone() {
                let (first, last) = (joint == body.joints.start, joint + 1 == body.joints.end);
                links.push(Link { joint, parent: carrier, body: b, first, last });
                carrier = Some(links.len() - 1);
            }
            body_link[b] = carrier;
        }
        let geoms = model.geoms.len();
        let mut pairs = vec![None; geoms * geoms];
        for (i, pair) in model.pairs.iter().enumerate() {
            pairs[pair.geom1 * geoms + pair.geom2] = Some(i as u32);
            pairs[pair.geom2 * geoms + pair.geom1] = Some(i as u32);
        }
        Self { links, body_link, pairs, geoms }
    }

    /// The candidate pair of two geoms, in either order.
    pub fn pair(&self, a: usize, b: usize) -> Option<usize> {
        self.pairs[a * self.geoms + b].map(|p| p as usize)
    }
}

/// Dofs of a joint.
pub(crate) fn dofs(kind: JointKind) -> usize {
    match kind {
        JointKind::Hinge | JointKind::Slide => 1,
        JointKind::Ball => 3,
        JointKind::Free => 6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::scene;

    #[test]
    fn a_body_with_several_joints_is_a_chain_and_a_welded_body_belongs_to_its_carrier() {
        let physics = scene(
            "",
            "<geom type='plane' size='1 1 1'/>
             <body><joint type='slide' axis='1 0 0'/><joint axis='0 1 0'/><geom size='.1'/>
               <body pos='0 0 1'><geom size='.1'/><body pos='0 0 1'><joint/><geom size='.1'/></body></body></body>
             <body pos='5 0 0'><geom size='.1'/></body>",
        );
        let layout = Layout::new(physics.model());
        let links: Vec<_> = layout.links.iter().map(|l| (l.parent, l.body, l.first, l.last)).collect();
        assert_eq!(links, [(None, 1, true, false), (Some(0), 1, false, true), (Some(1), 3, true, true)]);
        assert_eq!(layout.body_link, [None, Some(1), Some(1), Some(2), None]);
        let pair = layout.pair(1, 0).unwrap();
        assert_eq!((physics.model().pairs[pair].geom1, physics.model().pairs[pair].geom2), (0, 1));
        assert_eq!(layout.pair(1, 2), None, "parent and welded child");
    }
}
