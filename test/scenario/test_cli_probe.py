"""What "tls probe" and "partner check" say of hosts before mail goes there."""
import json

import pytest

from lab.certs import Authority, wrong_tlsa
from lab import client, website
from lab.hostile import Hostile, helpful, refuse

PROBLEMS = 1


class Said:
    """The answer of a command that looks at hosts: {host: object}, {domain: object}."""

    def __init__(self, lab, status, *words):
        done = lab.zegel.command("--json", *words, check=False)
        assert done.returncode == status, (words, done.returncode, done.stdout, done.stderr)
        objects = [json.loads(line) for line in done.stdout.splitlines()]
        self.hosts = {o["host"]: o for o in objects if "host" in o}
        self.domains = {o["domain"]: o for o in objects if "host" not in o}
        assert len(self.hosts) + len(self.domains) == len(objects)

    def address(self, host, n=0):
        return self.hosts[host]["addresses"][n]


def probe(lab, domain, status=0):
    return Said(lab, status, "tls", "probe", domain)


def human(lab, *words):
    return lab.zegel.command(*words, check=False).stdout


def names(thing):
    return [warning["name"] for warning in thing["warnings"]]


def open_lab(lab):
    lab.zegel.write()
    lab.dns.start()
    lab.sink.start()


def test_every_host_is_tried_and_told_of(make_lab):
    lab = make_lab()
    lab.receiver("dane.example", tlsa=True)
    lab.receiver("self.example", certificate=lab.ca.self_signed("mx.self.example"))
    lab.receiver("clear.example", tls=False)
    lab.receiver("stripped.example", tls=False, tlsa=[wrong_tlsa()])
    lab.receiver("secure.example")
    lab.receiver("named.example", certificate=lab.ca.issue("mx.other.example"))
    # Three hosts: right, wrong record, nobody there.
    lab.receiver("three.example", host="mx1.three.example", tlsa=True)
    lab.receiver("three.example", host="mx2.three.example", tlsa=[wrong_tlsa()], preference=20)
    lab.dns.host("mx3.three.example", lab.place.address())
    lab.add_mx("three.example", "mx3.three.example", preference=30)
    lab.zegel.partners = {"secure.example": {"tls": "secure", "mx": ["mx.secure.example"]},
                          "named.example": {"tls": "secure", "mx": ["*.named.example"]}}
    open_lab(lab)

    said = probe(lab, "dane.example")
    evidence = said.address("mx.dane.example")["evidence"]
    assert evidence["proof"].startswith("dane-ee 3 1 1 ")
    assert evidence["trust"] == "Verified" and evidence["achieved"] == "dane"
    assert said.domains["dane.example"]["accepted"]
    assert said.hosts["mx.dane.example"]["warnings"] == []

    said = probe(lab, "self.example")
    assert said.address("mx.self.example")["evidence"]["trust"] == "Untrusted"
    one = probe(lab, "clear.example").address("mx.clear.example")
    assert one["accepted"] and one["plaintext"] and one["evidence"] is None
    one = probe(lab, "stripped.example", PROBLEMS).hosts["mx.stripped.example"]
    assert one["refusal"]["name"] == "starttls-missing"
    assert not one["addresses"][0]["plaintext"]
    said = probe(lab, "secure.example").domains["secure.example"]
    assert (said["partner"], said["mode"]) == ("secure.example", "require")

    # What would be refused is shown all the same: it may be what the rule lacks.
    one = probe(lab, "named.example", PROBLEMS).address("mx.named.example")
    assert one["refusal"]["name"] == "partner-tls-name"
    shown = lab.sink.hosts["mx.named.example"]["chain"]
    assert one["evidence"]["subject"] == "mx.other.example"
    assert one["evidence"]["public_key"] == _public_key(shown)

    said = probe(lab, "three.example", PROBLEMS)
    assert list(said.hosts) == [f"mx{i}.three.example" for i in (1, 2, 3)]
    assert [one["accepted"] for one in said.hosts.values()] == [True, False, False]
    assert said.hosts["mx2.three.example"]["refusal"]["name"] == "dane-mismatch"
    assert said.address("mx2.three.example")["evidence"]["fingerprint"]
    assert not said.address("mx3.three.example")["reached"]
    assert said.domains["three.example"]["refused"] == 2

    said = probe(lab, "gone.example", PROBLEMS)
    assert said.hosts == {}
    assert said.domains["gone.example"]["refusal"]["name"] == "domain-not-found"
    # Nobody got mail.
    assert not lab.sink.events("message")

    said = human(lab, "tls", "probe", "three.example")
    assert "accepted, required dane by dane" in said and "[dane-mismatch]" in said
    assert "not reached" in said
    assert "three.example: 1 of 3 hosts accepted" in said


