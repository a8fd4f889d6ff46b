"""DNS: aliases, what is insecure, what is false, what fails; several hosts; where mail cannot go."""
from animal import DEAD, DELIVER, LATER, NEVER, OPEN, PLAIN, ROGUE, SIGNED, Differs, Host
from certificates import Authority, self_signed

FIRST = "posttls-finger judges the first host that answers, and no other"
OUR_NAME = "mail.shop.example"  # the relay's own


def settle(zoo):
    settle_aliases(zoo)
    settle_insecure(zoo)
    settle_false(zoo)
    settle_failing(zoo)
    settle_several(zoo)
    settle_nowhere(zoo)
    zoo.refused_for("null-mx", "null-mx*")
    zoo.refused_for("domain-not-found", "no-such-domain", "no-mx-no-address")
    zoo.refused_for("mx-invalid", "mx-to-ipv4")
    zoo.refused_for("no-address", "mx-without-address")
    zoo.refused_for("mx-loops-back", "mx-to-us", "mx-to-localhost")
    zoo.refused_for("tlsa-lookup-failed", "false-tlsa", "false-denial-of-tlsa", "*-tlsa",
                    "*-tlsa-of-all", "alias-end-fails")
    zoo.refused_for("dns-bogus", "false-*")
    zoo.refused_for("dns-failed", "*-mx", "*-a", "dead", "loop-*", "mx-in-a-loop", "long-chain-*")
    zoo.refused_for("dane-mismatch", "*")


