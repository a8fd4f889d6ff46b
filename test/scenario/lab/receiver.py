"""The sinks of a laboratory, seen from the test: hosts to publish, rules to change, mail to read."""
import json
import pathlib
import signal
import sys

from .place import listens, until


class Sink:
    """One process with several receiving hosts, each at an address of its own."""

    def __init__(self, place, port, name="sink"):
        self.place = place
        self.port = port
        self.name = name
        self.directory = place.directory(name)
        self.hosts = {}
        self.process = None

    def host(self, name, certificate=None, address=None, rules=None):
        """Adds a host before start(); without a certificate it offers no STARTTLS."""
        self.hosts[name] = {
            "name": name, "address": address or self.place.address(), "port": self.port,
            "rules": rules or {}}
        self._show(name, certificate)
        return self.hosts[name]["address"]

    def start(self):
        self._write()
        self.process = self.place.start(
            [sys.executable, pathlib.Path(__file__).with_name("sink.py"), self._settings()],
            self.name)
        for host in self.hosts.values():
            until(lambda: listens(host["address"], self.port),
                  what=lambda: f"the sink listens\n{self.place.output(self.name)}")

    def stop(self):
        self.place.stop(self.process)

    def show_by_name(self, host, **certificates):
        """Before start(): what the host shows who asks for another server name (SNI)."""
        self.hosts[host]["by_name"] = {
            name: [str(shown.chain), str(shown.key)] for name, shown in certificates.items()}

    def change(self, name, certificate=None, **settings):
        """Other rules, another certificate, from now on."""
        if certificate is not None:
            self._show(name, certificate)
        self.hosts[name].update(settings)
        before = len(self.events("changed"))
        self._write()
        self.process.send_signal(signal.SIGHUP)
        until(lambda: len(self.events("changed")) >= before + len(self.hosts),
              what="the sink has changed")

    def events(self, kind=None, host=None):
        path = self.directory / "events.jsonl"
        if not path.exists():
            return []
        events = [json.loads(line) for line in path.read_text().splitlines(keepends=True)
                  if line.endswith("\n")]
        return [e for e in events
                if kind in (None, e["event"]) and host in (None, e["host"])]

    def messages(self, recipient):
        """The contents of a mailbox, oldest first."""
        box = self.directory / "box" / recipient.lower().replace("/", "_")
        return [p.read_bytes() for p in sorted(box.glob("[!.]*.eml"))] if box.exists() else []

    def wait_for(self, recipient, n=1):
        """The mailbox when it holds at least n messages."""
        return until(lambda: (m := self.messages(recipient)) and len(m) >= n and m,
                     what=f"{n} message(s) for {recipient}")

    def clear_text(self, host):
        """Everything this host was told without encryption (what was before STARTTLS, too)."""
        return "".join(e["clear"] for e in self.events("closed", host))

    def _show(self, name, certificate):
        if certificate is not None:
            self.hosts[name]["chain"] = str(certificate.chain)
            self.hosts[name]["key"] = str(certificate.key)

    def _settings(self):
        return self.directory / "settings.json"

    def _write(self):
        part = self._settings().with_suffix(".part")
        part.write_text(json.dumps({"directory": str(self.directory),
                                    "hosts": list(self.hosts.values())}))
        part.chmod(0o644)
        part.replace(self._settings())
