"""The Slurm recipe of the page on plans and clusters, on a real Slurm of three nodes, and what ends jobs and nodes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from machines import Machines

WANTED = os.environ.get("MITOZOO_SLURM") == "1"  # `make slurm`, as root
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not WANTED, reason="NOT TESTED: MITOZOO_SLURM=1 asks for a Slurm on this machine (make slurm)"),
]
CLUSTER = f"tiny{os.getpid()}"  # no other's name, also in the cgroups of this machine
LOGIN = f"{CLUSTER}-login"
NODES = tuple(f"{CLUSTER}-{letter}" for letter in "abc")
CGROUPS = Path("/sys/fs/cgroup")
ENVIRONMENT = Path(sys.executable).parent
PAGE = Path(__file__).parents[2] / "docs" / "scale.md"
CONFIGURATION = """
ClusterName={cluster}
SlurmctldHost={login}({address})
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/own/munge.socket,cred_expire=20
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/own/spool
SlurmctldPidFile={folder}/own/slurmctld.pid
SlurmdPidFile={folder}/own/slurmd.pid
SlurmctldLogFile={folder}/own/slurmctld.log
SlurmdLogFile={folder}/own/slurmd.log
ProctrackType=proctrack/{track}
TaskPlugin=task/affinity{also}
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
SlurmdTimeout=10
ReturnToService=2
KillWait=5
MpiDefault=none
NodeName=DEFAULT CPUs=2 RealMemory=4000
{nodes}
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


