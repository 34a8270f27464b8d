"""Imported once by the server that measuring processes are forked from: what they need and takes long to import."""

from __future__ import annotations

import numpy  # noqa: F401  imported here so that every fork has it
import torch._dynamo  # noqa: F401  compiled methods would import it in each process

import harness_plugins.speed.measurements  # noqa: F401
