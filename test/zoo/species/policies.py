"""MTA-STS (RFC 8461): policies good and broken, hosts that keep to them and do not, DANE beside them.

Whether a policy was taken for one shows at a host with a self-signed certificate: with an enforced
policy it gets nothing, without any it gets the message.
"""
from animal import DELIVER, LATER, OPEN, PLAIN, ROGUE, SIGNED
from certificates import Authority, self_signed

UNKNOWING = "Postfix knows nothing of MTA-STS"


def settle(zoo):
    settle_hosts(zoo)
    settle_patterns(zoo)
    settle_modes(zoo)
    settle_texts(zoo)
    settle_records(zoo)
    settle_websites(zoo)
    settle_beside_dane(zoo)
    settle_kept(zoo)
    zoo.refused_for("starttls-missing", "sts-no-starttls")
    zoo.refused_for("", "sts-starttls-refused")  # the host's own words
    zoo.refused_for("tls-handshake", "sts-plain-after-220", "sts-tls-1-0")
    zoo.refused_for("sts-mx-name", "sts-mx-elsewhere", "sts-pattern-*", "*-not-listed")
    zoo.refused_for("sts-tls-expired", "sts-expired")
    zoo.refused_for("sts-tls-name", "sts-wrong-name", "sts-name-of-domain", "sts-common-name-only",
                    "sts-wildcard-of-two", "sts-alias-of-another-name")
    zoo.refused_for("dane-mismatch", "*-dane-wrong")
    zoo.refused_for("tlsa-lookup-failed", "*-dane-fails", "*-dane-false")
    zoo.refused_for("dns-bogus", "sts-false-mx")
    zoo.refused_for("sts-tls-untrusted", "*")


def policy(mx, mode="enforce", max_age=86400, end="\r\n", more=()):
    lines = ["version: STSv1", f"mode: {mode}", *[f"mx: {name}" for name in mx],
             f"max_age: {max_age}", *more]
    return end.join(lines) + end


def one(zoo, name, cases, verdict, rule, about, zone=OPEN, text=None, certificate="self-signed",
        host=None, answer=None, **how):
    """An animal with a policy that lists its one host. certificate: True for a good one."""
    a = zoo.animal(name, cases, verdict, rule, about, zone)
    a.enforces = verdict != PLAIN
    if certificate == "self-signed":
        certificate = self_signed(f"mx.{a.domain}")
    host = a.host(certificate=certificate, **(host or {}))
    text = text(a) if callable(text) else text
    a.policy(policy([host.name]) if text is None else text, **{**(answer or {}), **how})
    a.finger_unknowing = UNKNOWING
    return a


