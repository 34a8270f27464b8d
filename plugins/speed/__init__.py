"""Speed and memory of methods, measured side by side: ``harness bench``."""
