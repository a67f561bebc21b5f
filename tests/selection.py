"""What of a long list of cases runs by default, and what is left to CI."""

import pytest

# The methods that every test by reflection runs for; tests/methods/test_every_method.py holds the others to the same.
CORE = (
    "gradcam",
    "gradcam_elementwise",
    "gradcampp",
    "xgradcam",
    "layercam",
    "hirescam",
    "eigengradcam",
    "scorecam",
    "abscam",
    "clustercam",
    "cam",
    "ablationcam",
    "eigencam",
    "conceptorcam",
)

# The cheapest member of each family of architectures, and a second one of ResNets, whose convolutions are grouped.
REPRESENTATIVES = {
    "alexnet",
    "vgg11",
    "resnet18",
    "resnext50_32x4d",
    "squeezenet1_1",
    "mobilenet_v2",
    "googlenet",
    "inception_v3",
    "densenet121",
    "mnasnet0_5",
    "shufflenet_v2_x0_5",
    "mobilenet_v3_small",
    "efficientnet_b0",
    "regnet_y_400mf",
    "convnext_tiny",
    "vit_b_32",
    "swin_t",
    "swin_v2_t",
    "maxvit_t",
    "cifar_resnet20",
}


def architectures(names, default=REPRESENTATIVES):
    """All names as parameters; those that are not in `default` are exhaustive."""
    return exhaustive(names, lambda name: name not in default)


def exhaustive(cases, left_out):
    """All cases as parameters; those for which `left_out(case)` is true are exhaustive."""
    return [
        pytest.param(
            *(case if isinstance(case, tuple) else (case,)),
            marks=[pytest.mark.exhaustive] * bool(left_out(case)),
        )
        for case in cases
    ]
