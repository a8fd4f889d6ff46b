"""What an animal is: a recipient domain with its records, hosts and policies, broken in one way.

The species (in species/) furnish a Zoo with animals. All of it is data: nothing is started and
nothing is asked for here. What is expected of each comes from the RFC that its rule names, not from
how the relay decides.
"""
import dataclasses
import fnmatch
import itertools

from certificates import Authority, Certificate

DELIVER = "deliver"  # over TLS
PLAIN = "plaintext"  # delivered, and rightly in the clear
LATER = "refuse-temporarily"
NEVER = "refuse-permanently"
VERDICTS = (DELIVER, PLAIN, LATER, NEVER)

SIGNED = "zoo.example"  # signed, and its key is the trust anchor
OPEN = "open.example"  # not signed
ROGUE = "rogue.example"  # signed, and asked through a server that makes trouble for some names
# What a TLS report calls the reason for which a host with TLSA records was refused (RFC 8460 4.3).
RESULTS = {
    "dane-mismatch": "tlsa-invalid",
    "dane-tls-name": "certificate-host-mismatch",
    "dane-tls-expired": "certificate-expired",
    "dane-tls-untrusted": "certificate-not-trusted",
    "starttls-missing": "starttls-not-supported",
    "tlsa-lookup-failed": "dnssec-invalid",
    "dane-required": "dane-required",
}

DEAD = "dead.example"  # its server answers SERVFAIL


@dataclasses.dataclass
class Differs:
    """What an oracle says instead of the expected, and why it may."""
    verdict: str
    why: str


@dataclasses.dataclass
class Host:
    """A mail host: where it listens, what it shows, and how it behaves (a script of peer.py)."""
    name: str
    addresses: list
    certificate: Certificate = None  # None: no STARTTLS
    later: Certificate = None  # what it shows once the first messages have been
    script: str = "serve"
    settings: dict = dataclasses.field(default_factory=dict)
    by_name: dict = dataclasses.field(default_factory=dict)  # SNI: the certificate shown for it
    tlsa: tuple = ()
    tlsa_base: str = ""


@dataclasses.dataclass
class Website:
    """An HTTPS server for MTA-STS policies."""
    name: str
    address: str
    certificate: Certificate
    answer: dict
    later: dict = None  # what it says once the first messages have been


class Animal:
    def __init__(self, zoo, name, cases, verdict, rule, about, zone):
        self.zoo = zoo
        self.name = name
        self.cases = cases.split()
        self.verdict = verdict
        self.rule = rule
        self.about = about
        self.zone = zone
        self.domain = f"{name}.{zone}"
        self.hosts = []
        self.websites = []
        self.account = "keeper"
        self.options = []  # of MAIL
        self.fields = {}  # more fields for its message's header
        self.partner = None  # what the configuration says of it
        self.partner_name = None  # for which name, if not its domain
        self.route = None
        self.at = None  # the host that must get the message, if not any
        self.reason = None  # of a refusal: the relay's name for it; "" if the host refused
        self.is_slow = False  # takes a minute, and so begins first
        self.reported = {}  # policy type: result, in the report to its domain (see reports.py)
        self.shows = []  # words that the evidence of its delivery must have
        self.enforces = True  # a byte of the message in the clear is a failure
        self.told = None  # the option that MAIL must, or with "" must not, bear
        self.has_prelude = False  # a first message goes before the one that is judged
        self.prelude = []  # what is published otherwise from then on: (owner, kind, data...)
        self.finger = None  # what posttls-finger is expected to say, if not the verdict
        self.finger_unknowing = ""  # or why it cannot know what the verdict comes from
        self.s_client = None  # ("dane" or "pkix", Host): openssl s_client judges that host
        self.s_client_differs = None

    @property
    def recipient(self):
        return f"visitor@{self.domain}"

    def host(self, label="mx", preference=10, certificate=True, tlsa=(), script="serve",
             zone=None, mx=True, ipv4=True, ipv6=False, by_name=None, **settings):
        """A mail host of its own. certificate: True for a good one, None for none."""
        domain = self.domain if zone is None else f"{self.name}.{zone}"
        name = f"{label}.{domain}" if label else domain
        if certificate is True:
            certificate = self.zoo.authority.issue(name)
        addresses = [self.zoo.ipv4()] * ipv4 + [self.zoo.ipv6()] * ipv6
        host = Host(name, addresses, certificate, script=script, settings=settings,
                    by_name=by_name or {}, tlsa=tuple(tlsa), tlsa_base=name)
        self.hosts.append(host)
        for kind, colon in (("A", False), ("AAAA", True)):
            self.set(name, kind, *[a for a in addresses if (":" in a) == colon])
        self.tlsa(name, *tlsa)
        if mx:
            self.mx(name, preference)
        return host

    def mx(self, host, preference=10):
        self.zoo.add(self.domain, "MX", f"{preference} {host}.")

    def tlsa(self, base, *records):
        self.set(f"_25._tcp.{base}", "TLSA", *records)

    def set(self, owner, kind, *data):
        for one in data:
            self.zoo.add(owner, kind, one)

    def spoil(self, owner, kind):
        """The signature over this set is false."""
        self.zoo.spoiled.append((owner, kind))

    def trouble(self, suffix, kind, what):
        """See lab.dns.Troublemaker; only names in the rogue zone are asked through it."""
        self.zoo.troubles.append((suffix, kind, what))

    def policy(self, text, record="v=STSv1; id=1;", certificate=True, **answer):
        """An MTA-STS policy (RFC 8461): its record, and the website that serves it."""
        name = f"mta-sts.{self.domain}"
        if record:
            self.set(f"_mta-sts.{self.domain}", "TXT", f'"{record}"')
        if certificate is True:
            certificate = self.zoo.authority.issue(name)
        site = Website(name, self.zoo.ipv4(), certificate, {"body": text, **answer})
        self.set(name, "A", site.address)
        self.websites.append(site)
        return site


