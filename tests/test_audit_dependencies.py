"""What could not be asked counts as not checked, whatever pip-audit says."""

from __future__ import annotations

from script_files import REPOSITORY, load_script

audit_dependencies = load_script(".ci/audit_dependencies.py")
Audit, names = audit_dependencies.Audit, audit_dependencies.names

CLEAN = {"name": "numpy", "version": "2.4.6", "vulns": []}
KNOWN = {"name": "pillow", "version": "9.0.0", "vulns": [{"id": "PYSEC-1"}, {"id": "CVE-2"}]}
SKIPPED = {"name": "numpy", "skip_reason": "Dependency not found on PyPI and could not be audited: numpy (2.4.6)"}


def verdict(*reports, pinned=("numpy",), **silent):
    audit = Audit(silent=silent)
    for report in reports:
        audit.hear({"dependencies": report, "fixes": []})
    return audit.verdict(set(pinned))


def test_all_checked_and_nothing_known_is_well():
    assert verdict([CLEAN]) == (["1 of 1 pinned packages were checked"], 0)


def test_what_is_known_is_named():
    lines, code = verdict([CLEAN, KNOWN], pinned=("numpy", "pillow"))
    assert code == 1
    assert lines[0] == "pillow 9.0.0: CVE-2, PYSEC-1"


def test_what_every_service_skipped_is_not_checked():
    lines, code = verdict([SKIPPED], osv="Failed to resolve its name")
    assert code == 3
    assert lines[0] == "the service 'osv' could not be asked: Failed to resolve its name"
    assert lines[1] == "0 of 1 pinned packages were checked"
    assert lines[2].startswith("NOT CHECKED: numpy (Dependency not found")


def test_one_service_is_enough():
    assert verdict([SKIPPED], [CLEAN])[1] == 0


def test_services_that_say_nothing_check_nothing():
    lines, code = verdict(pinned=[f"package-{number}" for number in range(9)], pypi="no", osv="no")
    assert code == 3
    assert lines[-1].endswith("and 4 more (no service answered)")


def test_every_pinned_package_is_counted():
    pinned = names((REPOSITORY / "constraints.txt").read_text())
    assert {"torch", "numpy", "pillow"} <= pinned
    assert len(pinned) > 50


def test_without_the_tool_nothing_is_checked(capsys):
    assert audit_dependencies.main("/no/such/uv") == 3
    assert "could not be asked" in capsys.readouterr().out