def test_every_address_of_a_host_is_tried(make_lab):
    """One machine of several behind a name shows another certificate."""
    lab = make_lab()
    good = lab.ca.issue("mx.pool.example")
    bad = lab.ca.issue("mx.old.example")
    first = lab.sink.host("mx.pool.example", good)
    second = lab.sink.host("other of the pool", bad)
    nobody = lab.place.address()
    lab.dns.host("mx.pool.example", first, second, nobody, tlsa=[good.tlsa()], port=lab.port)
    lab.add_mx("pool.example", "mx.pool.example")
    # One of two does not answer: that is told, and no reason to refuse.
    lab.dns.host("mx.half.example", lab.sink.host("mx.half.example", good), nobody)
    lab.add_mx("half.example", "mx.half.example")
    open_lab(lab)

    one = probe(lab, "pool.example", PROBLEMS).hosts["mx.pool.example"]
    found = {a["peer"].partition("[")[2].partition("]")[0]: a for a in one["addresses"]}
    assert set(found) == {first, second, nobody}
    assert found[first]["accepted"]
    assert found[second]["refusal"]["name"] == one["refusal"]["name"] == "dane-mismatch"
    assert found[second]["evidence"]["fingerprint"] == bad.fingerprint()
    assert names(one) == ["address-unreachable"]

    one = probe(lab, "half.example").hosts["mx.half.example"]
    assert one["accepted"] and names(one) == ["address-unreachable"]
    assert nobody in one["warnings"][0]["text"]


def test_what_will_not_be_accepted_tomorrow_is_a_warning(make_lab):
    lab = make_lab()
    soon = lab.ca.issue("mx.soon.example", days=3)
    lab.receiver("soon.example", certificate=soon, tlsa=[soon.tlsa()])
    both = lab.ca.issue("mx.both.example", days=3)
    lab.receiver("both.example", certificate=both, tlsa=[both.tlsa(), wrong_tlsa()])
    lab.receiver("turn.example", tlsa=[wrong_tlsa(), lab.ca.tlsa(2, 0, 1)])
    lab.receiver("dated.example", certificate=lab.ca.issue("mx.dated.example", days=3))
    lab.receiver("pinned.example", certificate=lab.ca.issue("mx.pinned.example", days=3))
    lab.receiver("anybody.example", certificate=lab.ca.issue("mx.anybody.example", days=3))
    pin = lab.sink.hosts["mx.pinned.example"]["chain"]
    lab.receiver("late.example", certificate=lab.ca.issue("mx.late.example", days=-1))
    anchored = lab.ca.issue("mx.anchored.example", days=3)
    lab.receiver("anchored.example", certificate=anchored, tlsa=[lab.ca.tlsa(2, 1, 1)])
    brief = Authority(lab.place.path / "brief", "Brief Authority", days=3)
    lab.receiver("brief.example", certificate=brief.issue("mx.brief.example"),
                 tlsa=[brief.tlsa(2, 0, 1)])
    lab.zegel.partners = {
        "dated.example": {"tls": "verify"}, "late.example": {"tls": "verify"},
        "pinned.example": {"tls": "fingerprint", "public-key": _public_key(pin)}}
    open_lab(lab)

    one = probe(lab, "soon.example").hosts["mx.soon.example"]
    assert names(one) == ["certificate-ends", "tlsa-single"]
    assert "its successor needs a TLSA record" in one["warnings"][0]["text"]
    assert "mx.soon.example" in one["warnings"][0]["text"]

    one = probe(lab, "both.example").hosts["mx.both.example"]
    assert names(one) == ["certificate-ends", "tlsa-unmatched"]
    assert "3 1 1 5a5a" in one["warnings"][1]["text"]

    one = probe(lab, "turn.example").hosts["mx.turn.example"]
    assert names(one) == ["tlsa-unmatched"]
    assert one["addresses"][0]["evidence"]["proof"].startswith("dane-ta 2 0 1")

    one = probe(lab, "dated.example").hosts["mx.dated.example"]
    assert names(one) == ["certificate-ends"]
    assert "then mail will wait" in one["warnings"][0]["text"]
    one = probe(lab, "pinned.example").hosts["mx.pinned.example"]
    assert "must be pinned before it comes" in one["warnings"][0]["text"]
    # Whose certificate nobody looks at may keep it.
    assert names(probe(lab, "anybody.example").hosts["mx.anybody.example"]) == []

    one = probe(lab, "late.example", PROBLEMS).hosts["mx.late.example"]
    assert one["refusal"]["name"] == "partner-tls-expired"
    # Of usage 2 it is the authority that may be another next time, or end before the certificate.
    one = probe(lab, "anchored.example").hosts["mx.anchored.example"]
    assert names(one) == ["certificate-ends", "tlsa-single"]
    assert "is of the authority Laboratory Authority: when the next" in one["warnings"][1]["text"]
    one = probe(lab, "brief.example").hosts["mx.brief.example"]
    assert names(one) == ["authority-ends"]
    assert "(by Brief Authority) ends 20" in one["warnings"][0]["text"]

    said = human(lab, "tls", "probe", "soon.example")
    assert "    warning: the one usable TLSA record at mx.soon.example" in said
    assert "[tlsa-single]" in said


