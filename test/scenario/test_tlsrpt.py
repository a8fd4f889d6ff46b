"""TLS reports (RFC 8460), from the deliveries that are counted to the mailbox and the web server that
the reported domain names."""
import gzip
import json

import pytest

from lab import client, tlsrpt, verify
from lab.certs import wrong_tlsa
from lab.place import until

FROM, CONTACT, ORGANIZATION = "tls-reports@shop.example", "tls@shop.example", "The Shop"


@pytest.fixture
def lab(make_lab):
    tlsrpt.stay_within_a_day(180)
    return make_lab()


@pytest.fixture
def reporting(lab):
    """A laboratory whose relay reports to all that ask."""
    lab.zegel.sections["tls-reports"] = {
        "send": "all", "from": FROM, "contact": CONTACT, "organization": ORGANIZATION}
    lab.zegel.sections["retry"] = {"first": "1h"}
    # A connection kept for the next message is no session of its own.
    lab.zegel.sections["delivery"]["idle-connections"] = 0
    return lab


def asks(lab, domain, *uris):
    lab.dns.set(f"_smtp._tls.{domain}", "TXT", f'"v=TLSRPTv1; rua={",".join(uris)}"')


def send(lab, recipient, status="sent"):
    content = client.message("web@shop.example", recipient, text="To be counted\n")
    before = len(lab.zegel.log().splitlines())
    client.submit(lab.zegel, "web@shop.example", [recipient], content, lab.login)
    until(lambda: any(f"to=<{recipient}>" in line and f"status={status}" in line
                      for line in lab.zegel.log().splitlines()[before:]),
          what=f"{recipient} is {status}\n{lab.zegel.told()}")


def shown(lab, domain):
    """What is counted of a domain now, as it would be reported; None if nothing is."""
    said = lab.zegel.command("--json", "tlsrpt", "show", domain).stdout
    reports = [json.loads(line)["report"] for line in said.splitlines()]
    assert len(reports) <= 1
    return reports[0] if reports else None


def wait_shown(lab, domain, n_sessions):
    """The same, when so many sessions are in it: they are told after the delivery is."""
    def counted():
        report = shown(lab, domain)
        return report if report and sum(sum(p["summary"].values())
                                        for p in report["policies"]) >= n_sessions else None
    return until(counted, what=f"{n_sessions} sessions with {domain} are counted", every=0.1)


def report_of(content, domain):
    report = tlsrpt.read_mail(content, domain, "shop.example", FROM)
    tlsrpt.validate(report, ORGANIZATION, CONTACT)
    return report


def test_a_day_is_reported_by_mail_and_https(reporting):
    lab = reporting
    certificate = lab.ca.issue("mx.bank.example")
    lab.receiver("bank.example", certificate=certificate, tlsa=True)
    collector = tlsrpt.Collector(lab.place, lab.ca.issue("reports.bank.example"))
    lab.dns.host("reports.bank.example", collector.address)
    asks(lab, "bank.example", "mailto:reports@bank.example",
         f"https://reports.bank.example:{tlsrpt.PORT}/v1/tlsrpt")
    lab.start()
    send(lab, "anna@bank.example")
    lab.sink.change("mx.bank.example", certificate=lab.ca.issue("mx.bank.example"))
    send(lab, "bert@bank.example", status="deferred")
    lab.sink.change("mx.bank.example", certificate=certificate)

    before = wait_shown(lab, "bank.example", 2)
    tlsrpt.validate(before, ORGANIZATION, CONTACT)
    plain = lab.zegel.command("tlsrpt", "show").stdout
    assert "bank.example" in plain and "tlsa of mx.bank.example: 1 session " in plain, plain
    assert "1 x tlsa-invalid at mx.bank.example [127." in plain, plain

    assert lab.zegel.command("tlsrpt", "send").stdout.startswith("1 report ")
    mail = lab.sink.wait_for("reports@bank.example")[0]
    verify.assert_sealed_twice(lab.dns, lab.place, mail, "shop.example")
    assert all("l" not in tags and "tls-report-domain" in tags["h"].lower().split(":")
               for tags in verify.signatures(mail))
    report = report_of(mail, "bank.example")
    policy = report["policies"][0]
    assert policy["policy"]["policy-domain"] == "mx.bank.example"
    assert [s.lower() for s in policy["policy"]["policy-string"]] == [certificate.tlsa()]
    assert policy["summary"] == {
        "total-successful-session-count": 1, "total-failure-session-count": 1}
    detail = policy["failure-details"][0]
    assert detail["result-type"] == "tlsa-invalid"
    assert detail["failure-reason-code"] == "dane-mismatch"
    assert detail["receiving-ip"] == lab.sink.hosts["mx.bank.example"]["address"]
    assert detail["sending-mta-ip"].startswith("127.")
    assert report["policies"] == before["policies"]

    until(lambda: collector.posts, what="the report is posted")
    path, kind, body = collector.posts[0]
    assert (path, kind) == ("/v1/tlsrpt", "application/tlsrpt+gzip")
    assert tlsrpt.loads(gzip.decompress(body)) == report

    # The report's own mail is no session to report; nor is anything reported twice.
    lab.zegel.wait_log(r"to=<reports@bank\.example>.*status=sent")
    until(lambda: shown(lab, "bank.example") is None, what="nothing is left")
    lab.zegel.stop()
    lab.zegel.start()
    assert lab.zegel.command("tlsrpt", "send").stdout.startswith("nothing is counted ")
    assert shown(lab, "bank.example") is None
    assert len(collector.posts) == 1 and len(lab.sink.messages("reports@bank.example")) == 1
    collector.close()


