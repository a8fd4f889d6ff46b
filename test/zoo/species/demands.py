"""What comes with the message: its account's floor, REQUIRETLS, TLS-Required: No."""
from animal import DELIVER, LATER, NEVER, OPEN, PLAIN, SIGNED
from certificates import self_signed
from species.policies import policy

UNKNOWING = "Postfix does not know what the message demands"


def settle(zoo):
    settle_floors(zoo)
    settle_requiretls(zoo)
    settle_tls_required_no(zoo)
    zoo.refused_for("requiretls-missing", "requiretls-*-not-offered", "requiretls-offered-in-clear")
    zoo.refused_for("requiretls-mx-insecure", "requiretls-insecure",
                    "requiretls-sts-testing-not-listed")
    zoo.refused_for("tlsa-lookup-failed", "requiretls-lookup-fails")
    zoo.refused_for("requiretls-tls", "requiretls-*")
    zoo.refused_for("starttls-missing", "*-no-starttls", "floor-encrypt-over-partner-may")
    zoo.refused_for("dane-required", "floor-dane-only-*")
    zoo.refused_for("dane-mismatch", "floor-verify-dane-wrong", "tls-required-no-odd-value")
    zoo.refused_for("tls-name", "floor-verify-wrong-name")
    zoo.refused_for("partner-tls-untrusted", "tls-required-no-partner")
    zoo.refused_for("tls-untrusted", "*")


def one(zoo, name, cases, verdict, rule, about, zone=SIGNED, certificate=self_signed, right=None,
        **host):
    """right: whether its TLSA record matches; None for none."""
    a = zoo.animal(name, cases, verdict, rule, about, zone)
    a.enforces = verdict != PLAIN
    own = certificate(f"mx.{a.domain}") if certificate else None
    any_own = own or self_signed(f"mx.{a.domain}")
    tlsa = {None: [], True: [any_own.tlsa()], False: [any_own.false_tlsa()]}[right]
    a.host(certificate=own, tlsa=tlsa, **host)
    a.finger_unknowing = UNKNOWING
    return a


def settle_floors(zoo):
    rule = "zegel.conf(5) account tls-floor"
    good = zoo.authority.issue

    def floor(account, name, verdict, about, zone=OPEN, certificate=good, right=None, **host):
        a = one(zoo, f"floor-{account}-{name}", "", verdict, rule, about, zone, certificate,
                right, **host)
        a.account = f"floor-{account}"
        return a

    floor("encrypt", "self-signed", DELIVER, "anybody's certificate will do",
          certificate=self_signed)
    floor("encrypt", "no-starttls", LATER, "no TLS is offered", certificate=None)
    floor("verify", "good", DELIVER, "trusted, and of the host's name")
    floor("verify", "self-signed", LATER, "self-signed", certificate=self_signed)
    floor("verify", "wrong-name", LATER, "trusted, and of another name",
          certificate=lambda n: good("mx.elsewhere.example"))
    floor("verify", "no-starttls", LATER, "no TLS is offered", certificate=None)
    floor("verify", "dane", DELIVER, "self-signed, and DANE vouches for it", SIGNED, self_signed,
          True)
    floor("verify", "dane-wrong", LATER, "trusted, and DANE is not content", SIGNED, good, False)
    a = floor("verify", "dane-unusable", LATER, "self-signed, and its only record is unusable",
              SIGNED, self_signed)
    a.tlsa(a.hosts[0].name, "3 7 1 " + "5a" * 32)
    floor("dane-only", "dane", DELIVER, "DANE vouches for it", SIGNED, self_signed, True)
    floor("dane-only", "without", LATER, "trusted, and without DANE", SIGNED)
    floor("dane-only", "insecure", LATER, "trusted, and nothing is signed")

    a = floor("encrypt", "over-partner-may", LATER, "the partner's rule is content without TLS, "
              "the account is not", certificate=None)
    a.partner = {"tls": "may"}
    a = floor("verify", "over-exception", LATER, "the partner's exception is content with anybody's "
              "certificate, the account is not", certificate=self_signed)
    a.partner = {"tls": "secure", "mx": [a.hosts[0].name],
                 "exception": {"until": "2099-01-01", "tls": "encrypt", "reason": "ticket 123"}}
    a = floor("verify", "over-sts-none", LATER, "MTA-STS of mode none takes nothing off the floor",
              certificate=self_signed)
    a.policy(policy([], "none"))


