"""Imported once by the server that workers are forked from: what every worker needs and takes long to get."""

from __future__ import annotations

import numpy as np
import torch

import harness.running.engines.worker  # noqa: F401
from harness.records.provenance import cpu_name, make_deterministic, packages
from harness.running.execute import seed_everything

packages()
cpu_name()
# The first call imports torch's compiler, which takes a second.
make_deterministic()
# First calls fill caches; done here, they cost no cell anything.
seed_everything(0)
np.random.default_rng(0)
torch.Generator().manual_seed(0)