class Zoo:
    """All animals, and what they share. `authority` is the one that the relay believes."""

    def __init__(self):
        self.animals = []
        self.rogue_zones = {ROGUE: True}  # name: is it signed?
        self.records = {}  # (owner, kind): [data]
        self.spoiled = []
        self.troubles = []
        self.authority = Authority("Zoo Authority")
        self.stranger = Authority("A Stranger's Authority")
        # Names by which the relay may find out whether answers are validated here.
        self.checks = {"signed": f"signed.{SIGNED}", "broken": f"broken.{SIGNED}",
                       "unsigned": f"unsigned.{OPEN}"}
        for name in self.checks.values():
            self.add(name, "A", "198.18.0.0")
        self.spoiled.append((self.checks["broken"], "A"))
        self._numbers = itertools.count(1)
        self._numbers6 = itertools.count(1)

    def animal(self, name, cases, verdict, rule, about="", zone=SIGNED):
        assert verdict in VERDICTS
        if any(a.name == name for a in self.animals):
            raise ValueError(f"two animals named {name}")
        animal = Animal(self, name, cases, verdict, rule, about, zone)
        self.animals.append(animal)
        return animal

    def refused_for(self, reason, *names):
        """Those animals that are refused must be for this reason, and not for another by chance."""
        for name in names:
            matching = [a for a in self.animals if a.verdict in (LATER, NEVER) and a.reason is None
                        and fnmatch.fnmatchcase(a.name, name)]
            if not matching:
                raise ValueError(f"no animal {name} is refused without a reason yet")
            for animal in matching:
                animal.reason = reason
                if animal.reported.get("tlsa") == "failure":
                    animal.reported["tlsa"] = RESULTS.get(reason, "failure")

    def own_zone(self, signed=True):
        """One more rogue zone: a resolver soon avoids a server that was silent about its zone."""
        name = f"rogue{len(self.rogue_zones)}.example"
        self.rogue_zones[name] = signed
        return name

    def add(self, owner, kind, data):
        self.records.setdefault((owner, kind), []).append(str(data))

    def ipv4(self):
        """An address of 198.18.0.0/15, which is for tests (RFC 2544) and is nobody else's."""
        n = next(self._numbers)
        return f"198.18.{n >> 8}.{n & 255}"

    def ipv6(self):
        return f"2001:db8:200::{next(self._numbers6):x}"


def furnish():
    """The whole zoo."""
    from species import (chains, demands, handshakes, names, next_hops, partners, policies,
                         records)
    zoo = Zoo()
    for species in (chains, records, names, handshakes, policies, partners, next_hops, demands):
        species.settle(zoo)
    without = [a.name for a in zoo.animals if a.verdict in (LATER, NEVER) and a.reason is None]
    if without:
        raise ValueError(f"refused, and nobody says for which reason: {' '.join(without)}")
    return zoo
