"""What is kept of every run: records, environments, and which process runs which cell."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from harness.records.lines import parse_record
    from harness.records.records import Loaded, RecordsFile

__all__ = ["Loaded", "RecordsFile", "parse_record"]

# Imported when first used: pydantic and filelock are not needed by those who only ask for help.
__getattr__, __dir__, _ = lazy_loader.attach(
    __name__, submod_attrs={"lines": ["parse_record"], "records": ["Loaded", "RecordsFile"]}
)
