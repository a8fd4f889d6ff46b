"""DNS as a receiver publishes it: NSD serves zones that ldns-signzone signed.

A zone is signed with a key of its own, whose DNSKEY is a trust anchor for the resolver under test;
a zone without one is insecure. What a real server would not do (fail for one name, answer slowly)
is done by Troublemaker, which stands before NSD and passes everything else through.
"""
import os
import re
import signal
import socket
import socketserver
import struct
import threading
import time

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype

from .place import PATIENCE_S, UNPACKED, UNPRIVILEGED, LabError, run, until

PORT = 5300
TTL = 1  # seconds: what is changed is believed soon


class Zone:
    def __init__(self, name, signed=True, served=True):
        self.name = name
        self.signed = signed
        self.served = served  # False: configured but without content, so NSD answers SERVFAIL
        self.records = {}  # (owner, type) -> [data]
        self.spoiled = set()  # (owner, type): sets whose signature is made false
        self.serial = int(time.time())
        self.key = None

    def set(self, owner, kind, *data):
        """Replaces the set of this owner (without final dot) and type; no data removes it."""
        if data:
            self.records[(owner, kind)] = [str(one) for one in data]
        else:
            self.records.pop((owner, kind), None)

    def spoil(self, owner, kind):
        self.spoiled.add((owner, kind))

    def mend(self):
        self.spoiled.clear()

    def text(self):
        lines = [f"$TTL {TTL}",
                 f"{self.name}. IN SOA ns.{self.name}. hostmaster.{self.name}. "
                 f"{self.serial} 3600 600 86400 {TTL}",
                 f"{self.name}. IN NS ns.{self.name}.",
                 f"ns.{self.name}. IN A 127.0.0.1"]
        for (owner, kind), sets in self.records.items():
            lines += [f"{owner}. {TTL} IN {kind} {data}" for data in sets]
        return "\n".join(lines) + "\n"


