"""`python -m mitozoo` is the command `mitozoo`."""

from __future__ import annotations

from mitozoo.cli import main

if __name__ == "__main__":
    main(prog_name="mitozoo")
