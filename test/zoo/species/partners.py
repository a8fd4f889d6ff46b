"""What the operator wrote for a partner: pins, names, authorities, modes, exceptions with an end.

The rules here are the relay's own (zegel.conf(5), "partner"); no RFC has them.
"""
from animal import DELIVER, LATER, OPEN, PLAIN, SIGNED
from certificates import self_signed

RULE = "zegel.conf(5) partner"
UNKNOWING = "Postfix does not know the relay's configuration"


def settle(zoo):
    settle_names(zoo)
    settle_pins(zoo)
    settle_levels(zoo)
    settle_modes(zoo)
    settle_exceptions(zoo)
    settle_shared(zoo)
    zoo.refused_for("starttls-missing", "*-no-starttls")
    zoo.refused_for("", "partner-secure-refused")  # the host's own words
    zoo.refused_for("tls-handshake", "partner-encrypt-broken")
    zoo.refused_for("partner-mx-name", "partner-secure-two-labels", "partner-secure-mx-spoofed")
    zoo.refused_for("partner-tls-expired", "partner-secure-expired")
    zoo.refused_for("partner-tls-name", "*-wrong-name")
    zoo.refused_for("fingerprint-mismatch", "partner-fingerprint-*", "partner-public-key-*")
    zoo.refused_for("dane-mismatch", "partner-dane-only-wrong", "*-dane-wrong")
    zoo.refused_for("dane-required", "partner-dane-only-*")
    zoo.refused_for("sts-tls-untrusted", "partner-encrypt-sts-wrong")
    zoo.refused_for("sts-mx-name", "partner-verify-sts-not-listed")
    zoo.refused_for("partner-tls-untrusted", "*")


def partner(zoo, name, verdict, about, certificate=None, zone=OPEN, host=None, mx=None, tls=None,
            cases="T24", **keys):
    """certificate: of the host, for a name; without one it offers no TLS."""
    a = zoo.animal(name, cases, verdict, RULE, about, zone)
    a.enforces = verdict != PLAIN
    shown = certificate(f"mx.{a.domain}") if certificate else None
    a.host(certificate=shown, **(host or {}))
    a.partner = {"tls": tls, **keys}
    if mx:
        a.partner["mx"] = [name.format(a.domain) for name in mx]
    a.finger_unknowing = UNKNOWING
    return a


def settle_names(zoo):
    good = zoo.authority.issue

    def secure(name, verdict, about, certificate, mx=("*.{}",), **how):
        return partner(zoo, f"partner-secure-{name}", verdict, about, certificate, mx=mx,
                       tls="secure", **how)

    secure("good", DELIVER, "trusted, and of a name in its rule", good)
    secure("self-signed", LATER, "self-signed", self_signed)
    secure("expired", LATER, "over", lambda n: good(n, expired=True))
    secure("stranger", LATER, "of an authority that nobody believes", zoo.stranger.issue)
    secure("wrong-name", LATER, "trusted, and of another name",
           lambda n: good("mx.elsewhere.example"))
    secure("no-starttls", LATER, "no TLS is offered", None)
    secure("refused", LATER, "STARTTLS is refused", good,
           host={"replies": {"STARTTLS": "454 4.7.0 Not now"}})
    secure("two-labels", LATER, "the pattern stands for one label, the host has two",
           lambda n: good(n, "a." + n), host={"label": "a.mx"})
    secure("name-listed-plainly", DELIVER, "the rule lists the name itself", good, mx=["mx.{}"])
    secure("mx-spoofed", LATER, "the MX is at a host whose certificate is right for itself, and is "
           "not in the rule", good, mx=["mx.bank.{}"])

    partner(zoo, "partner-verify-good", DELIVER, "trusted, and of the host's name", good,
            tls="verify")
    partner(zoo, "partner-verify-wrong-name", LATER, "trusted, and of another name",
            lambda n: good("mx.elsewhere.example"), tls="verify")
    partner(zoo, "partner-verify-self-signed", LATER, "self-signed", self_signed, tls="verify")

    a = partner(zoo, "partner-below", LATER, "the rule is for all below its parent: self-signed",
                self_signed, tls="verify")
    a.partner_name = f".{a.domain}"
    zoo.add(f"sub.{a.domain}", "MX", f"10 {a.hosts[0].name}.")
    a.domain = f"sub.{a.domain}"

    a = partner(zoo, "partner-below-not-itself", DELIVER,
                "the rule is for all below this domain, and not for itself", self_signed,
                tls="verify")
    a.partner_name = f".{a.domain}"


