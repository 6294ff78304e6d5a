"""A Slurm of one node, started on this machine for the tests and taken down after them."""

import os
import platform
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

#: job steps lose SLURM_CONF, so this is the place
FOLDER = Path("/etc/slurm")
DAEMONS = ("munged", "slurmctld", "slurmd")
#: a number, too: a job that is killed asks for more each time
MEMORY_MB = 200_000
#: two GPUs that are none: what is asked for is counted, and given a number
SETTINGS = """\
# a Slurm of one node for the tests of negsamp
ClusterName=one
SlurmctldHost={node}
SlurmUser=root
AuthType=auth/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
ReturnToService=2
MinJobAge=3600
SchedulerParameters=sched_interval=1,bf_interval=1
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName={node} CPUs={cpus} RealMemory={memory} Gres=gpu:2 State=UNKNOWN
PartitionName=long Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName=accelerated Nodes=ALL MaxTime=INFINITE State=UP
"""
GPUS = "Name=gpu File=/dev/null\nName=gpu File=/dev/zero\n"


def lacking() -> str | None:
    """Tell why no Slurm can be started here."""
    if platform.system() != "Linux" or os.geteuid() != 0:
        return "a Slurm can be started by root on Linux alone"
    if absent := [name for name in DAEMONS if shutil.which(name) is None]:
        return f"{', '.join(absent)} cannot be found: apt-get install slurm-wlm munge"
    if (FOLDER / "slurm.conf").exists():
        return f"{FOLDER}/slurm.conf is there: this machine has a Slurm of its own"
    if running := [name for name in DAEMONS if subprocess.run(["pgrep", "-x", name], stdout=-3).returncode == 0]:
        return f"{', '.join(running)} is running already"
    return None


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    if reason := lacking():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("slurm")
    (folder / "state").mkdir()
    node = platform.node().split(".")[0]
    settings = SETTINGS.format(node=node, folder=folder, cpus=os.cpu_count(), memory=MEMORY_MB)
    try:
        FOLDER.mkdir(exist_ok=True)
        (FOLDER / "slurm.conf").write_text(settings)
        (FOLDER / "gres.conf").write_text(GPUS)
        subprocess.run(["install", "-d", "-o", "munge", "-g", "munge", "/run/munge"], check=True)
        subprocess.run(["runuser", "-u", "munge", "--", "munged"], check=True)
        subprocess.run(["slurmctld", "-c"], check=True)
        subprocess.run(["slurmd"], check=True)
        wait_until_idle(folder)
        yield
    finally:
        for name in reversed(DAEMONS):
            subprocess.run(["pkill", "-x", name], check=False)
        for name in ("slurm.conf", "gres.conf"):
            (FOLDER / name).unlink(missing_ok=True)


def wait_until_idle(folder: Path, seconds: int = 60) -> None:
    for _ in range(seconds):
        states = subprocess.run(["sinfo", "--noheader", "--format=%T"], capture_output=True, text=True, check=False)
        if set(states.stdout.split()) == {"idle"}:
            return
        time.sleep(1)
    logs = "\n".join(path.read_text() for path in folder.glob("*.log"))
    pytest.fail(f"Slurm is not ready after {seconds} s: {states.stdout}{states.stderr}\n{logs}")
