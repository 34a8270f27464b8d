"""The role of density estimators."""

from __future__ import annotations

from harness.spec import Role

_HERE = "harness_plugins.vae_density.role_inputs"

ROLES = (
    Role(
        name="density-estimator",
        help="fits rows, then computes log densities or log probabilities of rows; .measure says which",
        signature="estimator.fit(x [N, ...]); estimator.log_density(x [N, ...]) -> [N], nats",
        inputs=f"{_HERE}:pixels",
        call=f"{_HERE}:fitted_log_density",
        returns="one-per-row",
        half=False,
        trains=True,
    ),
)
