//! From the panels' scene to Bevy's: a camera for each view, an entity for each shape and its shadow, moved every
//! frame.
//!
//! Layer 1 + i holds what view i shows; the ground is on all of them. Entities are made anew only when the model or the
//! number of robots or views changes.

use crate::material::{GroundMaterial, Look, ShadowMaterial, ShapeMaterial};
use bevy::asset::RenderAssetUsages;
use bevy::camera::visibility::{NoFrustumCulling, RenderLayers};
use bevy::camera::{CameraOutputMode, Viewport};
use bevy::core_pipeline::tonemapping::Tonemapping;
use bevy::mesh::{Indices, MeshTag, PrimitiveTopology};
use bevy::platform::collections::HashMap;
use bevy::prelude::*;
use bevy::window::PrimaryWindow;
use pavlov_model::Model;
use pavlov_panels::app::Studio;
use pavlov_panels::scene::{Stage, View};
use pavlov_panels::theme::Theme;
use pavlov_render::Shape;
use std::sync::Arc;

/// The panels: what is shown follows from them.
pub struct Panels(pub Studio);

/// Views at most: two clips, or the best and worst of six.
pub const MAX_VIEWS: usize = 6;

/// What is drawn, and with what.
#[derive(Resource, Default)]
pub struct Drawn {
    /// Corners around a circle.
    pub around: u16,
    /// Draw gloss?
    pub gloss: bool,
    model: Option<Arc<Model>>,
    robots: usize,
    layout: Vec<std::ops::Range<usize>>,
    theme: Theme,
    /// Shape and shadow of each part of each robot.
    parts: Vec<(Entity, Option<Entity>, usize, usize)>,
    fixed: Vec<Entity>,
    ground: Option<Handle<GroundMaterial>>,
    shape: Option<Handle<ShapeMaterial>>,
    shadow: Option<Handle<ShadowMaterial>>,
}

/// The camera of a view.
#[derive(Component)]
pub struct ViewCamera(usize);

/// The camera of the panels, over all views.
#[derive(Component)]
pub struct PanelCamera;

/// Makes the cameras of all views; those that are not used are switched off.
pub fn make_cameras(mut commands: Commands, drawn: Res<Drawn>) {
    for i in 0..MAX_VIEWS {
        commands.spawn((
            Camera3d::default(),
            Camera {
                order: i as isize,
                is_active: false,
                output_mode: CameraOutputMode::Skip,
                clear_color: ClearColorConfig::None,
                ..default()
            },
            Projection::Perspective(PerspectiveProjection {
                near: pavlov_panels::scene::NEAR,
                far: pavlov_panels::scene::FAR,
                ..default()
            }),
            if drawn.gloss { Msaa::Sample4 } else { Msaa::Off },
            Tonemapping::None,
            RenderLayers::layer(1 + i),
            ViewCamera(i),
        ));
    }
}

/// Makes, moves and colours everything.
pub fn show(
    mut commands: Commands,
    panels: NonSend<Panels>,
    mut drawn: ResMut<Drawn>,
    mut clear: ResMut<ClearColor>,
    mut meshes: ResMut<Assets<Mesh>>,
    mut shapes: ResMut<Assets<ShapeMaterial>>,
    mut shadows: ResMut<Assets<ShadowMaterial>>,
    mut grounds: ResMut<Assets<GroundMaterial>>,
    window: Single<&Window, With<PrimaryWindow>>,
    mut cameras: Query<(&mut Camera, &mut Projection, &mut Transform, &ViewCamera), Without<MeshTag>>,
    mut panel: Single<&mut Camera, (With<PanelCamera>, Without<ViewCamera>)>,
    mut placed: Query<(&mut Transform, &mut MeshTag)>,
) {
    let studio = &panels.0;
    let (stage, views) = match studio.picture() {
        Some((stage, views)) => (Some(stage), views),
        None => (None, Default::default()),
    };
    let scale = window.scale_factor() * studio.zoom();
    aim(&mut cameras, views, scale, &window);
    // Without a view nobody else wipes the last picture away.
    let shown = cameras.iter().any(|c| c.0.is_active);
    panel.clear_color = if shown { ClearColorConfig::None } else { ClearColorConfig::Default };
    let theme = studio.theme();
    let (look, sky) = look_of(theme, drawn.gloss, stage);
    if clear.0 != sky {
        clear.0 = sky;
    }
    let Some(stage) = stage else { return };
    let layout: Vec<_> = views.iter().map(|v| v.robots.clone()).collect();
    let same_model = drawn.model.as_ref().is_some_and(|m| Arc::ptr_eq(m, stage.model()));
    if !same_model || drawn.robots != stage.robots.len() || drawn.layout != layout || drawn.theme != theme {
        let old = std::mem::take(&mut drawn.parts);
        for (entity, shadow, ..) in old {
            commands.entity(entity).despawn();
            shadow.into_iter().for_each(|s| commands.entity(s).despawn());
        }
        for entity in std::mem::take(&mut drawn.fixed) {
            commands.entity(entity).despawn();
        }
        drawn.model = Some(stage.model().clone());
        drawn.robots = stage.robots.len();
        drawn.layout = layout;
        drawn.theme = theme;
        drawn.shape = Some(shapes.add(ShapeMaterial { look }));
        drawn.shadow = Some(shadows.add(ShadowMaterial { look }));
        drawn.ground = Some(grounds.add(GroundMaterial { look }));
        build(&mut commands, &mut drawn, stage, views, &mut meshes);
        return;
    }
    for &(entity, shadow, robot, part) in &drawn.parts {
        let placed_robot = &stage.robots[robot];
        let p = &stage.look().parts[part];
        let at = transform(&placed_robot.poses[p.geom]);
        let tag = tag(p.colour, placed_robot.tint);
        if let Ok((mut transform, mut old)) = placed.get_mut(entity) {
            *transform = at;
            if old.0 != tag {
                old.0 = tag;
            }
        }
        if let Some((mut transform, _)) = shadow.and_then(|s| placed.get_mut(s).ok()) {
            *transform = at;
        }
    }
}

