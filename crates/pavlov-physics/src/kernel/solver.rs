//! Newton's method in a kernel: the loop of `crate::solver::solve`, a world at a time, around recorded functions.

use super::pairs::Contacts;
use super::spaces::Spaces;
use crate::record::float;
use crate::solver::FAR;

/// `solve(constrained)`, where `constrained` says whether a static row is in force.
pub(crate) fn text(spaces: &Spaces<'_>, contacts: &Contacts) -> String {
    let opts = &spaces.physics.solver;
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
var goal = 0f; var lo = 0f; var hi = {far}; var alpha = 0f;
for (var n = 0u; n <= {ls_iterations}u; n++) {{
let s = slope_at(quad, alpha);
if (n == 0u) {{
goal = abs(s.x) * {ls_tolerance};
alpha = 1f;
continue;
}}
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
{residual}var last = false;
for (var n = 0u; n <= {iterations}u; n++) {{
forces();
if (last || n == {iterations}u) {{ break; }}
if (gradient()[0] > 0.5f) {{ break; }}
static_hessian();
{stiffen}{newton}
let q = gauss_term();
static_slopes();
{slope}last = q[2] > 0.5f || unchanged_by_full_step();
var alpha = 1f;
if (!last) {{ alpha = line_search(vec2<f32>(q[0], q[1])); }}
static_step(array<f32, 1>(alpha));
{advance}}}
keep_warm();
}}
",
        push = contacts.forces(),
        along = contacts.derivatives(),
        same = contacts.unchanged(),
        residual = contacts.residuals(),
        stiffen = contacts.hessian(),
        slope = contacts.slopes(),
        advance = contacts.advance(),
        ls_tolerance = float(opts.ls_tolerance),
        far = float(FAR),
        ls_iterations = opts.ls_iterations,
        iterations = opts.iterations,
    )
}