class Slurm(Machines):
    """A login node, which is the switch and runs Slurm's controller, and three nodes."""

    def configure(self) -> None:
        """Write Slurm's configuration and munge's key."""
        cgroups = (CGROUPS / "freezer").is_dir()  # of version 1; version 2 needs a systemd in each machine
        nodes = "\n".join(f"NodeName={name} NodeAddr={self.address(name)}" for name in NODES)
        (self.folder / "slurm.conf").write_text(
            CONFIGURATION.format(
                cluster=CLUSTER, login=LOGIN, address=self.address(LOGIN), folder=self.folder, nodes=nodes,
                track="cgroup" if cgroups else "linuxproc", also=",task/cgroup" if cgroups else "",
            )
        )  # fmt: skip
        (self.folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\nConstrainCores=yes\nConstrainRAMSpace=yes\n")
        (self.folder / "munge.key").touch(mode=0o600)
        (self.folder / "munge.key").write_bytes(os.urandom(128))
        (self.folder / "state").mkdir()

    def start(self, name: str) -> None:
        """Start a machine, and what of Slurm runs there."""
        super().start(name)
        own, conf = self.folder / "own", self.folder / "slurm.conf"
        self._daemon(
            name, "munged", "--foreground", "--force", f"--key-file={self.folder}/munge.key",
            *(f"--{what}={own}/munge.{kind}" for what, kind in (
                ("socket", "socket"), ("pid-file", "pid"), ("log-file", "log"), ("seed-file", "seed"))),
        )  # fmt: skip
        wait(lambda: (self.folder / name / "munge.socket").exists(), 20)
        if name == LOGIN:
            self._daemon(name, "slurmctld", "-D", "-i", "-f", conf)
        else:
            self._daemon(name, "slurmd", "-D", "-N", name, "-f", conf)

    def kill(self, name: str) -> None:
        super().kill(name)
        (self.folder / name / "munge.socket").unlink(missing_ok=True)

    def close(self) -> None:
        super().close()
        for cgroup in sorted(CGROUPS.glob(f"*/slurm_{CLUSTER}-*/**"), reverse=True):
            if cgroup.is_dir():
                cgroup.rmdir()

    def idle(self) -> bool:
        """Tell whether all nodes are ready for jobs and nothing but Slurm runs on any."""
        states = self.run(LOGIN, "sinfo", "--noheader", "--Node", "--format=%t").split()
        return states == ["idle"] * len(NODES) and not any(self.left(name) for name in NODES)

    def left(self, name: str) -> list[str]:
        """Return what runs on a node that is none of Slurm's."""
        return [args for args in self.processes(name) if args.split()[0] not in ("munged", "slurmd")]

    def job(self, number: str) -> dict[str, str]:
        """Return what Slurm says of a job."""
        told = self.run(LOGIN, "scontrol", "show", "job", number)
        return dict(re.findall(r"(\w+)=(\S*)", told))

    def _daemon(self, name: str, *command: object) -> None:
        with (self.folder / name / f"{command[0]}.out").open("ab") as log:
            self.popen(name, *command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def wait(until, seconds: float) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + seconds
    while not (told := until()):
        assert time.monotonic() < deadline, (until, told)
        time.sleep(0.5)


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """Return a Slurm of three nodes, which ends with these tests."""
    slurm = Slurm(tmp_path_factory.mktemp("slurm") / "machines", (LOGIN, *NODES))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(slurm.folder / "slurm.conf"))
        slurm.configure()
        try:
            for name in slurm.names:
                slurm.start(name)
            wait(lambda: slurm.run(LOGIN, "sinfo", "--noheader", "--Node", "--format=%t").split() == ["idle"] * 3, 60)
            yield slurm
        finally:
            slurm.close()


def recipe(plan, nodes: int) -> str:
    """Return the job of the page; what is replaced is what this machine cannot have."""
    job = re.search(r"^### Slurm\n```bash\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)[1]
    for old, new in (
        (r"#SBATCH --nodes=.*", f"#SBATCH --nodes={nodes} --ntasks-per-node=1 --cpus-per-task=1 --mem=3G --time=60"),
        (r"MITOZOO_HOME=\S+", f"MITOZOO_HOME={plan.folder / 'home'}"),
        (r"\$\(\(4 \* SLURM_JOB_NUM_NODES\)\)", "$((1 * SLURM_JOB_NUM_NODES))"),
    ):
        job, found = re.subn(old, new, job, count=1)
        assert found == 1, old
    return job


def submit(slurm: Slurm, plan, nodes: int, seconds_a_shard: float) -> str:
    """Submit the recipe over a plan, and return the job's number."""
    (plan.folder / "job.sh").write_text(recipe(plan, nodes))
    shutil.copy(plan.file, plan.folder / "grid.toml")
    (plan.folder / "user").mkdir(exist_ok=True)
    path = f"{ENVIRONMENT}:{os.environ['PATH']}"
    environment = plan.environment | {"PATH": path, "HOME": str(plan.folder / "user")}
    environment |= {"TINY_SLEEP": str(seconds_a_shard)}
    told = slurm.run(
        LOGIN, "sbatch", "--output=job.out", "--open-mode=append", "job.sh", cwd=plan.folder, env=environment
    )
    return told.split()[-1]


def said(plan) -> str:
    return (plan.folder / "job.out").read_text(errors="replace")


def ended(slurm: Slurm, number: str, seconds: float = 400) -> dict[str, str]:
    """Wait until a job has ended and left nothing; return what Slurm says of it."""
    wait(lambda: slurm.job(number)["JobState"] not in ("PENDING", "RUNNING", "COMPLETING"), seconds)
    wait(slurm.idle, 60)
    return slurm.job(number)


def hosts(plan) -> set[str]:
    """Return the nodes whose workers did tasks."""
    logs = [path for path in plan.runs.glob("plans/*/*/worker-*.jsonl") if path.stat().st_size]
    return {re.fullmatch(r"worker-(.*)-\d+\.jsonl", path.name)[1] for path in logs}


@pytest.fixture
def plan(new_plan, undisturbed):
    whole, _ = undisturbed
    return new_plan(
        "on-slurm", models=whole.models, further=whole.further, execution=f"{whole.execution}\nattempts = 4"
    )


@pytest.mark.parametrize("nodes", [1, 3])
def test_the_recipe_of_the_page(slurm, plan, undisturbed, nodes):
    whole, _ = undisturbed
    job = ended(slurm, submit(slurm, plan, nodes, 12.0 if nodes > 1 else 1.0))
    assert job["JobState"] == "COMPLETED", (job, said(plan))
    assert hosts(plan) == set(NODES[:nodes])
    assert plan.results() == whole.results()
    assert plan.shards() == whole.shards()


def requeue(slurm: Slurm, number: str) -> None:
    slurm.run(LOGIN, "scontrol", "requeue", number)


def reach_its_time_limit(slurm: Slurm, number: str) -> None:
    slurm.run(LOGIN, "scontrol", "update", f"JobId={number}", "TimeLimit=2")  # --signal: two minutes before it


def cancel(slurm: Slurm, number: str) -> None:
    slurm.run(LOGIN, "scancel", number)


def lose_a_node(slurm: Slurm, number: str) -> None:
    slurm.kill(NODES[1])
    wait(lambda: "down" in slurm.run(LOGIN, "sinfo", "--noheader", "--Node", "--format=%t"), 60)
    slurm.start(NODES[1])


def lose_the_head(slurm: Slurm, number: str) -> None:
    slurm.kill(NODES[0])
    wait(lambda: "down" in slurm.run(LOGIN, "sinfo", "--noheader", "--Node", "--format=%t"), 60)
    slurm.start(NODES[0])


@pytest.mark.parametrize("fault", [requeue, reach_its_time_limit, cancel, lose_a_node, lose_the_head])
def test_a_job_that_is_disturbed_ends_the_same(slurm, plan, undisturbed, fault):
    """Disturbed once a shard is there; where Slurm does not begin the job again, it is submitted again."""
    whole, _ = undisturbed
    number = submit(slurm, plan, 2, 12.0 if fault is reach_its_time_limit else 6.0)
    wait(lambda: plan.shards() or slurm.job(number)["JobState"] not in ("PENDING", "RUNNING"), 200)
    assert plan.shards(), said(plan)
    assert not plan.results()
    fault(slurm, number)
    job = ended(slurm, number)
    print(fault.__name__, job["JobState"], job["ExitCode"], job["Restarts"], said(plan)[-500:])
    if fault in (cancel, reach_its_time_limit):
        assert job["JobState"] != "COMPLETED"
        job = ended(slurm, submit(slurm, plan, 2, 0.0))
    assert job["JobState"] == "COMPLETED", (job, said(plan))
    assert len(plan.events("begin")) == 2
    assert plan.results() == whole.results()
    assert plan.shards() == whole.shards()


def ray_node(slurm: Slurm, plan, name: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a node of Ray with one CPU on a machine, outside of any job, and return it once it is ready."""
    command = [ENVIRONMENT / "ray", "start", "--block", f"--node-ip-address={slurm.address(name)}", "--num-cpus=1"]
    command += ["--object-store-memory=100000000", *arguments]
    environment = plan.environment | {"TINY_SLEEP": "4"}
    node = slurm.popen(name, *command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert any("Ray runtime started" in line for line in node.stdout)
    return node


@pytest.mark.parametrize("restored", [True, False])
@pytest.mark.parametrize("driver", NODES[:2], ids=["driver-stays", "driver-cut-off"])  # names are of this process
def test_a_network_that_divides(slurm, new_plan, undisturbed, driver, restored):
    """The second of two nodes is cut off for ten seconds, or for good; the driver is on the one side or the other."""
    whole, _ = undisturbed
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "t" * 64, "RAY_USAGE_STATS_ENABLED": "0"}
    plan = new_plan("divided", models=whole.models, further=whole.further, variables=token)
    head, cut = NODES[:2]
    address = f"{slurm.address(head)}:6400"
    command = [ENVIRONMENT / "mitozoo", "plan", "run", plan.file, "--out", plan.runs, "--ray", address]
    further = {"env": plan.environment, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    try:
        ray_node(slurm, plan, head, "--head", "--port=6400", "--include-dashboard=false")
        ray_node(slurm, plan, cut, f"--address={address}")
        process = slurm.popen(driver, *command, **further)
        wait(lambda: process.poll() is not None or len(hosts(plan)) == 2, 90)
        wait(lambda: process.poll() is not None or plan.shards(), 90)
        assert process.poll() is None
        slurm.link(cut, "down")
        if restored:
            time.sleep(10)
            slurm.link(cut, "up")
        told, _ = process.communicate(timeout=300)
        print(driver, restored, process.returncode, len(plan.events("lost")), told[-300:])
        slurm.link(cut, "up")
        if driver == cut and not restored:
            assert process.returncode == 2
            assert f"Ray's head at '{address}' has not answered for 30 s" in told
            assert "Traceback" not in told
            process = slurm.popen(head, *command, **further)
            told, _ = process.communicate(timeout=300)
        assert process.returncode == 0, told
    finally:
        slurm.link(cut, "up")
        for name in (head, cut):
            slurm.popen(name, ENVIRONMENT / "ray", "stop", "--force", stdout=subprocess.DEVNULL).wait(timeout=60)
    assert plan.results() == whole.results()
    assert plan.shards() == whole.shards()
    wait(slurm.idle, 60)
