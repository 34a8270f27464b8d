"""Options that tasks with an encoder share."""

from __future__ import annotations

from harness.spec import Option

#: Options of a task that has an encoder.
ENCODER = {
    "encoder": Option(
        "char-cnn",
        "char-cnn or char-transformer, trained from scratch; hf:NAME, a Hugging Face model in the local cache; "
        "hf, the model whose weights the option model names",
        choices=("char-cnn", "char-transformer", "hf", "hf:*"),
    ),
    "model": Option(
        "", "for encoder = hf: path of a model.safetensors; its config and tokenizer lie beside it", file=True
    ),
    "dimension": Option(128, "width of an encoder trained from scratch", low=8, high=4096),
    "layers": Option(2, "layers of an encoder trained from scratch", low=1, high=48),
    "vocabulary": Option(8192, "word pieces that an encoder trained from scratch knows", low=16, high=1_000_000),
    "dropout": Option(0.1, "share of activations dropped when an encoder trains from scratch", low=0, high=0.9),
    "max_length": Option(64, "tokens read of an input; the rest is cut off", low=4, high=4096),
}

#: Options of a task that trains an encoder.
TRAINING = {
    "optimizer": Option("adam", "adamw decouples weight decay from the gradient", choices=("adam", "adamw")),
    "learning_rate": Option(2e-5, "learning rate after warm-up", low=0),
    "warmup": Option(0.0, "share of the steps in which the learning rate rises from 0", low=0, high=1),
    "decay": Option(
        "constant", "learning rate after warm-up: constant, or linear to 0", choices=("constant", "linear")
    ),
    "weight_decay": Option(0.0, "L2 penalty; with adamw decoupled from the gradient", low=0),
    "clip_norm": Option(0.0, "largest norm of the whole gradient; 0 for no clipping", low=0),
    "precision": Option(
        "full",
        "dtype of matrix products; full is the cell's own dtype",
        choices=("full", "bfloat16", "float16"),
    ),
    "bucket": Option(1, "number of batches whose rows are sorted by length together; 1 mixes all lengths", low=1),
}
