# SPDX-License-Identifier: Apache-2.0
"""The list of deliberate faults fits the code: running them takes minutes and is a command, this takes none."""

import pytest

from mutation.run import ROOT, class_name
from mutation.mutant import Mutant
from mutation.table import MUTANTS


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_changes_the_code(mutant):
    source = (ROOT / mutant.path).read_text()
    assert mutant.apply(source) != source


@pytest.mark.parametrize("test", sorted({test for mutant in MUTANTS for test in mutant.tests}))
def test_a_test_that_must_see_it_is_there(test):
    name = class_name(test).split("#")[0].replace(".", "/") + ".java"
    assert [found for found in ROOT.glob("agent/*/src/test/java") if (found / name).is_file()]


def test_there_are_enough():
    assert len(MUTANTS) >= 25
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


def test_a_text_that_is_gone_is_an_error():
    gone = Mutant("gone", "volume/Volume.java", (("no such text", ""),), ("volume.VolumeTest",))
    with pytest.raises(ValueError, match="mutant 'gone': its text occurs 0 times in .*Volume.java"):
        gone.apply("class Volume {}")
