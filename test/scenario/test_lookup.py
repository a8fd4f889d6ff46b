"""What the relay learns from a real, signed DNS, and what "explain" makes of it."""
import json

import pytest

from lab.certs import wrong_tlsa
from lab.dns import PORT, Troublemaker

PROBLEMS = 1


def explain(lab, domain, status=0):
    done = lab.zegel.command("--json", "explain", domain, check=False)
    assert done.returncode == status, (domain, done.returncode, done.stdout, done.stderr)
    return json.loads(done.stdout)


def refusal(lab, domain):
    return explain(lab, domain, PROBLEMS)["refusal"]


def address(lab):
    return lab.place.address()


def publish(lab, domain, host, tlsa=(), **how):
    """An MX host without anybody behind it: enough for a plan."""
    where = address(lab)
    lab.dns.host(host, where, tlsa=tlsa, port=lab.port)
    lab.add_mx(domain, host, **how)
    return where


@pytest.fixture
def started(make_lab):
    """A laboratory with a zone of examples, DNS alone."""
    lab = make_lab()
    good = wrong_tlsa()
    publish(lab, "dane.example", "mx.dane.example", tlsa=[good])
    publish(lab, "without.example", "mx.without.example")
    publish(lab, "unusable.example", "mx.unusable.example", tlsa=[wrong_tlsa(usage=1),
                                                                  wrong_tlsa(selector=7)])
    publish(lab, "mixed.example", "mx.mixed.example", tlsa=[wrong_tlsa(usage=0), good])
    publish(lab, "some.plain", "mx.some.plain", tlsa=[good])
    lab.add_mx("astray.plain", "mx.dane.example")
    lab.dns.set("null.example", "MX", "0 .")
    lab.dns.set("nullplus.example", "MX", "0 .", "10 mx.dane.example.")
    lab.dns.set("literal.example", "MX", "10 192.0.2.1.")
    lab.dns.set("implicit.example", "A", address(lab))
    lab.dns.set("nothing.example", "TXT", "nothing")
    lab.dns.set("hostless.example", "MX", "10 nobody.example.")
    lab.dns.set("alias.example", "CNAME", "dane.example.")
    lab.dns.set("loop1.example", "CNAME", "loop2.example.")
    lab.dns.set("loop2.example", "CNAME", "loop1.example.")
    # T14: an MX that is a CNAME, in a secure chain and out of one.
    lab.dns.host("real.example", address(lab), tlsa=[good], port=lab.port)
    lab.dns.set("end.example", "CNAME", "real.example.")
    lab.add_mx("cname-end.example", "end.example")
    lab.dns.host("bare.example", address(lab))
    lab.dns.set("start.example", "CNAME", "bare.example.")
    lab.dns.tlsa("start.example", good, port=lab.port)
    lab.add_mx("cname-start.example", "start.example")
    lab.dns.host("out.plain", address(lab), tlsa=[wrong_tlsa(usage=2)], port=lab.port)
    lab.dns.set("leaves.example", "CNAME", "out.plain.")
    lab.dns.tlsa("leaves.example", good, port=lab.port)
    lab.add_mx("cname-leaves.example", "leaves.example")
    # N17, T10: one signature is false.
    lab.dns.set("falsemx.example", "MX", "10 mx.dane.example.")
    publish(lab, "falsea.example", "mx.falsea.example", tlsa=[good])
    publish(lab, "falsetlsa.example", "mx.falsetlsa.example", tlsa=[good])
    zone = lab.dns.zones["example"]
    zone.spoil("falsemx.example", "MX")
    zone.spoil("mx.falsea.example", "A")
    zone.spoil(f"_{lab.port}._tcp.mx.falsetlsa.example", "TLSA")
    # N9 and order.
    for i in range(60):
        lab.add_mx("many.example", f"m{i}.many.example", preference=i)
        lab.dns.host(f"m{i}.many.example", "127.0.0.9")
    lab.zegel.write()
    lab.dns.start()
    return lab


