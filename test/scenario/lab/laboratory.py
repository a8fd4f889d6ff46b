"""All parts together, as most tests want them: signed DNS, an authority, a sink, and Zegel."""
import os
import ssl

from .certs import Authority
from .dns import PORT as DNS_PORT
from .dns import Dns, Zone
from .place import Place
from .receiver import Sink
from .zegel import Zegel

DELIVERY_PORT = 2525
LOGIN = ("web@shop.example", "correct horse battery")


class Laboratory:
    """A relay for shop.example, and receivers that a test adds before start().

    Zones: "example" is signed, "plain" is not, "dead" answers SERVFAIL.
    """

    def __init__(self, name="lab", keep=False, directory=None, as_root=False, port=DELIVERY_PORT):
        self.place = Place(name, keep=keep, directory=directory)
        try:
            self._furnish(as_root, port)
        except BaseException:
            self.place.close()
            raise

    def _furnish(self, as_root, port):
        self.port = port
        self.ca = Authority(self.place.path / "ca")
        self.dns = Dns(self.place, Zone("example"), Zone("plain", signed=False),
                       Zone("dead", signed=False, served=False))
        self.sink = Sink(self.place, port)
        self.zegel = Zegel(self.place, as_root=as_root)
        z = self.zegel
        shown = self.ca.issue(z.hostname)
        z.client_tls = ssl.create_default_context(cafile=self.ca.certificate)
        # The name is what clients are told, the address is the laboratory's.
        z.client_tls.check_hostname = False
        key = z.home / "key.pem"
        key.write_bytes(shown.key.read_bytes())
        z.sections["tls"].update({"certificate": shown.chain, "key": key})
        if z.user is not None and os.geteuid() == 0:
            os.chown(key, z.user, z.user)
        key.chmod(0o600)
        z.sections["dns"]["trust-anchor"] = self.dns.trust_anchor
        z.sections["delivery"].update({"port": port, "ca-file": self.ca.certificate})
        z.stubs = {zone: f"{self.dns.address}@{DNS_PORT}" for zone in self.dns.zones}
        self.login = LOGIN

    def seal(self, domain="shop.example", selector="lab"):
        """Keys for a domain of ours, published."""
        for name, text in self.zegel.add_domain(domain, selector).items():
            pieces = [text[i:i + 200] for i in range(0, len(text), 200)]
            self.dns.set(name, "TXT", " ".join(f'"{piece}"' for piece in pieces))

    def receiver(self, domain, host=None, certificate=None, tlsa=(), rules=None, tls=True,
                 security="signed", preference=10):
        """A domain whose MX is a host of the sink; by default with a certificate of the authority.

        tlsa: records, or True for the one that fits. Returns the host's name.
        """
        host = host or f"mx.{domain}"
        if tls and certificate is None:
            certificate = self.ca.issue(host)
        address = self.sink.host(host, certificate if tls else None, rules=rules)
        if tlsa is True:
            tlsa = [certificate.tlsa()]
        self.dns.host(host, address, tlsa=tlsa, port=self.port)
        self.add_mx(domain, host, preference)
        return host

    def add_mx(self, domain, host, preference=10):
        zone = self.dns.zone_of(domain)
        zone.records.setdefault((domain, "MX"), []).append(f"{preference} {host}.")

    def start(self, start_zegel=True):
        self.dns.host("mail.shop.example", self.zegel.address)
        if not self.zegel.domains:
            self.seal()
        if not self.zegel.accounts:
            self.zegel.add_account(*self.login, senders=["@shop.example"])
        self.dns.start()
        if self.sink.hosts:
            self.sink.start()
        if start_zegel:
            self.zegel.start()

    def close(self, remove=True):
        """Ends everything; what a sanitizer found then is returned."""
        if self.place.keep:
            return ""
        if self.zegel.process is not None and self.zegel.process.poll() is None:
            self.zegel.stop()
        reports = self.zegel.sanitizer_reports()
        self.place.close(remove=remove)
        return reports
