"""What is published of every architecture: its size, the fingerprint of its checkpoints, and the file of each entry.

To build every model for that takes half a minute, so it is a table; `python tests/models/make_published.py` prints the
rows, and tests hold it to the models and to torchvision.
"""

from collections.abc import Mapping
from typing import NamedTuple

from .._errors import unknown
from ._registry import find

_TORCHVISION = "https://download.pytorch.org/models"
_CIFAR = "https://github.com/akamaster/pytorch_resnet_cifar10/raw/master/pretrained_models"


class Published(NamedTuple):
    """One row of the table.

    Attributes:
        parameters: how many there are: torchvision's count, without auxiliary heads.
        fingerprint: of the names and shapes of its arrays, as `converters` computes it.
        files: by entry, the default first. A file's name ends in the beginning of its sha256.
    """

    parameters: int
    fingerprint: str
    files: Mapping[str, str]


# fmt: off
PUBLISHED: dict[str, Published] = {
    "alexnet": Published(61_100_840, "fee188a4635dc950", {"IMAGENET1K_V1": "alexnet-owt-7be5be79.pth"}),
    "vgg11": Published(132_863_336, "d4b683e9f16c808c", {"IMAGENET1K_V1": "vgg11-8a719046.pth"}),
    "vgg11_bn": Published(132_868_840, "9421d804a6758bf7", {"IMAGENET1K_V1": "vgg11_bn-6002323d.pth"}),
    "vgg13": Published(133_047_848, "4f2724f63dda2caf", {"IMAGENET1K_V1": "vgg13-19584684.pth"}),
    "vgg13_bn": Published(133_053_736, "e37edb4ab61a1cae", {"IMAGENET1K_V1": "vgg13_bn-abd245e5.pth"}),
    "vgg16": Published(138_357_544, "2f21e35964e82d79", {"IMAGENET1K_V1": "vgg16-397923af.pth"}),
    "vgg16_bn": Published(138_365_992, "81141eb146708fef", {"IMAGENET1K_V1": "vgg16_bn-6c64b313.pth"}),
    "vgg19": Published(143_667_240, "6c9eebcc0138d060", {"IMAGENET1K_V1": "vgg19-dcbb9e9d.pth"}),
    "vgg19_bn": Published(143_678_248, "bca12af628400c5d", {"IMAGENET1K_V1": "vgg19_bn-c79401a0.pth"}),
    "googlenet": Published(6_624_904, "d978b80dedb3ac64", {"IMAGENET1K_V1": "googlenet-1378be20.pth"}),
    "inception_v3": Published(23_834_568, "8a327459173ffc9c", {"IMAGENET1K_V1": "inception_v3_google-0cc3c7bd.pth"}),
    "resnet18": Published(11_689_512, "0135712891a69745", {"IMAGENET1K_V1": "resnet18-f37072fd.pth"}),
    "resnet34": Published(21_797_672, "2cd746d0016313c5", {"IMAGENET1K_V1": "resnet34-b627a593.pth"}),
    "resnet50": Published(25_557_032, "d0881f3d83292e5a", {
        "IMAGENET1K_V2": "resnet50-11ad3fa6.pth", "IMAGENET1K_V1": "resnet50-0676ba61.pth",
    }),
    "resnet101": Published(44_549_160, "b7a6d478dfd24935", {
        "IMAGENET1K_V2": "resnet101-cd907fc2.pth", "IMAGENET1K_V1": "resnet101-63fe2227.pth",
    }),
    "resnet152": Published(60_192_808, "4a514de8611f20e4", {
        "IMAGENET1K_V2": "resnet152-f82ba261.pth", "IMAGENET1K_V1": "resnet152-394f9c45.pth",
    }),
    "resnext50_32x4d": Published(25_028_904, "85f9c4616d9f13cf", {
        "IMAGENET1K_V2": "resnext50_32x4d-1a0047aa.pth", "IMAGENET1K_V1": "resnext50_32x4d-7cdf4587.pth",
    }),
    "resnext101_32x8d": Published(88_791_336, "f7922d9ae7090da8", {
        "IMAGENET1K_V2": "resnext101_32x8d-110c445d.pth", "IMAGENET1K_V1": "resnext101_32x8d-8ba56ff5.pth",
    }),
    "resnext101_64x4d": Published(83_455_272, "8f9db516719204bf", {"IMAGENET1K_V1": "resnext101_64x4d-173b62eb.pth"}),
    "wide_resnet50_2": Published(68_883_240, "7dea1a58e795bc5f", {
        "IMAGENET1K_V2": "wide_resnet50_2-9ba9bcbe.pth", "IMAGENET1K_V1": "wide_resnet50_2-95faca4d.pth",
    }),
    "wide_resnet101_2": Published(126_886_696, "b09ca50452e136ef", {
        "IMAGENET1K_V2": "wide_resnet101_2-d733dc28.pth", "IMAGENET1K_V1": "wide_resnet101_2-32ee1156.pth",
    }),
    "densenet121": Published(7_978_856, "5bd0e53853f64fc7", {"IMAGENET1K_V1": "densenet121-a639ec97.pth"}),
    "densenet161": Published(28_681_000, "c42df8ea3398cbea", {"IMAGENET1K_V1": "densenet161-8d451a50.pth"}),
    "densenet169": Published(14_149_480, "13303f12552465ca", {"IMAGENET1K_V1": "densenet169-b2777c0a.pth"}),
    "densenet201": Published(20_013_928, "b5f76478ae8c7172", {"IMAGENET1K_V1": "densenet201-c1103571.pth"}),
    "squeezenet1_0": Published(1_248_424, "275dcb94a55501e6", {"IMAGENET1K_V1": "squeezenet1_0-b66bff10.pth"}),
    "squeezenet1_1": Published(1_235_496, "fac4bbaf3c14c2c9", {"IMAGENET1K_V1": "squeezenet1_1-b8a52dc0.pth"}),
    "mobilenet_v2": Published(3_504_872, "26cfe88eb73ce7a0", {
        "IMAGENET1K_V2": "mobilenet_v2-7ebf99e0.pth", "IMAGENET1K_V1": "mobilenet_v2-b0353104.pth",
    }),
    "mobilenet_v3_large": Published(5_483_032, "cdfbff3c01506a1c", {
        "IMAGENET1K_V2": "mobilenet_v3_large-5c1a4163.pth", "IMAGENET1K_V1": "mobilenet_v3_large-8738ca79.pth",
    }),
    "mobilenet_v3_small": Published(2_542_856, "9ba2a79722e144a0", {
        "IMAGENET1K_V1": "mobilenet_v3_small-047dcff4.pth",
    }),
    "mnasnet0_5": Published(2_218_512, "9e59c0d4140b6c6a", {"IMAGENET1K_V1": "mnasnet0.5_top1_67.823-3ffadce67e.pth"}),
    "mnasnet0_75": Published(3_170_208, "362ae016d58eedc5", {"IMAGENET1K_V1": "mnasnet0_75-7090bc5f.pth"}),
    "mnasnet1_0": Published(4_383_312, "30536f2053bbed5f", {"IMAGENET1K_V1": "mnasnet1.0_top1_73.512-f206786ef8.pth"}),
    "mnasnet1_3": Published(6_282_256, "6baca0217fb09eae", {"IMAGENET1K_V1": "mnasnet1_3-a4c69d6f.pth"}),
    "shufflenet_v2_x0_5": Published(1_366_792, "952d3ad5894159d5", {
        "IMAGENET1K_V1": "shufflenetv2_x0.5-f707e7126e.pth",
    }),
    "shufflenet_v2_x1_0": Published(2_278_604, "b6cb27208bad6dc8", {"IMAGENET1K_V1": "shufflenetv2_x1-5666bf0f80.pth"}),
    "shufflenet_v2_x1_5": Published(3_503_624, "793c820b20214c6e", {"IMAGENET1K_V1": "shufflenetv2_x1_5-3c479a10.pth"}),
    "shufflenet_v2_x2_0": Published(7_393_996, "5ef5278ad77f47d5", {"IMAGENET1K_V1": "shufflenetv2_x2_0-8be3c8ee.pth"}),
    "efficientnet_b0": Published(5_288_548, "c966142ee53468a2", {
        "IMAGENET1K_V1": "efficientnet_b0_rwightman-7f5810bc.pth",
    }),
    "efficientnet_b1": Published(7_794_184, "33cff1833a94a6be", {
        "IMAGENET1K_V2": "efficientnet_b1-c27df63c.pth", "IMAGENET1K_V1": "efficientnet_b1_rwightman-bac287d4.pth",
    }),
    "efficientnet_b2": Published(9_109_994, "657dcb52b8a9eefc", {
        "IMAGENET1K_V1": "efficientnet_b2_rwightman-c35c1473.pth",
    }),
    "efficientnet_b3": Published(12_233_232, "221152d334d4fe53", {
        "IMAGENET1K_V1": "efficientnet_b3_rwightman-b3899882.pth",
    }),
    "efficientnet_b4": Published(19_341_616, "7fef7beb00df17c9", {
        "IMAGENET1K_V1": "efficientnet_b4_rwightman-23ab8bcd.pth",
    }),
    "efficientnet_b5": Published(30_389_784, "26f157ffae788109", {
        "IMAGENET1K_V1": "efficientnet_b5_lukemelas-1a07897c.pth",
    }),
    "efficientnet_b6": Published(43_040_704, "e37a013ff986d740", {
        "IMAGENET1K_V1": "efficientnet_b6_lukemelas-24a108a5.pth",
    }),
    "efficientnet_b7": Published(66_347_960, "5a233f47b8169c5f", {
        "IMAGENET1K_V1": "efficientnet_b7_lukemelas-c5b4e57e.pth",
    }),
    "efficientnet_v2_s": Published(21_458_488, "3e510bc0f8ca30a1", {"IMAGENET1K_V1": "efficientnet_v2_s-dd5fe13b.pth"}),
    "efficientnet_v2_m": Published(54_139_356, "52ec6ac542fe05f4", {"IMAGENET1K_V1": "efficientnet_v2_m-dc08266a.pth"}),
    "efficientnet_v2_l": Published(118_515_272, "8b356e7533307407", {
        "IMAGENET1K_V1": "efficientnet_v2_l-59c71312.pth",
    }),
    "regnet_x_400mf": Published(5_495_976, "af9e0b5af0564ebe", {
        "IMAGENET1K_V2": "regnet_x_400mf-62229a5f.pth", "IMAGENET1K_V1": "regnet_x_400mf-adf1edd5.pth",
    }),
    "regnet_x_800mf": Published(7_259_656, "921890dbaa629c68", {
        "IMAGENET1K_V2": "regnet_x_800mf-94a99ebd.pth", "IMAGENET1K_V1": "regnet_x_800mf-ad17e45c.pth",
    }),
    "regnet_x_1_6gf": Published(9_190_136, "bae8d5cfbd57f88f", {
        "IMAGENET1K_V2": "regnet_x_1_6gf-a12f2b72.pth", "IMAGENET1K_V1": "regnet_x_1_6gf-e3633e7f.pth",
    }),
    "regnet_x_3_2gf": Published(15_296_552, "6a200029b6302b5f", {
        "IMAGENET1K_V2": "regnet_x_3_2gf-7071aa85.pth", "IMAGENET1K_V1": "regnet_x_3_2gf-f342aeae.pth",
    }),
    "regnet_x_8gf": Published(39_572_648, "b9080cf8c2b62c4c", {
        "IMAGENET1K_V2": "regnet_x_8gf-2b70d774.pth", "IMAGENET1K_V1": "regnet_x_8gf-03ceed89.pth",
    }),
    "regnet_x_16gf": Published(54_278_536, "291f6fc8768440b5", {
        "IMAGENET1K_V2": "regnet_x_16gf-ba3796d7.pth", "IMAGENET1K_V1": "regnet_x_16gf-2007eb11.pth",
    }),
    "regnet_x_32gf": Published(107_811_560, "9172e3e918eafcb5", {
        "IMAGENET1K_V2": "regnet_x_32gf-6eb8fdc6.pth", "IMAGENET1K_V1": "regnet_x_32gf-9d47f8d0.pth",
    }),
    "regnet_y_400mf": Published(4_344_144, "9be5b81cdcf7e46a", {
        "IMAGENET1K_V2": "regnet_y_400mf-e6988f5f.pth", "IMAGENET1K_V1": "regnet_y_400mf-c65dace8.pth",
    }),
    "regnet_y_800mf": Published(6_432_512, "a6def40bffdaa014", {
        "IMAGENET1K_V2": "regnet_y_800mf-58fc7688.pth", "IMAGENET1K_V1": "regnet_y_800mf-1b27b58c.pth",
    }),
    "regnet_y_1_6gf": Published(11_202_430, "0d5b78de5bb9baba", {
        "IMAGENET1K_V2": "regnet_y_1_6gf-0d7bc02a.pth", "IMAGENET1K_V1": "regnet_y_1_6gf-b11a554e.pth",
    }),
    "regnet_y_3_2gf": Published(19_436_338, "35c96bdb4683f97f", {
        "IMAGENET1K_V2": "regnet_y_3_2gf-9180c971.pth", "IMAGENET1K_V1": "regnet_y_3_2gf-b5a9779c.pth",
    }),
    "regnet_y_8gf": Published(39_381_472, "b16743f585add35e", {
        "IMAGENET1K_V2": "regnet_y_8gf-dc2b1b54.pth", "IMAGENET1K_V1": "regnet_y_8gf-d0d0e4a8.pth",
    }),
    "regnet_y_16gf": Published(83_590_140, "788814abfffa77dd", {
        "IMAGENET1K_V2": "regnet_y_16gf-3e4a00f9.pth",
        "IMAGENET1K_V1": "regnet_y_16gf-9e6ed7dd.pth",
        "IMAGENET1K_SWAG_E2E_V1": "regnet_y_16gf_swag-43afe44d.pth",
        "IMAGENET1K_SWAG_LINEAR_V1": "regnet_y_16gf_lc_swag-f3ec0043.pth",
    }),
    "regnet_y_32gf": Published(145_046_770, "1e44de9a810a9f05", {
        "IMAGENET1K_V2": "regnet_y_32gf-8db6d4b5.pth",
        "IMAGENET1K_V1": "regnet_y_32gf-4dee3f7a.pth",
        "IMAGENET1K_SWAG_E2E_V1": "regnet_y_32gf_swag-04fdfa75.pth",
        "IMAGENET1K_SWAG_LINEAR_V1": "regnet_y_32gf_lc_swag-e1583746.pth",
    }),
    "regnet_y_128gf": Published(644_812_894, "d028543c9313d321", {
        "IMAGENET1K_SWAG_E2E_V1": "regnet_y_128gf_swag-c8ce3e52.pth",
        "IMAGENET1K_SWAG_LINEAR_V1": "regnet_y_128gf_lc_swag-cbe8ce12.pth",
    }),
    "convnext_tiny": Published(28_589_128, "080cc800ab7e23b6", {"IMAGENET1K_V1": "convnext_tiny-983f1562.pth"}),
    "convnext_small": Published(50_223_688, "b585f41246bfa2a6", {"IMAGENET1K_V1": "convnext_small-0c510722.pth"}),
    "convnext_base": Published(88_591_464, "84b665e47727381e", {"IMAGENET1K_V1": "convnext_base-6075fbad.pth"}),
    "convnext_large": Published(197_767_336, "5eb5b553f2b0f279", {"IMAGENET1K_V1": "convnext_large-ea097f82.pth"}),
    "vit_b_16": Published(86_567_656, "97948e77cecf34a5", {
        "IMAGENET1K_V1": "vit_b_16-c867db91.pth",
        "IMAGENET1K_SWAG_E2E_V1": "vit_b_16_swag-9ac1b537.pth",
        "IMAGENET1K_SWAG_LINEAR_V1": "vit_b_16_lc_swag-4e70ced5.pth",
    }),
    "vit_b_32": Published(88_224_232, "b88a90bc4fee30c0", {"IMAGENET1K_V1": "vit_b_32-d86f8d99.pth"}),
    "vit_l_16": Published(304_326_632, "c5ed4559eae8fe4c", {
        "IMAGENET1K_V1": "vit_l_16-852ce7e3.pth",
        "IMAGENET1K_SWAG_E2E_V1": "vit_l_16_swag-4f3808c9.pth",
        "IMAGENET1K_SWAG_LINEAR_V1": "vit_l_16_lc_swag-4d563306.pth",
    }),
    "vit_l_32": Published(306_535_400, "0961111d241deb02", {"IMAGENET1K_V1": "vit_l_32-c7638314.pth"}),
    "vit_h_14": Published(632_045_800, "bf3f65d9c913ee3d", {
        "IMAGENET1K_SWAG_E2E_V1": "vit_h_14_swag-80465313.pth",
        "IMAGENET1K_SWAG_LINEAR_V1": "vit_h_14_lc_swag-c1eb923e.pth",
    }),
    "swin_t": Published(28_288_354, "75a0d2faeffb6f54", {"IMAGENET1K_V1": "swin_t-704ceda3.pth"}),
    "swin_s": Published(49_606_258, "8cf596220f054008", {"IMAGENET1K_V1": "swin_s-5e29d889.pth"}),
    "swin_b": Published(87_768_224, "f35def2574885e6f", {"IMAGENET1K_V1": "swin_b-68c6b09e.pth"}),
    "swin_v2_t": Published(28_351_570, "c6fe9ab815149ff2", {"IMAGENET1K_V1": "swin_v2_t-b137f0e2.pth"}),
    "swin_v2_s": Published(49_737_442, "76d843e55a44010a", {"IMAGENET1K_V1": "swin_v2_s-637d8ceb.pth"}),
    "swin_v2_b": Published(87_930_848, "b6617efcabbe8261", {"IMAGENET1K_V1": "swin_v2_b-781e5279.pth"}),
    "maxvit_t": Published(30_919_624, "b3248a36f4a0ea6b", {"IMAGENET1K_V1": "maxvit_t-bc5ab103.pth"}),
    "cifar_resnet20": Published(269_722, "b078d221c76e6b95", {"CIFAR10": "resnet20-12fca82f.th"}),
    "cifar_resnet32": Published(464_154, "cdabe970b2e256da", {"CIFAR10": "resnet32-d509ac18.th"}),
    "cifar_resnet44": Published(658_586, "dcb4ce54a7ff5cba", {"CIFAR10": "resnet44-014dd654.th"}),
    "cifar_resnet56": Published(853_018, "29022de099494b2d", {"CIFAR10": "resnet56-4bfd9763.th"}),
    "cifar_resnet110": Published(1_727_962, "304f8fe4a004bd84", {"CIFAR10": "resnet110-1d1ed7c2.th"}),
    "cifar_resnet1202": Published(19_421_274, "b4be83454fb5ea9b", {"CIFAR10": "resnet1202-f3b1deed.th"}),
}
# fmt: on

