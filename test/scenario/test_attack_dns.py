"""An attacker between the relay and the DNS: whatever is done to answers, DANE is not given up for it."""
import pytest

from lab import client
from lab.certs import wrong_tlsa
from lab.dns import PORT, Troublemaker
from lab.place import until

FROM = "web@shop.example"
SIGNED, BROKEN, UNSIGNED = "signed.example", "broken.example", "unsigned.plain"


@pytest.fixture
def attacked(make_lab):
    """A laboratory that checks DNSSEC each second, with an attacker before its signed zone."""
    lab = make_lab()
    for name in (SIGNED, BROKEN, UNSIGNED):
        lab.dns.host(name, "192.0.2.1")
    lab.dns.zone_of(BROKEN).spoil(BROKEN, "A")
    lab.trouble = Troublemaker(lab.place, lab.dns.address)
    lab.zegel.stubs["example"] = f"{lab.trouble.address}@{PORT}"
    lab.zegel.sections["dns"].update({"check-signed": SIGNED, "check-broken": BROKEN,
                                      "check-unsigned": UNSIGNED, "check-every": "1s"})
    lab.zegel.sections["retry"] = {"first": "2s", "longest": "2s"}
    yield lab
    lab.trouble.close()


def send(lab, recipient):
    client.submit(lab.zegel, FROM, [recipient], client.message(FROM, recipient), lab.login)


def wait_for_resolver(lab, words):
    until(lambda: words in lab.zegel.command("status", check=False).stdout,
          what=f"status says {words}\n{lab.zegel.told()}", every=0.1)


def test_signatures_that_are_stripped_do_not_end_DANE(attacked):
    """Who presents another certificate than the TLSA record's gets no mail, also if all signatures are
    stripped until every check has failed, and the relay is started anew in the midst of it."""
    lab = attacked
    lab.receiver("bank.example", tlsa=[wrong_tlsa()])
    lab.start()
    wait_for_resolver(lab, "validates")
    lab.trouble.rules = [(None, None, "strips")]
    wait_for_resolver(lab, "DNSSEC BROKEN since")
    assert lab.zegel.command("status", check=False).returncode == 1
    lab.zegel.wait_log(r"error: DNSSEC validation has worked here and fails now.*\[dnssec-broken\]")
    send(lab, "anna@bank.example")
    lab.zegel.wait_log(r"to=<anna@bank.example>.*status=deferred")
    lab.zegel.stop()
    lab.zegel.start()
    wait_for_resolver(lab, "DNSSEC BROKEN since")
    lab.zegel.wait_log(r"to=<anna@bank.example>.*status=deferred", n=3)
    lab.trouble.rules = []
    lab.zegel.stop()
    lab.zegel.start()
    wait_for_resolver(lab, "validates")
    lab.zegel.wait_log(r"to=<anna@bank.example>.*status=deferred.*dane-mismatch")
    assert lab.sink.events("message") == []


def test_the_operator_may_have_it_otherwise(attacked):
    lab = attacked
    lab.zegel.sections["dns"]["when-impaired"] = "opportunistic"
    lab.receiver("bank.example", tlsa=[wrong_tlsa()])
    lab.start()
    wait_for_resolver(lab, "validates")
    lab.trouble.rules = [(None, None, "strips")]
    wait_for_resolver(lab, "DANE IMPAIRED since")
    send(lab, "anna@bank.example")
    lab.sink.wait_for("anna@bank.example")