def settle_hosts(zoo):
    rule = "RFC 8461 4.2"
    a = one(zoo, "sts-good", "T19 T21", DELIVER, rule, "the policy and the certificate are right",
            certificate=True)
    a.s_client = ("pkix", a.hosts[0])
    a.shows = ["by=mta-sts", "match=\"CA "]
    a.reported = {"sts": "success"}
    a = one(zoo, "sts-self-signed", "T21", LATER, rule, "the host's certificate is self-signed")
    a.s_client = ("pkix", a.hosts[0])
    a.reported = {"sts": "certificate-not-trusted"}

    def broken(name, about, make, verdict=LATER, judged=True, rule=rule, **host):
        a = one(zoo, name, "T21", verdict, rule, about, certificate=None, host=host)
        a.hosts[0].certificate = make(a, a.hosts[0].name)
        if judged:
            a.s_client = ("pkix", a.hosts[0])
        return a

    a = broken("sts-expired", "the host's certificate is over",
               lambda a, name: zoo.authority.issue(name, expired=True))
    a.reported = {"sts": "certificate-expired"}
    a = broken("sts-wrong-name", "the host's certificate is another's",
               lambda a, name: zoo.authority.issue("mx.elsewhere.example"))
    a.reported = {"sts": "certificate-host-mismatch"}
    broken("sts-name-of-domain", "the host's certificate is for the recipient's domain, and not "
           "for the host", lambda a, name: zoo.authority.issue(a.domain))
    broken("sts-common-name-only", "the host's name stands in the common name only",
           lambda a, name: zoo.authority.issue(name, alternatives=False), judged=False)
    broken("sts-stranger", "signed by an authority that nobody believes",
           lambda a, name: zoo.stranger.issue(name))
    broken("sts-wildcard", "a wildcard stands for the host's label",
           lambda a, name: zoo.authority.issue(f"*.{a.domain}"), DELIVER)
    broken("sts-wildcard-of-two", "the host has two labels in place of the star",
           lambda a, name: zoo.authority.issue(f"*.{a.domain}"), label="a.mx")
    broken("sts-intermediate", "an intermediate authority, shown",
           lambda a, name: Authority("Between", by=zoo.authority).issue(name), DELIVER)
    broken("sts-intermediate-absent", "an intermediate authority, not shown",
           lambda a, name: Authority("Between", by=zoo.authority).issue(name).alone())

    a = one(zoo, "sts-no-starttls", "T21 T16", LATER, "RFC 8461 4.2, 5",
            "the host offers no TLS", certificate=None)
    a.reported = {"sts": "starttls-not-supported"}
    one(zoo, "sts-starttls-refused", "T21 T16", LATER, "RFC 8461 4.2, 5",
        "the host refuses STARTTLS", certificate=True,
        host={"replies": {"STARTTLS": "454 4.7.0 TLS not available"}})
    one(zoo, "sts-plain-after-220", "T21 T25", LATER, "RFC 8461 4.2, 5",
        "plaintext instead of a handshake", certificate=True, host={"script": "plain_after_220"})
    one(zoo, "sts-tls-1-0", "T21 T25", LATER, "RFC 8461 7.2, RFC 8996 4", "speaks TLS 1.0 only",
        certificate=True, host={"version": "1.0"})
    a = one(zoo, "sts-by-sni", "T21 T15", DELIVER, "RFC 8461 7.1 (SNI must be sent)",
            "shows its certificate only to who asks for its name")
    a.hosts[0].by_name[a.hosts[0].name] = zoo.authority.issue(a.hosts[0].name)


