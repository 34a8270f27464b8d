"""Text encoders that the plugins for sentence pairs and entities share, and how they are trained.

It brings no methods or tasks of its own. Tasks that read texts declare ``ENCODER`` and ``TRAINING`` among their
options and make the encoder with ``harness_plugins.encoders.encoder.make_encoder``.
"""

from __future__ import annotations

from harness.hookspecs import hookimpl
from harness.spec import Dataset, Option
from harness_plugins.encoders.models import MODELS

#: Options of a task that has an encoder.
ENCODER = {
    "encoder": Option(
        "char-cnn",
        "char-cnn or char-transformer, trained from scratch; hf:NAME, a Hugging Face model that is in the cache; "
        "hf, the one whose weights the option model names",
        choices=("char-cnn", "char-transformer", "hf", "hf:*"),
    ),
    "model": Option(
        "", "for encoder = hf: the model's own model.safetensors; config and tokenizer lie beside it", file=True
    ),
    "dimension": Option(128, "width of the encoders that are trained from scratch", low=8, high=4096),
    "layers": Option(2, "their layers", low=1, high=48),
    "vocabulary": Option(8192, "how many pieces of words they know", low=16, high=1_000_000),
    "dropout": Option(0.1, "share of activations dropped in training by the encoders from scratch", low=0, high=0.9),
    "max_length": Option(64, "tokens of an input that are read", low=4, high=4096),
}

#: Options of a task that trains one.
TRAINING = {
    "optimizer": Option("adam", "adamw decays weights apart from the gradient", choices=("adam", "adamw")),
    "learning_rate": Option(2e-5, "after warming up", low=0),
    "warmup": Option(0.0, "share of the steps in which the learning rate rises from 0", low=0, high=1),
    "decay": Option("constant", "what it does after that: stay, or fall to 0", choices=("constant", "linear")),
    "weight_decay": Option(0.0, "L2 penalty; with adamw decoupled from the gradient", low=0),
    "clip_norm": Option(0.0, "largest norm of the whole gradient; 0 leaves it alone", low=0),
    "precision": Option(
        "full", "full: the cell's dtype; else matrix products in this one", choices=("full", "bfloat16", "float16")
    ),
    "bucket": Option(1, "batches whose rows are sorted by length together; 1 mixes all lengths", low=1),
}


@hookimpl
def harness_datasets() -> list[Dataset]:
    """Pretrained models."""
    return list(MODELS)