def _public_key(chain):
    import hashlib
    import subprocess
    public = subprocess.run(["openssl", "x509", "-in", chain, "-noout", "-pubkey"], check=True,
                            capture_output=True).stdout
    der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=public, check=True,
                         capture_output=True).stdout
    return hashlib.sha256(der).hexdigest()


def no_handshake(talk):
    talk.say("220 2.0.0 Go ahead")
    talk.socket.recv(1)
    talk.say("\x15\x03\x01\x00\x02\x02\x28".encode("latin-1"))


def greets_all_but_ehlo(talk):
    talk.say("220 old.example SMTP")
    while (line := talk.hear()) != "QUIT":
        talk.say("250 old.example" if line.startswith("HELO ") else "502 5.5.1 What?")
    talk.say("221 Bye")


def talks_early(talk):
    talk.say("220 2.0.0 Go ahead\r\n250 and more of it")
    talk.hear_silence()


def until_starttls(instead):
    return lambda talk: helpful(talk, until="STARTTLS", instead=instead)


@pytest.mark.parametrize("script, demanded, accepted, refusal, warnings", [
    (until_starttls(lambda t: refuse(t, "454 4.7.0 Not now")), False, True, None, []),
    (until_starttls(lambda t: refuse(t, "454 4.7.0 Not now")), True, False, "", []),
    (until_starttls(no_handshake), False, True, None, ["tls-fallback"]),
    (until_starttls(no_handshake), True, False, "tls-handshake", []),
    (until_starttls(talks_early), False, False, "starttls-early-input", []),
    (greets_all_but_ehlo, False, True, None, []),
    (greets_all_but_ehlo, True, False, "", []),
    (lambda t: t.say("554 5.7.1 Go away"), False, False, "", []),
    (lambda t: None, False, False, "connection-lost", []),
], ids=["starttls-refused", "starttls-refused-demanded", "no-handshake", "no-handshake-demanded",
        "early-input", "no-ehlo", "no-ehlo-demanded", "banner", "closed"])
