"""Makes exact.json: epsilon of 50 settings to 30 digits, computed with 60 (those of two steps with little noise to 24, with mp.dps = 30).

    python make-exact.py > exact.json      (mpmath 1.3 and numpy; some minutes, with gmpy2)

One step and q = 1 by their closed forms. Two steps as the mean of one step's delta over the other's loss, by tanh-sinh quadrature: with little noise the
moments below decay too slowly. Else by inverting the Laplace transform of the privacy loss: for any a > 0,
    delta(eps) = 1/(2 pi i) * integral over Re s = a of E[e^(sL)]^T e^(-s eps) / (s (s + 1)) ds,
with E[e^(sL)] as an integral over the output x. Both integrals are of analytic functions that decay like a normal density, so the trapezoidal rule
converges exponentially (Trefethen and Weideman 2014); every result is computed again with other steps and has to agree to 1e-25.
More steps with little noise: many draws have practically the least loss, log(1 - q), whose moments decay more slowly than any power along a vertical line.
E[e^(sL)] is entire, so the path of s may bend to the right as it rises, as the square root of its height: there e^(-s (eps - T log(1 - q))) decays, and the
moment of the unlikely large losses does not grow yet. The second computation bends it otherwise.
"""
import json
import random
import sys

import numpy as np
from mpmath import exp, expm1, findroot, log, log1p, mp, mpc, mpf, ncdf, npdf, pi, quad, sqrt

mp.dps = 60


def gaussian_delta(mu, eps):
    return ncdf(mu / 2 - eps / mu) - exp(eps) * ncdf(-mu / 2 - eps / mu)


def one_step_delta(q, sigma, eps):
    mu = 1 / sigma
    remove = q * gaussian_delta(mu, eps + log1p((1 - q) * -expm1(-eps) / q))
    c = 1 - (1 - q) * exp(eps)
    add = c * gaussian_delta(mu, eps + log(q / c)) if c > 0 else mpf(0)
    return max(remove, add)


def one_step(q, sigma, sign, eps):
    """One direction's delta of one step, for any real eps."""
    rest = exp(sign * eps) - 1 + q
    if rest <= 0:
        return -expm1(eps) if sign > 0 else mpf(0)
    x = sigma**2 * log(rest / q) + mpf(1) / 2
    near, far = ncdf(-sign * x / sigma), ncdf(sign * (1 - x) / sigma)
    mixed = (1 - q) * near + q * far
    return mixed - exp(eps) * near if sign > 0 else near - exp(eps) * mixed


def two_steps_delta(q, sigma, sign, eps, pieces):
    density = lambda x: npdf(x, 0, sigma) if sign < 0 else (1 - q) * npdf(x, 0, sigma) + q * npdf(x, 1, sigma)
    loss = lambda x: sign * log(1 - q + q * exp((2 * x - 1) / (2 * sigma**2)))
    ends = [-17 * sigma, (1 if sign > 0 else 0) + 17 * sigma]
    # Here the other step's delta reaches the end of its loss, where it is smooth but not analytic.
    rest = exp(sign * eps - log1p(-q)) - 1 + q
    if rest > 0:
        edge = sigma**2 * log(rest / q) + mpf(1) / 2
        if ends[0] < edge < ends[1]:
            ends.insert(1, edge)
    points = [a + (b - a) * i / pieces for a, b in zip(ends, ends[1:]) for i in range(pieces)] + [ends[-1]]
    return quad(lambda x: density(x) * one_step(q, sigma, sign, eps - loss(x)), points, maxdegree=7)


def two_steps(q, sigma, delta):
    with mp.workdps(15):
        rough = {sign: bisect(lambda e: two_steps_delta(q, sigma, sign, e, 5), delta, 45) for sign in (1, -1)}
    sign = max(rough, key=rough.get)
    if rough[sign] - rough[-sign] < mpf("1e-6") * rough[sign]:
        raise SystemExit(f"both directions: {q} {sigma} {delta}: {rough}")
    near = (rough[sign], rough[sign] * (1 + mpf("1e-11")))
    found = []
    for pieces in (7, 9):
        excess = lambda e: two_steps_delta(q, sigma, sign, e, pieces) - delta
        found.append(findroot(excess, near, solver="secant", tol=mpf(10) ** (-2 * mp.dps), maxsteps=4, verify=False))
    if abs(found[0] - found[1]) > mpf("1e-23") * (1 + found[0]):
        raise SystemExit(f"not converged: {q} {sigma} {delta}: {found}")
    return found[1]


