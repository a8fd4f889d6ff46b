"""Stories of delivery security that take time: policies that outlive their host, rules for partners
that are tried before they hold, exceptions that end. What needs one message only is in the zoo."""
import datetime
import time

import pytest

from lab import client, website
from lab.certs import wrong_tlsa
from lab.place import until

DOMAIN = "bank.plain"  # not signed: DANE has no say
SOMEBODY = f"anna@{DOMAIN}"
PROBLEMS = 1
MINUTE_S = 60


def send(lab, recipient=SOMEBODY):
    content = client.message("web@shop.example", recipient)
    client.submit(lab.zegel, "web@shop.example", [recipient], content, lab.login)


def entries(lab):
    return [e for e in lab.zegel.queue() if e["recipient"] == SOMEBODY]


def waiting_entry(lab, attempts=1):
    """The message that waits, when it has been tried so often."""
    def tried():
        return [e for e in entries(lab) if e["attempts"] >= attempts and not e["under_way"]]
    return until(tried, what=f"the message was tried {attempts} time(s)\n{lab.zegel.told()}")[0]


def said_in_clear(lab):
    """What the MX host heard in the clear of messages; commands before STARTTLS are none."""
    text = lab.sink.clear_text(f"mx.{DOMAIN}").upper()
    return [word for word in ("MAIL FROM", "RCPT TO", "DATA") if word in text]


def test_T22_a_policy_survives_a_restart_without_its_host(lab):
    """The policy host goes, the record goes, the MX stops offering TLS: an attacker could do no
    more. Until max_age nothing is said in the clear; then the policy is over."""
    lab.receiver(DOMAIN)
    site = website.publish(lab, DOMAIN, max_age=MINUTE_S)
    lab.zegel.sections["retry"] = {"first": "1h"}
    lab.start()
    not_before = time.time()  # that is when it is fetched
    send(lab)
    lab.sink.wait_for(SOMEBODY)
    not_after = time.time()
    assert len(site.asked) == 1
    lab.zegel.stop()

    site.close()
    lab.dns.set(f"_mta-sts.{DOMAIN}", "TXT")
    lab.dns.publish()
    lab.sink.stop()
    lab.sink.hosts[f"mx.{DOMAIN}"].pop("chain")
    lab.sink.start()
    lab.zegel.start()

    send(lab)
    entry = waiting_entry(lab)
    assert entry["reason"] == "starttls-missing" and "mta-sts" in entry["reply"], entry
    lab.zegel.retry()
    waiting_entry(lab, attempts=2)
    assert time.time() < not_before + MINUTE_S, "the laboratory is too slow for this policy"
    assert said_in_clear(lab) == [] and len(lab.sink.events("message")) == 1

    until(lambda: time.time() > not_after + MINUTE_S + 1, what="the policy is over", every=0.2)
    lab.zegel.retry()
    until(lambda: len(lab.sink.events("message")) == 2, what="the message is delivered")
    assert lab.sink.events("message")[1]["tls"] is None  # nothing forbids it any more


def test_T24_a_partner_is_observed_then_required_then_excepted(lab):
    lab.receiver(DOMAIN, certificate=lab.ca.self_signed(f"mx.{DOMAIN}"))
    rule = {"tls": "secure", "mx": [f"mx.{DOMAIN}"], "mode": "observe"}
    lab.zegel.partners = {DOMAIN: rule}
    lab.zegel.sections["retry"] = {"first": "1h"}
    lab.start()

    # Observed: it says what it would have refused, and delivers.
    send(lab)
    lab.sink.wait_for(SOMEBODY)
    lab.zegel.wait_log(r"observe.*\[partner-tls-untrusted\]|\[partner-tls-untrusted\].*observe")
    checked = lab.zegel.command("partner", "check", DOMAIN, check=False)
    assert checked.returncode == PROBLEMS and "[partner-tls-untrusted]" in checked.stdout, checked
    assert f"observed   partner {DOMAIN}" in lab.zegel.command("status").stdout

    # Required: the same is refused, and waits.
    rule["mode"] = "require"
    lab.zegel.reload_and_wait()
    send(lab)
    entry = waiting_entry(lab)
    assert entry["reason"] == "partner-tls-untrusted", entry
    assert len(lab.sink.messages(SOMEBODY)) == 1

    # Excepted, for a minute: it goes, and each use is told.
    end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=MINUTE_S)
    rule["exception"] = {"until": end.strftime("%Y-%m-%dT%H:%M:%SZ"), "tls": "encrypt",
                         "reason": "ticket 123"}
    lab.zegel.reload_and_wait()
    lab.zegel.retry()
    lab.sink.wait_for(SOMEBODY, n=2)
    assert datetime.datetime.now(datetime.timezone.utc) < end, "the laboratory is too slow for this"
    lab.zegel.wait_log(r"exception.*ticket 123")
    status = lab.zegel.command("status").stdout
    assert f"exception  partner {DOMAIN}: tls=encrypt instead of secure until" in status

    # Over, by itself: nothing was reloaded, and the rule holds again.
    until(lambda: datetime.datetime.now(datetime.timezone.utc) > end, what="its end", every=0.2)
    send(lab)
    entry = waiting_entry(lab)
    assert entry["reason"] == "partner-tls-untrusted", entry
    assert len(lab.sink.messages(SOMEBODY)) == 2
    status = lab.zegel.command("status").stdout
    assert f"exception  partner {DOMAIN}: is over since" in status and "ticket 123" in status


@pytest.mark.parametrize("level,wrong,bare", [
    ("may", "sent", "sent"), ("encrypt", "sent", "deferred"), ("dane", "deferred", "deferred")])
def test_T13_hosts_with_records_that_insecure_mx_records_name(lab, level, wrong, bare):
    """RFC 7672 2.2.1: DANE MAY be used with them. wrong: a host whose record does not match;
    bare: one that offers no TLS."""
    lab.receiver("wrong.plain", host="mx.wrong.example", tlsa=[wrong_tlsa()])
    lab.receiver("bare.plain", host="mx.bare.example", tlsa=[wrong_tlsa()], tls=False)
    lab.zegel.sections["delivery"]["dane-insecure-mx"] = level
    lab.start()
    for domain, status in (("wrong", wrong), ("bare", bare)):
        send(lab, f"anna@{domain}.plain")
        lab.zegel.wait_log(rf"to=<anna@{domain}\.plain>.*status={status}")