/// Puts the cameras to the views.
fn aim(
    cameras: &mut Query<(&mut Camera, &mut Projection, &mut Transform, &ViewCamera), Without<MeshTag>>,
    views: &[View],
    scale: f32,
    window: &Window,
) {
    for (mut camera, mut projection, mut transform, &ViewCamera(i)) in cameras.iter_mut() {
        let view = views.get(i).and_then(|v| {
            let (low, high) = (v.rect.min * scale, v.rect.max * scale);
            let corner = |p: egui::Pos2| {
                let inside = |x: f32, most: u32| (x.round().max(0.0) as u32).min(most);
                UVec2::new(inside(p.x, window.physical_width()), inside(p.y, window.physical_height()))
            };
            let (a, b) = (corner(low), corner(high));
            (b.x > a.x + 1 && b.y > a.y + 1).then_some((v, a, b - a))
        });
        let Some((v, physical_position, physical_size)) = view else {
            camera.is_active &= false;
            continue;
        };
        camera.is_active = true;
        camera.clear_color = if i == 0 { ClearColorConfig::Default } else { ClearColorConfig::None };
        camera.viewport = Some(Viewport { physical_position, physical_size, ..default() });
        if let Projection::Perspective(p) = &mut *projection {
            p.fov = v.eye.fov_y;
            p.aspect_ratio = physical_size.x as f32 / physical_size.y as f32;
        }
        let (position, target) = (Vec3::from(v.eye.position.to_array()), Vec3::from(v.eye.target.to_array()));
        *transform = Transform::from_translation(position).looking_at(target, Vec3::Z);
    }
}

fn build(commands: &mut Commands, drawn: &mut Drawn, stage: &Stage, views: &[View], meshes: &mut Assets<Mesh>) {
    let (Some(shape), Some(shadow), Some(ground)) = (&drawn.shape, &drawn.shadow, &drawn.ground) else { return };
    let around = drawn.around.max(8);
    let mut by_shape: HashMap<String, Handle<Mesh>> = HashMap::default();
    let mut mesh = |shape: &Shape| {
        by_shape.entry(format!("{shape:?}")).or_insert_with(|| meshes.add(mesh_of(shape, around))).clone()
    };
    let mut parts = Vec::new();
    for (i, view) in views.iter().enumerate() {
        let layer = RenderLayers::layer(1 + i);
        for robot in view.robots.clone() {
            for (p, part) in stage.look().parts.iter().enumerate() {
                if part.shape == Shape::Plane {
                    continue;
                }
                let at = transform(&stage.robots[robot].poses[part.geom]);
                let mesh = mesh(&part.shape);
                let tag = MeshTag(tag(part.colour, None));
                let common = (at, NoFrustumCulling, layer.clone());
                let entity = commands
                    .spawn((Mesh3d(mesh.clone()), MeshMaterial3d(shape.clone()), tag.clone(), common.clone()))
                    .id();
                let shadow = commands.spawn((Mesh3d(mesh), MeshMaterial3d(shadow.clone()), tag, common)).id();
                parts.push((entity, Some(shadow), robot, p));
            }
        }
    }
    let reach = 0.7 * pavlov_panels::scene::FAR;
    let plane = meshes.add(Plane3d::new(Vec3::Z, Vec2::splat(reach)).mesh().subdivisions(24));
    let layers = (1..=views.len()).fold(RenderLayers::none(), |l, i| l.with(i));
    let height = ground_height(stage);
    let entity = commands.spawn((
        Mesh3d(plane),
        MeshMaterial3d(ground.clone()),
        Transform::from_xyz(0.0, 0.0, height),
        NoFrustumCulling,
        layers,
    ));
    drawn.fixed.push(entity.id());
    drawn.parts = parts;
}

