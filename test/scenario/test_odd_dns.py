"""Answers of odd shape from a real, signed DNS: aliases at every place, DNAME, wildcards, long sets."""
import json

import pytest

from lab import website
from lab.certs import wrong_tlsa
from lab.laboratory import Laboratory

PROBLEMS = 1


def explain(lab, domain, status=0):
    done = lab.zegel.command("--json", "explain", domain, check=False, seconds=120)
    assert done.returncode == status, (domain, done.returncode, done.stdout, done.stderr)
    return json.loads(done.stdout)


def host_of(lab, domain):
    [host] = explain(lab, domain)["hosts"]
    return host


def mx_host(lab, domain, host, tlsa=()):
    lab.dns.host(host, lab.place.address(), tlsa=tlsa, port=lab.port)
    lab.add_mx(domain, host)


@pytest.fixture(scope="module")
def odd():
    """A laboratory with all of them, DNS and policy hosts alone; nothing of it changes."""
    lab = Laboratory(name="odd_dns")
    publish(lab)
    publish_policies(lab)
    lab.zegel.write()
    lab.dns.start()
    yield lab
    assert lab.close() == ""


def publish(lab):
    dns, tlsa_of = lab.dns, lambda host: f"_{lab.port}._tcp.{host}"
    good = wrong_tlsa()
    mx_host(lab, "new.example", "mx.new.example", tlsa=[good])
    dns.set("old.example", "DNAME", "new.example.")
    dns.set("box.new.example", "MX", "10 mx.new.example.")
    lab.add_mx("renamed.example", "mx.old.example")
    mx_host(lab, "new.plain", "mx.new.plain", tlsa=[good])
    dns.set("leaves.example", "DNAME", "new.plain.")
    lab.add_mx("astray.example", "mx.leaves.example")
    for domain, target in (("shared", "tlsa.example."), ("shared-out", "tlsa.plain."),
                           ("shared-gone", "nobody.example."), ("shared-loop", None)):
        mx_host(lab, f"{domain}.example", f"mx.{domain}.example")
        name = tlsa_of(f"mx.{domain}.example")
        dns.set(name, "CNAME", target or f"other.{name}.")
    name = tlsa_of("mx.shared-loop.example")
    dns.set(f"other.{name}", "CNAME", f"{name}.")
    dns.set("tlsa.example", "TLSA", good)
    dns.set("tlsa.plain", "TLSA", good)
    mx_host(lab, "wild.example", "mx.wild.example")
    dns.set("*.mx.wild.example", "TLSA", good)
    dns.set("*.any.example", "MX", "10 mx.new.example.")
    dns.host("*.hosts.example", lab.place.address())
    lab.add_mx("wild-host.example", "mx.hosts.example")
    dns.set(tlsa_of("*.hosts.example"), "TLSA", good)
    mx_host(lab, "many-tlsa.example", "mx.many-tlsa.example",
            tlsa=[f"3 1 1 {i:064x}" for i in range(100)])
    mx_host(lab, "odd-tlsa.example", "mx.odd-tlsa.example",
            tlsa=[f"3 1 {i} {i:064x}" for i in range(100, 200)] + [good])
    for i in range(120):
        lab.add_mx("many-mx.example", f"m{i}.many-mx.example")
    dns.host("*.many-mx.example", lab.place.address())


