"""The same plan through Ray: the same bytes as through processes of this machine, also when a node is killed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_plans import gone, kill, moments

KILLS = int(os.environ.get("MITOZOO_KILLS", "1"))  # `make faults`: 100
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="NOT TESTED: sockets are found in /proc"),
]
pytest.importorskip("ray", reason="NOT TESTED: Ray is not installed")

#: Two nodes on loopback: the head, and one that is killed and replaced at each line.
CLUSTER = """
import sys
from ray.cluster_utils import Cluster
plain = {"num_cpus": 1, "node_ip_address": "127.0.0.1", "include_log_monitor": False}
cluster = Cluster(initialize_head=True, head_node_args=plain | {"include_dashboard": False})

def second_node():
    while True:
        try:
            return cluster.add_node(wait=False, **plain)
        except Exception as error:  # Ray gives it 30 s, which a busy machine may exceed
            print(error, file=sys.stderr)

node = second_node()
print(cluster.address, flush=True)
for line in sys.stdin:
    cluster.remove_node(node, allow_graceful=False)
    node = second_node()
    print("again", flush=True)
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


def test_a_cluster_that_loses_nodes_ends_as_undisturbed(new_plan, undisturbed):
    """Of two nodes one is killed again and again; whenever a plan ends, all is compared and begun anew."""
    whole, taken = undisturbed
    seconds_a_shard = 1.0 if KILLS < 10 else 5.0  # of sleep, so that there is work to lose
    taken += seconds_a_shard * len(whole.shards()) / 2
    variables = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "t" * 64, "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    variables |= {"RAY_USAGE_STATS_ENABLED": "0"}
    plan = new_plan(
        "on-cluster", models=whole.models, further=whole.further, variables=variables,
        execution=f"{whole.execution}\nattempts = {KILLS + 2}",
    )  # fmt: skip
    cluster = subprocess.Popen(
        [sys.executable, "-c", CLUSTER], env=plan.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        address = cluster.stdout.readline().strip()
        assert address, cluster.stderr.read()
        hits, ended, shares = 0, 0, moments("a node of Ray is lost", 100 * KILLS, 1)
        while hits < KILLS or not ended:
            began, before = time.monotonic(), hits
            process = plan.start("--json", "--ray", address, TINY_SLEEP=str(seconds_a_shard))
            while hits < KILLS and process.poll() is None:
                deadline = time.monotonic() + shares.pop() * taken
                while process.poll() is None and time.monotonic() < deadline:
                    time.sleep(0.05)
                if process.poll() is None:
                    cluster.stdin.write("kill\n")
                    cluster.stdin.flush()
                    assert cluster.stdout.readline() == "again\n", cluster.stderr.read()
                    hits += 1
            stdout, stderr = process.communicate(timeout=300)
            assert process.returncode == 0, (stdout, stderr)
            assert plan.results() == whole.results()
            assert plan.shards() == whole.shards()
            ended += 1
            if hits == before:
                taken = min(taken, time.monotonic() - began)  # undisturbed, on this cluster
            print(f"{hits} nodes lost, {len(plan.events('lost'))} tasks begun again, {ended} times equal", flush=True)
            plan.forget()
    finally:
        kill(cluster)
    assert gone(lambda: actors(plan)), actors(plan)


def head_of_ray(plan, port: int, of_client: int) -> subprocess.Popen[str]:
    """Start Ray's head on loopback, and return it once it is ready."""
    command = [
        Path(sys.executable).with_name("ray"), "start", "--head", "--block", "--node-ip-address=127.0.0.1",
        f"--port={port}", f"--ray-client-server-port={of_client}", "--num-cpus=2", "--include-dashboard=false",
        "--object-store-memory=100000000",
    ]  # fmt: skip
    head = subprocess.Popen(
        command, env=plan.environment | {"TINY_SLEEP": "1"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, start_new_session=True,
    )  # fmt: skip
    assert any("Ray runtime started" in line for line in head.stdout)
    return head


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.mark.skipif(KILLS < 10, reason="NOT TESTED: `make faults` waits the half minute after which a head is lost")
@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_a_cluster_that_loses_its_head_says_so_and_another_does_the_rest(new_plan, undisturbed, scheme):
    whole, _ = undisturbed
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "t" * 64, "RAY_USAGE_STATS_ENABLED": "0"}
    plan = new_plan("headless", models=whole.models, further=whole.further, variables=token)
    port, of_client = unused_port(), unused_port()
    address = f"{scheme}127.0.0.1:{of_client if scheme else port}"
    head = head_of_ray(plan, port, of_client)
    try:
        process = plan.start("--ray", address)
        while process.poll() is None and not plan.shards():
            time.sleep(0.1)
        assert process.poll() is None
        kill(head)
        _, stderr = process.communicate(timeout=90)
        assert process.returncode == 2, stderr
        assert "has not answered for 30 s" in stderr
        assert "Start Ray anew; then the same command does what is left." in stderr
        assert "Traceback" not in stderr
        assert not plan.results()
        assert plan.events("end")[-1]["state"] == "interrupted"
        assert gone(lambda: actors(plan), 30), actors(plan)
        head = head_of_ray(plan, port, of_client)
        plan.run("--ray", address)
    finally:
        kill(head)
    assert plan.results() == whole.results()
    assert plan.shards() == whole.shards()
    assert gone(lambda: actors(plan), 30), actors(plan)


def test_no_ray_there_is_one_sentence(new_plan):
    plan = new_plan("nowhere", models=("steady",))
    process = plan.start("--ray", "127.0.0.1:1")
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "there is no Ray at '127.0.0.1:1'" in stderr
