"""Sets of TLSA records: unusable, mixed, of odd lengths, at aliases, at wildcards, insecure."""
from animal import DELIVER, LATER, OPEN, PLAIN
from certificates import Authority, self_signed
from species.chains import judged

JUNK = "5a" * 32


def settle(zoo):
    settle_unusable(zoo)
    settle_mixed(zoo)
    settle_lengths(zoo)
    settle_agility(zoo)
    settle_owners(zoo)
    zoo.refused_for("starttls-missing", "*-no-starttls")
    zoo.refused_for("dane-mismatch", "*")


def settle_unusable(zoo):
    for name, data in (("selector-7", f"3 7 1 {JUNK}"), ("matching-9", f"3 1 9 {JUNK}"),
                       ("matching-255", f"3 1 255 {JUNK}"), ("usage-4", f"4 1 1 {JUNK}"),
                       ("usage-255", f"255 1 1 {JUNK}")):
        a = zoo.animal(f"{name}", "T4", DELIVER, "RFC 7672 2.2, RFC 6698 4.1",
                       "the only record is unusable: TLS, and nobody is authenticated")
        a.host(certificate=self_signed("anybody.example"), tlsa=[data])
        a.shows = ["by=dane achieved=encrypt"]
        a = zoo.animal(f"{name}-no-starttls", "T4 T5 T16", LATER, "RFC 7672 2.2",
                       "the only record is unusable, and the host offers no TLS")
        a.host(certificate=None, tlsa=[data])

    a = zoo.animal("all-unusable", "T5", DELIVER, "RFC 7672 2.2",
                   "four unusable records of four kinds")
    a.host(certificate=self_signed("anybody.example"),
           tlsa=[f"0 0 1 {JUNK}", f"3 7 1 {JUNK}", f"2 1 9 {JUNK}", f"9 1 1 {JUNK}"])

    a = zoo.animal("no-records-no-starttls", "T11", PLAIN, "RFC 7672 2.2",
                   "it is proved that there are no records: TLS is an opportunity only")
    a.enforces = False
    a.host(certificate=None)
    a.reported = {"no-policy-found": "starttls-not-supported"}

    a = zoo.animal("no-records-self-signed", "T11", DELIVER, "RFC 7672 2.2, RFC 7435 3",
                   "no records, TLS with any certificate")
    a.host(certificate=self_signed("anybody.example"))
    a.reported = {"no-policy-found": "success"}

    a = zoo.animal("no-records-empty-name", "T11", DELIVER, "RFC 7672 2.2",
                   "the name of the records is there, without TLSA")
    host = a.host(certificate=self_signed("anybody.example"))
    a.set(f"_25._tcp.{host.name}", "TXT", '"nothing here"')