def bisect(delta_of, delta, halvings=130):
    if delta_of(mpf(0)) <= delta:
        return mpf(0)
    high = mpf(1)
    while delta_of(high) > delta:
        high *= 2
    low = mpf(0)
    for _ in range(halvings):
        mid = (low + high) / 2
        low, high = (mid, high) if delta_of(mid) > delta else (low, mid)
    return high


class Direction:
    """Moments of one direction's loss: L = sign * log r(x), under N(0, sigma^2) times r if a record is removed."""

    def __init__(self, q, sigma, steps, sign, fine):
        self.q, self.sigma, self.steps, self.sign = q, sigma, steps, sign
        self.step = min(sigma, sigma**2) * mpf("0.12") / fine
        self.ratio = lambda x: 1 - q + q * exp((2 * x - 1) / (2 * sigma**2))

    def nodes(self, tilt):
        power = tilt + 1 if self.sign > 0 else -tilt
        low, high = -16 * self.sigma + min(0, power), 16 * self.sigma + max(0, power)
        count = int((high - low) / self.step) + 2
        self.weighted = []
        for i in range(count):
            x = low + i * self.step
            self.weighted.append((log(self.ratio(x)), -x * x / (2 * self.sigma**2)))

    def log_moment(self, s):
        power = s + 1 if self.sign > 0 else -s
        total = sum((exp(power * r + weight) for r, weight in self.weighted), mpc(0))
        return log(total * self.step / (self.sigma * sqrt(2 * pi)))

    def saddle(self, delta):
        """
        A tilt near the saddle point of the answer, and the deviation and the mean there, in double precision: any tilt gives the same epsilon. Where far
        and unlikely losses take the moment over (its variance jumps), the tilt stays below.
        """
        q, sigma, steps = float(self.q), float(self.sigma), self.steps
        found = None
        for tilt in np.geomspace(1e-3, 1e3, 120):
            power = tilt + 1 if self.sign > 0 else -tilt
            x = np.linspace(-9 * sigma + min(0, power), 9 * sigma + max(0, power), 20001)
            logs = np.logaddexp(np.log1p(-q), np.log(q) + (2 * x - 1) / (2 * sigma**2))
            exponents = power * logs - x * x / (2 * sigma**2)
            weights = np.exp(exponents - exponents.max())
            moment = exponents.max() + np.log(weights.sum() * (x[1] - x[0]) / (sigma * np.sqrt(2 * np.pi)))
            weights /= weights.sum()
            mean = (weights * self.sign * logs).sum()
            variance = (weights * (self.sign * logs - mean) ** 2).sum()
            if found and variance > 2 * found[1]:
                break
            found = tilt, variance, mean
            bound = steps * (moment - tilt * mean) - np.log(tilt * (1 + tilt) * np.sqrt(2 * np.pi * steps * variance))
            if bound <= np.log(float(delta)):
                break
        tilt, variance, mean = found
        return mpf(float(tilt)), mpf(float(np.sqrt(steps * variance))), mpf(float(steps * mean))

    def delta_function(self, tilt, deviation, fine, bend=0, near=0):
        """Delta of an epsilon, which is near one if the path of s is bent: tilt + bend ((1 + t^2)^(1/4) - 1) + it."""
        self.nodes(tilt)
        h = 2 * pi / (max(36, 80 / (tilt * deviation)) * deviation * fine)
        points, first = [], None
        t = mpf(0)
        while True:
            root = sqrt(sqrt(1 + t * t))
            s, slope = mpc(tilt + bend * (root - 1), t), mpc(1, -bend * t / (2 * root**3))
            moment = self.log_moment(s)
            # The branch of the logarithm does not matter: steps is whole.
            points.append((s, self.steps * moment - log(s * (s + 1)) + log(slope)))
            first = first if first is not None else points[0][1].real
            if (points[-1][1] - bend * (root - 1) * near).real < first - 75:
                break
            t += h
        def delta_of(eps):
            total = exp(points[0][1] - points[0][0] * eps).real / 2
            total += sum(exp(value - s * eps).real for s, value in points[1:])
            return total * h / pi
        return delta_of

    def epsilon(self, delta, tilt, deviation, fine):
        delta_of = self.delta_function(tilt, deviation, fine)
        if delta_of(mpf(0)) <= delta:
            return mpf(0)
        low, high = mpf(0), mpf(1)
        while delta_of(high) > delta:
            high *= 2
        for _ in range(14):
            mid = (low + high) / 2
            low, high = (mid, high) if delta_of(mid) > delta else (low, mid)
        return findroot(lambda e: log(delta_of(e) / delta), (low, high), solver="anderson", tol=1e-60, maxsteps=60)


