"""Scripts that stand outside the package, imported from their files."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

REPOSITORY = Path(__file__).parents[1]


def load_script(path: str) -> ModuleType:
    """Import a script of the repository as if it were run: its neighbours can be imported by it."""
    file = REPOSITORY / path
    name = f"script_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(file.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(file.parent))
    return module
