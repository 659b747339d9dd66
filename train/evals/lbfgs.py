"""L-BFGS (Nocedal and Wright, alg. 7.5) for many smooth convex functions at once.

Each function has its own point, history and line search; one call of `function` serves all of them, so that
what they share, such as the pictures of a probe, is read once for all. Those that have converged leave.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

HISTORY = 10
_SUFFICIENT = 1e-4  # Armijo's share of the decrease that the slope promises
_MAX_HALVINGS = 20

# Points (A, P) of the functions whose numbers (A,) are given, to their values (A,) in float64 and gradients.
Function = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True, kw_only=True)
class Minima:
    """Where the functions are smallest, and what it took."""

    points: Tensor  # (S, P)
    values: Tensor  # (S,)
    num_iterations: Tensor  # (S,)
    converged: Tensor  # (S,)


def minimise(
    function: Function, start: Tensor, inverse: Tensor, *, max_iterations: int, tolerance: float
) -> Minima:
    """Return the minima of S functions of P numbers, from `start` (S, P).

    Args:
        inverse: (S, P), positive: about the diagonal of each inverse Hessian. The better it is, the fewer
            iterations.
        tolerance: how far above its minimum a function may stay, as a share of how far it is at the start;
            both as a quadratic function of that inverse Hessian would be.
    """
    state = _State(numbers=torch.arange(len(start), device=start.device), x=start.clone(), inverse=inverse)
    state.value, state.gradient = function(state.x, state.numbers)
    # Where the start is the minimum, all that is left of it is rounding.
    rounding = 1e-3 * torch.finfo(start.dtype).eps * state.value.abs()
    wanted = torch.maximum(tolerance * state.excess(), rounding)
    points, values = start.clone(), state.value.clone()
    num_iterations = torch.full((len(start),), max_iterations, device=start.device)
    converged = torch.zeros(len(start), dtype=torch.bool, device=start.device)
    for iteration in range(max_iterations + 1):
        stuck = state.stuck
        done = state.excess() <= wanted[state.numbers]
        points[state.numbers], values[state.numbers] = state.x, state.value
        converged[state.numbers[done | stuck]] = True
        num_iterations[state.numbers[done | stuck]] = iteration
        state.keep(~(done | stuck))
        if not len(state.numbers) or iteration == max_iterations:
            break
        state.step(function)
    return Minima(points=points, values=values, num_iterations=num_iterations, converged=converged)


@dataclass(kw_only=True)
class _State:
    """The functions that have not converged."""

    numbers: Tensor  # (A,)
    x: Tensor  # (A, P)
    inverse: Tensor
    value: Tensor = field(default_factory=lambda: torch.empty(0))
    gradient: Tensor = field(default_factory=lambda: torch.empty(0))
    pairs: list[tuple[Tensor, Tensor, Tensor]] = field(default_factory=list)  # s, y (A, P), 1 / s y (A,)
    scale: Tensor | None = None  # (A, 1) of the inverse, as the newest pair has it
    was_stuck: Tensor | None = None

    @property
    def stuck(self) -> Tensor:
        """Which can go no lower in their precision: a step was too short to matter."""
        none = torch.zeros(len(self.numbers), dtype=torch.bool, device=self.x.device)
        return none if self.was_stuck is None else self.was_stuck

    def excess(self) -> Tensor:
        """Return how far above their minima the functions are (A,), as a quadratic one would be."""
        found = 0.5 * _dot(self.gradient, self.inverse * self.gradient)
        return found if self.scale is None else found * self.scale[:, 0].clamp(min=1)

    def keep(self, those: Tensor) -> None:
        """Let the others go."""
        if bool(those.all()):
            return
        self.numbers, self.x, self.inverse = self.numbers[those], self.x[those], self.inverse[those]
        self.value, self.gradient = self.value[those], self.gradient[those]
        self.pairs = [(s[those], y[those], rho[those]) for s, y, rho in self.pairs]
        self.scale = None if self.scale is None else self.scale[those]

    def step(self, function: Function) -> None:
        """Go one step down."""
        direction = self._direction()
        slope = _dot(self.gradient, direction)
        uphill = slope >= 0  # only by rounding
        direction[uphill] = -(self.inverse * self.gradient)[uphill]
        slope = torch.where(uphill, _dot(self.gradient, direction), slope)
        x, value, gradient, moved = self._search(function, direction, slope)
        self._remember(x - self.x, gradient - self.gradient)
        self.x, self.value, self.gradient, self.was_stuck = x, value, gradient, ~moved

    def _direction(self) -> Tensor:
        """Return minus the inverse Hessian, as the pairs tell it, times the gradient."""
        q, alphas = self.gradient.clone(), []
        for s, y, rho in reversed(self.pairs):
            alphas.append(rho * _dot(s, q))
            q -= alphas[-1][:, None].to(q.dtype) * y
        q *= self.inverse
        if self.scale is not None:
            q *= self.scale
        for (s, y, rho), alpha in zip(self.pairs, reversed(alphas), strict=True):
            q += (alpha - rho * _dot(y, q))[:, None].to(q.dtype) * s
        return -q

    def _search(
        self, function: Function, direction: Tensor, slope: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return new points, values, gradients, and which of them have moved: steps are halved until they
        decrease their function enough."""
        x, value, gradient = self.x.clone(), self.value.clone(), self.gradient.clone()
        length = torch.ones_like(slope)
        # Sums of so many numbers are not more precise than this.
        noise = 4 * torch.finfo(self.x.dtype).eps * self.value.abs()
        waiting = torch.arange(len(x), device=x.device)
        for _ in range(_MAX_HALVINGS):
            tried = self.x[waiting] + length[waiting, None].to(x.dtype) * direction[waiting]
            new_value, new_gradient = function(tried, self.numbers[waiting])
            wanted = self.value[waiting] + _SUFFICIENT * length[waiting] * slope[waiting] + noise[waiting]
            good = new_value <= wanted
            taken = waiting[good]
            x[taken], value[taken], gradient[taken] = tried[good], new_value[good], new_gradient[good]
            waiting = waiting[~good]
            if not len(waiting):
                break
            length[waiting] /= 2
        moved = torch.ones_like(slope, dtype=torch.bool)
        moved[waiting] = False
        return x, value, gradient, moved

    def _remember(self, s: Tensor, y: Tensor) -> None:
        curvature, weighted = _dot(s, y), _dot(y, self.inverse * y)
        known = curvature > 1e-10 * (_dot(s, s) * _dot(y, y)).sqrt()
        # A pair without curvature has no weight: it changes nothing.
        rho = torch.where(known, 1 / torch.where(known, curvature, 1.0), 0.0)
        scale = torch.where(known, curvature / torch.where(known, weighted, 1.0), 1.0)[:, None]
        self.scale = scale.to(s.dtype)
        self.pairs = [*self.pairs, (s, y, rho)][-HISTORY:]


def _dot(one: Tensor, other: Tensor) -> Tensor:
    """Return the products (A,) of rows, in float64."""
    return (one * other).sum(dim=1, dtype=torch.float64)
