"""The same techniques as other packages and torch's compiler have them, as methods to compare with: ``harness bench``.

The packages are no part of the harness (``pip install "harness[peers]"`` installs them); a method whose package is
missing says so when it is built. Tasks that look below a loss's scores cannot run these methods.
"""

from __future__ import annotations

from harness.hookspecs import hookimpl
from harness.spec import Method
from harness_plugins.peers.methods import METHODS


@hookimpl
def harness_methods() -> tuple[Method, ...]:
    """Losses and gradient norms."""
    return METHODS