def settle_pins(zoo):
    def pinned(name, verdict, about, key, make, pin):
        a = partner(zoo, f"partner-{name}", verdict, about, make, tls="fingerprint")
        a.partner[key] = [pin(a.hosts[0].certificate)]

    def none_of(kind):
        return lambda certificate: getattr(self_signed("nobody.example"), kind)()

    pinned("fingerprint-good", DELIVER, "the certificate is the pinned one", "fingerprint",
           self_signed, lambda c: c.fingerprint())
    pinned("fingerprint-with-colons", DELIVER, "the same, written with colons", "fingerprint",
           self_signed, lambda c: ":".join(c.fingerprint()[i:i + 2].upper()
                                           for i in range(0, 64, 2)))
    pinned("fingerprint-expired", DELIVER, "the pinned one, and over: dates do not count",
           "fingerprint", lambda n: self_signed(n, expired=True), lambda c: c.fingerprint())
    pinned("fingerprint-wrong", LATER, "another certificate than the pinned", "fingerprint",
           self_signed, none_of("fingerprint"))
    pinned("fingerprint-wrong-though-trusted", LATER,
           "another than the pinned, though an authority signed it", "fingerprint",
           zoo.authority.issue, none_of("fingerprint"))
    pinned("public-key-good", DELIVER, "the key is the pinned one", "public-key", self_signed,
           lambda c: c.public_key_fingerprint())
    pinned("public-key-wrong", LATER, "another key than the pinned", "public-key", self_signed,
           none_of("public_key_fingerprint"))

    a = partner(zoo, "partner-one-of-two-pins", DELIVER, "one of the two pins fits", self_signed,
                tls="fingerprint")
    own = a.hosts[0].certificate
    a.partner["fingerprint"] = [self_signed("nobody.example").fingerprint()]
    a.partner["public-key"] = [own.public_key_fingerprint()]

    for name, verdict, about, issue in (
            ("good", DELIVER, "signed by the partner's own authority", zoo.stranger.issue),
            ("wrong", LATER, "signed by an authority that others may have, and not the partner's",
             zoo.authority.issue)):
        partner(zoo, f"partner-ca-{name}", verdict, about, issue, tls="secure", mx=["mx.{}"],
                ca=zoo.stranger)
    partner(zoo, "partner-ca-wrong-name", LATER, "the partner's own authority, another name",
            lambda n: zoo.stranger.issue("mx.elsewhere.example"), tls="secure", mx=["mx.{}"],
            ca=zoo.stranger)
    partner(zoo, "partner-ca-verify", DELIVER, "verify with the partner's own authority",
            zoo.stranger.issue, tls="verify", ca=zoo.stranger)


def settle_levels(zoo):
    partner(zoo, "partner-encrypt-self-signed", DELIVER, "anybody's certificate will do",
            self_signed, tls="encrypt")
    partner(zoo, "partner-encrypt-no-starttls", LATER, "no TLS is offered", None, tls="encrypt")
    partner(zoo, "partner-encrypt-broken", LATER, "the handshake fails", self_signed,
            tls="encrypt", host={"script": "alert"})
    partner(zoo, "partner-may-no-starttls", PLAIN, "no TLS is offered", None, tls="may")
    partner(zoo, "partner-none", PLAIN, "TLS is offered, and the operator says never", self_signed,
            tls="none")

    dane_only = "partner-dane-only-"
    partner(zoo, dane_only + "without", LATER, "signed, trusted, without TLSA",
            zoo.authority.issue, SIGNED, tls="dane-only")
    partner(zoo, dane_only + "insecure", LATER, "trusted, and nothing is signed",
            zoo.authority.issue, tls="dane-only")
    a = partner(zoo, dane_only + "insecure-host", LATER, "signed, and its host is not, whose record "
                "would match", self_signed, SIGNED, {"zone": OPEN}, tls="dane-only", cases="T12 T24")
    a.tlsa(a.hosts[0].name, a.hosts[0].certificate.tlsa())
    a.rule = "RFC 7672 2.2.2, 6; zegel.conf(5) partner"
    a = partner(zoo, dane_only + "insecure-mx", LATER, "its host is signed, with a record that "
                "matches, and its MX is not", self_signed, OPEN, {"zone": SIGNED}, tls="dane-only",
                cases="T13 T24")
    a.tlsa(a.hosts[0].name, a.hosts[0].certificate.tlsa())
    a.rule = "RFC 7672 2.2.1, 6; zegel.conf(5) partner"
    for right in (True, False):
        a = partner(zoo, dane_only + ("right" if right else "wrong"), DELIVER if right else LATER,
                    "with a record that " + ("matches" if right else "does not match"),
                    self_signed, SIGNED, tls="dane-only")
        own = a.hosts[0].certificate
        a.tlsa(a.hosts[0].name, own.tlsa() if right else own.false_tlsa())
    a = partner(zoo, dane_only + "unusable", LATER, "the only record is unusable", self_signed,
                SIGNED, tls="dane-only")
    a.tlsa(a.hosts[0].name, "3 7 1 " + "5a" * 32)

    # What the receiver publishes may demand more than the operator, never less.
    a = partner(zoo, "partner-encrypt-dane-wrong", LATER, "the rule would be content, DANE is not",
                self_signed, SIGNED, tls="encrypt")
    a.tlsa(a.hosts[0].name, a.hosts[0].certificate.false_tlsa())
    a = partner(zoo, "partner-encrypt-sts-wrong", LATER, "the rule would be content, MTA-STS is "
                "not", self_signed, tls="encrypt")
    a.policy(f"version: STSv1\nmode: enforce\nmx: {a.hosts[0].name}\nmax_age: 86400\n")
    a = partner(zoo, "partner-verify-sts-not-listed", LATER, "trusted and of its own name, as the "
                "host of a forged MX could be; MTA-STS does not list it", zoo.authority.issue,
                tls="verify", cases="T21 T24")
    a.policy(f"version: STSv1\nmode: enforce\nmx: mx2.{a.domain}\nmax_age: 86400\n")
    a.rule = "RFC 8461 5; zegel.conf(5) partner"
    a = partner(zoo, "partner-secure-sts-none", LATER, "MTA-STS of mode none takes nothing off the "
                "rule", self_signed, tls="secure", mx=["mx.{}"])
    a.policy("version: STSv1\nmode: none\nmax_age: 86400\n")
    a = partner(zoo, "partner-secure-sts-testing", LATER, "MTA-STS in testing takes nothing off "
                "the rule", self_signed, tls="secure", mx=["mx.{}"])
    a.policy(f"version: STSv1\nmode: testing\nmx: {a.hosts[0].name}\nmax_age: 86400\n")