def settle_mixed(zoo):
    a = zoo.animal("unusable-and-right", "T6", DELIVER, "RFC 7672 2.2", "one of two is usable")
    own = self_signed(f"mx.{a.domain}")
    a.host(certificate=own, tlsa=[f"3 7 1 {JUNK}", own.tlsa(3, 1, 1)])

    a = zoo.animal("unusable-and-wrong", "T6 T2", LATER, "RFC 7672 2.2",
                   "the usable one does not match")
    own = self_signed(f"mx.{a.domain}")
    a.host(certificate=own, tlsa=[f"3 7 1 {JUNK}", own.false_tlsa(3, 1, 1)])

    a = zoo.animal("pkix-and-wrong", "T3 T6", LATER, "RFC 7672 3.1.3, 2.2",
                   "1 1 1 would match and is unusable; 3 0 1 does not match")
    own = zoo.authority.issue(f"mx.{a.domain}")
    a.host(certificate=own, tlsa=[own.tlsa(1, 1, 1), own.false_tlsa(3, 0, 1)])

    a = zoo.animal("wrong-ee-and-right-anchor", "T6", DELIVER, "RFC 6698 4.1",
                   "3 1 1 of nobody beside 2 0 1 of its authority")
    anchor = Authority("Its own authority")
    own = anchor.issue(f"mx.{a.domain}")
    judged(a, a.host(certificate=own, tlsa=[own.false_tlsa(3, 1, 1), anchor.tlsa(2, 0, 1)]))

    a = zoo.animal("right-ee-and-wrong-anchor", "T6", DELIVER, "RFC 6698 4.1",
                   "3 1 1 that matches beside 2 0 1 of nobody")
    anchor = Authority("Its own authority")
    own = anchor.issue("mx.elsewhere.example")
    judged(a, a.host(certificate=own, tlsa=[own.tlsa(3, 1, 1), anchor.false_tlsa(2, 0, 1)]))

    a = zoo.animal("expired-below-anchor-and-right-ee", "T6 T7", DELIVER, "RFC 6698 4.1, RFC 7671 5.1",
                   "its date is over, which 2 0 1 minds and 3 1 1 does not")
    anchor = Authority("Its own authority")
    own = anchor.issue(f"mx.{a.domain}", expired=True)
    judged(a, a.host(certificate=own, tlsa=[anchor.tlsa(2, 0, 1), own.tlsa(3, 1, 1)]))

    a = zoo.animal("old-key-and-new", "T6", DELIVER, "RFC 7671 8.1",
                   "the record of the key before and of the key now")
    own, before = self_signed(f"mx.{a.domain}"), self_signed(f"mx.{a.domain}")
    judged(a, a.host(certificate=own, tlsa=[before.tlsa(3, 1, 1), own.tlsa(3, 1, 1)]))

    a = zoo.animal("only-old-key", "T2", LATER, "RFC 7671 8.1",
                   "the key was changed, its record was not")
    own, before = self_signed(f"mx.{a.domain}"), self_signed(f"mx.{a.domain}")
    judged(a, a.host(certificate=own, tlsa=[before.tlsa(3, 1, 1)]))

    a = zoo.animal("many-records", "T6 N9", DELIVER, "RFC 6698 4.1",
                   "thirty of nobody, and the right one")
    own = self_signed(f"mx.{a.domain}")
    a.host(certificate=own, tlsa=[f"3 1 1 {i:064x}" for i in range(30)] + [own.tlsa(3, 1, 1)])


def settle_lengths(zoo):
    for name, matching, size in (("digest-of-31", 1, 31), ("digest-of-33", 1, 33),
                                 ("digest-of-63", 2, 63), ("digest-of-65", 2, 65)):
        a = zoo.animal(name, "N11", DELIVER, "RFC 6698 4.1 (unusable: no such digest)",
                       f"3 1 {matching} with {size} bytes can match nothing: unusable")
        a.host(certificate=self_signed("anybody.example"), tlsa=[f"3 1 {matching} {'5a' * size}"])
        a.shows = ["by=dane achieved=encrypt"]
        a = zoo.animal(f"{name}-and-right", "N11 T6", DELIVER, "RFC 6698 4.1",
                       "the one beside it matches")
        own = self_signed(f"mx.{a.domain}")
        a.host(certificate=own, tlsa=[f"3 1 {matching} {'5a' * size}", own.tlsa(3, 1, 1)])

    a = zoo.animal("full-of-junk", "N11", DELIVER, "RFC 6698 4.1 (unusable: no certificate)",
                   "3 0 0 with what is no certificate")
    a.host(certificate=self_signed("anybody.example"), tlsa=[f"3 0 0 {JUNK}"])

    a = zoo.animal("key-of-junk", "N11", DELIVER, "RFC 6698 4.1 (unusable: no public key)",
                   "3 1 0 with what is no public key")
    a.host(certificate=self_signed("anybody.example"), tlsa=[f"3 1 0 {JUNK}"])


