"""The option of tasks that may draw their test images anew under every seed."""

from __future__ import annotations

from harness.spec import Option

#: A task that has it says ``test_set="split"``.
SPLIT = {
    "split": Option(
        "fixed",
        "fixed: the same rows train and test under every seed; redraw: the seed draws both, as many of each class",
        choices=("fixed", "redraw"),
    )
}