def publish_policies(lab):
    dns = lab.dns
    for domain in ("alias.plain", "strings.plain", "among.plain", "twice.plain", "loop.plain",
                   "wild.plain", "renamed.plain"):
        mx_host(lab, domain, f"mx.{domain}")
        website.publish(lab, domain)
    # As a provider would have it: both names lead to its own.
    dns.host("policies.example", *[a for a in dns.zone_of("plain").records.pop(
        ("mta-sts.alias.plain", "A"))])
    dns.set("mta-sts.alias.plain", "CNAME", "policies.example.")
    dns.set("_mta-sts.alias.plain", "TXT")
    dns.set("_mta-sts.alias.plain", "CNAME", "record.policies.example.")
    dns.set("record.policies.example", "TXT", '"v=STSv1; id=provider1"')
    dns.set("_mta-sts.strings.plain", "TXT", '"v=STS" "v1;" " id=1" "2" ";"')
    dns.set("_mta-sts.among.plain", "TXT", '"x=y"', '""', '"v=STSv1; id=3"', '"v=spf1 -all"')
    dns.set("_mta-sts.twice.plain", "TXT", '"v=STSv1; id=1;"', '"v=STSv1; id=2;"')
    dns.set("_mta-sts.loop.plain", "TXT")
    dns.set("_mta-sts.loop.plain", "CNAME", "_mta-sts.loop.plain.")
    dns.set("_mta-sts.wild.plain", "TXT")
    dns.set("*.wild.plain", "TXT", '"v=spf1 -all"')
    dns.set("_mta-sts.renamed.plain", "TXT")
    dns.set("_mta-sts.renamed.plain", "DNAME", "elsewhere.plain.")


def test_T14_a_host_behind_a_DNAME(odd):
    host = host_of(odd, "renamed.example")
    assert (host["name"], host["tlsa_base"], host["sni"]) == ("mx.old.example", "mx.new.example",
                                                              "mx.new.example")
    assert (host["address_security"], host["level"]) == ("secure", "dane")
    # Into a zone that is not signed: what is there is nobody's word.
    host = host_of(odd, "astray.example")
    assert (host["address_security"], host["level"], host["tlsa"]) == ("insecure", "may", [])


def test_T14_a_domain_behind_a_DNAME(odd):
    plan = explain(odd, "box.old.example")
    assert plan["mx_security"] == "secure"
    [host] = plan["hosts"]
    assert host["level"] == "dane"
    assert host["names"] == ["mx.new.example", "box.old.example", "box.new.example"]


def test_T14_TLSA_records_behind_an_alias(odd):
    """RFC 7671 5.3: the alias says where the records are, and not what the base is."""
    host = host_of(odd, "shared.example")
    assert (host["level"], host["tlsa_base"], host["sni"]) == ("dane", "mx.shared.example",
                                                               "mx.shared.example")
    host = host_of(odd, "shared-out.example")
    assert (host["level"], host["tlsa_security"]) == ("may", "insecure")
    host = host_of(odd, "shared-gone.example")
    assert (host["level"], host["tlsa_security"]) == ("may", "secure")
    refusal = explain(odd, "shared-loop.example", PROBLEMS)["refusal"]
    assert (refusal["name"], refusal["code"]) == ("tlsa-lookup-failed", 451)


def test_T11_wildcards(odd):
    assert host_of(odd, "wild.example")["level"] == "dane"
    plan = explain(odd, "whatever.any.example")
    assert plan["mx_security"] == "secure" and plan["hosts"][0]["level"] == "dane"
    # The star is a label of the name as it stands: its records are not those of what it stands for.
    host = host_of(odd, "wild-host.example")
    assert (host["address_security"], host["level"]) == ("secure", "may")


def test_N9_long_sets(odd):
    host = host_of(odd, "many-tlsa.example")
    assert (host["level"], host["tlsa_published"]) == ("dane", 64)
    host = host_of(odd, "odd-tlsa.example")
    assert host["level"] == "dane" and len(host["tlsa"]) == 1
    assert len(explain(odd, "many-mx.example")["hosts"]) == 20


@pytest.mark.parametrize("domain, policy_id", [("alias.plain", "provider1"),
                                               ("strings.plain", "12"), ("among.plain", "3")])
def test_T22_records_of_odd_shape(odd, domain, policy_id):
    plan = explain(odd, domain)
    assert plan["policy"]["id"] == policy_id
    assert (plan["hosts"][0]["level"], plan["hosts"][0]["demand"]) == ("mta-sts", "mta-sts")


@pytest.mark.parametrize("domain", ["twice.plain", "wild.plain", "renamed.plain"])
def test_T22_what_is_no_record(odd, domain):
    plan = explain(odd, domain)
    assert plan["policy"] is None and plan["hosts"][0]["level"] == "may"


def test_N8_a_record_that_leads_to_itself(odd):
    plan = explain(odd, "loop.plain")
    assert plan["policy"] is None and "could not be learned" in plan["policy_problem"]
