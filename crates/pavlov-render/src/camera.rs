//! Where the eye is. A [`Camera`] says from which side and how closely; with the size of what is to be seen it becomes
//! an [`Eye`] in the world.
//!
//! Angles in degrees as in MuJoCo: azimuth 90 looks along +y, elevation -30 looks down by 30 degrees. World z is up.

use crate::RenderError;

/// How a robot is looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct Camera {
    /// Name, or what was asked for.
    pub name: String,
    /// Direction of view about z; 0 looks along +x, 90 along +y.
    pub azimuth: f32,
    /// Direction of view above the horizon; -90 looks straight down.
    pub elevation: f32,
    /// Height of the picture, as an angle.
    pub fovy: f32,
    /// How much of the picture the robot's box may take, 0..1.
    pub fill: f32,
    /// Does it go along with the robot's centre of mass (x and y)?
    pub follow: bool,
}

/// Cameras by name: what they are for, azimuth, elevation, whether they follow.
pub const CAMERAS: &[(&str, &str, f32, f32, bool)] = &[
    ("track", "from the front and one side, above; follows", 128.0, -18.0, true),
    ("side", "from the right side, level; follows", 90.0, -7.0, true),
    ("front", "from ahead, level; follows", 180.0, -10.0, true),
    ("back", "from behind, above; follows", 0.0, -15.0, true),
    ("top", "from straight above; follows", 90.0, -90.0, true),
    ("fixed", "as `track`, but standing still where all of the path is seen", 128.0, -18.0, false),
];

/// Other names of cameras.
const ALIASES: &[(&str, &str)] =
    &[("three-quarter", "track"), ("default", "track"), ("above", "top"), ("rear", "back")];

impl Default for Camera {
    fn default() -> Self {
        let (name, _, azimuth, elevation, follow) = CAMERAS[0];
        Self { name: name.into(), azimuth, elevation, fovy: 35.0, fill: 0.97, follow }
    }
}

impl std::str::FromStr for Camera {
    type Err = RenderError;

    /// A name of [`CAMERAS`], or `AZIMUTH,ELEVATION` or `AZIMUTH,ELEVATION,ZOOM` (1 = as near as the named ones).
    fn from_str(text: &str) -> Result<Self, RenderError> {
        let name = ALIASES.iter().find(|(alias, _)| *alias == text).map_or(text, |(_, name)| name);
        if let Some(&(_, _, azimuth, elevation, follow)) = CAMERAS.iter().find(|c| c.0 == name) {
            return Ok(Self { name: name.into(), azimuth, elevation, follow, ..Self::default() });
        }
        let numbers: Option<Vec<f32>> =
            text.split(',').map(|t| t.trim().parse::<f32>().ok().filter(|x| x.is_finite())).collect();
        match numbers.as_deref() {
            Some([azimuth, elevation, zoom @ ..])
                if elevation.abs() <= 90.0
                    && (zoom.is_empty() || zoom.len() == 1 && zoom[0] > 0.0 && zoom[0] <= 20.0) =>
            {
                let plain = Self::default();
                let fill = plain.fill * zoom.first().copied().unwrap_or(1.0);
                Ok(Self { name: text.into(), azimuth: *azimuth, elevation: *elevation, fill, ..plain })
            }
            _ => {
                let names: Vec<&str> = CAMERAS.iter().map(|c| c.0).collect();
                let aliases: Vec<&str> = ALIASES.iter().map(|a| a.0).collect();
                Err(RenderError::Usage(format!(
                    "no camera `{text}`: there are {} (also {}), and AZIMUTH,ELEVATION[,ZOOM] in degrees, \
                     for example 128,-18",
                    names.join(", "),
                    aliases.join(", ")
                )))
            }
        }
    }
}

/// A box in the world: what a camera must show. m.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Extent {
    /// Lowest corner.
    pub low: [f32; 3],
    /// Highest corner.
    pub high: [f32; 3],
}

impl Extent {
    /// Holds nothing yet.
    pub const NONE: Self = Self { low: [f32::INFINITY; 3], high: [f32::NEG_INFINITY; 3] };

    /// Grows to hold a point.
    pub fn hold(&mut self, p: [f32; 3]) {
        for k in 0..3 {
            self.low[k] = self.low[k].min(p[k]);
            self.high[k] = self.high[k].max(p[k]);
        }
    }

    /// Grows to hold another.
    pub fn join(&mut self, other: &Self) {
        self.hold(other.low);
        self.hold(other.high);
    }

    /// Its middle.
    pub fn centre(&self) -> [f32; 3] {
        std::array::from_fn(|k| 0.5 * (self.low[k] + self.high[k]))
    }

    /// Half of its sides.
    pub fn half(&self) -> [f32; 3] {
        std::array::from_fn(|k| 0.5 * (self.high[k] - self.low[k]))
    }