def test_who_has_no_tls_that_holds_hears_of_it(reporting):
    """RFC 8460 3: the report is delivered despite the failures it is about."""
    lab = reporting
    lab.receiver("bank.example", tlsa=[wrong_tlsa()])
    asks(lab, "bank.example", "mailto:reports@bank.example")
    lab.start()
    send(lab, "anna@bank.example", status="deferred")
    wait_shown(lab, "bank.example", 1)
    lab.zegel.command("tlsrpt", "send", "bank.example")
    report = report_of(lab.sink.wait_for("reports@bank.example")[0], "bank.example")
    assert report["policies"][0]["summary"]["total-failure-session-count"] >= 1
    assert lab.sink.messages("anna@bank.example") == []


def test_what_a_collector_refuses_is_kept_until_it_takes_it(reporting):
    lab = reporting
    lab.receiver("bank.example")
    collector = tlsrpt.Collector(lab.place, lab.ca.issue("reports.bank.example"))
    collector.status = 503
    lab.dns.host("reports.bank.example", collector.address)
    asks(lab, "bank.example", f"https://reports.bank.example:{tlsrpt.PORT}/")
    lab.start()
    send(lab, "anna@bank.example")
    before = wait_shown(lab, "bank.example", 1)
    assert before["policies"][0]["policy"]["policy-type"] == "no-policy-found"
    lab.zegel.command("tlsrpt", "send")
    lab.zegel.wait_log(r"tlsrpt: domain=bank\.example: .*status 503.*\[tlsrpt-deferred\]")
    said = lab.zegel.command("tlsrpt", "show").stdout
    assert "being sent" in said, said
    # What is counted from now on is of another report.
    send(lab, "anna@bank.example")
    until(lambda: len(lab.zegel.command("--json", "tlsrpt", "show").stdout.splitlines()) == 2,
          what="there are two reports")
    collector.close()


def test_off_it_is_counted_and_not_sent(lab):
    lab.receiver("bank.example")
    asks(lab, "bank.example", "mailto:reports@bank.example")
    lab.start()
    send(lab, "anna@bank.example")
    wait_shown(lab, "bank.example", 1)
    assert "not to be reported" in lab.zegel.command("tlsrpt", "show", "BANK.example").stdout
    refused = lab.zegel.command("tlsrpt", "send", check=False)
    assert refused.returncode == 65 and "tls-reports" in refused.stderr
    assert lab.zegel.command("tlsrpt", "show", "-no-domain-", check=False).returncode == 64
    assert "no session" in lab.zegel.command("tlsrpt", "show", "nobody.example").stdout


def test_only_listed_domains_get_reports(reporting):
    lab = reporting
    lab.zegel.sections["tls-reports"].update({"send": "listed", "domains": ["bank.example"]})
    for domain in ("bank.example", "clinic.example"):
        lab.receiver(domain)
        asks(lab, domain, f"mailto:reports@{domain}")
    lab.start()
    for domain in ("bank.example", "clinic.example"):
        send(lab, f"anna@{domain}")
        wait_shown(lab, domain, 1)
    assert lab.zegel.command("tlsrpt", "send", "clinic.example", check=False).returncode == 65
    assert lab.zegel.command("tlsrpt", "send").stdout.startswith("1 report ")
    report_of(lab.sink.wait_for("reports@bank.example")[0], "bank.example")
    assert shown(lab, "clinic.example") is not None
    assert lab.sink.messages("reports@clinic.example") == []
