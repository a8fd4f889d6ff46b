"""Does DNSSEC work where the relay stands? What it finds out, what it says, and what follows for mail:
never a silent loss of DANE, and never a stop of everything."""
import json
import time

import pytest

from lab import client, website
from lab.certs import wrong_tlsa
from lab.dns import PORT, Troublemaker
from lab.place import until

PROBLEMS = 1
SIGNED, BROKEN, UNSIGNED = "signed.example", "broken.example", "unsigned.plain"


@pytest.fixture
def checked(make_lab):
    """A laboratory with names to check by, whose signed zone is asked through a troublemaker."""
    lab = make_lab()
    for name in (SIGNED, BROKEN, UNSIGNED):
        lab.dns.host(name, "192.0.2.1")
    lab.dns.zone_of(BROKEN).spoil(BROKEN, "A")
    lab.trouble = Troublemaker(lab.place, lab.dns.address)
    lab.zegel.stubs["example"] = f"{lab.trouble.address}@{PORT}"
    lab.zegel.sections["dns"].update({"check-signed": SIGNED, "check-broken": BROKEN,
                                      "check-unsigned": UNSIGNED, "check-every": "1s",
                                      "when-impaired": "opportunistic"})
    lab.zegel.sections["retry"] = {"first": "2s", "longest": "2s"}
    yield lab
    lab.trouble.close()


def send(lab, *recipients):
    content = client.message("web@shop.example", list(recipients))
    client.submit(lab.zegel, "web@shop.example", list(recipients), content, lab.login)


