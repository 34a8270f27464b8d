"""What is kept of every run: records, environments, and which process runs which cell."""

from harness.records.records import Loaded, RecordsFile, parse_record

__all__ = ["Loaded", "RecordsFile", "parse_record"]
