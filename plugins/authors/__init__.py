"""For plugin authors: ``harness new``, ``harness check`` and ``harness schema``."""