def settle_modes(zoo):
    observe = {"mode": "observe"}
    partner(zoo, "partner-observed-self-signed", DELIVER, "the rule would refuse, and is observed",
            self_signed, tls="secure", mx=["mx.{}"], **observe)
    partner(zoo, "partner-observed-no-starttls", PLAIN, "the rule would refuse, and is observed",
            None, tls="secure", mx=["mx.{}"], **observe)
    partner(zoo, "partner-observed-not-listed", DELIVER, "the host is not in the rule, which is "
            "observed", self_signed, tls="secure", mx=["mx2.{}"], **observe)
    for a in zoo.animals[-3:]:
        a.shows = ["observe=would-fail:"]
    a = partner(zoo, "partner-observed-dane-wrong", LATER, "the rule is observed; DANE is not",
                self_signed, SIGNED, tls="encrypt", **observe)
    a.tlsa(a.hosts[0].name, a.hosts[0].certificate.false_tlsa())


def settle_exceptions(zoo):
    def excepted(name, verdict, about, certificate, until, tls, zone=OPEN, level="secure"):
        keys = {"mx": ["mx.{}"]} if level == "secure" else {}
        return partner(zoo, f"partner-exception-{name}", verdict, about, certificate, zone,
                       tls=level, **keys,
                       exception={"until": until, "tls": tls, "reason": "ticket 123"})

    excepted("encrypt", DELIVER, "self-signed; encrypt is enough until 2099", self_signed,
             "2099-01-01", "encrypt")
    excepted("encrypt-no-starttls", LATER, "no TLS; encrypt is needed until 2099", None,
             "2099-01-01", "encrypt")
    excepted("may", PLAIN, "no TLS; may is enough until 2099", None, "2099-01-01", "may")
    for a in zoo.animals[-3:]:
        a.shows = ["by=exception", "ticket 123"]
    excepted("over", LATER, "self-signed; the exception was over in 2020", self_signed,
             "2020-01-01", "encrypt")
    excepted("over-no-starttls", LATER, "no TLS; the exception was over in 2020", None,
             "2020-01-01", "may")
    a = excepted("for-dane", DELIVER, "dane-only, the record does not match; encrypt is enough "
                 "until 2099", self_signed, "2099-01-01", "encrypt", SIGNED, "dane-only")
    a.tlsa(a.hosts[0].name, a.hosts[0].certificate.false_tlsa())


def settle_shared(zoo):
    """One host for six domains, of which three demand more than it shows: what is a connection for
    the others is none for them (T26: nor is a session)."""
    host = None
    for i in range(1, 7):
        strict = i % 2 == 0
        a = zoo.animal(f"shared-{'strict' if strict else 'lax'}-{i}", "T24 T26",
                       LATER if strict else DELIVER, RULE if strict else "RFC 7435 3",
                       "its host is also others': " + ("the rule wants a trusted certificate"
                                                       if strict else "any certificate will do"),
                       OPEN)
        if host is None:
            host = a.host(certificate=self_signed("anybody.example"))
        else:
            a.mx(host.name)
        if strict:
            a.partner = {"tls": "verify"}
        a.finger_unknowing = UNKNOWING
