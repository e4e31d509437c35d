"""`import mitozoo` costs nothing and offers exactly the names that plugins and notebooks use."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

import mitozoo


@pytest.mark.parametrize("name", mitozoo.__all__)
def test_each_name_is_the_one_of_its_home(name):
    assert getattr(mitozoo, name) is getattr(importlib.import_module(mitozoo._HOMES[name]), name)
    assert name in dir(mitozoo)


def test_type_checkers_see_the_same_names():
    tree = ast.parse(Path(mitozoo.__file__).read_text())
    [block] = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    seen = {
        alias.name: statement.module
        for statement in block.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }
    assert seen == mitozoo._HOMES
    assert sorted(seen) == mitozoo.__all__


def test_version_is_the_distributions():
    assert mitozoo.__version__ == importlib.metadata.version("mitozoo")


def test_unknown_name_is_an_attribute_error_that_tells_whose():
    with pytest.raises(AttributeError, match="module 'mitozoo' has no attribute 'Hologram'") as caught:
        mitozoo.Hologram  # noqa: B018
    assert (caught.value.obj, caught.value.name) == (mitozoo, "Hologram")


def test_import_loads_nothing_further():
    code = "import sys, mitozoo; print(*(name for name in sys.modules if name.split('.')[0] == 'mitozoo'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["mitozoo"]
