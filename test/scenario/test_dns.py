"""What DNS answers decide: where mail goes, when it waits, and when it comes back."""
import pytest

from lab import client
from lab.dns import PORT, Troublemaker
from lab.place import until


def send(lab, *recipients):
    content = client.message("web@shop.example", list(recipients))
    client.submit(lab.zegel, "web@shop.example", list(recipients), content, lab.login)


def deferred(lab, recipient):
    escaped = recipient.replace(".", r"\.")
    return lab.zegel.wait_log(rf"to=<{escaped}>.*status=deferred")[-1]


def bounced(lab, recipient):
    escaped = recipient.replace(".", r"\.")
    return lab.zegel.wait_log(rf"to=<{escaped}>.*status=bounced")[-1]


def through_trouble(lab, *rules):
    """The signed zone is asked through a server that does what the rules say."""
    trouble = Troublemaker(lab.place, lab.dns.address)
    trouble.rules += rules
    lab.zegel.stubs["example"] = f"{trouble.address}@{PORT}"
    return trouble


def test_N14_null_mx_is_refused_for_good(lab):
    lab.dns.set("nomail.example", "MX", "0 .")
    lab.dns.host("nomail.example", lab.place.address())
    lab.receiver("shop.example")
    lab.start()
    send(lab, "anna@nomail.example")
    assert "dsn=5.1.10" in bounced(lab, "anna@nomail.example")


def test_N13_domain_that_does_not_exist_is_refused_for_good(lab):
    lab.receiver("shop.example")
    lab.start()
    send(lab, "anna@nowhere.example")
    assert "dsn=5.1.2" in bounced(lab, "anna@nowhere.example")


def test_N13_no_mx_means_the_domain_itself(lab):
    address = lab.sink.host("direct.example", lab.ca.issue("direct.example"))
    lab.dns.host("direct.example", address)
    lab.start()
    send(lab, "anna@direct.example")
    lab.sink.wait_for("anna@direct.example")


def test_N13_SERVFAIL_waits(lab):
    lab.receiver("bank.example")
    lab.start()
    send(lab, "anna@x.dead")
    line = deferred(lab, "anna@x.dead")
    assert "dsn=4." in line
    assert lab.zegel.queue()[0]["recipient"] == "anna@x.dead"


@pytest.mark.parametrize("owner,kind", [("bank.example", "MX"), ("mx.bank.example", "A")])
def test_N17_bogus_waits_and_delivers_when_mended(lab, owner, kind):
    """A signature that does not verify: nobody is connected to, nothing bounces."""
    lab.receiver("bank.example")
    lab.dns.zone_of(owner).spoil(owner, kind)
    lab.start()
    send(lab, "anna@bank.example")
    deferred(lab, "anna@bank.example")
    assert lab.sink.events() == [] or lab.sink.messages("anna@bank.example") == []
    lab.dns.zone_of(owner).mend()
    lab.dns.publish()

    def retried():
        lab.zegel.retry("bank.example")
        return lab.sink.messages("anna@bank.example")
    until(retried, what="delivery after the zone is mended", every=1)


def test_T10_bogus_TLSA_makes_the_host_unusable(lab):
    lab.receiver("bank.example", tlsa=True)
    lab.dns.zone_of("example").spoil(f"_{lab.port}._tcp.mx.bank.example", "TLSA")
    lab.start()
    send(lab, "anna@bank.example")
    deferred(lab, "anna@bank.example")
    assert "MAIL" not in lab.sink.clear_text("mx.bank.example")
    assert lab.sink.messages("anna@bank.example") == []


@pytest.mark.parametrize("what", ["servfail", "drop"])
def test_T10_failing_TLSA_lookup_makes_the_host_unusable(lab, what):
    """DANE that cannot be asked about is not DANE that is not there."""
    lab.receiver("bank.example", tlsa=True)
    through_trouble(lab, ("_tcp.mx.bank.example", "TLSA", what))
    lab.start()
    send(lab, "anna@bank.example")
    deferred(lab, "anna@bank.example")
    assert lab.sink.messages("anna@bank.example") == []
    assert "MAIL" not in lab.sink.clear_text("mx.bank.example")


def test_T10_another_host_of_the_domain_is_used(lab):
    lab.receiver("bank.example", host="mx1.bank.example", preference=10, tlsa=True)
    lab.receiver("bank.example", host="mx2.bank.example", preference=20)
    through_trouble(lab, ("_tcp.mx1.bank.example", "TLSA", "servfail"))
    lab.start()
    send(lab, "anna@bank.example")
    lab.sink.wait_for("anna@bank.example")
    assert [e["host"] for e in lab.sink.events("message")] == ["mx2.bank.example"]


@pytest.mark.parametrize("kind", ["MX", "A"])
def test_N13_no_answer_waits(lab, kind):
    lab.receiver("bank.example")
    through_trouble(lab, ("bank.example", kind, "drop"))
    lab.start()
    send(lab, "anna@bank.example")
    deferred(lab, "anna@bank.example")
    assert len(lab.zegel.queue()) == 1


def test_N1_answers_with_a_wrong_id_are_not_believed(lab):
    lab.receiver("bank.example")
    through_trouble(lab, ("bank.example", None, "wrong-id"))
    lab.start()
    send(lab, "anna@bank.example")
    deferred(lab, "anna@bank.example")
    assert lab.sink.messages("anna@bank.example") == []


def test_N15_mx_at_loopback_or_at_ourselves_is_an_error(lab):
    """Without allow-loopback, which only laboratories set, an MX at 127.0.0.0/8 is refused."""
    lab.zegel.sections["delivery"]["allow-loopback"] = "off"
    lab.receiver("bank.example")
    lab.start()
    send(lab, "anna@bank.example")
    assert "dsn=5." in bounced(lab, "anna@bank.example")
    assert lab.sink.messages("anna@bank.example") == []


def test_T14_mx_host_that_is_an_alias(lab):
    """RFC 7672 2.2.2: the TLSA records stand at the expanded name."""
    certificate = lab.ca.issue("real.bank.example")
    address = lab.sink.host("real.bank.example", certificate)
    lab.dns.host("real.bank.example", address, tlsa=[certificate.tlsa()], port=lab.port)
    lab.dns.set("mx.bank.example", "CNAME", "real.bank.example.")
    lab.dns.mx("bank.example", "mx.bank.example")
    lab.start()
    send(lab, "anna@bank.example")
    lab.sink.wait_for("anna@bank.example")
    lab.zegel.wait_log(r"Verified TLS connection established to (real|mx)\.bank\.example")


def test_N8_alias_that_leads_to_itself_waits_or_fails_but_ends(lab):
    lab.dns.set("a.example", "CNAME", "b.example.")
    lab.dns.set("b.example", "CNAME", "a.example.")
    lab.receiver("shop.example")
    lab.start()
    send(lab, "anna@a.example")
    lab.zegel.wait_log(r"to=<anna@a\.example>.*status=(deferred|bounced)")


def test_explain_prints_the_plan(lab):
    host = lab.receiver("bank.example", tlsa=True)
    lab.start()
    said = lab.zegel.command("explain", "bank.example").stdout
    assert host in said and "dane" in said.lower() and "secure" in said


def test_N18_unreachable_resolver_keeps_mail(lab):
    lab.zegel.stubs["example"] = f"{lab.place.address()}@{PORT}"
    lab.start()
    send(lab, "anna@bank.example")
    deferred(lab, "anna@bank.example")
    assert len(lab.zegel.queue()) == 1
