"""Imported once by the server that workers are forked from: what every worker needs and takes long to get."""

from __future__ import annotations

import numpy  # noqa: F401  imported here so that every fork has it
import torch  # noqa: F401

import harness.running.engines.worker  # noqa: F401
from harness.records.provenance import cpu_name, make_deterministic, packages

packages()
cpu_name()
# The first call imports torch's compiler, which takes a second.
make_deterministic()
