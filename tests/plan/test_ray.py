"""The same plan through Ray: the same bytes as through processes of this machine, also when a node is killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_plans import gone, kill, moments

KILLS = int(os.environ.get("MITOZOO_KILLS", "1"))  # `make faults`: 100
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="NOT TESTED: sockets are found in /proc")
pytest.importorskip("ray", reason="NOT TESTED: Ray is not installed")

#: Two nodes on loopback: the head, and one that is killed, and replaced if the line that says so says it.
CLUSTER = """
import sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "node_ip_address": "127.0.0.1"})
node = cluster.add_node(num_cpus=1, node_ip_address="127.0.0.1")
cluster.wait_for_nodes()
print(cluster.address, flush=True)
for line in sys.stdin:
    cluster.remove_node(node, allow_graceful=False)
    if "again" in line:
        node = cluster.add_node(num_cpus=1, node_ip_address="127.0.0.1")
        cluster.wait_for_nodes()
    print("done", flush=True)
cluster.shutdown()
"""


def listening(home: Path) -> set[str]:
    """Return the addresses, as the system writes them, on which any process of a plan's cache listens."""
    bound = {}
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":  # listening
                bound[f"socket:[{fields[9]}]"] = fields[1].rpartition(":")[0]
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"MITOZOO_HOME={home}\0".encode() in (process / "environ").read_bytes() + b"\0":
                found |= {bound[link] for file in (process / "fd").iterdir() if (link := str(file.readlink())) in bound}
        except OSError:
            continue
    return found


def actors(plan) -> list[str]:
    """Return the processes of Ray, and all that they started, of a plan's cache."""
    home = f"MITOZOO_HOME={plan.folder / 'home'}\0".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            ours = home in (process / "environ").read_bytes() + b"\0"
            if ours and (process / "stat").read_text().rpartition(")")[2].split()[0] != "Z":
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


def test_a_ray_of_our_own_dies_with_its_driver_and_listens_on_loopback_alone(new_plan, undisturbed):
    whole, _ = undisturbed
    plan = new_plan("on-ray", models=whole.models, further=whole.further)
    process = plan.start("--json", "--ray", "local", TINY_SLEEP="0.2")
    while process.poll() is None and len(plan.events("done")) < 4:
        time.sleep(0.1)
    seen = listening(plan.folder / "home")
    assert process.poll() is None
    kill(process)
    assert gone(lambda: actors(plan), 30), actors(plan)
    assert not plan.results()
    process = plan.start("--json", "--ray", "local")
    stdout, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, (stdout, stderr)
    assert seen
    loopback = {"0100007F", "0" * 24 + "0100007F", "0000000000000000FFFF00000100007F", "0" * 24 + "01000000"}
    assert seen <= loopback
    assert plan.results() == whole.results()
    assert plan.shards() == whole.shards()
    assert gone(lambda: actors(plan), 30), actors(plan)


def test_a_cluster_of_two_nodes_loses_one_and_the_plan_ends_as_undisturbed(new_plan, undisturbed):
    whole, taken = undisturbed
    variables = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "t" * 64, "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    variables |= {"RAY_USAGE_STATS_ENABLED": "0"}
    plan = new_plan("on-cluster", models=whole.models, further=whole.further, variables=variables)
    cluster = subprocess.Popen(
        [sys.executable, "-c", CLUSTER], env=plan.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        address = cluster.stdout.readline().strip()
        assert address, cluster.stderr.read()
        for number, moment in enumerate(moments("a node of Ray is lost", KILLS, taken)):
            process = plan.start("--json", "--ray", address)
            time.sleep(moment)
            cluster.stdin.write("again\n" if number + 1 < KILLS else "for good\n")
            cluster.stdin.flush()
            assert cluster.stdout.readline() == "done\n"
            stdout, stderr = process.communicate(timeout=300)
            assert process.returncode == 0, (stdout, stderr)
            assert plan.results() == whole.results()
            assert plan.shards() == whole.shards()
            print(f"lost with the node: {len(plan.events('lost'))} tasks so far")
            if number + 1 < KILLS:  # everything anew
                plan.forget()
    finally:
        kill(cluster)
    assert gone(lambda: actors(plan)), actors(plan)


def test_no_ray_there_is_one_sentence(new_plan):
    plan = new_plan("nowhere", models=("steady",))
    process = plan.start("--ray", "127.0.0.1:1")
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "there is no Ray at '127.0.0.1:1'" in stderr
