"""What `rules/rates` found best on validation images, for each rule and cell: full size, MNIST, one seed."""

from collections.abc import Mapping

from ohmweave.papers.rules.family import Setting

SETTINGS: Mapping[str, Mapping[str, Setting]] = {
    "sign backpropagation": {
        "linear": {"threshold": 0.03, "margin": 1.0},
        "varied": {"threshold": 0.1, "margin": 0.5},
        "soft bounds": {"threshold": 0.03, "margin": 0.5},
        "stellar level 3": {"threshold": 0.03, "margin": 0.5},
    },
    "STELLAR, last layer": {
        "linear": {"threshold": 0.2, "target": 1.0},
        "varied": {"threshold": 0.3, "target": 1.0},
        "soft bounds": {"threshold": 0.1, "target": 1.0},
        "stellar level 3": {"threshold": 0.3, "target": 1.0},
    },
    "Manhattan": {
        "linear": {"dead": 0.02},
        "varied": {"dead": 0.02},
        "soft bounds": {"dead": 0.01},
        "stellar level 3": {"dead": 0.1},
    },
    "Manhattan, verify": {
        "linear": {"dead": 0.02},
        "varied": {"dead": 0.01},
        "soft bounds": {"dead": 0.02},
        "stellar level 3": {"dead": 0.1},
    },
    "pulsed SGD": {
        "linear": {"lr": 0.01},
        "varied": {"lr": 0.01},
        "soft bounds": {"lr": 0.01},
        "stellar level 3": {"lr": 0.01},
    },
    "mixed precision": {
        "linear": {"lr": 0.01},
        "varied": {"lr": 0.01},
        "soft bounds": {"lr": 0.01},
        "stellar level 3": {"lr": 0.01},
    },
    "Tiki-Taka v2": {
        "linear": {"fast_lr": 0.003, "lr": 0.1},
        "varied": {"fast_lr": 0.003, "lr": 0.1},
        "soft bounds": {"fast_lr": 0.1, "lr": 0.03},
        "stellar level 3": {"fast_lr": 0.1, "lr": 0.03},
    },
    "thresholded write-verify": {
        "linear": {"lr": 0.01, "threshold": 2.0},
        "varied": {"lr": 0.01, "threshold": 2.0},
        "soft bounds": {"lr": 0.01, "threshold": 2.0},
        "stellar level 3": {"lr": 0.01, "threshold": 2.0},
    },
    "gate-controlled RMSprop": {
        "wang2019": {"lr": 0.01},
    },
}
