"""The sets of sentence pairs: files, digests, licences and where they are published."""

from __future__ import annotations

from harness.spec import Dataset, Place

_READERS = "harness_plugins.cosent.readers"
_RAW = "https://raw.githubusercontent.com"
_PAWS_TERMS = "may be freely used for any purpose (PAWS-X)"
_ON_REQUEST = "none stated; on request from its authors"

#: Public sets, in full or in part.
PUBLIC = (
    Dataset(
        name="stsb",
        licence="CC BY-SA 4.0 for the scores; the sentences have their sources' terms",
        load=f"{_READERS}:load_stsb",
        files={"stsbenchmark.tsv.gz": ("aa3ae9b0060fdab8a7239df4bed7668086b4181e7cf6e921d086a70f9e42c17e",)},
        places=(
            Place(
                url=f"{_RAW}/shibing624/text2vec/8e90a0f171286ac9a47b5bf492612a3b38c2d3f5/examples/data/English-STS-B/"
            ),
        ),
        help="STS benchmark: 8,628 pairs of English sentences, grades 0 to 5",
    ),
    Dataset(
        name="stsb-zh",
        licence="none stated",
        load=f"{_READERS}:load_stsb_zh",
        files={
            "STS-B.train.data": ("456904474b184025fc620fa62d887bdcd6c0de28bc94888602fc8112b8d0719c",),
            "STS-B.valid.data": ("5d3297cb522b763970631790508c567a141be4d3b729669ae2a19743383340c6",),
            "STS-B.test.data": ("a22c0e4dba5d589b8f68feca2c11329031fdaee084c37c30ebea7feea12a3545",),
        },
        places=(Place(url=f"{_RAW}/shawroad/CoSENT_Pytorch/ddb08479cc8d9a472b131cfd4160ddd86f905c22/data/STS-B/"),),
        help="Chinese STS-B: 8,050 pairs, whole grades 0 to 5; the only set of the article that is public in full",
    ),
    Dataset(
        name="lcqmc",
        licence="none stated; the full set on request from its authors",
        load=f"{_READERS}:load_lcqmc",
        files={
            "LCQMC.valid.data": ("d3cd41ed89b8f6196a76ebff2aa03d5ecf42edcd12942aa865d34f7e570af7c2",),
            "LCQMC.test.data": ("8969f9c16050f40df9da6f591443a47bc14c17a504a354ee4cc4ab5b9aa303d9",),
        },
        places=(Place(url=f"{_RAW}/shawroad/CoSENT_Pytorch/ddb08479cc8d9a472b131cfd4160ddd86f905c22/data/LCQMC/"),),
        help="Chinese questions, same or not: valid and test parts; a fifth of the former is the valid part here",
    ),
    Dataset(
        name="atec",
        licence="none stated",
        load=f"{_READERS}:load_atec",
        files={
            "ATEC.valid.data": ("994b6452cad5c0c1efca215f45f99b0cd26515de12936cc5aa23810b0b55f703",),
            "ATEC.test.data": ("24c56edf6289a7f337af75553c360ece41a1e17e500cdb563f020ad25ece8319",),
            "derived_train_minus_valid_test.tsv": ("e98410f5493fb070d86b95e3b8b9c944cc6fb6fdad3dbbc6f457d71b3cdfe48c",),
        },
        help="Chinese questions to a bank, same or not; valid and test of shawroad/CoSENT_Pytorch; train: the pairs of "
        "atec_nlp_sim_train.csv of IceFlameWorm/NLP_Datasets that are in neither",
    ),
    Dataset(
        name="afqmc",
        licence="none stated",
        load=f"{_READERS}:load_afqmc",
        files={
            "train.txt": ("48642eebd4dcd2fa099ad20b47fdbda456bdc396f8359aa4384a452a36f31eb7",),
            "dev.txt": ("bd5136527078950a4d624a3d903ce86950cafb26b5092559b64c418e015f0df3",),
        },
        places=(Place(url=f"{_RAW}/zejunwang1/CSTS/2e7eeedf505c78bf39d34f836773081cfc98af0c/AFQMC/"),),
        help="Chinese questions to a bank, same or not; dev is the test part, a tenth of train the valid part",
    ),
    Dataset(
        name="paws-x-zh",
        licence=_PAWS_TERMS,
        load=f"{_READERS}:load_paws",
        files={
            "csts_dev_2k.tsv": ("56fb229726a56de26275945020dee87fa6465b1b9903701f498c8d431d0150dd",),
            "csts_test_2k.tsv": ("293bbf383c1c43874518abae837232cf3859b84a8a416975d9c7fe086867f762",),
        },
        help="adversarial Chinese paraphrases, dev and test parts: PAWS-X/dev_2k.tsv and test_2k.tsv of "
        "zejunwang1/CSTS, as csts_*.tsv; a fifth of dev is the valid part",
    ),
    Dataset(
        name="mrpc",
        licence="Microsoft Shared Source License",
        load=f"{_READERS}:load_mrpc",
        files={
            "msr-para-train.tsv": ("446b9a5fa4e8d526b99f1d635f036f89063749783f5d3464ee8c1879724d406d",),
            "msr-para-val.tsv": ("7e5d0ee4ec392b062af73c7cffe82f0725e5b08f6bfdf0915f31bbc470b8bacf",),
            "msr-para-test.tsv": ("51a1f197d8786712d2f0d97700f5be653b7488a96cde00e158159350d23e3d90",),
        },
        places=(Place(url=f"{_RAW}/brmson/dataset-sts/e1d3375f5b3bc24f21aa4e46f96eb379e9fc1081/data/para/msr/"),),
        help="English sentences from the news, paraphrases or not: 5,801 pairs",
    ),
)


def _full(name: str, label: str, pairs: str, licence: str = _ON_REQUEST, **known: str) -> Dataset:
    parts = ("train", "valid", "test")
    return Dataset(
        name=name,
        licence=licence,
        load=f"{_READERS}:load_published",
        files={f"{label}.{part}.data": (known[part],) if part in known else () for part in parts},
        help=f"{label} in full, in the parts of the article on CoSENT, {pairs} pairs; columns: text, text, label",
    )


#: Sets that their authors give on request. The digests of most files are unknown here.
FULL = (
    _full(
        "atec-full",
        "ATEC",
        "62,477 / 20,000 / 20,000",
        valid="994b6452cad5c0c1efca215f45f99b0cd26515de12936cc5aa23810b0b55f703",
        test="24c56edf6289a7f337af75553c360ece41a1e17e500cdb563f020ad25ece8319",
    ),
    _full("bq-full", "BQ", "100,000 / 10,000 / 10,000"),
    _full(
        "lcqmc-full",
        "LCQMC",
        "238,766 / 8,802 / 12,500",
        valid="d3cd41ed89b8f6196a76ebff2aa03d5ecf42edcd12942aa865d34f7e570af7c2",
        test="8969f9c16050f40df9da6f591443a47bc14c17a504a354ee4cc4ab5b9aa303d9",
    ),
    _full("paws-x-zh-full", "PAWSX", "49,401 / 2,000 / 2,000", _PAWS_TERMS),
    Dataset(
        name="cnsd",
        licence="none stated; translated from SNLI and MultiNLI, which have terms of their own",
        load=f"{_READERS}:load_inference",
        files={"cnsd.jsonl": ()},
        help="Chinese natural language inference, translated; all lines of the release CNSD, test parts included, as "
        "in the article: cat cnsd-*/*.jsonl > cnsd.jsonl",
    ),
)

DATASETS = (*PUBLIC, *FULL)