def settle_aliases(zoo):
    rule = "RFC 7672 2.2.2"
    for right in (True, False):
        word, verdict = ("right", DELIVER) if right else ("wrong", LATER)

        a = zoo.animal(f"alias-records-at-end-{word}", "T14 T15", verdict, rule,
                       "the MX host is an alias; the records stand at its end")
        own = self_signed("anybody.example")
        real = a.host(label="real", certificate=own, mx=False, sni_only=f"real.{a.domain}",
                      tlsa=[own.tlsa() if right else own.false_tlsa()])
        a.set(f"mx.{a.domain}", "CNAME", f"{real.name}.")
        a.mx(f"mx.{a.domain}")

        a = zoo.animal(f"alias-records-at-start-{word}", "T14 T15", verdict, rule,
                       "the MX host is an alias; the records stand at its own name")
        own = self_signed("anybody.example")
        real = a.host(label="real", certificate=own, mx=False, sni_only=f"mx.{a.domain}")
        a.set(f"mx.{a.domain}", "CNAME", f"{real.name}.")
        a.tlsa(f"mx.{a.domain}", own.tlsa() if right else own.false_tlsa())
        a.mx(f"mx.{a.domain}")

        a = zoo.animal(f"alias-leaves-{word}", "T14", verdict, rule,
                       "the alias is secure and leads to an insecure name: its own records count")
        own = self_signed("anybody.example")
        real = a.host(label="real", zone=OPEN, certificate=own, mx=False)
        a.set(f"mx.{a.domain}", "CNAME", f"{real.name}.")
        a.tlsa(f"mx.{a.domain}", own.tlsa() if right else own.false_tlsa())
        a.tlsa(real.name, own.false_tlsa(2, 0, 1))
        a.mx(f"mx.{a.domain}")

        a = zoo.animal(f"alias-of-domain-{word}", "T14", verdict, "RFC 7672 2.2.1, 2.2.2",
                       "the recipient's domain is an alias of one with DANE")
        own = self_signed("anybody.example")
        host = a.host(certificate=own, mx=False,
                      tlsa=[own.tlsa() if right else own.false_tlsa()])
        a.set(a.domain, "CNAME", f"real.{a.domain}.")
        zoo.add(f"real.{a.domain}", "MX", f"10 {host.name}.")

    a = zoo.animal("alias-records-at-both", "T14", DELIVER, rule,
                   "right records at the end, wrong ones at the start: the end counts")
    own = self_signed("anybody.example")
    real = a.host(label="real", certificate=own, mx=False, tlsa=[own.tlsa()])
    a.set(f"mx.{a.domain}", "CNAME", f"{real.name}.")
    a.tlsa(f"mx.{a.domain}", own.false_tlsa())
    a.mx(f"mx.{a.domain}")

    a = zoo.animal("alias-records-at-both-wrong-end", "T14", LATER, rule,
                   "wrong records at the end, right ones at the start: the end counts")
    own = self_signed("anybody.example")
    real = a.host(label="real", certificate=own, mx=False, tlsa=[own.false_tlsa()])
    a.set(f"mx.{a.domain}", "CNAME", f"{real.name}.")
    a.tlsa(f"mx.{a.domain}", own.tlsa())
    a.mx(f"mx.{a.domain}")

    a = zoo.animal("alias-end-fails", "T10 T14", LATER, "RFC 7672 2.1.2, 2.2.2",
                   "no answer about records at the end: those at the start are no way out", ROGUE)
    own = self_signed("anybody.example")
    real = a.host(label="real", certificate=own, mx=False, tlsa=[own.tlsa()])
    a.set(f"mx.{a.domain}", "CNAME", f"{real.name}.")
    a.tlsa(f"mx.{a.domain}", own.tlsa())
    a.mx(f"mx.{a.domain}")
    a.trouble(f"_tcp.{real.name}", None, "servfail")

    a = zoo.animal("alias-leaves-without-records", "T14 T11", PLAIN, rule,
                   "the alias leads to an insecure name and has no records of its own")
    a.enforces = False
    real = a.host(label="real", zone=OPEN, certificate=None, mx=False)
    a.set(f"mx.{a.domain}", "CNAME", f"{real.name}.")
    a.mx(f"mx.{a.domain}")

    a = zoo.animal("alias-anchor-for-end", "T14 T9", DELIVER, "RFC 7672 2.2.2, 3.2.2",
                   "2 1 1 at the end of the alias, the certificate is for the end")
    anchor = Authority("Its own authority")
    real = a.host(label="real", certificate=anchor.issue(f"real.{a.domain}"), mx=False,
                  tlsa=[anchor.tlsa(2, 1, 1)])
    a.set(f"mx.{a.domain}", "CNAME", f"{real.name}.")
    a.mx(f"mx.{a.domain}")

    a = zoo.animal("alias-domain-anchor-for-domain", "T14 T9", DELIVER, "RFC 7672 3.2.2",
                   "2 1 1, and the certificate is for the domain that is an alias")
    anchor = Authority("Its own authority")
    host = a.host(certificate=anchor.issue(a.domain), mx=False, tlsa=[anchor.tlsa(2, 1, 1)])
    a.set(a.domain, "CNAME", f"real.{a.domain}.")
    zoo.add(f"real.{a.domain}", "MX", f"10 {host.name}.")

    a = zoo.animal("alias-domain-anchor-for-end", "T14 T9", DELIVER, "RFC 7672 3.2.2",
                   "2 1 1, and the certificate is for what the domain is an alias of")
    anchor = Authority("Its own authority")
    host = a.host(certificate=anchor.issue(f"real.{a.domain}"), mx=False,
                  tlsa=[anchor.tlsa(2, 1, 1)])
    a.set(a.domain, "CNAME", f"real.{a.domain}.")
    zoo.add(f"real.{a.domain}", "MX", f"10 {host.name}.")

    for right in (True, False):
        a = zoo.animal(f"no-mx-{'right' if right else 'wrong'}", "N13 T1 T2",
                       DELIVER if right else LATER, "RFC 7672 2.2.1, RFC 5321 5.1",
                       "it is proved that there is no MX: the domain itself is the host")
        own = self_signed("anybody.example")
        a.host(label="", certificate=own, mx=False,
               tlsa=[own.tlsa() if right else own.false_tlsa()])