def test_whoever_misbehaves_is_told_of_as_a_delivery_would_see_it(
        lab, script, demanded, accepted, refusal, warnings):
    peer = Hostile(lab.place, lab.port, script, certificate=lab.ca.issue("mx.odd.example"))
    lab.dns.host("mx.odd.example", peer.address)
    lab.add_mx("odd.example", "mx.odd.example")
    if demanded:
        lab.zegel.partners = {"odd.example": {"tls": "encrypt"}}
    lab.zegel.write()
    lab.dns.start()
    one = probe(lab, "odd.example", 0 if accepted else PROBLEMS).hosts["mx.odd.example"]
    assert one["accepted"] is accepted
    assert (one["refusal"] and one["refusal"]["name"]) == refusal
    assert one["addresses"][0]["plaintext"] is accepted
    assert names(one) == warnings
    assert not peer.errors and not any(line.startswith("MAIL") for line in peer.heard())
    peer.close()


def test_a_next_hop_of_the_operator_is_looked_at_instead(make_lab):
    lab = make_lab()
    lab.receiver("branch.example", tls=False)  # its MX, which is not asked
    hop = lab.ca.issue("hop.example")
    lab.dns.host("hop.example", lab.sink.host("hop.example", hop))
    lab.zegel.routes = {".branch.example": {"host": "hop.example", "port": lab.port,
                                            "tls": "verify"},
                        "*": {"host": lab.sink.hosts["hop.example"]["address"], "port": lab.port}}
    open_lab(lab)
    said = probe(lab, "sub.branch.example")
    assert list(said.hosts) == ["hop.example"]
    one = said.hosts["hop.example"]
    assert (one["level"], one["demand"], one["accepted"]) == ("verify", "route", True)
    assert said.domains["sub.branch.example"]["next_hop"] == "hop.example"
    (one,) = probe(lab, "branch.example").hosts.values()
    assert (one["level"], one["accepted"]) == ("encrypt", True)
    lab.sink.change("hop.example", certificate=lab.ca.self_signed("hop.example"))
    one = probe(lab, "sub.branch.example", PROBLEMS).hosts["hop.example"]
    assert one["refusal"]["name"] == "tls-untrusted"
    assert "sub.branch.example by route to hop.example: 0 of 1 host accepted" in human(
        lab, "tls", "probe", "sub.branch.example")


# ---- MTA-STS --------------------------------------------------------------


def test_policies_of_receivers_are_part_of_it(make_lab):
    lab = make_lab()
    lab.receiver("right.plain")
    website.publish(lab, "right.plain")
    lab.receiver("astray.plain", host="mx.elsewhere.plain")
    website.publish(lab, "astray.plain", mx="mx.astray.plain")
    lab.receiver("test.plain", certificate=lab.ca.self_signed("mx.test.plain"))
    website.publish(lab, "test.plain", mode="testing")
    lab.receiver("both.example", certificate=(shown := lab.ca.self_signed("mx.both.example")),
                 tlsa=[shown.tlsa()])
    website.publish(lab, "both.example")
    lab.receiver("short.plain")
    website.publish(lab, "short.plain", max_age=3600)
    lab.receiver("broken.plain")
    site = website.publish(lab, "broken.plain")
    site.close()
    open_lab(lab)

    said = probe(lab, "right.plain")
    one = said.hosts["mx.right.plain"]
    assert (one["level"], one["demand"]) == ("mta-sts", "mta-sts")
    assert one["addresses"][0]["evidence"]["authority"] == "Laboratory Authority"
    domain = said.domains["right.plain"]
    assert (domain["policy"]["mode"], domain["policy"]["id"]) == ("enforce", "1")
    assert domain["warnings"] == []

    one = probe(lab, "astray.plain", PROBLEMS).hosts["mx.elsewhere.plain"]
    assert one["refusal"]["name"] == "sts-mx-name" and one["addresses"] == []

    # Who only tests, and who has TLSA records that fit, is told what the policy would do.
    for domain in ("test.plain", "both.example"):
        said = probe(lab, domain)
        (watch,) = said.address(f"mx.{domain}")["watches"]
        assert (watch["demand"], watch["level"], watch["passes"]) == ("mta-sts", "mta-sts", False)
        assert watch["refusal"]["name"] == "sts-tls-untrusted"
        assert said.domains[domain]["would_refuse"] == 0
    assert "    the MTA-STS policy alone would refuse it: " in human(
        lab, "tls", "probe", "test.plain")

    domain = probe(lab, "short.plain").domains["short.plain"]
    assert names(domain) == ["sts-short"] and "for 3600 s only" in domain["warnings"][0]["text"]
    said = probe(lab, "broken.plain")
    assert names(said.domains["broken.plain"]) == ["sts-fetch"]
    assert said.domains["broken.plain"]["policy"] is None