def composed_with_little_noise(q, sigma, steps, delta):
    found = []
    for fine, bend in ((mpf(1), mpf("0.5")), (mpf("1.3"), mpf("0.35"))):
        direction = Direction(q, sigma, steps, 1, fine)
        tilt, deviation, near = direction.saddle(delta)
        delta_of = direction.delta_function(tilt * (mpf("1.9") - fine), deviation, fine, bend, near)
        excess = lambda e: log(delta_of(e) / delta)
        found.append(findroot(excess, (near, near + mpf("0.01")), solver="secant", tol=1e-60, maxsteps=60))
    # The loss of the other direction is at most -log(1 - q) a step.
    if abs(found[0] - found[1]) > mpf("1e-25") * (1 + found[0]) or found[0] < -steps * log1p(-q):
        raise SystemExit(f"not converged: {q} {sigma} {steps} {delta}: {found}")
    return found[1]


def composed(q, sigma, steps, delta):
    answers = []
    for sign in (1, -1):
        direction = Direction(q, sigma, steps, sign, 1)
        tilt, deviation, _ = direction.saddle(delta)
        rough = direction.epsilon(delta, tilt, deviation, 1)
        again = Direction(q, sigma, steps, sign, mpf("1.3")).epsilon(delta, tilt * mpf("0.9"), deviation, mpf("1.3"))
        if abs(rough - again) > mpf("1e-25") * (1 + rough):
            raise SystemExit(f"not converged: {q} {sigma} {steps} {delta}: {rough} {again}")
        answers.append(again)
    return max(answers)


def settings():
    draw = random.Random(2406)
    log_uniform = lambda low, high: float(f"{low * (high / low) ** draw.random():.4g}")
    for _ in range(8):
        yield 1.0, log_uniform(0.1, 1e5), draw.choice([1, 10, 1000, 10**6]), log_uniform(1e-12, 1e-3)
    for _ in range(12):
        yield log_uniform(1e-6, 1), log_uniform(0.1, 1e3), 1, log_uniform(1e-12, 1e-3)
    for q in (0.999, 0.999999, 1 - 2.0**-40):
        yield q, log_uniform(1, 5), draw.choice([2, 50]), 1e-6
        yield q, log_uniform(10, 100), 1000, log_uniform(1e-9, 1e-4)
    for _ in range(12):
        yield log_uniform(3e-3, 0.5), log_uniform(0.7, 8), draw.choice([100, 300, 1000, 3000, 10**4]), log_uniform(1e-10, 1e-4)
    for _ in range(6):
        yield log_uniform(1e-3, 0.3), log_uniform(5, 50), 10**6, log_uniform(1e-10, 1e-5)
    for _ in range(6):
        yield log_uniform(0.1, 0.9), log_uniform(0.2, 0.5), draw.choice([2, 3, 10, 100]), log_uniform(1e-9, 1e-4)


def main():
    rows = []
    for q, sigma, steps, delta in settings():
        exact = [mpf(q), mpf(sigma), steps, mpf(delta)]
        if q == 1:
            mu = sqrt(mpf(steps)) / exact[1]
            epsilon = bisect(lambda e: gaussian_delta(mu, e), exact[3])
        elif steps == 1:
            epsilon = bisect(lambda e: one_step_delta(exact[0], exact[1], e), exact[3])
        elif steps == 2 and sigma < 1:
            epsilon = two_steps(exact[0], exact[1], exact[3])
        elif sigma < 0.5:
            epsilon = composed_with_little_noise(*exact)
        else:
            epsilon = composed(*exact)
        print(q, sigma, steps, delta, mp.nstr(epsilon, 12), file=sys.stderr, flush=True)
        row = {"sampling_rate": q, "noise_multiplier": sigma, "steps": steps, "delta": delta}
        rows.append({**row, "epsilon": mp.nstr(epsilon, 30)})
    print(json.dumps({"made_by": "make-exact.py", "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
