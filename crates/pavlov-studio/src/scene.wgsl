// Robots, their shadows on the ground, and the ground: lit per corner, so that a software adapter draws them quickly. Colours are sRGB where they
// come from the file and linear from there on. World frame: z up.

#import bevy_pbr::mesh_functions
#import bevy_pbr::mesh_view_bindings::view
#import bevy_pbr::view_transformations::position_world_to_clip

struct Look {
    to_light: vec4<f32>,     // unit vector; w: 1 where gloss is drawn
    sun: vec4<f32>,
    sky: vec4<f32>,          // light from above
    below: vec4<f32>,        // light from below
    first: vec4<f32>,        // squares of the ground; w: 1 / side
    second: vec4<f32>,       // w: share of the sun left in shadow
    horizon: vec4<f32>,      // w: 1 / distance at which the ground fades
    ground: vec4<f32>,       // x: height of the ground, m
}
@group(#{MATERIAL_BIND_GROUP}) @binding(0) var<uniform> look: Look;

struct Corner {
    @builtin(instance_index) instance: u32,
    @location(0) position: vec3<f32>,
    @location(1) normal: vec3<f32>,
}

struct Lit {
    @builtin(position) clip: vec4<f32>,
    @location(0) world: vec3<f32>,
    @location(1) colour: vec3<f32>,
}

fn linear(c: vec3<f32>) -> vec3<f32> {
    return c * (c * (c * 0.305306011 + 0.682171111) + 0.012522878);
}

fn world_of(c: Corner) -> vec3<f32> {
    let m = mesh_functions::get_world_from_local(c.instance);
    return mesh_functions::mesh_position_local_to_world(m, vec4<f32>(c.position, 1.0)).xyz;
}

@vertex
fn shape_vertex(c: Corner) -> Lit {
    let world = world_of(c);
    let n = mesh_functions::mesh_normal_local_to_world(c.normal, c.instance);
    let albedo = linear(unpack4x8unorm(mesh_functions::get_tag(c.instance)).rgb);
    let v = normalize(view.world_position - world);
    let lambert = max(dot(n, look.to_light.xyz), 0.0);
    let around = mix(look.below.rgb, look.sky.rgb, 0.5 + 0.5 * n.z);
    let rim = 1.0 - 0.35 * pow(1.0 - max(dot(n, v), 0.0), 3.0);
    let gloss = look.to_light.w * pow(max(dot(n, normalize(look.to_light.xyz + v)), 0.0), 24.0) * 0.14 * lambert;
    let lit = albedo * (look.sun.rgb * lambert + around) * rim + look.sun.rgb * gloss;
    return Lit(position_world_to_clip(world), world, lit);
}

@fragment
fn shape_fragment(in: Lit) -> @location(0) vec4<f32> {
    return vec4<f32>(in.colour, 1.0);
}

// Share of the second colour at a point of the ground, averaged over a pixel.
fn squares(p: vec2<f32>) -> f32 {
    let w = max(fwidth(p), vec2<f32>(1e-3));
    let i = 2.0 * (abs(fract((p - 0.5 * w) * 0.5) - 0.5) - abs(fract((p + 0.5 * w) * 0.5) - 0.5)) / w;
    return 0.5 - 0.5 * i.x * i.y;
}

fn ground_colour(world: vec3<f32>, sun: f32) -> vec3<f32> {
    let albedo = mix(look.first.rgb, look.second.rgb, squares(world.xy * look.first.w));
    let light = look.sun.rgb * (look.to_light.z * sun) + look.sky.rgb;
    let far = distance(view.world_position, world) * look.horizon.w;
    return mix(look.horizon.rgb, albedo * light, exp(-far * far));
}

@vertex
fn ground_vertex(c: Corner) -> Lit {
    let world = world_of(c);
    return Lit(position_world_to_clip(world), world, vec3<f32>(0.0));
}

@fragment
fn ground_fragment(in: Lit) -> @location(0) vec4<f32> {
    return vec4<f32>(ground_colour(in.world, 1.0), 1.0);
}

@vertex
fn shadow_vertex(c: Corner) -> Lit {
    let world = world_of(c);
    let height = world.z - look.ground.x;
    var flat = world - look.to_light.xyz * (max(height, 0.0) / look.to_light.z);
    flat.z = look.ground.x;
    var clip = position_world_to_clip(flat);
    // Reversed depth: nearer is larger.
    clip.z += 4e-5 * clip.w;
    return Lit(clip, flat, vec3<f32>(0.0));
}

@fragment
fn shadow_fragment(in: Lit) -> @location(0) vec4<f32> {
    return vec4<f32>(ground_colour(in.world, look.second.w), 1.0);
}