    /// Moved by an offset.
    pub fn moved(&self, by: [f32; 3]) -> Self {
        let shift = |p: [f32; 3]| std::array::from_fn(|k| p[k] + by[k]);
        Self { low: shift(self.low), high: shift(self.high) }
    }
}

/// A perspective in the world.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Eye {
    /// Where it is, m.
    pub position: [f32; 3],
    /// Unit vector of the direction of view.
    pub forward: [f32; 3],
    /// Unit vector to the right of the picture.
    pub right: [f32; 3],
    /// Unit vector to the top of the picture.
    pub up: [f32; 3],
    /// Angle of the picture's height, rad.
    pub fovy: f32,
    /// Distance of what is looked at, m: sets near and far plane.
    pub distance: f32,
}

impl Camera {
    /// The eye from which the box fills the part [`Camera::fill`] of a picture with this ratio of width to height.
    pub fn eye(&self, extent: &Extent, aspect: f32) -> Eye {
        let (az, el) = (self.azimuth.to_radians(), self.elevation.to_radians());
        let forward = [az.cos() * el.cos(), az.sin() * el.cos(), el.sin()];
        let right = [az.sin(), -az.cos(), 0.0];
        let up = cross(right, forward);
        let fovy = self.fovy.to_radians();
        let tan_y = (0.5 * fovy).tan() * self.fill;
        let tan_x = tan_y * aspect;
        let (centre, half) = (extent.centre(), extent.half());
        let mut distance = 0.05f32;
        for corner in 0..8 {
            let p: [f32; 3] = std::array::from_fn(|k| if corner >> k & 1 == 1 { half[k] } else { -half[k] });
            let depth = dot(p, forward);
            distance = distance.max(dot(p, right).abs() / tan_x - depth).max(dot(p, up).abs() / tan_y - depth);
        }
        let position = std::array::from_fn(|k| centre[k] - distance * forward[k]);
        Eye { position, forward, right, up, fovy, distance }
    }
}

impl Eye {
    /// World to clip space, columns; depth 0 near to 1 far.
    pub fn view_projection(&self, aspect: f32) -> [[f32; 4]; 4] {
        let (near, far) = self.depths();
        let (r, u, f, e) = (self.right, self.up, self.forward, self.position);
        let y = 1.0 / (0.5 * self.fovy).tan();
        let x = y / aspect;
        let (a, b) = (far / (far - near), -far * near / (far - near));
        let column = |k: usize| [x * r[k], y * u[k], a * f[k], f[k]];
        [column(0), column(1), column(2), [-x * dot(r, e), -y * dot(u, e), -a * dot(f, e) + b, -dot(f, e)]]
    }

    /// Near and far plane, m.
    pub fn depths(&self) -> (f32, f32) {
        (0.05 * self.distance, 80.0 * self.distance)
    }
}

pub(crate) fn dot(a: [f32; 3], b: [f32; 3]) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

pub(crate) fn cross(a: [f32; 3], b: [f32; 3]) -> [f32; 3] {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_camera_holds_the_box_and_is_no_farther_than_it_must() {
        let extent = Extent { low: [-0.5, -0.3, 0.0], high: [0.7, 0.4, 1.4] };
        for (name, ..) in CAMERAS {
            let camera: Camera = name.parse().unwrap();
            for aspect in [1.0f32, 16.0 / 9.0, 0.5] {
                let eye = camera.eye(&extent, aspect);
                let m = eye.view_projection(aspect);
                let mut most = 0.0f32;
                for corner in 0..8 {
                    let p: [f32; 3] =
                        std::array::from_fn(|k| if corner >> k & 1 == 1 { extent.high[k] } else { extent.low[k] });
                    let clip: [f32; 4] =
                        std::array::from_fn(|r| m[0][r] * p[0] + m[1][r] * p[1] + m[2][r] * p[2] + m[3][r]);
                    assert!(clip[3] > 0.0 && clip[2] > 0.0 && clip[2] < clip[3], "{name}: {clip:?}");
                    most = most.max((clip[0] / clip[3]).abs()).max((clip[1] / clip[3]).abs());
                }
                assert!((most - camera.fill).abs() < 1e-3, "{name} {aspect}: {most}");
            }
        }
    }

    #[test]
    fn names_and_angles_are_read_and_others_told() {
        assert_eq!("three-quarter".parse::<Camera>().unwrap().name, "track");
        let custom: Camera = "30,-45,2".parse().unwrap();
        assert!(custom.azimuth == 30.0 && custom.elevation == -45.0 && custom.fill > Camera::default().fill);
        for text in ["sid", "1", "1,2,3,4", "10,-100", "nan,0", "1,2,0"] {
            let message = text.parse::<Camera>().unwrap_err().to_string();
            assert!(CAMERAS.iter().all(|c| message.contains(c.0)), "{message}");
        }
    }
}