@pytest.mark.parametrize("max_age, warning", [(86400, "sts-expires"), (86400 * 3, "sts-fetch")])
def test_the_policy_that_the_relay_keeps_is_the_one(make_lab, max_age, warning):
    """Its host is gone: only the running relay knows it any more."""
    lab = make_lab()
    lab.receiver("kept.plain")
    site = website.publish(lab, "kept.plain", max_age=max_age)
    lab.start()
    content = client.message("web@shop.example", "anna@kept.plain")
    client.submit(lab.zegel, "web@shop.example", ["anna@kept.plain"], content, lab.login)
    lab.sink.wait_for("anna@kept.plain")
    site.close()
    lab.dns.set("_mta-sts.kept.plain", "TXT", '"v=STSv1; id=2;"')
    lab.dns.publish()
    said = probe(lab, "kept.plain")
    assert said.hosts["mx.kept.plain"]["level"] == "mta-sts"
    assert said.domains["kept.plain"]["policy"]["id"] == "1"
    assert names(said.domains["kept.plain"]) == [warning]
    assert "cannot be renewed" in said.domains["kept.plain"]["warnings"][0]["text"]
    lab.zegel.stop()
    said = probe(lab, "kept.plain")
    assert said.hosts["mx.kept.plain"]["level"] == "may"
    assert said.domains["kept.plain"]["policy"] is None


# ---- partner check --------------------------------------------------------


def test_partner_check_looks_at_all_that_have_a_name(make_lab):
    lab = make_lab()
    lab.receiver("right.example")
    lab.receiver("wrong.example", certificate=lab.ca.issue("mx.other.example"))
    lab.receiver("sub.wide.example", tlsa=True)
    lab.zegel.write()
    assert human(lab, "partner", "check") == ""
    lab.zegel.partners = {
        "right.example": {"tls": "verify"}, ".wide.example": {"tls": "dane-only"},
        "wrong.example": {"tls": "secure", "mx": ["mx.wrong.example"]}}
    open_lab(lab)

    done = lab.zegel.command("--json", "partner", "check", check=False)
    assert done.returncode == PROBLEMS
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(o.get("host") or o.get("domain") or o["partner"], o["accepted"]) for o in said] == [
        (".wide.example", None), ("mx.right.example", True), ("right.example", True),
        ("mx.wrong.example", False), ("wrong.example", False)]
    assert said[2]["partner"] == "right.example" and said[2]["mode"] == "require"
    assert said[3]["refusal"]["name"] == "partner-tls-name"
    assert ".wide.example: not looked at" in human(lab, "partner", "check")

    assert Said(lab, 0, "partner", "check", "Right.Example").domains["right.example"]["accepted"]
    said = Said(lab, 0, "partner", "check", "sub.wide.example")
    assert said.domains["sub.wide.example"]["partner"] == ".wide.example"
    for name, status, words in ((".wide.example", 64, "name one of those, as mail.wide.example"),
                                ("none.example", 67, "there is no rule for none.example"),
                                ("a..b", 64, "'a..b' is no domain name")):
        done = lab.zegel.command("partner", "check", name, check=False)
        assert done.returncode == status and words in done.stderr