def settle_insecure(zoo):
    a = zoo.animal("insecure-mx-secure-host", "T13", DELIVER, "RFC 7672 2.2.1",
                   "an insecure MX names a host with records (they do not match): may, by default",
                   OPEN)
    own = self_signed("anybody.example")
    a.host(zone=SIGNED, certificate=own, tlsa=[own.false_tlsa()])
    a.finger = Differs(LATER, "Postfix: smtp_tls_dane_insecure_mx_policy = dane, where RFC 7672 "
                              "2.2.1 says MAY")

    a = zoo.animal("insecure-mx-no-starttls", "T13", PLAIN, "RFC 7672 2.2.1",
                   "an insecure MX names a host with records and without TLS: may, by default",
                   OPEN)
    a.enforces = False
    own = self_signed("anybody.example")
    a.host(zone=SIGNED, certificate=None, tlsa=[own.tlsa()])
    a.finger = Differs(LATER, "Postfix: smtp_tls_dane_insecure_mx_policy = dane, where RFC 7672 "
                              "2.2.1 says MAY")

    a = zoo.animal("insecure-host", "T12", DELIVER, "RFC 7672 2.2.2",
                   "a secure MX names an insecure host with records (they do not match)")
    own = self_signed("anybody.example")
    a.host(zone=OPEN, certificate=own, tlsa=[own.false_tlsa()])

    a = zoo.animal("insecure-host-no-starttls", "T12", PLAIN, "RFC 7672 2.2.2",
                   "a secure MX names an insecure host with records and without TLS")
    a.enforces = False
    own = self_signed("anybody.example")
    a.host(zone=OPEN, certificate=None, tlsa=[own.tlsa()])

    a = zoo.animal("insecure-all", "T12 T13", DELIVER, "RFC 7672 2.2.1",
                   "nothing is signed; records that do not match", OPEN)
    own = self_signed("anybody.example")
    a.host(certificate=own, tlsa=[own.false_tlsa()])

    a = zoo.animal("insecure-all-no-starttls", "T12 T13", PLAIN, "RFC 7672 2.2.1",
                   "nothing is signed, and no TLS", OPEN)
    a.enforces = False
    a.host(certificate=None)


def settle_false(zoo):
    """Signatures that are false: an attack until shown otherwise (RFC 7672 2.1.1, bogus)."""
    def one(name, about, **how):
        a = zoo.animal(name, "N17 T10", LATER, "RFC 7672 2.1.1, 2.1.2", about)
        own = self_signed(f"mx.{a.domain}")
        host = a.host(certificate=own, tlsa=[own.tlsa()], **how)
        a.reported = {"tlsa": "dnssec-invalid"}
        return a, host, own

    a, host, _ = one("false-mx", "the signature over MX is false")
    a.spoil(a.domain, "MX")
    a, host, _ = one("false-a", "the signature over A is false, and there is no AAAA")
    a.spoil(host.name, "A")
    a, host, _ = one("false-aaaa", "the signature over AAAA is false, and there is no A",
                     ipv4=False, ipv6=True)
    a.spoil(host.name, "AAAA")
    a, host, _ = one("false-tlsa", "the signature over TLSA is false")
    a.spoil(f"_25._tcp.{host.name}", "TLSA")
    a, host, own = one("false-alias", "the signature over the MX host's alias is false")
    a.set(f"to.{a.domain}", "CNAME", f"{host.name}.")
    a.zoo.records.pop((a.domain, "MX"))
    a.mx(f"to.{a.domain}")
    a.spoil(f"to.{a.domain}", "CNAME")

    a = zoo.animal("false-denial-of-tlsa", "N17 T10 T11", LATER, "RFC 7672 2.1.1, 2.2.3",
                   "that there are no records is said, and the proof is false")
    host = a.host(certificate=self_signed("anybody.example"), ipv6=True)
    a.spoil(host.name, "NSEC")

    a = zoo.animal("false-denial-of-mx", "N17 N13", LATER, "RFC 7672 2.1.1",
                   "that there is no MX is said, and the proof is false")
    own = self_signed("anybody.example")
    a.host(label="", certificate=own, mx=False, tlsa=[own.tlsa()])
    a.spoil(a.domain, "NSEC")

    a = zoo.animal("false-a-of-the-better", "N17 T10", DELIVER, "RFC 7672 2.1.2",
                   "the better host's address is false, the worse is right")
    own = self_signed("anybody.example")
    bad = a.host(label="mx1", preference=10, certificate=own, tlsa=[own.tlsa()])
    a.at = a.host(label="mx2", preference=20, certificate=own, tlsa=[own.tlsa()])
    a.spoil(bad.name, "A")

    a = zoo.animal("false-aaaa-beside-good-a", "N17 R30", DELIVER, "RFC 7672 2.2.2",
                   "one family's signature is false: the other serves")
    own = self_signed("anybody.example")
    host = a.host(certificate=own, tlsa=[own.tlsa()], ipv6=True)
    a.spoil(host.name, "AAAA")

    a = zoo.animal("false-a-beside-good-aaaa", "N17 R30", DELIVER, "RFC 7672 2.2.2",
                   "one family's signature is false: the other serves")
    own = self_signed("anybody.example")
    host = a.host(certificate=own, tlsa=[own.tlsa()], ipv6=True)
    a.spoil(host.name, "A")


