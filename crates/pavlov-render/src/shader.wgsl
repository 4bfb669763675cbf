// Robots, their shadows on one plane, the plane and the sky. Colours are linear; the target stores sRGB.

struct View {
    view_projection: mat4x4<f32>,
    eye: vec4<f32>,          // xyz m; w: 1 / distance at which the ground fades
    right: vec4<f32>,        // xyz times half the picture's width at depth 1; w: left edge in pixels
    up: vec4<f32>,           // xyz times half its height; w: top edge
    forward: vec4<f32>,      // xyz; w: 2 / width
    size: vec4<f32>,         // x: 2 / height; y: reach of the ground, m; z: its pattern; w: 1 / side of a square
    plane: vec4<f32>,        // normal; w: offset
    plane_u: vec4<f32>,      // first axis in the plane; w: origin along it
    plane_v: vec4<f32>,
    to_light: vec4<f32>,     // unit; w: share of the sun left in shadow
    sun: vec4<f32>,
    sky: vec4<f32>,
    below: vec4<f32>,
    colour_a: vec4<f32>,
    colour_b: vec4<f32>,
    horizon: vec4<f32>,
    zenith: vec4<f32>,
}
@group(0) @binding(0) var<uniform> view: View;

struct Shape {
    @location(0) unit: vec3<f32>,
    @location(1) axial: f32,
    @location(2) normal: vec3<f32>,
    @location(3) place: vec4<f32>,     // position; w: half length
    @location(4) turn: vec4<f32>,      // quaternion x y z w
    @location(5) scale: vec4<f32>,
    @location(6) colour: vec4<f32>,
}

fn rotate(q: vec4<f32>, v: vec3<f32>) -> vec3<f32> {
    let t = 2.0 * cross(q.xyz, v);
    return v + q.w * t + cross(q.xyz, t);
}

fn corner(s: Shape) -> vec3<f32> {
    let local = s.unit * s.scale.xyz + vec3<f32>(0.0, 0.0, s.axial * s.place.w);
    return rotate(s.turn, local) + s.place.xyz;
}

struct Solid {
    @builtin(position) clip: vec4<f32>,
    @location(0) normal: vec3<f32>,
    @location(1) to_eye: vec3<f32>,
    @location(2) @interpolate(flat) colour: vec3<f32>,
}

@vertex
fn solid_vertex(s: Shape) -> Solid {
    let world = corner(s);
    return Solid(view.view_projection * vec4<f32>(world, 1.0), rotate(s.turn, s.normal), view.eye.xyz - world, s.colour.rgb);
}

@fragment
fn solid_fragment(in: Solid) -> @location(0) vec4<f32> {
    let n = normalize(in.normal);
    let v = normalize(in.to_eye);
    let l = view.to_light.xyz;
    let lambert = max(dot(n, l), 0.0);
    let around = mix(view.below.rgb, view.sky.rgb, 0.5 + 0.5 * dot(n, view.plane.xyz));
    let facing = max(dot(n, v), 0.0);
    // The rim is darker: limbs stand out from each other in small pictures.
    let rim = 1.0 - 0.35 * pow(1.0 - facing, 3.0);
    let gloss = pow(max(dot(n, normalize(l + v)), 0.0), 24.0) * 0.14 * lambert;
    let lit = in.colour * (view.sun.rgb * lambert + around) * rim + view.sun.rgb * gloss;
    return vec4<f32>(lit, 1.0);
}

@vertex
fn shadow_vertex(s: Shape) -> @builtin(position) vec4<f32> {
    let world = corner(s);
    let l = view.to_light.xyz;
    let height = dot(world, view.plane.xyz) - view.plane.w;
    var on_plane = world - l * (max(height, 0.0) / dot(l, view.plane.xyz));
    on_plane = on_plane - view.plane.xyz * min(height, 0.0);
    var clip = view.view_projection * vec4<f32>(on_plane, 1.0);
    clip.z -= 2e-5 * clip.w;
    return clip;
}

@vertex
fn ground_vertex(@builtin(vertex_index) i: u32) -> @builtin(position) vec4<f32> {
    let s = vec2<f32>(f32(i & 1u), f32(i >> 1u)) * 2.0 - 1.0;
    let below_eye = view.eye.xyz - view.plane.xyz * (dot(view.eye.xyz, view.plane.xyz) - view.plane.w);
    let world = below_eye + view.size.y * (s.x * view.plane_u.xyz + s.y * view.plane_v.xyz);
    return view.view_projection * vec4<f32>(world, 1.0);
}