def settle_requiretls(zoo):
    rule = "RFC 8689 4.2.1"
    good = zoo.authority.issue
    offered = {"extensions": ["REQUIRETLS"]}

    def requires(name, verdict, about, zone=SIGNED, certificate=good, right=None, **host):
        a = one(zoo, f"requiretls-{name}", "", verdict, rule, about, zone, certificate, right,
                **host)
        a.options = ["REQUIRETLS"]
        a.told = "REQUIRETLS" if verdict == DELIVER else ""
        return a

    requires("dane", DELIVER, "DANE, and it is offered", right=True, **offered)
    requires("dane-not-offered", NEVER, "DANE, and it is not offered", right=True)
    requires("dane-wrong", NEVER, "it is offered, and DANE is not content", right=False, **offered)
    requires("trusted", DELIVER, "secure MX, a trusted certificate, and it is offered", **offered)
    requires("self-signed", NEVER, "secure MX, a self-signed certificate, and it is offered",
             certificate=self_signed, **offered)
    requires("wrong-name", NEVER, "secure MX, another's certificate, and it is offered",
             certificate=lambda n: good("mx.elsewhere.example"), **offered)
    requires("insecure", NEVER, "insecure MX without MTA-STS, a trusted certificate, and it is "
             "offered", OPEN, **offered)
    requires("no-starttls", NEVER, "no TLS is offered", certificate=None)
    requires("offered-in-clear", NEVER, "it is offered before TLS and not after it", right=True,
             extensions_in_clear=["REQUIRETLS"])

    a = requires("sts", DELIVER, "insecure MX, MTA-STS lists it, and it is offered", OPEN, **offered)
    a.policy(policy([a.hosts[0].name]))
    a = requires("sts-testing", DELIVER, "insecure MX, MTA-STS in testing lists it, and it is offered",
                 OPEN, **offered)
    a.policy(policy([a.hosts[0].name], "testing"))
    a = requires("sts-testing-not-listed", NEVER, "insecure MX, MTA-STS in testing lists another, and "
                 "it is offered", OPEN, **offered)
    a.policy(policy([f"mx2.{a.domain}"], "testing"))
    a = requires("sts-not-offered", NEVER, "insecure MX, MTA-STS lists it, and it is not offered",
                 OPEN)
    a.policy(policy([a.hosts[0].name]))

    a = requires("at-the-second", DELIVER, "the better host does not offer it, the worse does",
                 right=True, label="mx1")
    own = self_signed(f"mx2.{a.domain}")
    a.at = a.host(label="mx2", preference=20, certificate=own, tlsa=[own.tlsa()], **offered)

    a = requires("lookup-fails", LATER, "about TLSA there is no answer: that may pass",
                 zoo.own_zone(), right=True, **offered)
    a.trouble(f"_tcp.{a.hosts[0].name}", None, "servfail")

    a = requires("and-no", NEVER, "with TLS-Required: No in its header, which then counts nothing; "
                 "DANE is not content", right=False, **offered)
    a.fields = {"TLS-Required": "No"}
    a.rule = "RFC 8689 3, 4.2.1"


def settle_tls_required_no(zoo):
    rule = "RFC 8689 3, 4.2.2"

    def waives(name, verdict, about, zone=SIGNED, certificate=self_signed, right=None, **host):
        a = one(zoo, f"tls-required-no-{name}", "", verdict, rule, about, zone, certificate,
                right, **host)
        a.fields = {"TLS-Required": "No"}
        return a

    waives("dane-wrong", DELIVER, "DANE is not content, and the sender waives it", right=False)
    waives("dane-no-starttls", PLAIN, "DANE demands TLS, none is offered, the sender waives it",
           certificate=None, right=True)
    waives("dane-right", DELIVER, "TLS is used where it is offered", right=True)
    a = waives("sts-self-signed", DELIVER, "MTA-STS is not content, and the sender waives it", OPEN)
    a.policy(policy([a.hosts[0].name]))
    a = waives("sts-no-starttls", PLAIN, "MTA-STS demands TLS, none is offered, the sender waives "
               "it", OPEN, certificate=None)
    a.policy(policy([a.hosts[0].name]))

    a = waives("sts-not-listed", DELIVER, "the host is not in the policy, and the sender waives it",
               OPEN)
    a.policy(policy([f"mx2.{a.domain}"]))
    a = waives("lookup-fails", DELIVER, "about TLSA there is no answer, and the sender waives DANE",
               zoo.own_zone(), right=True)
    a.trouble(f"_tcp.{a.hosts[0].name}", None, "servfail")
    a = waives("in-small-letters", DELIVER, "tls-required: no, with DANE that is not content",
               right=False)
    a.fields = {"tls-required": "no"}

    # The sender waives what the receiver demands, not what the operator does.
    a = waives("partner", LATER, "the operator's rule for the partner stays", OPEN)
    a.partner = {"tls": "verify"}
    a.rule = "RFC 8689 3; zegel.conf(5) partner"
    a = waives("floor", LATER, "the account's floor stays", OPEN)
    a.account = "floor-verify"
    a.rule = "RFC 8689 3; zegel.conf(5) account"

    a = waives("odd-value", LATER, "TLS-Required: Yes is not what the RFC defines", right=False)
    a.fields = {"TLS-Required": "Yes"}