def settle_failing(zoo):
    """Lookups that fail. Each waits, and never goes on as if there were nothing."""
    for word, what, cases in (("servfail", "servfail", "N13"), ("silent", "drop", "N13"),
                              ("wrong-id", "wrong-id", "N1"), ("refused", "refused", "N13"),
                              ("truncated", "truncated-always", "N6")):
        a = failing(zoo, f"{word}-tlsa", f"T10 {cases}", LATER, "RFC 7672 2.1.2, 2.2.3",
                    f"about the records: {word}")
        a.trouble(f"_tcp.{a.hosts[0].name}", None, what)
        a.reported = {"tlsa": "dnssec-invalid"}

        a = failing(zoo, f"{word}-mx", cases, LATER, "RFC 5321 5.1, RFC 7672 2.1.2",
                    f"about MX: {word}")
        a.trouble(a.domain, "MX", what)

        a = failing(zoo, f"{word}-a", cases, LATER, "RFC 7672 2.1.2",
                    f"about A: {word}; there is no AAAA")
        a.trouble(a.hosts[0].name, "A", what)

        a = failing(zoo, f"{word}-aaaa", f"{cases} T10", DELIVER, "RFC 7672 2.2.2",
                    f"about AAAA: {word}; A is right and secure")
        a.trouble(a.hosts[0].name, "AAAA", what)

    a = failing(zoo, "by-tcp-tlsa", "N6", DELIVER, "RFC 7766 5",
                "about the records: too much for UDP, and right by TCP")
    a.trouble(f"_tcp.{a.hosts[0].name}", "TLSA", "truncated")
    for what, about in (("tcp-closes", "nothing"), ("tcp-empty", "an answer of no bytes"),
                        ("tcp-short", "less than is announced"),
                        ("tcp-endless", "20 of 65,535 bytes that are announced")):
        a = failing(zoo, f"{what}-tlsa", "T10 N7", LATER, "RFC 7672 2.1.2, 2.2.3",
                    f"about the records: too much for UDP, and by TCP {about}")
        a.trouble(f"_tcp.{a.hosts[0].name}", None, what)

    a = zoo.animal("claims-to-be-secure", "N16 T12", DELIVER, "RFC 4035 4.9.3, RFC 7672 2.2",
                   "not signed, with the AD bit in every answer; its record does not match",
                   zoo.own_zone(signed=False))
    own = self_signed("anybody.example")
    a.host(certificate=own, tlsa=[own.false_tlsa()])
    a.trouble(a.domain, None, "claims-ad")

    a = failing(zoo, "servfail-aaaa-wrong-record", "T10 T2", LATER, "RFC 7672 2.2.2",
                "about AAAA: servfail; A is secure, and the record does not match", right=False)
    a.trouble(a.hosts[0].name, "AAAA", "servfail")

    a = zoo.animal("servfail-tlsa-of-the-better", "T10", DELIVER, "RFC 7672 2.1.2",
                   "no answer about the better host's records: the worse gets it", ROGUE)
    own = self_signed("anybody.example")
    bad = a.host(label="mx1", preference=10, certificate=own, tlsa=[own.tlsa()])
    a.at = a.host(label="mx2", preference=20, certificate=own, tlsa=[own.tlsa()])
    a.trouble(f"_tcp.{bad.name}", None, "servfail")

    a = zoo.animal("servfail-tlsa-of-all", "T10", LATER, "RFC 7672 2.1.2",
                   "no answer about any host's records", ROGUE)
    for i in (1, 2, 3):
        own = self_signed("anybody.example")
        host = a.host(label=f"mx{i}", preference=i, certificate=own, tlsa=[own.tlsa()])
        a.trouble(f"_tcp.{host.name}", None, "servfail")

    a = zoo.animal("dead", "N13", LATER, "RFC 5321 5.1", "its name server says SERVFAIL to all",
                   DEAD)


def failing(zoo, name, cases, verdict, rule, about, right=True):
    a = zoo.animal(name, cases, verdict, rule, about, zoo.own_zone())
    own = self_signed("anybody.example")
    a.host(certificate=own, tlsa=[own.tlsa() if right else own.false_tlsa()])
    return a