def settle_agility(zoo):
    """RFC 7671 9: of each usage and selector only the strongest digest counts, besides full ones."""
    rule = "RFC 7671 9, RFC 7672 5"
    a = zoo.animal("agility-weak-right", "T6", LATER, rule,
                   "3 1 1 matches, and 3 1 2, which is stronger, does not")
    own = self_signed(f"mx.{a.domain}")
    judged(a, a.host(certificate=own, tlsa=[own.tlsa(3, 1, 1), own.false_tlsa(3, 1, 2)]))

    a = zoo.animal("agility-strong-right", "T6", DELIVER, rule, "3 1 2 matches, 3 1 1 does not")
    own = self_signed(f"mx.{a.domain}")
    judged(a, a.host(certificate=own, tlsa=[own.false_tlsa(3, 1, 1), own.tlsa(3, 1, 2)]))

    a = zoo.animal("agility-other-selector", "T6", DELIVER, rule,
                   "3 0 1 matches; the 3 1 2 that does not is of another selector")
    own = self_signed(f"mx.{a.domain}")
    judged(a, a.host(certificate=own, tlsa=[own.tlsa(3, 0, 1), own.false_tlsa(3, 1, 2)]))

    a = zoo.animal("agility-other-usage", "T6", DELIVER, rule,
                   "2 1 1 matches; the 3 1 2 that does not is of another usage")
    anchor = Authority("Its own authority")
    own = anchor.issue(f"mx.{a.domain}")
    judged(a, a.host(certificate=own, tlsa=[anchor.tlsa(2, 1, 1), own.false_tlsa(3, 1, 2)]))

    a = zoo.animal("agility-anchor-weak-right", "T6", LATER, rule,
                   "2 0 1 matches, and 2 0 2, which is stronger, does not")
    anchor = Authority("Its own authority")
    own = anchor.issue(f"mx.{a.domain}")
    judged(a, a.host(certificate=own, tlsa=[anchor.tlsa(2, 0, 1), anchor.false_tlsa(2, 0, 2)]))

    a = zoo.animal("agility-full-besides", "T6", DELIVER, rule,
                   "3 1 0 matches and always counts; 3 1 2 does not match")
    own = self_signed(f"mx.{a.domain}")
    judged(a, a.host(certificate=own, tlsa=[own.tlsa(3, 1, 0), own.false_tlsa(3, 1, 2)]))


def settle_owners(zoo):
    for right in (True, False):
        a = zoo.animal(f"records-at-alias-{'right' if right else 'wrong'}", "T14",
                       DELIVER if right else LATER, "RFC 7671 6",
                       "the name of the records is an alias")
        own = self_signed(f"mx.{a.domain}")
        host = a.host(certificate=own)
        a.set(f"_25._tcp.{host.name}", "CNAME", f"tlsa._dane.{a.domain}.")
        a.set(f"tlsa._dane.{a.domain}", "TLSA",
              own.tlsa(3, 1, 1) if right else own.false_tlsa(3, 1, 1))

        a = zoo.animal(f"records-at-wildcard-{'right' if right else 'wrong'}", "T1 T2",
                       DELIVER if right else LATER, "RFC 7672 2.2.3, RFC 4592",
                       "a wildcard gives the records of every port")
        own = self_signed(f"mx.{a.domain}")
        host = a.host(certificate=own)
        a.set(f"*._tcp.{host.name}", "TLSA",
              own.tlsa(3, 1, 1) if right else own.false_tlsa(3, 1, 1))

    a = zoo.animal("records-at-insecure-alias", "T12 T14", DELIVER, "RFC 7672 2.2",
                   "the records' alias leads out of what is signed: they are insecure, so none")
    own = self_signed("anybody.example")
    host = a.host(certificate=own)
    a.set(f"_25._tcp.{host.name}", "CNAME", f"{a.name}.{OPEN}.")
    zoo.add(f"{a.name}.{OPEN}", "TLSA", own.false_tlsa(3, 1, 1))

    a = zoo.animal("records-of-another-port", "T11", DELIVER, "RFC 7672 2.2.3",
                   "there are records for port 465 only")
    own = self_signed("anybody.example")
    host = a.host(certificate=own)
    a.set(f"_465._tcp.{host.name}", "TLSA", own.false_tlsa(3, 1, 1))

    a = zoo.animal("records-of-the-domain", "T11", DELIVER, "RFC 7672 2.2.1",
                   "there are records at the domain, and none at its MX host")
    own = self_signed("anybody.example")
    a.host(certificate=own)
    a.set(f"_25._tcp.{a.domain}", "TLSA", own.false_tlsa(3, 1, 1))