def resolver(lab):
    """What the running relay says of its resolver, and how "status" ends."""
    done = lab.zegel.command("--json", "status", check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return next(line["resolver"] for line in lines if "resolver" in line), done.returncode


def wait_for_state(lab, state):
    return until(lambda: (said := resolver(lab))[0]["state"] == state and said,
                 what=lambda: f"the resolver's state is {state}\n{lab.zegel.told()}", every=0.1)


def impaired(lab):
    """No signature passes any more."""
    lab.trouble.rules = [(None, None, "strips")]
    wait_for_state(lab, "impaired")
    lab.zegel.wait_log(r"error: DNSSEC validation does not work here.*\[dnssec-impaired\]")


def mended(lab):
    lab.trouble.rules = []
    wait_for_state(lab, "validates")


def waits(lab, recipient):
    escaped = recipient.replace(".", r"\.")
    return lab.zegel.wait_log(rf"to=<{escaped}>.*status=deferred")[-1]


def test_N16_a_resolver_that_validates(checked):
    lab = checked
    lab.start()
    said, status = wait_for_state(lab, "validates")
    assert said["text"] == (f"{SIGNED} is secure, {BROKEN} is bogus, {UNSIGNED} is insecure "
                            "[dnssec-validates]")
    assert status == 0 and 0 < said["since"] <= said["checked"] <= time.time()
    lab.zegel.wait_log(r"DNSSEC validation works: ")
    # Asked anew each time, whatever the caches hold.
    lab.trouble.asked.clear()
    before = said["checked"]
    until(lambda: resolver(lab)[0]["checked"] > before + 1, what="another check")
    assert lab.trouble.asked.count((SIGNED, "A")) >= 1


def test_N16_impaired_is_said_and_ends(checked):
    lab = checked
    lab.start()
    wait_for_state(lab, "validates")
    impaired(lab)
    said, status = resolver(lab)
    assert f"{SIGNED} is bogus instead of secure" in said["text"] and status == PROBLEMS
    assert "DANE IMPAIRED since" in lab.zegel.command("status", check=False).stdout
    mended(lab)
    assert resolver(lab)[1] == 0


def test_N16_impaired_opportunistic_delivers_and_dane_only_waits(checked):
    """RFC 7672's promise can't be kept, and nobody pretends: what demands DANE waits."""
    lab = checked
    lab.receiver("bank.example", tlsa=True)
    lab.receiver("wrong.example", tlsa=[wrong_tlsa()])
    lab.receiver("clinic.example", tlsa=True)
    lab.zegel.partners = {"clinic.example": {"tls": "dane-only"}}
    lab.start()
    wait_for_state(lab, "validates")
    impaired(lab)
    send(lab, "anna@bank.example")
    send(lab, "anna@clinic.example")
    lab.sink.wait_for("anna@bank.example")
    waits(lab, "anna@clinic.example")
    assert lab.sink.messages("anna@clinic.example") == []
    # Mended: DANE counts again, for what waits and for what comes.
    mended(lab)
    lab.sink.wait_for("anna@clinic.example")  # what was bogus is so for a minute
    send(lab, "anna@wrong.example")
    waits(lab, "anna@wrong.example")
    assert lab.sink.messages("anna@wrong.example") == []


def test_N16_impaired_defer_waits(checked):
    lab = checked
    lab.receiver("bank.example", tlsa=True)
    lab.zegel.sections["dns"]["when-impaired"] = "defer"
    lab.trouble.rules = [(None, None, "strips")]
    lab.start()
    impaired(lab)
    send(lab, "anna@bank.example")
    waits(lab, "anna@bank.example")
    assert lab.sink.messages("anna@bank.example") == []
    mended(lab)
    lab.sink.wait_for("anna@bank.example")


def test_N16_mta_sts_while_dnssec_is_impaired(checked):
    """Its policies need no DNSSEC: they are found, and hold."""
    lab = checked
    lab.receiver("bank.example", certificate=lab.ca.self_signed("mx.bank.example"))
    website.publish(lab, "bank.example")
    lab.start()
    wait_for_state(lab, "validates")
    impaired(lab)
    send(lab, "anna@bank.example")
    waits(lab, "anna@bank.example")
    lab.zegel.wait_log(r"MTA-STS: bank\.example has a policy: enforce")
    assert lab.sink.messages("anna@bank.example") == []


def test_N16_ad_of_others_is_not_trusted(checked):
    """A server that says it validated (AD=1) is believed in nothing: not in a zone without signatures,
    and not in general when there is no trust anchor."""
    lab = checked
    lab.receiver("bank.plain", tlsa=[wrong_tlsa()])
    lab.trouble.rules = [(None, None, "claims-ad")]
    lab.zegel.stubs["plain"] = f"{lab.trouble.address}@{PORT}"
    empty = lab.place.path / "no-anchor"
    empty.write_text("")
    empty.chmod(0o644)
    lab.start()
    wait_for_state(lab, "validates")
    send(lab, "anna@bank.plain")
    lab.sink.wait_for("anna@bank.plain")
    lab.zegel.stop()
    lab.zegel.sections["dns"]["trust-anchor"] = empty
    lab.zegel.start()
    said, _ = wait_for_state(lab, "impaired")
    assert f"{SIGNED} is insecure instead of secure, {BROKEN} is insecure instead of bogus" \
        in said["text"]


def test_N18_no_resolver_for_a_while(checked):
    """Nobody answers: mail is taken, none bounces, the verdict stays what it was; then all goes."""
    lab = checked
    lab.receiver("bank.example", tlsa=True)
    lab.start()
    wait_for_state(lab, "validates")
    lab.trouble.rules = [(None, None, "drop")]
    recipients = [f"r{i}@bank.example" for i in range(20)]
    for recipient in recipients:
        send(lab, recipient)
    assert len(lab.zegel.queue()) == len(recipients)
    waits(lab, recipients[0])
    said, status = resolver(lab)
    assert said["state"] == "validates" and status == 0
    assert "status=bounced" not in lab.zegel.log()
    lab.trouble.rules = []

    def all_came():
        lab.zegel.retry()
        return all(lab.sink.messages(recipient) for recipient in recipients)
    until(all_came, what="everything is delivered", every=1)
    assert "status=bounced" not in lab.zegel.log()


def test_N18_no_resolver_from_the_start(checked):
    lab = checked
    lab.trouble.rules = [(None, None, "servfail")]
    lab.start()
    said = until(lambda: (s := resolver(lab)[0])["checked"] > 0 and s, what="a check", every=0.2)
    assert said["state"] == "unknown" and "[dnssec-unknown]" in said["text"]
    mended(lab)


def test_checks_that_are_off(lab):
    lab.start()
    said, status = wait_for_state(lab, "not checked")
    assert status == 0 and said["checked"] == 0