def settle_several(zoo):
    a = zoo.animal("better-without-dane", "T17", DELIVER, "RFC 7672 2.2.1, RFC 5321 5.1",
                   "the better host has no records, the worse has: preference decides")
    own = self_signed("anybody.example")
    a.at = a.host(label="mx1", preference=10, certificate=own)
    a.host(label="mx2", preference=20, certificate=own, tlsa=[own.tlsa()])

    a = zoo.animal("better-wrong-worse-right", "T2 T10", DELIVER, "RFC 7672 2.2",
                   "the better host's records do not match: the worse gets it")
    own = self_signed("anybody.example")
    a.host(label="mx1", preference=10, certificate=own, tlsa=[own.false_tlsa()])
    a.at = a.host(label="mx2", preference=20, certificate=own, tlsa=[own.tlsa()])
    a.finger = Differs(LATER, FIRST)

    a = zoo.animal("better-wrong-worse-bare", "T2 T17", PLAIN, "RFC 7672 2.2.1",
                   "the better host's records do not match; the worse has none, and no TLS")
    a.enforces = False  # at the worse one; what the better one heard is counted by itself
    own = self_signed("anybody.example")
    a.host(label="mx1", preference=10, certificate=own, tlsa=[own.false_tlsa()])
    a.at = a.host(label="mx2", preference=20, certificate=None)
    a.finger = Differs(LATER, FIRST)

    a = zoo.animal("better-down", "T1 R30", DELIVER, "RFC 5321 5.1",
                   "nobody listens at the better host")
    own = self_signed("anybody.example")
    a.host(label="mx1", preference=10, certificate=own, tlsa=[own.tlsa()], script="absent")
    a.at = a.host(label="mx2", preference=20, certificate=own, tlsa=[own.tlsa()])

    a = zoo.animal("all-wrong", "T2 T10", LATER, "RFC 7672 2.2", "no host's records match")
    own = self_signed("anybody.example")
    for i in (1, 2, 3):
        a.host(label=f"mx{i}", preference=i, certificate=own, tlsa=[own.false_tlsa()])

    a = zoo.animal("ipv6-wrong-name-ipv4", "R30 T1", DELIVER, "RFC 5321 5.1",
                   "nobody listens at the IPv6 address")
    own = self_signed("anybody.example")
    host = a.host(certificate=own, tlsa=[own.tlsa()])
    a.set(host.name, "AAAA", zoo.ipv6())

    a = zoo.animal("better-says-never", "R3", DELIVER, "RFC 5321 3.1, 5.1",
                   "the better host greets with 554: the worse gets it")
    own = self_signed("anybody.example")
    a.host(label="mx1", preference=10, certificate=own, tlsa=[own.tlsa()], script="refuse_all")
    a.at = a.host(label="mx2", preference=20, certificate=own, tlsa=[own.tlsa()])
    a.finger = Differs(LATER, FIRST)

    a = zoo.animal("equal-wrong-and-right", "T2 T10", DELIVER, "RFC 5321 5.1, RFC 7672 2.2",
                   "of two hosts of one preference the records of one match")
    own = self_signed("anybody.example")
    a.host(label="mx1", certificate=own, tlsa=[own.false_tlsa()])
    a.at = a.host(label="mx2", certificate=own, tlsa=[own.tlsa()])
    a.finger_unknowing = FIRST

    # An address that answers and is not the host's, as after a move: the next one is tried.
    for script, about in (("serve", "shows another's certificate"), ("alert", "breaks off"),
                          ("close_at_starttls", "closes at STARTTLS")):
        a = zoo.animal(f"two-addresses-one-{script.replace('_', '-')}", "R30", DELIVER,
                       "RFC 5321 5.1 (each address must be tried)",
                       f"one of the host's two addresses {about}")
        own = self_signed("anybody.example")
        host = a.host(certificate=own, tlsa=[own.tlsa()])
        a.hosts.append(Host(host.name, [zoo.ipv4()], self_signed("anybody.example"), script=script))
        a.set(host.name, "A", a.hosts[-1].addresses[0])
        a.finger_unknowing = "posttls-finger judges the first address that answers"

    a = zoo.animal("capitals", "N21 T1", DELIVER, "RFC 4343 3",
                   "MX names its host in capitals; 2 1 1, and the certificate is for the host")
    anchor = Authority("Its own authority")
    host = a.host(certificate=anchor.issue(f"mx.{a.domain}"), mx=False, tlsa=[anchor.tlsa(2, 1, 1)])
    a.mx(host.name.upper())

    for right in (True, False):
        a = zoo.animal(f"by-sni-{'right' if right else 'wrong'}", "T15",
                       DELIVER if right else LATER, "RFC 7672 8.1",
                       "the host shows the certificate of the records only if asked for "
                       + ("its name" if right else "another name"))
        own, other = self_signed("anybody.example"), self_signed("anybody.example")
        a.host(certificate=other, tlsa=[own.tlsa()],
               by_name={f"mx.{a.domain}" if right else a.domain: own})