def test_what_dns_says(started):
    lab = started

    plan = explain(lab, "dane.example")
    [host] = plan["hosts"]
    assert plan["mx_security"] == "secure" and plan["refusal"] is None
    assert host["address_security"] == "secure" and host["tlsa_security"] == "secure"
    assert (host["level"], host["demand"]) == ("dane", "dane")
    assert host["sni"] == "mx.dane.example"
    assert host["names"] == ["mx.dane.example", "dane.example"]
    assert explain(lab, "somebody@dane.example")["domain"] == "dane.example"

    # T11, T12, T13
    [host] = explain(lab, "without.example")["hosts"]
    assert (host["level"], host["demand"], host["tlsa_status"]) == ("may", "default",
                                                                    "no such name")
    plan = explain(lab, "some.plain")
    [host] = plan["hosts"]
    assert plan["mx_security"] == host["address_security"] == "insecure"
    assert (host["level"], host["tlsa_status"]) == ("may", "not asked")
    plan = explain(lab, "astray.plain")
    [host] = plan["hosts"]
    assert plan["mx_security"] == "insecure" and host["tlsa_security"] == "secure"
    assert (host["level"], host["tlsa"]) == ("may", [])

    # T3, T4, T5, T6
    [host] = explain(lab, "unusable.example")["hosts"]
    assert (host["level"], host["tlsa"], host["tlsa_unusable"]) == ("dane", [], True)
    assert host["tlsa_published"] == 2
    [host] = explain(lab, "mixed.example")["hosts"]
    assert host["tlsa_published"] == 2 and len(host["tlsa"]) == 1

    # N13, N14, N15, N8
    assert refusal(lab, "gone.example")["name"] == "domain-not-found"
    assert refusal(lab, "gone.example")["code"] == 550
    assert refusal(lab, "nothing.example")["name"] == "domain-not-found"
    assert refusal(lab, "null.example")["name"] == "null-mx"
    assert refusal(lab, "null.example")["code"] == 556
    hosts = explain(lab, "nullplus.example")["hosts"]
    assert [h["unusable"] and h["unusable"]["name"] for h in hosts] == ["null-mx", None]
    assert refusal(lab, "literal.example")["name"] == "mx-invalid"
    assert refusal(lab, "hostless.example")["name"] == "no-address"
    assert refusal(lab, "dead")["name"] == "dns-failed"
    assert refusal(lab, "somewhere.dead")["code"] == 451
    assert refusal(lab, "loop1.example")["name"] == "dns-failed"
    plan = explain(lab, "implicit.example")
    assert plan["mx_implicit"] and plan["hosts"][0]["name"] == "implicit.example"
    [host] = explain(lab, "alias.example")["hosts"]
    assert host["names"] == ["mx.dane.example", "alias.example", "dane.example"]

    # T14, T15
    [host] = explain(lab, "cname-end.example")["hosts"]
    assert (host["name"], host["tlsa_base"], host["sni"]) == ("end.example", "real.example",
                                                              "real.example")
    assert host["level"] == "dane"
    [host] = explain(lab, "cname-start.example")["hosts"]
    assert (host["tlsa_base"], host["sni"], host["level"]) == ("start.example", "start.example",
                                                               "dane")
    [host] = explain(lab, "cname-leaves.example")["hosts"]
    assert (host["address_security"], host["tlsa_base"]) == ("insecure", "leaves.example")
    assert host["level"] == "dane" and host["tlsa"][0].startswith("3 1 1")

    # N9
    hosts = explain(lab, "many.example")["hosts"]
    assert [h["name"] for h in hosts] == [f"m{i}.many.example" for i in range(20)]


def test_N17_T10_what_is_false_defers(started):
    lab = started
    said = refusal(lab, "falsemx.example")
    assert (said["name"], said["class"]) == ("dns-bogus", "deferred")
    said = refusal(lab, "falsea.example")
    assert (said["name"], said["code"]) == ("dns-bogus", 451)
    said = refusal(lab, "falsetlsa.example")
    assert (said["name"], said["code"]) == ("tlsa-lookup-failed", 451)
    # Without the trust anchor nothing is secure, and nothing false either.
    empty = lab.place.path / "no-anchor"
    empty.write_text("")
    empty.chmod(0o644)
    lab.zegel.sections["dns"]["trust-anchor"] = empty
    lab.zegel.write()
    plan = explain(lab, "falsetlsa.example")
    assert plan["mx_security"] == "insecure" and plan["hosts"][0]["level"] == "may"


def test_T10_N1_trouble_on_the_way(started):
    lab = started
    trouble = Troublemaker(lab.place, lab.dns.address)
    lab.zegel.stubs["example"] = f"{trouble.address}@{PORT}"
    lab.zegel.write()
    try:
        [host] = explain(lab, "dane.example")["hosts"]
        assert host["level"] == "dane"
        trouble.rules = [("mx.dane.example", "TLSA", "servfail")]
        assert refusal(lab, "dane.example")["name"] == "tlsa-lookup-failed"
        trouble.rules = [("dane.example", "MX", "servfail")]
        assert refusal(lab, "dane.example")["name"] == "dns-failed"
        trouble.rules = [("mx.dane.example", "AAAA", "servfail")]
        [host] = explain(lab, "dane.example")["hosts"]
        assert host["level"] == "dane" and len(host["addresses"]) == 1
        trouble.rules = [("mx.dane.example", "TLSA", "wrong-id")]
        assert refusal(lab, "dane.example")["name"] == "tlsa-lookup-failed"
        # T12: nobody is asked for TLSA whose addresses are not secure.
        trouble.rules = []
        trouble.asked.clear()
        explain(lab, "some.plain")
        assert not [kind for _, kind in trouble.asked if kind == "TLSA"]
    finally:
        trouble.close()


def test_partners_and_loopback(started):
    lab = started
    lab.zegel.partners = {
        "dane.example": {"tls": "secure", "mx": ["*.dane.example"]},
        "without.example": {"tls": "dane-only"},
        "mixed.example": {"tls": "encrypt"},
        "some.plain": {"tls": "secure", "mx": ["mx.elsewhere.plain"]},
    }
    lab.zegel.write()
    [host] = explain(lab, "dane.example")["hosts"]
    assert (host["level"], host["demand"], host["names"]) == ("secure", "partner",
                                                              ["*.dane.example"])
    assert refusal(lab, "without.example")["name"] == "dane-required"
    [host] = explain(lab, "mixed.example")["hosts"]
    assert (host["level"], host["demand"]) == ("dane", "dane")
    assert refusal(lab, "some.plain")["name"] == "partner-mx-name"
    lab.zegel.sections["delivery"]["allow-loopback"] = "off"
    lab.zegel.write()
    said = refusal(lab, "unusable.example")
    assert (said["name"], said["code"]) == ("mx-loops-back", 554)


def test_explain_for_people(started):
    lab = started
    said = lab.zegel.command("explain", "dane.example").stdout
    for words in ("dane.example: 1 MX host (secure)", "mx.dane.example", "TLSA: 1 published",
                  "TLS: dane, by dane"):
        assert words in said
    done = lab.zegel.command("explain", "gone.example", check=False)
    assert done.returncode == PROBLEMS and "[domain-not-found]" in done.stdout
    assert lab.zegel.command("explain", "no domain", check=False).returncode == 64