def settle_patterns(zoo):
    rule = "RFC 8461 4.1"

    def listed(name, verdict, about, pattern, **host):
        return one(zoo, name, "T21 T23", verdict, rule, about, certificate=True, host=host,
                   text=lambda a: policy([pattern.format(a.domain)]))

    a = listed("sts-mx-elsewhere", LATER, "the host is not in the policy", "mx2.{}")
    a.reported = {"sts": "failure"}
    listed("sts-pattern", DELIVER, "a pattern covers the host", "*.{}")
    listed("sts-pattern-of-two", LATER, "a pattern covers one label, the host has two", "*.{}",
           label="a.mx")
    listed("sts-pattern-not-itself", LATER, "a pattern does not cover the name behind its star",
           "*.mx.{}")
    listed("sts-capitals", DELIVER, "case does not count", "MX.{}")
    a = listed("sts-pattern-inside", DELIVER, "a star within a label is no pattern, so there is no "
               "mx, so it is no policy", "m*.{}")
    a.rule = "RFC 8461 3.2 (ABNF), 5.1"

    a = zoo.animal("sts-better-not-listed", "T21", DELIVER, "RFC 8461 4.1, 8.4",
                   "the better host is not in the policy: the worse gets it", OPEN)
    a.host(label="mx1", preference=10)
    a.at = a.host(label="mx2", preference=20)
    a.policy(policy([f"mx2.{a.domain}"]))
    a.finger_unknowing = UNKNOWING

    a = zoo.animal("sts-better-broken", "T21", DELIVER, "RFC 8461 4.2, 8.4",
                   "the better host's certificate is not right: the worse gets it", OPEN)
    a.host(label="mx1", preference=10, certificate=self_signed("anybody.example"))
    a.at = a.host(label="mx2", preference=20)
    a.policy(policy([f"*.{a.domain}"]))
    a.finger_unknowing = UNKNOWING

    a = zoo.animal("sts-alias", "T21", DELIVER, rule + ", 4.2",
                   "the MX host is an alias: its own name is listed, and in the certificate", OPEN)
    real = a.host(label="real", certificate=zoo.authority.issue(f"mx.{a.domain}"), mx=False)
    a.set(f"mx.{a.domain}", "CNAME", f"{real.name}.")
    a.mx(f"mx.{a.domain}")
    a.policy(policy([f"mx.{a.domain}"]))

    a = zoo.animal("sts-alias-of-another-name", "T21", LATER, rule + ", 4.2",
                   "the MX host is an alias, and the certificate is for its end", OPEN)
    real = a.host(label="real", mx=False)
    a.set(f"mx.{a.domain}", "CNAME", f"{real.name}.")
    a.mx(f"mx.{a.domain}")
    a.policy(policy([f"mx.{a.domain}", f"real.{a.domain}"]))
    a.finger_unknowing = UNKNOWING

    for listed_name, verdict in (("{}", DELIVER), ("mx.{}", LATER)):
        a = zoo.animal(f"sts-no-mx-{'listed' if verdict == DELIVER else 'not-listed'}", "T21 N13",
                       verdict, rule + ", RFC 5321 5.1", "no MX: the domain itself is the host, and "
                       f"the policy lists {listed_name.format('it')}", OPEN)
        a.host(label="", mx=False)
        a.policy(policy([listed_name.format(a.domain)]))
        a.finger_unknowing = UNKNOWING

    first = one(zoo, "sts-shared-host", "T21", LATER, "RFC 8461 3, 5",
                "its host is also another domain's, which has no policy")
    a = zoo.animal("sts-shared-host-without", "T21", DELIVER, "RFC 8461 3, 5",
                   "its host is also another domain's, which has a policy that the host breaks", OPEN)
    a.mx(first.hosts[0].name)

    a = one(zoo, "sts-false-mx", "T21 N17", LATER, "RFC 7672 2.1.2", "the policy and the host keep to "
            "each other, and the signature over MX is false", SIGNED, certificate=True)
    a.spoil(a.domain, "MX")

    # What is behind the @ is the policy's domain, wherever its MX records are found.
    for owner, verdict in (("alias", LATER), ("end", DELIVER)):
        a = zoo.animal(f"sts-of-{owner}-of-domain", "T21 T14", verdict, "RFC 8461 2, 3.4",
                       "the recipient's domain is an alias, and its host is self-signed; the policy is "
                       f"that of the {owner}", OPEN)
        host = a.host(certificate=self_signed(f"mx.{a.domain}"), mx=False)
        zoo.add(f"real.{a.domain}", "MX", f"10 {host.name}.")
        a.set(a.domain, "CNAME", f"real.{a.domain}.")
        whole, a.domain = a.domain, a.domain if owner == "alias" else f"real.{a.domain}"
        a.policy(policy([host.name]))
        a.domain = whole
        a.finger_unknowing = UNKNOWING

    a = one(zoo, "sts-of-parent", "T21", DELIVER, "RFC 8461 3.4",
            "the policy is the parent domain's")
    zoo.add(f"sub.{a.domain}", "MX", f"10 {a.hosts[0].name}.")
    a.domain = f"sub.{a.domain}"


def settle_modes(zoo):
    rule = "RFC 8461 5"
    for mode in ("testing", "none"):
        def text(a, mode=mode):
            return policy([f"mx.{a.domain}"], mode)
        a = one(zoo, f"sts-{mode}-self-signed", "T21", DELIVER, rule,
                f"mode {mode}: nothing is refused", text=text)
        if mode == "testing":
            a.shows = ["sts=would-fail"]
            a.reported = {"sts": "certificate-not-trusted"}
        one(zoo, f"sts-{mode}-no-starttls", "T21", PLAIN, rule,
            f"mode {mode}, and the host offers no TLS", text=text, certificate=None)
    a = one(zoo, "sts-testing-not-listed", "T21", DELIVER, rule,
            "mode testing, and the host is not in the policy",
            text=lambda a: policy([f"mx2.{a.domain}"], "testing"))
    a.reported = {"sts": "failure"}
    one(zoo, "sts-none-without-mx", "T21", DELIVER, "RFC 8461 3.2, 5",
        "mode none needs no mx", text=policy([], "none"))


