"""How sure a counted share is."""

from __future__ import annotations

from math import sqrt

NORMAL_95 = 1.959963984540054
"""The 97.5th percentile of the normal distribution."""


def wilson(right: int, of: int, z: float = NORMAL_95) -> tuple[float, float]:
    """The 95 % interval of a share by Wilson's score (1927), which stays within 0 and 1; 0 and 1 of nothing."""
    if of == 0:
        return 0.0, 1.0
    observed, spread = right / of, z * z / of
    centre = observed + spread / 2
    reach = z * sqrt(observed * (1 - observed) / of + spread / (4 * of))
    # Rounding must not put the share itself outside.
    return min(observed, (centre - reach) / (1 + spread)), max(observed, (centre + reach) / (1 + spread))