class Dns:
    """One NSD with its zones, on one address of a place."""

    def __init__(self, place, *zones):
        self.place = place
        self.address = place.address()
        self.directory = place.directory("dns", owner=UNPRIVILEGED)
        self.zones = {zone.name: zone for zone in zones}
        self.trust_anchor = self.directory / "trust-anchor"
        self.process = None
        for zone in zones:
            if zone.signed:
                base = run(["ldns-keygen", "-k", "-a", "ECDSAP256SHA256", zone.name],
                           cwd=self.directory).stdout.strip()
                zone.key = self.directory / base
        anchors = [zone.key.with_name(zone.key.name + ".key").read_text()
                   for zone in zones if zone.signed]
        self.trust_anchor.write_text("".join(anchors))

    def zone_of(self, owner):
        while owner:
            if owner in self.zones:
                return self.zones[owner]
            owner = owner.partition(".")[2]
        raise LabError("no zone for that name")

    def set(self, owner, kind, *data):
        self.zone_of(owner).set(owner, kind, *data)

    def host(self, name, *addresses, tlsa=(), port=25):
        """A host's addresses and, if given, its TLSA records."""
        ipv4 = [a for a in addresses if ":" not in a]
        ipv6 = [a for a in addresses if ":" in a]
        self.set(name, "A", *ipv4)
        self.set(name, "AAAA", *ipv6)
        self.tlsa(name, *tlsa, port=port)

    def mx(self, domain, *hosts):
        """Hosts in order, as names or as (preference, name)."""
        pairs = [h if isinstance(h, tuple) else (10 * (i + 1), h) for i, h in enumerate(hosts)]
        self.set(domain, "MX", *[f"{preference} {name}." for preference, name in pairs])

    def tlsa(self, name, *records, port=25):
        self.set(f"_{port}._tcp.{name}", "TLSA", *records)

    def start(self):
        self._write()
        names = "".join(
            f'zone:\n\tname: "{z.name}"\n\tzonefile: "{z.name}.served"\n'
            for z in self.zones.values())
        conf = self.directory / "nsd.conf"
        conf.write_text(
            f"server:\n\tip-address: {self.address}@{PORT}\n\tusername: \"\"\n\tchroot: \"\"\n"
            f"\tdatabase: \"\"\n\tzonesdir: \"{self.directory}\"\n"
            f"\tpidfile: \"{self.directory}/nsd.pid\"\n\txfrdfile: \"{self.directory}/xfrd\"\n"
            f"\txfrdir: \"{self.directory}\"\n"
            f"\tzonelistfile: \"{self.directory}/zone.list\"\n\tserver-count: 1\n"
            "\trrl-ratelimit: 0\n\ttcp-count: 500\n\tverbosity: 1\n"
            f"remote-control:\n\tcontrol-enable: no\n{names}")
        self.process = self.place.start(
            [UNPACKED / "usr/sbin/nsd", "-d", "-c", conf], "nsd", user=UNPRIVILEGED)
        self._wait_served()

    def publish(self):
        """Signs what has been set and serves it; returns when it is all a resolver can see."""
        for zone in self.zones.values():
            zone.serial += 1
        self._write()
        self.process.send_signal(signal.SIGHUP)
        self._wait_served()
        time.sleep(TTL + 0.1)  # until what a resolver may still remember is over

    def query(self, name, kind, seconds=20):
        """What is published, asked of the server itself: a list of texts."""
        question = dns.message.make_query(name, kind, want_dnssec=True)
        answer = dns.query.udp(question, self.address, port=PORT, timeout=seconds)
        if answer.flags & dns.flags.TC:
            answer = dns.query.tcp(question, self.address, port=PORT, timeout=seconds)
        wanted = dns.rdatatype.from_text(kind)
        return [rdata for rrset in answer.answer if rrset.rdtype == wanted for rdata in rrset]

    def txt(self, name):
        """The joined strings of a TXT record, or None."""
        for rdata in self.query(name, "TXT"):
            return b"".join(rdata.strings)
        return None

    def _write(self):
        for zone in self.zones.values():
            served = self.directory / f"{zone.name}.served"
            if not zone.served:
                served.unlink(missing_ok=True)
                continue
            plain = self.directory / f"{zone.name}.zone"
            plain.write_text(zone.text())
            result = self.directory / f"{zone.name}.new"
            if zone.signed:
                run(["ldns-signzone", "-o", zone.name, "-f", result, plain, zone.key])
                result.write_text(_spoil(result.read_text(), zone.spoiled))
            else:
                result.write_text(plain.read_text())
            result.chmod(0o644)
            os.replace(result, served)

    def _wait_served(self):
        for zone in self.zones.values():
            if zone.served:
                until(lambda: self._serial(zone.name) == zone.serial,
                      what=lambda: f"NSD serves {zone.name}\n{self.place.output('nsd')}", every=0.05)

    def _serial(self, name):
        try:
            answers = self.query(name, "SOA", seconds=0.3)
        except (dns.exception.DNSException, OSError):
            return None
        return answers[0].serial if answers else None


def _spoil(text, spoiled):
    """Makes the signatures over these sets false, one character of each."""
    lines = []
    for line in text.splitlines():
        fields = re.split(r"[ \t]+", line)
        if len(fields) > 12 and fields[3] == "RRSIG" \
                and (fields[0].rstrip("."), fields[4]) in spoiled:
            fields[12] = ("B" if fields[12][0] == "A" else "A") + fields[12][1:]
            line = " ".join(fields)
        lines.append(line)
    return "\n".join(lines) + "\n"