def settle_texts(zoo):
    rule = "RFC 8461 3.2"

    def valid(name, about, make):
        one(zoo, name, "T19", LATER, rule, f"{about}: it is a policy", text=make)

    def invalid(name, about, make):
        a = one(zoo, name, "T19", DELIVER, rule + ", 5.1", f"{about}: it is no policy", text=make)
        a.reported = {"any": "sts-policy-invalid"}

    def lines(*texts):
        return lambda a: "".join(f"{line.format(a.domain)}\r\n" for line in texts)

    valid("sts-text-lf", "lines end with LF", lambda a: policy([f"mx.{a.domain}"], end="\n"))
    valid("sts-text-no-last-end", "the last line has no end",
          lambda a: policy([f"mx.{a.domain}"]).rstrip())
    valid("sts-text-unknown-key", "a key that nobody knows",
          lambda a: policy([f"mx.{a.domain}"], more=["future: yes"]))
    valid("sts-text-mode-twice", "mode twice: the first counts",
          lambda a: policy([f"mx.{a.domain}"], more=["mode: none"]))
    valid("sts-text-other-order", "version stands last",
          lines("mx: mx.{0}", "max_age: 86400", "mode: enforce", "version: STSv1"))
    valid("sts-text-no-space", "no space behind the colons",
          lines("version:STSv1", "mode:enforce", "mx:mx.{0}", "max_age:86400"))
    invalid("sts-text-no-version", "no version",
            lines("mode: enforce", "mx: mx.{0}", "max_age: 86400"))
    invalid("sts-text-version-2", "version STSv2",
            lines("version: STSv2", "mode: enforce", "mx: mx.{0}", "max_age: 86400"))
    invalid("sts-text-no-mode", "no mode", lines("version: STSv1", "mx: mx.{0}", "max_age: 86400"))
    invalid("sts-text-no-mx", "no mx", lines("version: STSv1", "mode: enforce", "max_age: 86400"))
    invalid("sts-text-no-age", "no max_age", lines("version: STSv1", "mode: enforce", "mx: mx.{0}"))
    invalid("sts-text-odd-mode", "mode strict", lambda a: policy([f"mx.{a.domain}"], "strict"))
    invalid("sts-text-odd-age", "max_age -1", lambda a: policy([f"mx.{a.domain}"], max_age=-1))
    invalid("sts-text-empty", "nothing at all", "")


def settle_records(zoo):
    rule = "RFC 8461 3.1"
    for name, about, record, valid in (
            ("no-semicolon", "no semicolon at its end", "v=STSv1; id=1", True),
            ("no-space", "no space in it", "v=STSv1;id=1;", True),
            ("more-keys", "a key that nobody knows", "v=STSv1; id=1; future=yes;", True),
            ("no-id", "no id", "v=STSv1;", False),
            ("odd-id", "an id that is no word", "v=STSv1; id=a-b;", False),
            ("long-id", "an id of 33 letters", f"v=STSv1; id={'a' * 33};", False),
            ("version-2", "version 2", "v=STSv2; id=1;", False),
            ("version-last", "the version is not first", "id=1; v=STSv1;", False)):
        one(zoo, f"sts-record-{name}", "T19", LATER if valid else DELIVER,
            rule, f"{about}: it is {'a' if valid else 'no'} record", record=record)

    a = one(zoo, "sts-record-none", "T19", DELIVER, rule, "a policy, and no record", record="")

    a = one(zoo, "sts-record-two", "T19", DELIVER, rule, "two records: there is none")
    a.set(f"_mta-sts.{a.domain}", "TXT", '"v=STSv1; id=2;"')

    a = one(zoo, "sts-record-and-other-text", "T19", LATER, rule,
            "another TXT record beside it does not count")
    a.set(f"_mta-sts.{a.domain}", "TXT", '"something else"')

    a = one(zoo, "sts-record-in-pieces", "T19 N12", LATER, rule, "in three strings, one of them empty",
            record="")
    a.set(f"_mta-sts.{a.domain}", "TXT", '"v=STSv1; " "" "id=1;"')

    a = one(zoo, "sts-record-at-alias", "T19", LATER, rule, "the record's name is an alias",
            record="")
    a.set(f"_mta-sts.{a.domain}", "CNAME", f"record.{a.domain}.")
    a.set(f"record.{a.domain}", "TXT", '"v=STSv1; id=1;"')

    a = one(zoo, "sts-record-servfail", "T19 N13", DELIVER, "RFC 8461 3.1, 5.1",
            "about the record: servfail, and no policy is kept", ROGUE)
    a.trouble(f"_mta-sts.{a.domain}", "TXT", "servfail")


