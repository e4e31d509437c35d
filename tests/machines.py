"""Machines of a test's own on this one: each with its network, host name, processes and folders, behind one switch.

They are namespaces of the kernel, which needs root. All are below one process that ends with the test's own, whatever
ends that, and with it all their processes, addresses and mounts; no file below /etc is touched.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

NAMESPACES = ("--net", "--uts", "--mount", "--pid")
FIRST = "10.77.0."  # of all addresses; they are in a network of their own
#: What each machine has for itself: its name, its `own` folder, a list of all hosts, and the place where Ray works.
BEGIN = """
hostname {name}
mount --bind {folder}/{name} {folder}/own
mount --bind {folder}/hosts /etc/hosts
mkdir -p /tmp/ray
mount --bind {folder}/{name}/ray /tmp/ray
ip link set lo up
{further}
echo ready
read wait
"""


@dataclass
class Machines:
    """A switch, which is the first machine, and the others.

    Attributes:
        folder: of their files; each sees its own one, `folder/NAME`, as `folder/own`. All else is shared.
        names: of the machines, the switch first.
    """

    folder: Path
    names: tuple[str, ...]
    _first: dict[str, int] = field(default_factory=dict)  # the process that each machine ends with
    _held: dict[str, subprocess.Popen[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        (self.folder / "own").mkdir()
        hosts = [f"{self.address(name)} {name}\n" for name in self.names]
        (self.folder / "hosts").write_text("127.0.0.1 localhost\n" + "".join(hosts))

    def address(self, name: str) -> str:
        return f"{FIRST}{self.names.index(name) + 1}"

    def start(self, name: str) -> None:
        """Start a machine; the switch comes first."""
        (self.folder / name / "ray").mkdir(parents=True, exist_ok=True)
        switch, inside, further = self.names[0], (), ""
        if name == switch:
            further = f"ip link add switch type bridge; ip link set switch up; ip addr add {FIRST}1/24 dev switch"
        else:
            inside = ("nsenter", "--target", str(self._first[switch]), "--net", "--mount", "--pid")
        began = BEGIN.format(name=name, folder=self.folder, further=further)
        command = [*inside, "unshare", *NAMESPACES, "--fork", "--kill-child", "--mount-proc", "bash", "-e", "-c", began]
        held = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert held.stdout.readline() == "ready\n"
        self._held[name], self._first[name] = held, _last_child(held.pid)
        if name != switch:
            first = str(self._first[name])
            self._on_network(switch, "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", first)
            self._on_network(switch, "link", "set", name, "master", "switch", "up")
            self._on_network(name, "addr", "add", f"{self.address(name)}/24", "dev", "eth0")
            self._on_network(name, "link", "set", "eth0", "up")

    def popen(self, name: str, *command: object, cwd: Path | None = None, **further) -> subprocess.Popen[str]:
        """Start a command on a machine."""
        enter = ["nsenter", "--target", str(self._first[name]), *NAMESPACES, "env", "-C", str(cwd or self.folder)]
        return subprocess.Popen([*enter, *map(str, command)], text=True, **further)

    def run(self, name: str, *command: object, cwd: Path | None = None, **further) -> str:
        """Run a command on a machine, and return what it prints."""
        process = self.popen(name, *command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **further)
        told, _ = process.communicate(timeout=60)
        assert process.returncode == 0, (command, told)
        return told

    def processes(self, name: str) -> list[str]:
        """Return the command lines of all that runs on a machine, but for what it began with."""
        lines = self.run(name, "ps", "-e", "-o", "pid=,stat=,args=").splitlines()
        rows = [line.split(maxsplit=2) for line in lines]
        return [args for pid, state, args in rows if pid != "1" and state[0] != "Z" and not args.startswith("ps -e")]

    def link(self, name: str, state: str) -> None:
        """Take a machine off the network ('down') or back ('up')."""
        self._on_network(self.names[0], "link", "set", name, state)

    def kill(self, name: str) -> None:
        """End all processes of a machine at once, as if it lost its power."""
        os.kill(self._first.pop(name), signal.SIGKILL)
        self._held.pop(name).communicate()
        if name != self.names[0]:
            deadline = time.monotonic() + 30
            while self.run(self.names[0], "ip", "-o", "link").count(f" {name}@"):  # goes with its last process
                assert time.monotonic() < deadline, f"{name} is still on the network"
                time.sleep(0.1)

    def close(self) -> None:
        """End all machines."""
        if self.names[0] in self._first:
            os.kill(self._first[self.names[0]], signal.SIGKILL)
        for held in self._held.values():
            held.communicate()

    def _on_network(self, name: str, *command: str) -> None:
        subprocess.run(["nsenter", "--target", str(self._first[name]), "--net", "ip", *command], check=True)


def _last_child(process: int) -> int:
    """Return the process that `unshare` began in the new namespaces, by its number outside."""
    while children := Path(f"/proc/{process}/task/{process}/children").read_text().split():
        process = int(children[0])
    return process