/// Height of the plane that shadows fall on.
fn ground_height(stage: &Stage) -> f32 {
    let plane = stage.look().parts.iter().find(|p| p.shape == Shape::Plane);
    plane.zip(stage.robots.first()).map_or(0.0, |(p, r)| r.poses[p.geom].position[2])
}

fn transform(pose: &pavlov_render::Pose) -> Transform {
    let [w, x, y, z] = pose.rotation;
    Transform::from_translation(Vec3::from(pose.position)).with_rotation(Quat::from_xyzw(x, y, z, w))
}

/// Colour in a mesh's tag: sRGB, red in the low byte; a tint lies over it by its opacity.
fn tag(colour: [f32; 4], tint: pavlov_panels::scene::Tint) -> u32 {
    let mut c = [colour[0], colour[1], colour[2]].map(|v| 255.0 * v.clamp(0.0, 1.0));
    if let Some(tint) = tint {
        let [r, g, b, a] = tint.to_srgba_unmultiplied().map(f32::from);
        for (c, t) in c.iter_mut().zip([r, g, b]) {
            *c += (t - *c) * a / 255.0;
        }
    }
    u32::from_le_bytes([c[0] as u8, c[1] as u8, c[2] as u8, 255])
}

fn mesh_of(shape: &Shape, around: u16) -> Mesh {
    let m = pavlov_render::solid(shape, around);
    Mesh::new(PrimitiveTopology::TriangleList, RenderAssetUsages::RENDER_WORLD)
        .with_inserted_attribute(Mesh::ATTRIBUTE_POSITION, m.positions)
        .with_inserted_attribute(Mesh::ATTRIBUTE_NORMAL, m.normals)
        .with_inserted_indices(Indices::U16(m.indices))
}

/// Light and ground of a theme, and the colour of the sky.
fn look_of(theme: Theme, gloss: bool, stage: Option<&Stage>) -> (Look, Color) {
    let linear = |c: [f32; 3], w: f32| {
        let c = Color::srgb(c[0], c[1], c[2]).to_linear();
        Vec4::new(c.red, c.green, c.blue, w)
    };
    let (first, second, horizon) = match theme {
        Theme::Dark => ([0.30, 0.33, 0.37], [0.25, 0.28, 0.32], [0.20, 0.22, 0.26]),
        Theme::Light => ([0.80, 0.83, 0.86], [0.69, 0.73, 0.78], [0.87, 0.91, 0.95]),
    };
    let size = stage.map_or(1.0, Stage::size);
    let cell = [0.1, 0.25, 0.5, 1.0, 2.0].into_iter().find(|c| *c >= 0.4 * size).unwrap_or(2.0);
    let (sky, sun) = match theme {
        Theme::Dark => (Vec4::new(0.50, 0.54, 0.60, 0.0), Vec4::new(0.95, 0.92, 0.86, 0.0)),
        Theme::Light => (Vec4::new(0.42, 0.46, 0.52, 0.0), Vec4::new(1.02, 0.98, 0.90, 0.0)),
    };
    let look = Look {
        to_light: Vec3::new(0.35, -0.42, 1.0).normalize().extend(f32::from(u8::from(gloss))),
        sun,
        sky,
        below: Vec4::new(0.24, 0.22, 0.20, 0.0),
        first: linear(first, 1.0 / cell),
        second: linear(second, 0.25),
        horizon: linear(horizon, 1.0 / (14.0 * size.max(1.0) + 10.0)),
        ground: Vec4::new(stage.map_or(0.0, ground_height), 0.0, 0.0, 0.0),
    };
    (look, Color::srgb(horizon[0], horizon[1], horizon[2]))
}
