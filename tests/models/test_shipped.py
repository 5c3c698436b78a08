"""What the models that ship say of the samples: it stays, however they are computed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import featcli

# By model and sample the twenty best classes with their numbers, as the first release gave them.
KNOWN = json.loads((Path(__file__).parent / "probabilities.json").read_text())


@pytest.mark.parametrize("subject", KNOWN)
def test_probabilities_of_the_samples_stay(subject, samples):
    model, _, name = subject.partition(" ")
    found = featcli.load_model(model)(featcli.read(samples / name))
    numbers = [int(one.rpartition("#")[2]) for one in KNOWN[subject]]
    labels = [one.rpartition("#")[0] for one in KNOWN[subject]]
    assert [found.labels[k] for k in numbers] == labels
    wanted = np.array(list(KNOWN[subject].values()))
    np.testing.assert_allclose(found.data[numbers], wanted, atol=1e-5)
    assert np.argsort(-found.data, kind="stable")[:5].tolist() == numbers[:5]
    others = np.delete(found.data, numbers)
    assert not others.size or others.max() <= wanted.min() + 1e-5
