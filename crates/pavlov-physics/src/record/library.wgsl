// Elementary functions. Range reduction and polynomials after Cephes (S. Moshier), single precision; errors of a few
// ulp.

fn sin_cos(x: f32) -> vec2<f32> {
    // x = j pi/2 + r with pi/2 in three parts
    let j = floor(fma(abs(x), 0.63661977f, 0.5f));
    var r = fma(j, -1.5703125f, abs(x));
    r = fma(j, -4.837512969970703125e-4f, r);
    r = fma(j, -7.54978995489188216e-8f, r);
    let z = r * r;
    let s = fma(fma(fma(-1.9515295891e-4f, z, 8.3321608736e-3f), z, -1.6666654611e-1f) * z, r, r);
    let c = fma(fma(fma(2.443315711809948e-5f, z, -1.388731625493765e-3f), z, 4.166664568298827e-2f), z * z,
        fma(z, -0.5f, 1f));
    let q = u32(clamp(j, 0f, 4.0e9f)) & 3u;
    let swap = (q & 1u) == 1u;
    let sine = select(s, c, swap) * select(1f, -1f, q >= 2u) * select(1f, -1f, x < 0f);
    let cosine = select(c, s, swap) * select(1f, -1f, q == 1u || q == 2u);
    return vec2<f32>(sine, cosine);
}

fn sine(x: f32) -> f32 { return sin_cos(x).x; }
fn cosine(x: f32) -> f32 { return sin_cos(x).y; }
fn tangent(x: f32) -> f32 { let s = sin_cos(x); return s.x / s.y; }

// atan of 0 <= x <= 1 after one halving about tan(pi/8)
fn arctan_unit(x: f32) -> f32 {
    let far = x > 0.41421356f;
    let y = select(x, (x - 1f) / (x + 1f), far);
    let z = y * y;
    let p = fma(fma(fma(fma(8.05374449538e-2f, z, -1.38776856032e-1f), z, 1.99777106478e-1f), z,
        -3.33329491539e-1f) * z, y, y);
    return select(0f, 0.78539816f, far) + p;
}

fn arctan2(y: f32, x: f32) -> f32 {
    let ay = abs(y);
    let ax = abs(x);
    let big = max(ax, ay);
    let small = min(ax, ay);
    var a = arctan_unit(small / select(1f, big, big > 0f));
    a = select(a, 1.57079633f - a, ay > ax);
    a = select(a, 3.14159265f - a, x < 0f);
    return select(a, -a, y < 0f);
}

fn arctan(x: f32) -> f32 { return arctan2(x, 1f); }
fn arcsin(x: f32) -> f32 { return arctan2(x, sqrt(max((1f - x) * (1f + x), 0f))); }
fn arccos(x: f32) -> f32 { return arctan2(sqrt(max((1f - x) * (1f + x), 0f)), x); }

fn exponential(x: f32) -> f32 {
    let c = clamp(x, -87.3f, 88.7f);
    let n = floor(fma(c, 1.44269504f, 0.5f));
    var r = fma(n, -0.693359375f, c);
    r = fma(n, 2.12194440e-4f, r);
    let p = fma(fma(fma(fma(fma(1.9875691500e-4f, r, 1.3981999507e-3f), r, 8.3334519073e-3f), r,
        4.1665795894e-2f), r, 1.6666665459e-1f), r, 0.5f);
    let e = fma(p * r, r, r) + 1f;
    let y = e * bitcast<f32>(u32(i32(n) + 127) << 23u);
    return select(select(y, 0f, x < -87.3f), y * 1e30f * 1e30f, x > 88.7f);
}

fn logarithm(x: f32) -> f32 {
    let bits = bitcast<u32>(max(x, 1.17549435e-38f));
    var e = f32(i32(bits >> 23u) - 126);
    var m = bitcast<f32>((bits & 0x007fffffu) | 0x3f000000u);
    let low = m < 0.70710678f;
    e = select(e, e - 1f, low);
    m = select(m, m + m, low) - 1f;
    let z = m * m;
    var p = fma(fma(fma(fma(7.0376836292e-2f, m, -1.1514610310e-1f), m, 1.1676998740e-1f), m,
        -1.2420140846e-1f), m, 1.4249322787e-1f);
    p = fma(fma(fma(fma(p, m, -1.6668057665e-1f), m, 2.0000714765e-1f), m, -2.4999993993e-1f), m,
        3.3333331174e-1f) * m * z;
    p = fma(e, -2.12194440e-4f, p);
    p = fma(z, -0.5f, p);
    let y = fma(e, 0.693359375f, m + p);
    // below zero there is none, at zero it has no end
    let none = bitcast<f32>(select(0xff800000u, 0x7fc00000u, x < 0f) + u32(x > 1e38f) * 0u);
    return select(y, none, x <= 0f);
}

fn hyperbolic_tangent(x: f32) -> f32 {
    let a = abs(x);
    let z = x * x;
    let near = fma(fma(fma(fma(fma(-5.70498872745e-3f, z, 2.06390887954e-2f), z, -5.37397155531e-2f), z,
        1.33314422036e-1f), z, -3.33332819422e-1f) * z, x, x);
    let far = 1f - 2f / (exponential(min(2f * a, 40f)) + 1f);
    return select(select(far, -far, x < 0f), near, a < 0.625f);
}

// x to the y; a negative x only with a whole y
fn power(x: f32, y: f32) -> f32 {
    let size = exponential(y * logarithm(abs(x)));
    let whole = floor(y) == y;
    let odd = whole && floor(y * 0.5f) * 2f != y;
    let nothing = select(0f, bitcast<f32>(0x7f800000u + u32(y > 1e38f) * 0u), y < 0f);
    let value = select(select(size, -size, odd), bitcast<f32>(0x7fc00000u + u32(y > 1e38f) * 0u), !whole);
    return select(select(select(size, value, x < 0f), nothing, x == 0f), 1f, y == 0f);
}

fn remainder(x: f32, y: f32) -> f32 { return x - y * trunc(x / y); }
fn round_away(x: f32) -> f32 { return select(floor(x + 0.5f), ceil(x - 0.5f), x < 0f); }

// 32 x 32 -> 64 bits: high word
fn multiply_high(a: u32, b: u32) -> u32 {
    let al = a & 0xffffu;
    let ah = a >> 16u;
    let bl = b & 0xffffu;
    let bh = b >> 16u;
    let low = al * bl;
    let mid = ah * bl + (low >> 16u);
    let cross = al * bh + (mid & 0xffffu);
    return ah * bh + (mid >> 16u) + (cross >> 16u);
}

// Philox4x32-10 (Salmon et al., SC 2011)
fn philox(counter: vec4<u32>, key: vec2<u32>) -> vec4<u32> {
    var c = counter;
    var k = key;
    for (var round = 0u; round < 10u; round++) {
        let h0 = multiply_high(c.x, 0xD2511F53u);
        let h1 = multiply_high(c.z, 0xCD9E8D57u);
        c = vec4<u32>(h1 ^ c.y ^ k.x, c.z * 0xCD9E8D57u, h0 ^ c.w ^ k.y, c.x * 0xD2511F53u);
        k += vec2<u32>(0x9E3779B9u, 0xBB67AE85u);
    }
    return c;
}

fn unit(word: u32) -> f32 { return f32(word >> 8u) * 5.9604645e-8f; }
