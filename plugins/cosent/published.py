"""The tasks with a pretrained encoder: which set and which model each one reads."""

from __future__ import annotations

from harness_plugins.cosent.inference import on_inference
from harness_plugins.cosent.training import on

minilm_stsb = on("stsb", "minilm-l6")

bert_atec = on("atec-full", "bert-base-chinese")
bert_bq = on("bq-full", "bert-base-chinese")
bert_lcqmc = on("lcqmc-full", "bert-base-chinese")
bert_paws_x_zh = on("paws-x-zh-full", "bert-base-chinese")
bert_stsb_zh = on("stsb-zh", "bert-base-chinese")
bert_nli = on_inference("bert-base-chinese")

roberta_atec = on("atec-full", "chinese-roberta-wwm-ext")
roberta_bq = on("bq-full", "chinese-roberta-wwm-ext")
roberta_lcqmc = on("lcqmc-full", "chinese-roberta-wwm-ext")
roberta_paws_x_zh = on("paws-x-zh-full", "chinese-roberta-wwm-ext")
roberta_stsb_zh = on("stsb-zh", "chinese-roberta-wwm-ext")
roberta_nli = on_inference("chinese-roberta-wwm-ext")
