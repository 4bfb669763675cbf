"""STARC and EPIC distances on finite MDPs and on sampled features, by numpy alone, straight from the papers' definitions.

Writes tests/data/compare.safetensors, which `cargo test -p pavlov-tests --test compare` holds the program against. Nothing here is
taken from the program: values come from the Bellman equations of the whole MDP, potentials from `numpy.linalg.lstsq`, EPIC from
sums over all states and actions.

    python3 tests/compare/reference.py
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from own_python import ROOT, ensure

ensure("numpy==2.3.4", "safetensors==0.6.2")
import numpy as np
from safetensors.numpy import save_file

rng = np.random.default_rng(20261125)
out = {}


def mdp(name, states, actions, gamma, end):
    """A random MDP: P[s, a, s'], a policy, a state distribution; `end` is a terminal state or None."""
    P = rng.dirichlet(np.full(states, 0.5), size=(states, actions))
    policy = rng.dirichlet(np.ones(actions), size=states)
    start = rng.dirichlet(np.ones(states))
    R = rng.normal(size=(6, states, actions, states))
    potential = rng.normal(scale=5.0, size=states)
    alive = np.ones(states)
    if end is not None:
        alive[end] = 0.0
        potential[end] = 0.0
    shaping = gamma * (potential * alive)[None, None, :] - potential[:, None, None] + np.zeros((states, actions, states))
    # 2: scaled and shaped, 3: negated, 4: the expectation over s' in place of the values, 5: nearly the first.
    R[2] = 3.7 * R[0] + shaping
    R[3] = -R[0]
    R[4] = np.einsum("san,san->sa", P, R[0])[:, :, None]
    R[5] = R[0] + 0.1 * R[5]
    pairs = np.array([[i, j] for i in range(6) for j in range(6)], dtype=np.int32)

    # VAL: V solves V = E[R] + g P V under the policy, V(end) = 0; c is a function of (s, a).
    def val(r):
        A, b = np.eye(states), np.zeros(states)
        for s in range(states):
            if alive[s]:
                for a in range(actions):
                    A[s] -= gamma * policy[s, a] * P[s, a] * alive
                    b[s] += policy[s, a] * (P[s, a] @ r[s, a])
        V = np.linalg.solve(A, b)
        return np.einsum("san,san->sa", P, r - V[:, None, None] + gamma * (V * alive)[None, None, :])

    # Weight of (s, a): how often the policy meets it under the state distribution; none in the terminal state.
    W = start[:, None] * policy * alive[:, None]
    W = W / W.sum()

    # Minimal: the potential that makes the weighted norm of E[R + g F(s') - F(s)] least, F(end) = 0.
    def minimal(r):
        mean = np.einsum("san,san->sa", P, r)
        D = np.zeros((states, actions, states))
        for s in range(states):
            D[s, :, s] += 1.0
        D -= gamma * P * alive[None, None, :]
        root = np.sqrt(W).reshape(-1, 1)
        F = np.linalg.lstsq(D.reshape(-1, states) * root, mean.reshape(-1) * root[:, 0], rcond=None)[0]
        return mean - D @ F

    def norm(c):
        return np.sqrt((W * c * c).sum())

    def starc(form):
        c = [form(r) for r in R]
        c = [x / norm(x) for x in c]
        return np.array([0.5 * norm(c[i] - c[j]) for i, j in pairs])

    # EPIC with D_S and D_A uniform and all transitions covered alike.
    def epic():
        C = []
        for r in R:
            onward = r.mean(axis=(1, 2))  # E[R(x, A, S')]
            C.append(r + gamma * onward[None, None, :] - onward[:, None, None] - gamma * r.mean())
        flat = [c.reshape(-1) for c in C]
        d = lambda x, y: np.sqrt(max(0.0, (1.0 - np.corrcoef(x, y)[0, 1]) / 2.0))
        return np.array([d(flat[i], flat[j]) for i, j in pairs])

    out[f"{name}.gamma"] = np.array([gamma])
    out[f"{name}.end"] = np.array([-1 if end is None else end], dtype=np.int32)
    out[f"{name}.P"], out[f"{name}.policy"], out[f"{name}.start"], out[f"{name}.R"] = P, policy, start, R
    out[f"{name}.pairs"] = pairs
    out[f"{name}.val"], out[f"{name}.minimal"], out[f"{name}.epic"] = starc(val), starc(minimal), epic()


def features(name, n, width, gamma):
    """Sampled transitions along a random walk, states known by correlated features only."""
    mix = rng.normal(size=(width, width))
    x = np.zeros((n + 1, width))
    for i in range(n):
        x[i + 1] = 0.9 * x[i] + 0.5 * rng.normal(size=width) @ mix
    phi = np.concatenate([np.ones((n + 1, 1)), x, x[:, :2] ** 2, x[:, :1]], axis=1)  # the last column is there twice
    end = rng.random(n) < 0.05
    S, N = phi[:-1], phi[1:] * ~end[:, None]
    R = rng.normal(size=(4, n))
    R[1] = np.tanh(x[1:, 0]) + 0.2 * R[1]
    R[2] = 0.3 * R[1] + gamma * N @ (w := rng.normal(size=phi.shape[1])) - S @ w
    R[3] = R[1] * (1.0 + 0.2 * R[3])
    pairs = np.array([[i, j] for i in range(4) for j in range(4)], dtype=np.int32)
    D = S - gamma * N
    kept = S[:, :-1], D[:, :-1]  # without the repeated column the fit is the same and well posed

    def val(r):
        w = np.linalg.solve(kept[0].T @ kept[1], kept[0].T @ r)
        return r - kept[1] @ w

    def minimal(r):
        return r - D @ np.linalg.lstsq(D, r, rcond=1e-9)[0]

    def starc(form):
        c = [form(r) for r in R]
        c = [v / np.linalg.norm(v) for v in c]
        return np.array([0.5 * np.linalg.norm(c[i] - c[j]) for i, j in pairs])

    out[f"{name}.gamma"], out[f"{name}.phi"], out[f"{name}.R"], out[f"{name}.pairs"] = np.array([gamma]), phi, R, pairs
    out[f"{name}.end"] = end.astype(np.uint8)
    out[f"{name}.val"], out[f"{name}.minimal"] = starc(val), starc(minimal)


def ranks(name, n):
    """Kendall's tau-b and Spearman's rho by counting, with ties."""
    a = rng.integers(0, 12, size=n).astype(float)
    b = a + rng.integers(-6, 7, size=n)
    sign = lambda v: np.sign(v[:, None] - v[None, :])
    sa, sb = sign(a), sign(b)
    tau = (sa * sb).sum() / np.sqrt((sa * sa).sum() * (sb * sb).sum())
    rank = lambda v: np.array([(v < x).sum() + 0.5 * ((v == x).sum() + 1) for x in v])
    rho = np.corrcoef(rank(a), rank(b))[0, 1]
    out[f"{name}.a"], out[f"{name}.b"], out[f"{name}.expected"] = a, b, np.array([tau, rho])


mdp("mdp0", 6, 3, 0.9, None)
mdp("mdp1", 8, 2, 0.99, 3)
mdp("mdp2", 5, 4, 0.5, 0)
features("walk", 400, 4, 0.97)
ranks("ranks", 60)
# The same MDP-wide data serve all checks, so they stay small: about 60 kB.
save_file({k: np.ascontiguousarray(v) for k, v in out.items()}, ROOT / "tests/data/compare.safetensors")
