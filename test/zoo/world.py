"""The zoo's surroundings: name servers, a validating resolver for the oracles, hosts, and Zegel.

Lives in a network namespace of its own (see run): so ports 25, 53 and 443 are free, addresses are
those of the animals, and nothing can leave.
"""
import json
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import sys

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dh

import reports
from animal import DEAD, OPEN, SIGNED
from lab.dns import PORT as DNS_PORT
from lab.dns import Dns, Troublemaker, Zone
from lab.place import UNPACKED, UNPRIVILEGED, Place, listens, until
from lab.zegel import Zegel

HERE = pathlib.Path(__file__).resolve().parent
HOME = "shop.example"  # where the visitors come from
PASSWORD = "correct horse battery"


class World:
    def __init__(self, zoo):
        self.zoo = zoo
        self.place = Place("zoo")
        self.zegel = None
        self.anchors = None

    def start(self):
        self._take_addresses()
        self._prepare_zegel()
        self._start_dns()
        self._start_resolver()
        self._start_hosts()
        self.zegel.start()

    def close(self):
        """Ends everything; what a sanitizer found is returned."""
        reports = ""
        if self.zegel is not None and self.zegel.process is not None:
            self.zegel.stop()
            reports = self.zegel.sanitizer_reports()
        self.place.close()
        return reports

    def _take_addresses(self):
        addresses = [a for hosts in self._hosts() for a in hosts.addresses if ":" in a]
        _ip(["link set lo up", "addr add 198.18.0.0/15 dev lo"])
        _ip([f"addr add {a}/128 dev lo nodad" for a in addresses], "-6")

    def _hosts(self):
        return [host for animal in self.zoo.animals for host in animal.hosts]

    # ---- DNS ----

    def _start_dns(self):
        self.dns = Dns(self.place, Zone(HOME), Zone(SIGNED), Zone(OPEN, signed=False),
                       Zone(DEAD, signed=False, served=False),
                       *[Zone(name, signed) for name, signed in self.zoo.rogue_zones.items()])
        for (owner, kind), data in self.zoo.records.items():
            self.dns.set(owner, kind, *data)
        for owner, kind in self.zoo.spoiled:
            self.dns.zone_of(owner).spoil(owner, kind)
        self.dns.host(self.zegel.hostname, self.zegel.address)
        self._publish_seals()
        self.trouble = Troublemaker(self.place, self.dns.address)
        self.trouble.rules = self.zoo.troubles
        self.stubs = {zone: f"{self.dns.address}@{DNS_PORT}" for zone in self.dns.zones}
        for zone in self.zoo.rogue_zones:
            self.stubs[zone] = f"{self.trouble.address}@{DNS_PORT}"
        self.zegel.stubs = self.stubs
        self.zegel.sections["dns"]["trust-anchor"] = self.dns.trust_anchor
        self.dns.start()

    def _publish_seals(self):
        for name, text in self.zegel.add_domain(HOME).items():
            pieces = [text[i:i + 200] for i in range(0, len(text), 200)]
            self.dns.set(name, "TXT", " ".join(f'"{piece}"' for piece in pieces))

    def _start_resolver(self):
        """What /etc/resolv.conf names: a validating Unbound with the same servers and anchors."""
        directory = self.place.directory("resolver", owner=UNPRIVILEGED)
        stubs = "".join(f'stub-zone:\n name: "{zone}"\n stub-addr: {server}\n'
                        for zone, server in self.stubs.items())
        (directory / "conf").write_text(
            "server:\n interface: 127.0.0.1\n port: 53\n do-daemonize: no\n use-syslog: no\n"
            ' username: ""\n chroot: ""\n pidfile: ""\n num-threads: 1\n'
            f' directory: "{directory}"\n do-not-query-localhost: no\n val-log-level: 1\n'
            f' module-config: "validator iterator"\n trust-anchor-file: "{self.dns.trust_anchor}"\n'
            f"{stubs}remote-control:\n control-enable: no\n")
        self.place.start([UNPACKED / "usr/sbin/unbound", "-c", directory / "conf"], "unbound")
        until(lambda: listens("127.0.0.1", 53), what=lambda: self.place.output("unbound"))
        resolv = directory / "resolv.conf"
        resolv.write_text("nameserver 127.0.0.1\noptions edns0 trust-ad timeout:20 attempts:1\n")
        subprocess.run(["mount", "--bind", resolv, os.path.realpath("/etc/resolv.conf")],
                       check=True)

    # ---- hosts ----

    def _start_hosts(self):
        directory = self.place.directory("peers")
        group = directory / "dh-512.pem"
        group.write_bytes(dh.generate_parameters(2, 512).parameter_bytes(
            serialization.Encoding.PEM, serialization.ParameterFormat.PKCS3))
        hosts, sites = [], []
        for host in self._hosts():
            if host.script == "absent":
                continue
            files = directory / f"{host.name}-{host.addresses[0]}"
            shown = {"name": host.name, "addresses": host.addresses, "script": host.script,
                     "by_name": {}, **host.settings}
            if host.settings.get("dh"):
                shown["dh"] = str(group)
            if host.certificate:
                shown["chain"], shown["key"] = map(str, host.certificate.write(files))
            if host.later:
                shown["later"] = list(map(str, host.later.write(
                    files.with_name(files.name + ".later"))))
            for i, (name, certificate) in enumerate(host.by_name.items()):
                shown["by_name"][name] = list(map(str, certificate.write(
                    files.with_name(f"{files.name}.{i}"))))
            hosts.append(shown)
        for site in (s for animal in self.zoo.animals for s in animal.websites):
            chain, key = map(str, site.certificate.write(directory / site.name))
            sites.append({"name": site.name, "address": site.address, "chain": chain, "key": key,
                          "answer": site.answer, "later": site.later})
        settings = directory / "settings.json"
        settings.write_text(json.dumps({"hosts": hosts, "sites": sites}))
        self.events_path = directory / "events.jsonl"
        # Python warns of the old versions of TLS, which some hosts are there to speak.
        self.peers = self.place.start(
            [sys.executable, "-B", "-W", "ignore", HERE / "peer.py", settings], "peers")
        until(lambda: self.events("ready"),
              what=lambda: f"the hosts listen\n{self.place.output('peers')}")

    def become_late(self):
        """The first messages have been: what is to change then changes."""
        for animal in self.zoo.animals:
            for owner, kind, *data in animal.prelude:
                self.dns.set(owner, kind, *data)
        self.peers.send_signal(signal.SIGUSR1)
        until(lambda: self.events("late"), what="the hosts have changed")
        self.dns.publish()

    def end_visits(self):
        """Whatever connection is kept closes, so that everything that was heard has been told."""
        self.zegel.stop()
        self.place.stop(self.peers)

    def host_errors(self):
        """What went wrong in the hosts' own process: then what was seen is not what was meant."""
        return self.place.output("peers")

    def events(self, key):
        if not self.events_path.exists():
            return []
        events = [json.loads(line) for line in
                  self.events_path.read_text().splitlines(keepends=True) if line.endswith("\n")]
        return [e for e in events if key in e]

    # ---- Zegel ----

    def _prepare_zegel(self):
        z = self.zegel = Zegel(self.place, hostname=f"mail.{HOME}")
        self.ca_file = self.place.path / "authority.pem"
        self.ca_file.write_bytes(self.zoo.authority.pem())
        own = self.zoo.authority.issue(z.hostname)
        chain, key = own.write(z.home / "own")
        os.chown(key, UNPRIVILEGED, UNPRIVILEGED)
        key.chmod(0o600)
        z.client_tls = ssl.create_default_context(cafile=self.ca_file)
        z.client_tls.check_hostname = False  # the name is the relay's, the address the zoo's
        z.sections["tls"].update({"certificate": chain, "key": key})
        z.sections["delivery"] = {"ca-file": self.ca_file, "connect-timeout": "5s",
                                  "connections": 300,
                                  "allow-private": "on"}  # 198.18.0.0/15 is one
        z.sections["tls-reports"] = reports.SECTION  # nobody asks for one; they are only read
        # Does DNSSEC work here? Asked of the zoo itself.
        z.sections["dns"].update({f"check-{how}": name for how, name in self.zoo.checks.items()})
        z.partners = {a.partner_name or a.domain: self._rule(a) for a in self.zoo.animals
                      if a.partner}
        z.routes = {a.domain: a.route for a in self.zoo.animals if a.route}
        for name, keys in ACCOUNTS.items():
            z.add_account(login_of(name)[0], PASSWORD, senders=[f"{name}@{HOME}"], **keys)


    def _rule(self, animal):
        """An authority in it becomes a file."""
        rule = dict(animal.partner)
        if "ca" in rule:
            path = self.place.path / f"{animal.name}.ca.pem"
            path.write_bytes(rule["ca"].pem())
            rule["ca"] = path
        return rule


# Who submits: an animal names one of them.
ACCOUNTS = {"keeper": {}, **{f"floor-{level}": {"tls-floor": level}
                             for level in ("encrypt", "verify", "dane-only")}}


def login_of(account):
    return f"{account}@{HOME}", PASSWORD


def _ip(commands, *options):
    subprocess.run(["ip", *options, "-batch", "-"], input="\n".join(commands), text=True,
                   check=True)


def is_inside():
    """Are we in a namespace of our own? Nothing but loopback must be there."""
    return [name for _, name in socket.if_nameindex()] == ["lo"]
