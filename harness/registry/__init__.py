"""Everything that plugins bring, by name: importing plugins, collecting what they bring, finding data sets."""

from harness.registry.loading import load_registry
from harness.registry.registry import Plugin, Registry

__all__ = ["Plugin", "Registry", "load_registry"]
