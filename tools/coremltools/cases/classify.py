"""Classifiers: the label with the highest probability, and the probability of every label."""

import numpy as np

from judge.draw import normal
from judge.package import ct
from judge.tolerance import FUNCTION


# The converter's names; `anemone run` writes the probabilities in the order of the classes, and those beside them.
OUTPUTS = ["classLabel", "classLabel_probs", "classLabel_probs.classes"]


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


def cases(f):
    words = ["tree", "cat", "north", "Ärger", "a longer label"]
    numbers = [7, -3, 900, 0, 41]
    for label, labels in (("words", words), ("numbers", numbers)):
        for opset in ("15", "16", "17", "18", "26"):
            f.program("classify", opset, "fp32", lambda mb, v: mb.softmax(x=v["x"], axis=-1, name="probabilities"),
                      lambda x, labels=labels: [np.array(labels[int(x.argmax())]), softmax(x).reshape(-1), np.array(labels)], FUNCTION, label,
                      convert=dict(classifier_config=ct.ClassifierConfig(list(labels))), outputs=OUTPUTS,
                      foldable=False, x=normal(1, 5, scale=2))  # fmt: skip