def settle_websites(zoo):
    """What the policy host says. Where that is no policy, there is none (RFC 8461 3.3, 5.1)."""
    rule = "RFC 8461 3.3"
    for name, answer, about in (
            ("404", {"status": "404 Not Found"}, "404"),
            ("500", {"status": "500 Internal Server Error"}, "500"),
            ("204", {"status": "204 No Content"}, "204"),
            ("html", {"type": "text/html"}, "text/html (RFC 8461 3.2)"),
            ("no-type", {"type": ""}, "no type at all (RFC 8461 3.2)"),
            ("slow", {"delay": 75}, "an answer after 75 seconds")):
        a = one(zoo, f"sts-site-{name}", "T20", DELIVER, rule, f"the policy host says: {about}",
                answer=answer)
        a.is_slow = name == "slow"
        a.reported = {"any": "sts-policy-invalid" if "type" in name or name == "html"
                      else "sts-policy-fetch-error"}

    one(zoo, "sts-site-charset", "T20", LATER, "RFC 8461 3.2",
        "the policy host says: text/plain; charset=utf-8",
        answer={"type": "text/plain; charset=utf-8"})
    one(zoo, "sts-site-60k", "T20", LATER, rule, "a policy of 60 KB",
        text=lambda a: policy([f"mx.{a.domain}"], more=["filler: " + "x" * 60000]))
    one(zoo, "sts-site-64k-and-1", "T20", DELIVER, rule, "a policy of more than 64 KB",
        text=lambda a: policy([f"mx.{a.domain}"], more=["filler: " + "x" * 65536]))

    a = one(zoo, "sts-site-redirect", "T20", DELIVER, rule, "a redirect to a good policy")
    good = a.websites[0]
    a.websites[0] = type(good)(good.name, good.address, good.certificate, {
        "body": "", "status": "301 Moved Permanently",
        "headers": [f"Location: https://www.{a.domain}/.well-known/mta-sts.txt"]})
    good.name, good.address = f"www.{a.domain}", zoo.ipv4()
    good.certificate = zoo.authority.issue(good.name)
    a.websites.append(good)
    a.set(good.name, "A", good.address)

    for name, about, make, verdict in (
            ("self-signed", "is self-signed", self_signed, DELIVER),
            ("expired", "is over", lambda n: zoo.authority.issue(n, expired=True), DELIVER),
            ("wrong-name", "is another's", lambda n: zoo.authority.issue("www.elsewhere.example"),
             DELIVER),
            ("stranger", "is a stranger's", zoo.stranger.issue, DELIVER),
            ("wildcard", "has a wildcard for its label, which is right",
             lambda n: zoo.authority.issue("*." + n.partition(".")[2]), LATER)):
        a = one(zoo, f"sts-site-{name}", "T20", verdict, rule,
                f"the policy host's certificate {about}")
        a.websites[0].certificate = make(a.websites[0].name)
        a.reported = {"any": "sts-webpki-invalid"} if verdict == DELIVER else {"sts": "failure"}

    a = one(zoo, "sts-site-down", "T20 T22", DELIVER, rule + ", 5.1",
            "nobody listens at the policy host, and no policy is kept")
    a.websites.clear()

    a = one(zoo, "sts-site-without-address", "T20", DELIVER, rule + ", 5.1",
            "the policy host has no address")
    zoo.records.pop((a.websites.pop().name, "A"))


