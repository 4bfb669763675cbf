//! Newton's method in a kernel: the loop of `crate::solver::solve`, a world at a time, around recorded functions.

use super::contacts::Contacts;
use super::spaces::Spaces;
use crate::record::float;
use crate::solver::FAR;

/// `solve(constrained)`, where `constrained` says whether a static row is in force.
pub(crate) fn text(spaces: &Spaces<'_>, contacts: &Contacts) -> String {
    let opts = &spaces.physics.solver;
    let each = |body: &str| contacts.each(body);
    let newton = if contacts.chains_only || contacts.max_contacts == 0 {
        "newton_tree();"
    } else {
        "if (coupled) { newton_dense(); } else { newton_tree(); }"
    };
    format!(
        "fn forces() {{
static_forces();
{push}}}

fn slope_at(quad: vec2<f32>, alpha: f32) -> vec2<f32> {{
let s = static_derivatives(array<f32, 3>(quad.x, quad.y, alpha));
var sum = vec2<f32>(s[0], s[1]);
{along}return sum;
}}

fn unchanged_by_full_step() -> bool {{
if (static_unchanged()[0] < 0.5f) {{ return false; }}
{same}return true;
}}

fn line_search(quad: vec2<f32>) -> f32 {{
let goal = abs(slope_at(quad, 0f).x) * {ls_tolerance};
var lo = 0f; var hi = {far}; var alpha = 1f;
for (var n = 0u; n < {ls_iterations}u; n++) {{
let s = slope_at(quad, alpha);
if (abs(s.x) <= goal) {{ break; }}
let b = bracket(array<f32, 5>(s.x, s.y, lo, hi, alpha));
lo = b[0]; hi = b[1]; alpha = b[2];
}}
return alpha;
}}

fn solve(constrained: bool) {{
if (!constrained && ncon == 0u) {{ unconstrained(); return; }}
start();
static_residuals();
{residual}forces();
for (var n = 0u; n < {iterations}u; n++) {{
if (gradient()[0] > 0.5f) {{ break; }}
static_hessian();
{stiffen}{newton}
let q = gauss_term();
static_slopes();
{slope}let last = q[2] > 0.5f || unchanged_by_full_step();
var alpha = 1f;
if (!last) {{ alpha = line_search(vec2<f32>(q[0], q[1])); }}
static_step(array<f32, 1>(alpha));
{advance}forces();
if (last) {{ break; }}
}}
keep_warm();
}}
",
        push = each("push_$D(c, first, count);"),
        along = each("let g = along_$D(c, alpha); sum += vec2<f32>(g[0], g[1]);"),
        same = each("if (!same_$D(c)) { return false; }"),
        residual = each("residual_$D(c, first, count);"),
        stiffen = each("stiffen_$D(c, first, count);"),
        slope = each("slope_$D(c, first, count);"),
        advance = each("advance_$D(c, alpha);"),
        ls_tolerance = float(opts.ls_tolerance),
        far = float(FAR),
        ls_iterations = opts.ls_iterations,
        iterations = opts.iterations,
    )
}
