"""zegel explain, for a message: who may send it, where it would go, who demands what, and whether it
would go at all."""
import datetime
import json

import pytest

from lab import client, website
from lab.certs import wrong_tlsa

PROBLEMS, USAGE = 1, 64
WEB = "web@shop.example"


def explain(lab, *words, status=0):
    done = lab.zegel.command("--json", "explain", *words, check=False)
    assert done.returncode == status, (words, done.returncode, done.stdout, done.stderr)
    told = json.loads(done.stdout)
    assert told["goes"] == (status == 0)
    return told


def for_people(lab, *words, status=0):
    done = lab.zegel.command("explain", *words, check=False)
    assert done.returncode == status, (words, done.returncode, done.stdout, done.stderr)
    return done.stdout


@pytest.fixture
def started(make_lab):
    """Receivers in DNS alone: a plan connects to nobody."""
    lab = make_lab()
    lab.dns.host("mx.bank.example", lab.place.address(), tlsa=[wrong_tlsa()], port=lab.port)
    lab.add_mx("bank.example", "mx.bank.example")
    lab.dns.host("mx.bank.plain", lab.place.address())
    lab.add_mx("bank.plain", "mx.bank.plain")
    lab.zegel.add_account("all@shop.example", "something long", ["@shop.example"])
    lab.zegel.add_account("quiet@shop.example", "something long", ["info@shop.example"])
    lab.zegel.accounts["quiet@shop.example"]["tls-floor"] = "dane-only"
    lab.start(start_zegel=False)
    lab.zegel.write()
    return lab


def test_who_may_send(started):
    lab = started
    told = explain(lab, "somebody@shop.example", "anna@bank.example")
    sender = told["sender"]
    assert sender["address"] == "somebody@shop.example"
    assert [a["name"] for a in sender["accounts"]] == ["all@shop.example"]
    assert sender["selectors"] == ["lab-rsa", "lab-ed"] and sender["domain"] == "shop.example"
    assert told["hosts"][0]["demand"] == "dane"

    # Two may send as this one; the plan is for the account that demands most.
    told = explain(lab, "<info@shop.example>", "anna@bank.example")
    assert {a["name"]: a["tls_floor"] for a in told["sender"]["accounts"]} == {
        "all@shop.example": "none", "quiet@shop.example": "dane-only"}
    assert (told["hosts"][0]["level"], told["hosts"][0]["demand"]) == ("dane-only", "account")
    told = explain(lab, "info@shop.example", "anna@bank.plain", status=PROBLEMS)
    assert told["refusal"]["name"] == "dane-required"

    for address, name in (("ceo@bank.example", "sender-not-owned"), ("<>", "sender-null")):
        told = explain(lab, address, "anna@bank.example", status=PROBLEMS)
        assert told["sender"]["refusal"]["name"] == name
        assert f"[{name}]" in told["decision"] and told["refusal"] is None
    assert lab.zegel.command("explain", "no address", "anna@bank.example",
                             check=False).returncode == USAGE
    assert lab.zegel.command("explain", "info@shop.example", "anna@", check=False
                             ).returncode == USAGE


def test_all_of_it_for_people(started):
    lab = started
    soon = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=2)).date()
    lab.zegel.partners = {
        "bank.example": {"tls": "secure", "mx": ["mx.bank.plain"], "mode": "observe"},
        "bank.plain": {"tls": "dane-only", "exception": {
            "until": soon.isoformat(), "tls": "encrypt", "reason": "ticket 123"}},
    }
    lab.zegel.write()
    said = for_people(lab, "info@shop.example", "anna@bank.example")
    for words in ("account all@shop.example may send as it", "tls-floor dane-only (the plan below",
                  "signed for shop.example by lab-rsa and lab-ed",
                  "bank.example: 1 MX host (secure)", "MTA-STS: no policy",
                  "partner bank.example: tls=secure, observed", "TLS: dane-only, by account",
                  "observed: secure by partner would refuse the host", "[partner-mx-name]",
                  "Mail goes to mx.bank.example first, over TLS that its TLSA records prove"):
        assert words in said, (words, said)
    said = for_people(lab, "somebody@shop.example", "anna@bank.plain")
    for words in ("bank.plain: 1 MX host (insecure)", "tls=dane-only, required",
                  f"exception in force until {soon}T00:00:00Z, tls=encrypt (ticket 123)",
                  "TLS: encrypt, by exception", "over TLS, whoever answers"):
        assert words in said, (words, said)
    told = explain(lab, "anna@bank.example")
    assert told["partner"] == {"name": "bank.example", "tls": "secure", "mode": "observe",
                               "exception": None}
    [watch] = told["hosts"][0]["watches"]
    assert (watch["watch"], watch["level"]) == ("partner", "secure")
    assert watch["unusable"]["name"] == "partner-mx-name" and "sender" not in told


