"""Next hops that the operator wrote: instead of MX, and without the receiver's MTA-STS."""
from animal import DELIVER, LATER, OPEN, PLAIN, SIGNED
from certificates import self_signed
from species.policies import policy

RULE = "zegel.conf(5) route"


def settle(zoo):
    good = zoo.authority.issue

    def routed(name, verdict, about, certificate, tls, right=None, zone=OPEN):
        """The domain's own MX is a trap: it takes everything."""
        a = zoo.animal(f"route-{name}", "", verdict, RULE, about, OPEN)
        a.enforces = verdict != PLAIN
        a.host(label="trap")
        hop = a.host(label="hop", mx=False, zone=zone)
        hop.certificate = certificate(hop.name) if certificate else None
        if right is not None:
            a.tlsa(hop.name, hop.certificate.tlsa() if right else hop.certificate.false_tlsa())
        a.route = {"host": hop.name, "tls": tls}
        a.at = hop if verdict in (DELIVER, PLAIN) else None
        a.finger_unknowing = "Postfix does not know the relay's configuration"
        return a

    routed("encrypt", DELIVER, "anybody's certificate will do", self_signed, "encrypt")
    routed("encrypt-no-starttls", LATER, "no TLS is offered", None, "encrypt")
    routed("may-no-starttls", PLAIN, "no TLS is offered", None, "may")
    routed("verify", DELIVER, "trusted, and of the host's name", good, "verify")
    routed("verify-self-signed", LATER, "self-signed", self_signed, "verify")
    routed("verify-wrong-name", LATER, "trusted, and of another name",
           lambda name: good("mx.elsewhere.example"), "verify")
    for level in ("dane", "dane-only"):
        routed(f"{level}-right", DELIVER, "its record matches; the domain is not signed",
               self_signed, level, True, SIGNED)
        routed(f"{level}-wrong", LATER, "its record does not match; the domain is not signed",
               self_signed, level, False, SIGNED)
    routed("dane-only-without", LATER, "it has no record", good, "dane-only", None, SIGNED)

    a = routed("sts-not-asked", DELIVER, "MTA-STS of the domain lists another host", self_signed,
               "encrypt")
    a.policy(policy([f"trap.{a.domain}"]))
    a.rule = "RFC 8461 3.4"
    a = routed("floor-verify", LATER, "self-signed, and the account wants a trusted one",
               self_signed, "encrypt")
    a.account = "floor-verify"
    zoo.refused_for("starttls-missing", "*-no-starttls")
    zoo.refused_for("tls-name", "*-wrong-name")
    zoo.refused_for("dane-required", "*-without")
    zoo.refused_for("dane-mismatch", "*-wrong")
    zoo.refused_for("tls-untrusted", "*")
