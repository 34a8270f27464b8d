"""Builders of the trained methods: the same estimator, each with its own objective."""

from __future__ import annotations

from typing import Any

from harness_plugins.vae_density.estimator import AllAtOnce, VariationalDensity


def vae(**options: Any) -> VariationalDensity:
    """A variational autoencoder: the ELBO from one sample (arXiv 1312.6114)."""
    return VariationalDensity("elbo", k=1, **options)


def averaged_vae(**options: Any) -> VariationalDensity:
    """The ELBO averaged over k samples: the cost of IWAE without its tighter bound."""
    return VariationalDensity("elbo", **options)


def iwae(**options: Any) -> VariationalDensity:
    """The importance-weighted bound from k samples (arXiv 1509.00519)."""
    return VariationalDensity("iwae", **options)


def dreg(**options: Any) -> VariationalDensity:
    """IWAE with the doubly reparameterised gradient for the encoder (arXiv 1810.04152)."""
    return VariationalDensity("dreg", **options)


def plain_vae(**options: Any) -> AllAtOnce:
    """``vae`` with the bound from all samples at once."""
    return AllAtOnce("elbo", k=1, **options)


def plain_iwae(**options: Any) -> AllAtOnce:
    """``iwae`` with the bound from all samples at once."""
    return AllAtOnce("iwae", **options)