def test_routes_of_the_operator(started):
    lab = started
    lab.zegel.routes = {
        "bank.example": {"host": "mx.bank.plain", "port": 2526, "tls": "encrypt"},
        ".plain": {"host": "127.0.0.5", "tls": "may"},
    }
    lab.zegel.write()
    told = explain(lab, "anna@bank.example")
    assert told["route"] == {"domain": "bank.example", "host": "mx.bank.plain", "port": 2526,
                             "tls": "encrypt", "login": None}
    [host] = told["hosts"]
    assert (host["level"], host["demand"], host["tlsa_status"]) == ("encrypt", "route",
                                                                    "not asked")
    said = for_people(lab, "anna@bank.plain")
    assert "bank.plain: route .plain to 127.0.0.5, port 25" in said
    # The floor of the account holds for the next hop too.
    told = explain(lab, "info@shop.example", "anna@bank.example", status=PROBLEMS)
    assert told["refusal"]["name"] == "dane-required"


def test_a_route_to_an_address_needs_no_DNS(make_lab):
    """Explained and delivered: to a filter on this machine, say, for a domain that is not even there."""
    lab = make_lab()
    address = lab.sink.host("filter", None)
    lab.zegel.routes = {"nowhere.dead": {"host": address, "port": lab.port, "tls": "may"}}
    lab.start()
    [host] = explain(lab, "anna@nowhere.dead")["hosts"]
    assert (host["addresses"], host["level"], host["sni"]) == ([address], "may", None)
    content = client.message(WEB, "anna@nowhere.dead")
    client.submit(lab.zegel, WEB, ["anna@nowhere.dead"], content, lab.login)
    lab.sink.wait_for("anna@nowhere.dead")


def test_T21_the_policy_that_the_relay_keeps(make_lab):
    """Told with its age, also when its host is gone; a relay that does not run is asked in vain."""
    lab = make_lab()
    lab.receiver("bank.plain")
    site = website.publish(lab, "bank.plain", mx="*.bank.plain", policy_id="abc1")
    lab.start()
    told = explain(lab, "anna@bank.plain")
    policy = told["policy"]
    assert (policy["mode"], policy["id"], policy["mx"]) == ("enforce", "abc1", ["*.bank.plain"])
    assert policy["max_age"] == 86400 and 0 <= policy["age"] < 3600
    [host] = told["hosts"]
    assert (host["level"], host["demand"]) == ("mta-sts", "mta-sts")
    assert host["names"] == ["mx.bank.plain"]
    assert len(site.asked) == 1  # nothing is kept by the command

    content = client.message(WEB, "anna@bank.plain")
    client.submit(lab.zegel, WEB, ["anna@bank.plain"], content, lab.login)
    lab.sink.wait_for("anna@bank.plain")
    assert len(site.asked) == 2
    site.close()
    assert explain(lab, "anna@bank.plain")["policy"]["id"] == "abc1"
    said = for_people(lab, WEB, "anna@bank.plain")
    assert "MTA-STS: enforce, id abc1, 0 minutes old, valid until" in said
    assert "a certificate for mx.bank.plain by a trusted authority (mta-sts by mta-sts)" in said

    lab.zegel.stop()
    told = explain(lab, "anna@bank.plain")
    assert told["policy"] is None and told["policy_problem"]
    assert "the last try to learn the policy failed" in for_people(lab, "anna@bank.plain")


def test_T18_T21_a_policy_beside_DANE_and_one_that_forbids(started):
    lab = started
    website.publish(lab, "bank.example", mx="mx2.bank.example")
    website.publish(lab, "bank.plain", mx="mx2.bank.plain")
    lab.dns.publish()
    lab.zegel.write()
    [host] = explain(lab, "anna@bank.example")["hosts"]
    assert (host["level"], host["unusable"]) == ("dane", None)
    [watch] = host["watches"]
    assert (watch["watch"], watch["unusable"]["name"]) == ("mta-sts", "sts-mx-name")
    assert "watched: mta-sts by mta-sts would refuse the host" in for_people(
        lab, "anna@bank.example")
    told = explain(lab, "anna@bank.plain", status=PROBLEMS)
    assert (told["refusal"]["name"], told["refusal"]["class"]) == ("sts-mx-name", "deferred")


def test_N16_a_resolver_that_does_not_validate(make_lab):
    """The running relay has found out: what explain tells is what a delivery would do."""
    lab = make_lab()
    lab.receiver("bank.example", tlsa=True)
    lab.dns.set("broken.example", "A", "127.0.0.9")
    lab.dns.set("signed.example", "A", "127.0.0.9")
    # Without an anchor nothing can be validated.
    empty = lab.place.path / "no-anchor"
    empty.write_text("")
    empty.chmod(0o644)
    lab.zegel.sections["dns"].update({"trust-anchor": empty, "check-signed": "signed.example",
                                      "check-broken": "broken.example", "check-unsigned": "",
                                      "check-every": "1s"})
    lab.zegel.partners = {"bank.example": {"tls": "dane-only", "mode": "observe"}}
    lab.start()
    lab.zegel.wait_log(r"DANE is impaired")
    told = explain(lab, "anna@bank.example")
    assert told["impaired"] and told["hosts"][0]["level"] == "may"
    [watch] = told["hosts"][0]["watches"]
    assert watch["unusable"]["name"] == "dane-impaired"
    assert "DANE IMPAIRED" in for_people(lab, "anna@bank.example")
