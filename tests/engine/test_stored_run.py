"""The identical call again: the stored run, without anything heavy."""

from __future__ import annotations

import os
import subprocess
import sys

import mitozoo


def test_an_identical_call_returns_the_stored_run_without_torch_or_sklearn(zoo, zoo_site, tmp_path):
    first = mitozoo.evaluate("steady", "tiny", out=tmp_path, folds=2)
    code = (
        "import sys, mitozoo; "
        f"print(mitozoo.evaluate('steady', 'tiny', out={str(tmp_path)!r}, folds=2).mean()); "
        "print(sorted({'torch', 'sklearn', 'timm', 'scipy'} & set(sys.modules)))"
    )
    environment = os.environ | {"PYTHONPATH": str(zoo_site), "MITOZOO_PLUGINS": "tinyzoo"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == [str(first.mean()), "[]"]
