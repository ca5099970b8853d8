"""Every example in a docstring is executed."""

import doctest
import importlib

import pytest

from tests.test_house import ROOT, house

MODULES = [name.removesuffix(".__init__") for name in house(ROOT)]


@pytest.mark.parametrize("name", [n for n in MODULES if not n.endswith("__main__")])
def test_the_examples_of_the_docstrings_hold(name: str) -> None:
    """What the documentation shows is what happens, and public names exist."""
    module = importlib.import_module(name)

    assert doctest.testmod(module).failed == 0
    assert all(hasattr(module, public) for public in getattr(module, "__all__", ()))
