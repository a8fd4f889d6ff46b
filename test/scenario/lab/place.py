"""A place of its own for every laboratory: a directory, a block of loopback addresses, processes.

Several laboratories run at once. Each takes a block 127.A.B.0/24 that no other holds (a lock file
that the kernel releases with the process), so that all can use the same port numbers. Nothing is
left running: children die with the process that started them, unless they are to be kept.
"""
import ctypes
import fcntl
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time

CACHE = pathlib.Path(os.environ.get("ZEGEL_TEST_CACHE", "/var/tmp/zegel-test"))
TOP = pathlib.Path(__file__).resolve().parents[3]
UNPACKED = CACHE / "unpacked"  # where test/peer/provide laid the servers that are not installed

# Who runs what need not be root: nobody, or the developer who started the tests.
UNPRIVILEGED = 65534 if os.geteuid() == 0 else os.geteuid()

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class LabError(Exception):
    """The laboratory itself failed, not what is tested in it."""


# How long anything is waited for. It is for machines that are slow and busy: where all is well it
# costs nothing, so nobody should give less.
PATIENCE_S = 180


def until(question, seconds=PATIENCE_S, what="", every=0.02):
    """Asks until the answer is true and returns it; fails loudly when the time is over.

    what: the condition in words, or who tells it when it is needed.
    """
    end = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > end:
            told = what() if callable(what) else what
            raise AssertionError(f"not within {seconds:g} s: {told or question}")
        time.sleep(every)


def listens(address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        probe.settimeout(1)
        return probe.connect_ex((address, port)) == 0


def free_port(address="127.0.0.1"):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]


class Place:
    """A scratch directory with addresses and the processes started in it."""

    def __init__(self, name="lab", keep=False, directory=None):
        self.keep = keep
        CACHE.mkdir(parents=True, exist_ok=True)
        if directory is None:
            runs = CACHE / "run"
            runs.mkdir(exist_ok=True)
            directory = tempfile.mkdtemp(prefix=name[:40] + "-", dir=runs)
        self.path = pathlib.Path(directory)
        self.path.mkdir(parents=True, exist_ok=True)
        self.path.chmod(0o755)
        self.processes = []
        self._take_block()

    def _take_block(self):
        blocks = CACHE / "blocks"
        blocks.mkdir(exist_ok=True)
        numbers = [(a, b) for a in range(10, 250) for b in range(250)]
        while True:
            a, b = random.choice(numbers)
            self._lock = open(blocks / f"127.{a}.{b}", "w")
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                self._lock.close()
                continue
            self.network = f"127.{a}.{b}"
            self._next = 1
            return

    def address(self):
        """A loopback address that nobody else uses."""
        self._next += 1
        if self._next > 254:
            raise LabError("a laboratory has 253 addresses, and all are taken")
        return f"{self.network}.{self._next}"

    def directory(self, name, owner=None, mode=0o755):
        path = self.path / name
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(mode)
        if owner is not None and os.geteuid() == 0:
            os.chown(path, owner, owner)
        return path

    def start(self, command, name, user=None, env=None, ends_by=signal.SIGTERM, **more):
        """A process with its output in NAME.out, ending when we do."""
        out = open(self.path / f"{name}.out", "ab")
        if user is not None and os.geteuid() == 0:
            more.update(user=user, group=user, extra_groups=[])

        def tie():
            if not self.keep:
                _libc.prctl(PR_SET_PDEATHSIG, int(ends_by))

        process = subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            cwd=self.path, env={**os.environ, **(env or {})}, start_new_session=True,
            preexec_fn=tie, **more)
        out.close()
        process.name = name
        self.processes.append(process)
        return process

    def stop(self, process, seconds=PATIENCE_S, how=signal.SIGTERM):
        if process.poll() is None:
            process.send_signal(how)
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process in self.processes:
            self.processes.remove(process)
        return process.returncode

    def output(self, name):
        path = self.path / f"{name}.out"
        return path.read_text(errors="replace") if path.exists() else ""

    def close(self, remove=True):
        if self.keep:
            return
        for process in list(reversed(self.processes)):
            self.stop(process)
        if remove:
            shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()


def run(command, input=None, check=True, cwd=None, env=None, seconds=PATIENCE_S, **more):
    """A command to its end; what it printed, as text."""
    done = subprocess.run(
        [str(word) for word in command], input=input, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, cwd=cwd, timeout=seconds, text=True,
        env={**os.environ, **(env or {})}, **more)
    if check and done.returncode != 0:
        raise LabError(f"{' '.join(map(str, command))}: exit {done.returncode}\n"
                       f"{done.stdout}{done.stderr}")
    return done