def test_partner_check_says_what_require_would_refuse(make_lab):
    lab = make_lab()
    lab.receiver("fits.example")
    lab.receiver("self.example", certificate=lab.ca.self_signed("mx.self.example"))
    lab.receiver("clear.example", tls=False)
    lab.receiver("astray.example", host="mx.other.example")
    lab.receiver("two.example", host="mx1.two.example")
    lab.receiver("two.example", host="mx2.two.example", preference=20,
                 certificate=lab.ca.self_signed("mx2.two.example"))
    lab.receiver("gone.example", tls=False)
    lab.dns.host("mx.gone.example", lab.place.address())
    lab.zegel.partners = {
        f"{name}.example": {"tls": "secure", "mx": [f"*.{name}.example"], "mode": "observe"}
        for name in ("fits", "self", "clear", "astray", "two", "gone")}
    open_lab(lab)

    said = Said(lab, 0, "partner", "check", "fits.example")
    assert said.domains["fits.example"]["mode"] == "observe"
    assert said.address("mx.fits.example")["watches"] == [
        {"demand": "partner", "level": "secure", "sni": "mx.fits.example", "passes": True,
         "refusal": None}]

    would = {"self": "partner-tls-untrusted", "clear": "starttls-missing",
             "astray": "partner-mx-name"}
    for name, why in would.items():
        said = Said(lab, PROBLEMS, "partner", "check", f"{name}.example")
        (one,) = said.hosts.values()
        assert one["accepted"] and one["would_refuse"]["name"] == why
        assert not one["addresses"][0]["watches"][0]["passes"]
        domain = said.domains[f"{name}.example"]
        assert (domain["accepted"], domain["would_refuse"]) == (True, 1)
    said = Said(lab, PROBLEMS, "partner", "check", "two.example")
    assert [bool(one["would_refuse"]) for one in said.hosts.values()] == [False, True]
    # Nobody was there to look at: that is a refusal of its own, and no word about the rule.
    said = Said(lab, PROBLEMS, "partner", "check", "gone.example")
    assert said.domains["gone.example"]["would_refuse"] == 0

    text = human(lab, "partner", "check", "two.example")
    assert "    would be refused with mode = require: " in text
    assert "two.example: 2 of 2 hosts accepted, 1 of them would be refused if partner " \
           "two.example had mode = require" in text
    text = human(lab, "partner", "check", "astray.example")
    assert text.count("would be refused with mode = require: ") == 1

    # It is as it said.
    for rule in lab.zegel.partners.values():
        rule["mode"] = "require"
    lab.zegel.write()
    for name, why in would.items():
        said = Said(lab, PROBLEMS, "partner", "check", f"{name}.example")
        (one,) = said.hosts.values()
        assert not one["accepted"] and one["refusal"]["name"] == why


def test_an_exception_in_force_is_told(make_lab):
    lab = make_lab()
    lab.receiver("late.example", certificate=lab.ca.self_signed("mx.late.example"))
    lab.zegel.partners = {"late.example": {"tls": "verify", "exception": {
        "until": "2999-01-01", "tls": "encrypt", "reason": "ticket 123"}}}
    open_lab(lab)
    said = Said(lab, 0, "partner", "check")
    one = said.hosts["mx.late.example"]
    assert (one["accepted"], one["level"], one["demand"]) == (True, "encrypt", "exception")
    assert "ticket 123" in said.domains["late.example"]["exception"]
    assert "exception of partner late.example until 2999-01-01T00:00:00Z, tls=encrypt (ticket 123)" \
        in human(lab, "partner", "check")
    # What comes after it is told, and no reason to complain today.
    watch = said.address("mx.late.example")["watches"][0]
    assert (watch["demand"], watch["level"], watch["passes"]) == ("exception", "verify", False)
    assert watch["refusal"]["name"] == "partner-tls-untrusted"
    assert "    will be refused when the exception ends: " in human(lab, "partner", "check")
    assert names(said.domains["late.example"]) == []
    lab.sink.change("mx.late.example", certificate=lab.ca.issue("mx.late.example"))
    said = Said(lab, 0, "partner", "check")
    assert said.address("mx.late.example")["watches"][0]["passes"]
    assert names(said.domains["late.example"]) == ["exception-unneeded"]
    lab.sink.change("mx.late.example", certificate=lab.ca.self_signed("mx.late.example"))

    lab.zegel.partners["late.example"]["exception"]["until"] = "2001-01-01"
    lab.zegel.write()
    said = Said(lab, PROBLEMS, "partner", "check")
    assert said.hosts["mx.late.example"]["refusal"]["name"] == "partner-tls-untrusted"
    assert said.domains["late.example"]["exception"] is None
