"""Zegel itself in a laboratory: its configuration, keys and accounts, its processes, its log."""
import json
import os
import pathlib
import re
import signal

from .place import CACHE, PATIENCE_S, UNPRIVILEGED, LabError, run, until

PORT_STARTTLS = 1587
PORT_IMPLICIT = 1465
READY = "ready: all roles run"  # what the log says when a start is complete

# Where sanitizers write; test/run gives one directory for all and wants it empty at the end.
REPORTS = pathlib.Path(os.environ.get("ZEGEL_TEST_REPORTS", CACHE / "reports"))


def binary():
    path = os.environ.get("ZEGEL_BINARY", "")
    if not os.access(path, os.X_OK):
        raise LabError("no binary: test/run builds one and names it in ZEGEL_BINARY")
    return path

# (domain, selector): its records and its keys, of all laboratories of this process.
_KEYS = {}

# What a leak checker writes when SIGKILL comes while it looks: nothing was found by then.
NO_REPORT = re.compile(r"==\d+==Unable to get registers from thread \d+\.\n")


class Zegel:
    """One relay. Change `sections`, `accounts`, `partners`, `routes` before start(), or before reload()."""

    def __init__(self, place, hostname="mail.shop.example", as_root=False):
        self.place = place
        self.hostname = hostname
        self.user = None if as_root else UNPRIVILEGED
        self.address = place.address()
        self.home = place.directory("zegel", owner=UNPRIVILEGED)
        self.spool = place.directory("zegel/spool", owner=UNPRIVILEGED, mode=0o700)
        if as_root:
            # Secrets stay root's; only the spool and the log are the user's who serves.
            os.chown(self.home, 0, 0)
        place.directory("zegel/log", owner=UNPRIVILEGED)
        self.log_path = self.home / "log/log"
        self.path = self.home / "zegel.conf"
        self.domains = {}  # name: [selector]
        self.accounts = {}  # name: {"senders": [...], other keys}
        self.partners = {}  # domain: {keys}; {} within for its exception
        self.routes = {}  # domain, or "*": {keys}
        self.stubs = {}  # zone: "address@port"
        self.listens = [(self.address, PORT_STARTTLS, False), (self.address, PORT_IMPLICIT, True)]
        self.sections = {
            "": {"hostname": hostname, "user": "nobody", "spool": self.spool,
                 "log": self.log_path, "processes": 1},
            "tls": {},
            # The names it would ask for are out in the world; a test that wants a check gives some.
            "dns": {"check-signed": "", "check-broken": "", "check-unsigned": ""},
            "delivery": {"allow-loopback": "on", "connect-timeout": "5s"},
            "retry": {}, "limits": {"free-space": "10M"},
        }
        self.process = None
        self.exit = None
        REPORTS.mkdir(parents=True, exist_ok=True)
        if os.stat(REPORTS).st_uid == os.geteuid():
            REPORTS.chmod(0o777)
        self.reports = REPORTS / place.path.name

    # ---- before it runs ----

    def write(self, text=None):
        """The configuration file, from what is set, or this text."""
        self.path.write_text(text if text is not None else self.text())
        self.path.chmod(0o644)

    def text(self):
        lines = []
        for section, keys in self.sections.items():
            body = _body(keys)
            if section == "dns":
                for zone, server in self.stubs.items():
                    body.append(f"stub {zone} {{ server = {server} }}")
            if body:
                lines += body if section == "" else _block(section, body)
        for address, port, implicit in self.listens:
            lines += _block("listen", [f"address = {_value(address)}", f"port = {port}",
                                       f"tls = {'implicit' if implicit else 'starttls'}"])
        for name, selectors in self.domains.items():
            lines += _block(f"domain {name}", [f"dkim = {_value(selectors)}"])
        for kind, named in (("account", self.accounts), ("partner", self.partners),
                            ("route", self.routes)):
            for name, keys in named.items():
                lines += _block(f"{kind} {_value(name)}", _body(keys))
        return "\n".join(lines) + "\n"

    def add_domain(self, name, selector="lab"):
        """Both keys; returns the records to publish: {name: text}.

        The first laboratory of a process has them made by the command line; the others copy them,
        since making an RSA key is what would take them longest.
        """
        if (name, selector) not in _KEYS:
            self.write()
            done = self.command("--json", "dkim", "new", name, selector)
            records = [json.loads(line) for line in done.stdout.splitlines()]
            selectors = [r["name"].partition("._domainkey.")[0] for r in records]
            _KEYS[name, selector] = ({r["name"]: r["value"] for r in records},
                                     {s: self._key_path(name, s).read_bytes() for s in selectors})
        records, keys = _KEYS[name, selector]
        for one, key in keys.items():
            self._write_key(self._key_path(name, one), key)
        self.domains[name] = list(keys)
        return records

    def _key_path(self, domain, selector):
        return self.home / "dkim" / domain / f"{selector}.pem"

    def _write_key(self, path, key):
        """As the command does: for the user who runs it, and nobody else."""
        for directory in (path.parent.parent, path.parent):
            self.place.directory(directory, owner=self.user, mode=0o700)
        path.write_bytes(key)
        path.chmod(0o600)
        if self.user is not None and os.geteuid() == 0:
            os.chown(path, self.user, self.user)

    def add_account(self, name, password, senders, **keys):
        self.accounts[name] = {"senders": senders, **keys}
        self.write()
        self.command("account", "add", name, input=password + "\n")

    def command(self, *words, input=None, check=True, seconds=PATIENCE_S):
        """The command line, as the user who serves."""
        more = {} if self.user is None or os.geteuid() != 0 else {
            "user": self.user, "group": self.user, "extra_groups": []}
        return run([binary(), "-c", self.path, *words], input=input or "", check=check,
                   cwd=self.home, env=self._environment(), seconds=seconds, **more)

    # ---- while it runs ----

    def start(self):
        self.write()
        before = self.log().count(READY)
        self.process = self.place.start(
            [binary(), "serve", "-c", self.path], "zegel-out", user=self.user,
            env=self._environment())
        self.exit = None

        def ready():
            if self.process.poll() is not None:
                raise AssertionError(f"zegel ended with {self.process.returncode}\n{self.told()}")
            return self.log().count(READY) > before
        until(ready, what=lambda: f"all roles of zegel run\n{self.told()}")

    def stop(self):
        """SIGTERM; its exit status."""
        self.exit = self.place.stop(self.process)
        return self.exit

    def kill(self):
        """SIGKILL of the parent, and waits until the roles have noticed and gone."""
        pids = [pid for pids in self.roles().values() for pid in pids]
        self.place.stop(self.process, how=signal.SIGKILL)
        until(lambda: not any(_is_alive(pid) for pid in pids), what="the roles have gone")

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def reload_and_wait(self):
        """With what is set now; returns when it is in force."""
        said = "reload: the new configuration is in force"
        before = self.log().count(said)
        self.write()
        self.reload()
        until(lambda: self.log().count(said) > before, what=lambda: f"reloaded\n{self.told()}")

    def roles(self):
        """{role: [pid]} of the processes that live now."""
        found = {}
        for pid in _children(self.process.pid):
            try:
                name = pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
            except OSError:
                continue
            role = name.partition(": ")[2]
            if role:
                found.setdefault(role, []).append(pid)
        return found

    def has_unread(self, pid):
        """Whether another role has sent something to this one, which has not read it."""
        sockets = {os.readlink(fd)[8:-1] for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir()
                   if os.readlink(fd).startswith("socket:[")}
        lines = run(["ss", "--no-header", "--unix", "--all"]).stdout.splitlines()
        rows = (line.split() for line in lines)
        return any(int(row[2]) > 0 and row[5] in sockets for row in rows)

    def kill_role(self, role):
        """SIGKILL of one process of a role; waits until another has taken its place."""
        before = self.roles()[role]
        os.kill(before[0], signal.SIGKILL)
        until(lambda: set(self.roles().get(role, [])) - set(before),
              what=lambda: f"another {role}\n{self.told()}")

    def queue(self):
        done = self.command("--json", "queue", "list")
        return [entry for line in done.stdout.splitlines() if "id" in (entry := json.loads(line))]

    def why(self, what):
        return self.command("why", what, check=False).stdout

    def retry(self, what="all"):
        """Tries what waits now; it is no mistake if nothing does any more."""
        def answer():
            done = self.command("queue", "retry", what, check=False)
            return done if done.returncode in (0, 1) else None
        return until(answer, what="the queue was told to retry")

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def wait_log(self, pattern, n=1):
        """Lines of the log that match, when there are n of them."""
        def lines():
            found = [line for line in self.log().splitlines() if re.search(pattern, line)]
            return found if len(found) >= n else None
        return until(lines, what=lambda: f"the log says {pattern}\n{self.told()}")

    def told(self):
        """Everything it said, for a failed test."""
        return self.place.output("zegel-out") + self.log()[-20000:]

    def sanitizer_reports(self):
        texts = (p.read_text(errors="replace") for p in REPORTS.glob(self.reports.name + "*"))
        return "\n".join(text for text in texts if NO_REPORT.sub("", text).strip())

    def _environment(self):
        options = f"log_path={self.reports}:detect_leaks=1:handle_abort=1"
        return {"ASAN_OPTIONS": options, "LSAN_OPTIONS": "report_objects=1",
                "UBSAN_OPTIONS": f"log_path={self.reports}:print_stacktrace=1"}


def _block(title, body):
    return [title + " {"] + ["    " + line for line in body] + ["}"]


def _body(keys):
    lines = []
    for key, value in keys.items():
        lines += _block(key, _body(value)) if isinstance(value, dict) else [
            f"{key} = {_value(value)}"]
    return lines


def _value(value):
    if isinstance(value, (list, tuple)):
        return "{" + ", ".join(_value(one) for one in value) + "}"
    text = str(value)
    return text if re.fullmatch(r"[A-Za-z0-9/._-]+", text) else f'"{text}"'


def _children(parent):
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            if int(stat.rpartition(")")[2].split()[1]) == parent:
                yield int(entry.name)


def _is_alive(pid):
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"