def settle_beside_dane(zoo):
    rule = "RFC 8461 2"

    def both(name, verdict, about, right=True, trusted=True, listed=True, zone=SIGNED, **host):
        a = zoo.animal(name, "T18", verdict, rule, about, zone)
        own = zoo.authority.issue(f"mx.{a.domain}") if trusted else self_signed(f"mx.{a.domain}")
        a.host(certificate=own, tlsa=[own.tlsa() if right else own.false_tlsa()], **host)
        a.policy(policy([f"mx.{a.domain}" if listed else f"mx2.{a.domain}"]))
        return a

    a = both("sts-and-dane", DELIVER, "both are right")
    a.reported = {"tlsa": "success", "sts": "success"}
    a = both("sts-right-dane-wrong", LATER, "MTA-STS would be content, and DANE is not",
             right=False)
    a.reported = {"tlsa": "failure"}
    a = both("sts-wrong-dane-right", DELIVER, "DANE is content, and MTA-STS would not be: the "
             "certificate is self-signed", trusted=False)
    a.reported = {"tlsa": "success", "sts": "certificate-not-trusted"}
    both("sts-not-listed-dane-right", DELIVER, "DANE is content, and the host is not in the policy",
         listed=False)
    both("sts-wrong-dane-wrong", LATER, "neither is content", right=False, trusted=False)
    a = both("sts-right-dane-fails", LATER, "MTA-STS would be content, and about TLSA there is no "
             "answer", zone=zoo.own_zone())
    a.trouble(f"_tcp.{a.hosts[0].name}", None, "servfail")
    a = both("sts-right-dane-false", LATER, "MTA-STS would be content, and the signature over TLSA "
             "is false")
    a.spoil(f"_25._tcp.{a.hosts[0].name}", "TLSA")

    for name, verdict, make, about in (
            ("sts-right-dane-unusable", DELIVER, zoo.authority.issue, "and MTA-STS is content"),
            ("sts-wrong-dane-unusable", LATER, self_signed, "and an enforced policy is not content: "
             "records that authenticate nobody take nothing off it")):
        a = zoo.animal(name, "T5 T18", verdict, "RFC 8461 5; RFC 7672 2.2",
                       f"the only TLSA record is unusable, {about}", SIGNED)
        host = a.host(certificate=make(f"mx.{a.domain}"))
        a.tlsa(host.name, "3 7 1 " + "5a" * 32)
        a.policy(policy([host.name]))
        a.finger_unknowing = UNKNOWING

    a = one(zoo, "sts-in-signed-zone", "T18 T21", LATER, "RFC 8461 2, 5",
            "signed, without TLSA: MTA-STS decides, and the certificate is self-signed", SIGNED)

    a = zoo.animal("sts-and-dane-at-the-second", "T18 T17", DELIVER, "RFC 8461 2, 5",
                   "the better host breaks the policy; the worse has DANE, and that is right", SIGNED)
    own = self_signed("anybody.example")
    a.host(label="mx1", preference=10, certificate=own)
    a.at = a.host(label="mx2", preference=20, certificate=own, tlsa=[own.tlsa()])
    a.policy(policy([f"*.{a.domain}"]))
    a.finger_unknowing = UNKNOWING


def settle_kept(zoo):
    """A first message makes the relay know the policy; then something happens to it."""
    rule = "RFC 8461 3.3, 5.1"

    def kept(name, verdict, about, records=(), later=None, max_age=86400):
        a = one(zoo, name, "T22", verdict, rule, about, certificate=True,
                text=lambda a: policy([f"mx.{a.domain}"], max_age=max_age),
                host={"cuts_after_message": True})
        a.hosts[0].later = self_signed(f"mx.{a.domain}")
        a.websites[0].later = later or {"status": "500 Internal Server Error", "body": ""}
        a.prelude = [(f"_mta-sts.{a.domain}", "TXT", *records)] if records is not None else []
        a.has_prelude = True

    kept("sts-kept-record-gone", LATER, "a policy is kept, and its record is gone")
    kept("sts-kept-site-down", LATER, "a policy is kept, its record has a new id, its host fails",
         ['"v=STSv1; id=2;"'])
    kept("sts-kept-two-records", LATER, "a policy is kept, and there are two records now",
         ['"v=STSv1; id=2;"', '"v=STSv1; id=3;"'])
    kept("sts-kept-same-id", LATER, "a policy is kept, and nothing has changed but its host fails",
         None)
    kept("sts-kept-new-policy", DELIVER, "a policy is kept; a new id leads to one of mode none",
         ['"v=STSv1; id=2;"'], {"body": policy([], "none")})
    kept("sts-kept-over", DELIVER, "a policy was kept for a second; its record is gone",
         max_age=1)