_NO_CLASSIFIER = "its features alone were trained, and its classifier holds no numbers (NaN)"
LEFT_OUT = {("vgg16", "IMAGENET1K_FEATURES"): _NO_CLASSIFIER}  # published, and no classifier


def entry(name: str, weights: str) -> str:
    """The entry of the architecture `name` that `weights` names: itself, or the first for "DEFAULT".

    Raises:
        ValueError: no such architecture or entry, or one of no use for a classifier.
    """
    find(name)
    entries = files_of(name)
    if reason := LEFT_OUT.get((name, weights)):
        raise ValueError(f"{name} is not built from {weights}: {reason}. There are: {', '.join(entries)}")
    if not entries:
        raise ValueError(
            f"{name} is a network of timm's: its checkpoints are on the Hub, hf://timm/{name}.TAG, got {weights!r}"
        )
    if weights != "DEFAULT" and weights not in entries:
        raise ValueError(unknown(f"published weights of {name}", weights, ["DEFAULT", *entries]))
    return next(iter(entries)) if weights == "DEFAULT" else weights


def files_of(name: str) -> Mapping[str, str]:
    """The published entries of an architecture and their files; of timm's networks, which are on the Hub, none."""
    return PUBLISHED[name].files if name in PUBLISHED else {}


def folder_of(weights: str) -> str:
    """The URL of the folder that the file of an entry is published in."""
    return _CIFAR if weights == "CIFAR10" else _TORCHVISION