class Troublemaker:
    """Stands before a server: some questions get what rules say, all others pass through.

    A rule is (name suffix or None, type or None, what) with what one of "servfail", "refused",
    "drop", "wrong-id", "claims-ad" (the AD bit is set), "strips" (no signature, and nothing that is only
    there for them, passes: as old forwarders do), "truncated" (by UDP: come by TCP), those
    below that spoil TCP too, a number of seconds to wait before passing the question on, or a
    threading.Event to wait for.
    """

    # What is said by TCP, length and all, after a truncated answer by UDP; then it closes.
    BY_TCP = {"tcp-closes": b"", "tcp-empty": b"\0\0", "tcp-short": b"\0\x30" + b"x" * 20,
              "tcp-endless": b"\xff\xff" + b"x" * 20}

    def __init__(self, place, server, port=PORT):
        self.server = server
        self.port = port
        self.address = place.address()
        self.rules = []
        self.asked = []  # (name, type) of every question
        handler = self

        class Udp(socketserver.BaseRequestHandler):
            def handle(self):
                data, back = self.request
                answer = handler.answer(data, tcp=False)
                if answer:
                    back.sendto(answer, self.client_address)

        class Tcp(socketserver.StreamRequestHandler):
            def handle(self):
                while True:
                    head = self.rfile.read(2)
                    if len(head) < 2:
                        return
                    data = self.rfile.read(struct.unpack("!H", head)[0])
                    spoilt = handler.BY_TCP.get(handler.what(data))
                    if spoilt is not None:
                        self.wfile.write(spoilt)
                        return
                    answer = handler.answer(data, tcp=True)
                    if answer:
                        self.wfile.write(struct.pack("!H", len(answer)) + answer)

        class UdpServer(socketserver.ThreadingUDPServer):
            daemon_threads = True

        class TcpServer(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

        self._servers = [UdpServer((self.address, port), Udp), TcpServer((self.address, port), Tcp)]
        for one in self._servers:
            threading.Thread(target=one.serve_forever, daemon=True).start()

    def close(self):
        for one in self._servers:
            one.shutdown()
            one.server_close()

    def what(self, data):
        question = dns.message.from_wire(data).question[0]
        return self._what(*_asked(question))

    def answer(self, data, tcp):
        question = dns.message.from_wire(data)
        name, kind = _asked(question.question[0])
        self.asked.append((name, kind))
        what = self._what(name, kind)
        if what == "drop":
            return None
        if what in ("servfail", "refused"):
            reply = dns.message.make_response(question)
            reply.set_rcode(dns.rcode.from_text(what))
            return reply.to_wire()
        if what == "truncated-always" or not tcp and (what == "truncated" or what in self.BY_TCP):
            reply = dns.message.make_response(question)
            reply.flags |= dns.flags.TC
            return reply.to_wire()
        if isinstance(what, (int, float)):
            time.sleep(what)
        if isinstance(what, threading.Event):
            what.wait(PATIENCE_S)
        reply = self._pass_on(data, tcp)
        if reply and what == "wrong-id":
            reply = bytes([reply[0] ^ 0x55]) + reply[1:]
        if reply and what == "claims-ad":
            reply = reply[:3] + bytes([reply[3] | 0x20]) + reply[4:]
        if reply and what == "strips":
            reply = _strip(reply)
        return reply

    def _what(self, name, kind):
        for suffix, of_kind, what in self.rules:
            if (suffix is None or name == suffix or name.endswith("." + suffix)) \
                    and of_kind in (None, kind):
                return what
        return None

    def _pass_on(self, data, tcp):
        try:
            if tcp:
                with socket.create_connection((self.server, self.port), timeout=5) as s:
                    s.sendall(struct.pack("!H", len(data)) + data)
                    stream = s.makefile("rb")
                    return stream.read(struct.unpack("!H", stream.read(2))[0])
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                s.settimeout(5)
                s.sendto(data, (self.server, self.port))
                return s.recv(65535)
        except OSError:
            return None


def _strip(data):
    """The answer as it would be without DNSSEC, which the question asked for."""
    reply = dns.message.from_wire(data)
    gone = {dns.rdatatype.from_text(t) for t in ("RRSIG", "NSEC", "NSEC3", "DNSKEY", "DS")}
    for section in (reply.answer, reply.authority, reply.additional):
        section[:] = [rrset for rrset in section if rrset.rdtype not in gone]
    return reply.to_wire()


def _asked(question):
    return question.name.to_text().rstrip(".").lower(), dns.rdatatype.to_text(question.rdtype)