def settle_nowhere(zoo):
    rule = "RFC 7505 3, 4"
    a = zoo.animal("null-mx", "N14", NEVER, rule, "the domain takes no mail")
    zoo.add(a.domain, "MX", "0 .")

    a = zoo.animal("null-mx-with-address", "N14", NEVER, rule,
                   "the domain takes no mail; its address is no way round that")
    a.host(label="", mx=False)
    zoo.add(a.domain, "MX", "0 .")

    a = zoo.animal("no-such-domain", "N13", NEVER, "RFC 5321 5.1, RFC 7672 2.1.1",
                   "it is proved that the domain is not there")

    a = zoo.animal("no-mx-no-address", "N13", NEVER, "RFC 5321 5.1",
                   "the domain is there, with neither MX nor address")
    a.set(a.domain, "TXT", '"nothing"')

    a = zoo.animal("mx-to-ipv4", "N15", NEVER, "RFC 5321 5.1", "MX names an IPv4 address")
    zoo.add(a.domain, "MX", "10 198.18.0.1.")
    a.finger = Differs(DELIVER, "Postfix warns, and goes to the address")

    a = zoo.animal("mx-without-address", "N15", NEVER, "RFC 5321 5.1",
                   "it is proved that the MX host is not there")
    a.mx(f"mx.{a.domain}")

    a = zoo.animal("mx-to-us", "N15", NEVER, "RFC 5321 5.1", "the best MX is the relay itself")
    a.mx(OUR_NAME)

    a = zoo.animal("mx-to-us-as-second", "N15", DELIVER, "RFC 5321 5.1",
                   "the relay itself is the second MX; the first gets it")
    a.host(label="mx1", preference=10)
    a.mx(OUR_NAME, 20)

    a = zoo.animal("mx-to-localhost", "N15", NEVER, "RFC 5321 5.1", "MX names localhost")
    a.mx(f"localhost.{a.domain}")
    a.set(f"localhost.{a.domain}", "A", "127.0.0.1")

    a = zoo.animal("loop-of-aliases", "N8", LATER, "RFC 1034 3.6.2",
                   "two aliases that name each other")
    a.set(a.domain, "CNAME", f"b.{a.domain}.")
    a.set(f"b.{a.domain}", "CNAME", f"{a.domain}.")

    a = zoo.animal("mx-in-a-loop", "N8", LATER, "RFC 1034 3.6.2",
                   "the MX host is one of two aliases that name each other")
    a.mx(f"x.{a.domain}")
    a.set(f"x.{a.domain}", "CNAME", f"y.{a.domain}.")
    a.set(f"y.{a.domain}", "CNAME", f"x.{a.domain}.")

    a = zoo.animal("long-chain-of-aliases", "N8", LATER, "RFC 1034 3.6.2 (a limit is needed)",
                   "the MX host is an alias forty times over")
    own = self_signed("anybody.example")
    end = a.host(label="end", certificate=own, mx=False, tlsa=[own.tlsa()])
    for i in range(40):
        a.set(f"c{i}.{a.domain}", "CNAME", f"{f'c{i + 1}.{a.domain}' if i < 39 else end.name}.")
    a.mx(f"c0.{a.domain}")

    a = zoo.animal("hundred-mx", "N9", DELIVER, "RFC 5321 5.1 (a limit is allowed)",
                   "a hundred MX records; the first gets it")
    a.at = a.host(label="mx0", preference=1)
    for i in range(1, 100):
        a.mx(f"mx{i}.{a.domain}", 1 + i)