// Direction of view through a pixel; its part along `forward` is 1.
fn ray(pixel: vec2<f32>) -> vec3<f32> {
    let x = (pixel.x - view.right.w) * view.forward.w - 1.0;
    let y = 1.0 - (pixel.y - view.up.w) * view.size.x;
    return view.forward.xyz + x * view.right.xyz + y * view.up.xyz;
}

fn background(direction: vec3<f32>) -> vec3<f32> {
    let up = dot(normalize(direction), view.plane.xyz);
    return mix(view.horizon.rgb, view.zenith.rgb, smoothstep(0.0, 0.6, up));
}

fn grain(p: vec2<f32>) -> f32 {
    let h = fract(sin(dot(floor(p), vec2<f32>(12.9898, 78.233))) * 43758.547);
    return h;
}

// Share of the second colour, averaged over a pixel of this width (in squares).
fn pattern(p: vec2<f32>, width: vec2<f32>) -> f32 {
    let w = max(width, vec2<f32>(1e-3));
    let blur = max(w.x, w.y);
    let kind = u32(view.size.z);
    if kind == 0u {
        let i = 2.0 * (abs(fract((p - 0.5 * w) * 0.5) - 0.5) - abs(fract((p + 0.5 * w) * 0.5) - 0.5)) / w;
        return 0.5 - 0.5 * i.x * i.y;
    }
    if kind == 1u {
        let thin = 0.03;
        let d = abs(fract(p + 0.5) - 0.5);
        let line = clamp((thin + 0.5 * w - d) / w, vec2<f32>(0.0), vec2<f32>(1.0)) * min(vec2<f32>(1.0), 2.0 * thin / w + 0.15);
        return max(line.x, line.y);
    }
    if kind == 2u {
        let i = 2.0 * (abs(fract((p.x - 0.5 * w.x) * 0.5) - 0.5) - abs(fract((p.x + 0.5 * w.x) * 0.5) - 0.5)) / w.x;
        return 0.5 - 0.5 * i;
    }
    if kind == 3u {
        let fine = mix(grain(p * 24.0), 0.5, clamp(blur * 12.0, 0.0, 1.0));
        let coarse = mix(grain(p * 5.0), 0.5, clamp(blur * 2.5, 0.0, 1.0));
        let wide = mix(grain(p), 0.5, clamp(blur, 0.0, 1.0));
        return 0.4 * fine + 0.3 * coarse + 0.3 * wide;
    }
    return 0.0;
}

fn ground_colour(pixel: vec2<f32>, sun: f32) -> vec3<f32> {
    let r = ray(pixel);
    let height = dot(view.eye.xyz, view.plane.xyz) - view.plane.w;
    let t = -height / min(dot(r, view.plane.xyz), -1e-6);
    let hit = view.eye.xyz + t * r;
    let p = vec2<f32>(dot(hit, view.plane_u.xyz) - view.plane_u.w, dot(hit, view.plane_v.xyz) - view.plane_v.w) * view.size.w;
    let albedo = mix(view.colour_a.rgb, view.colour_b.rgb, pattern(p, fwidth(p)));
    let light = view.sun.rgb * (max(dot(view.to_light.xyz, view.plane.xyz), 0.0) * sun) + view.sky.rgb;
    let far = t * length(r) * view.eye.w;
    return mix(view.horizon.rgb, albedo * light, exp(-far * far));
}

@fragment
fn ground_fragment(@builtin(position) at: vec4<f32>) -> @location(0) vec4<f32> {
    return vec4<f32>(ground_colour(at.xy, 1.0), 1.0);
}

@fragment
fn shadow_fragment(@builtin(position) at: vec4<f32>) -> @location(0) vec4<f32> {
    return vec4<f32>(ground_colour(at.xy, view.to_light.w), 1.0);
}

@vertex
fn sky_vertex(@builtin(vertex_index) i: u32) -> @builtin(position) vec4<f32> {
    return vec4<f32>(f32(i32(i & 1u) * 4 - 1), f32(i32(i >> 1u) * 4 - 1), 1.0, 1.0);
}

@fragment
fn sky_fragment(@builtin(position) at: vec4<f32>) -> @location(0) vec4<f32> {
    return vec4<f32>(background(ray(at.xy)), 1.0);
}
