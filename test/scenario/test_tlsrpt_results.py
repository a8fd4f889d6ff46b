"""TLS reports name the true reason of a failure (RFC 8460 4.3), and so does all that the operator reads."""
from test_tlsrpt import asks, lab, report_of, reporting, send, wait_shown  # noqa: F401


def results(report):
    """{(policy type, policy domain): {result type: (reason, sessions)}}"""
    return {(p["policy"]["policy-type"], p["policy"]["policy-domain"]): {
        f["result-type"]: (f.get("failure-reason-code"), f["failed-session-count"])
        for f in p.get("failure-details", [])} for p in report["policies"]}


def test_T8_below_a_trust_anchor_that_matches(reporting):  # noqa: F811
    lab = reporting
    anchor = lab.ca.tlsa(2, 0, 1)
    lab.receiver("bank.example", certificate=lab.ca.issue("mx.bank.example", days=-1), tlsa=[anchor])
    lab.receiver("other.example")
    asks(lab, "bank.example", "mailto:reports@other.example")
    lab.start()
    send(lab, "anna@bank.example", status="deferred")
    lab.zegel.wait_log(r"to=<anna@bank.example>.*certificate has expired.*\[dane-tls-expired\]")
    assert "[dane-tls-expired]" in lab.zegel.why("anna@bank.example")
    probed = lab.zegel.command("tls", "probe", "bank.example", check=False)
    assert probed.returncode == 1 and "[dane-tls-expired]" in probed.stdout, probed

    for certificate, told in (
            (lab.ca.issue("mx.elsewhere.example"), r"it is for another name.*\[dane-tls-name\]"),
            (lab.ca.self_signed("mx.bank.example"), r"no TLSA record matches it.*\[dane-mismatch\]"),
            (lab.ca.issue("mx.bank.example"), r"status=sent")):
        lab.sink.change("mx.bank.example", certificate=certificate)
        lab.zegel.retry()
        lab.zegel.wait_log(rf"to=<anna@bank.example>.*{told}")
    wait_shown(lab, "bank.example", 4)

    lab.zegel.command("tlsrpt", "send", "bank.example")
    report = report_of(lab.sink.wait_for("reports@other.example")[0], "bank.example")
    assert results(report) == {("tlsa", "mx.bank.example"): {
        "certificate-expired": ("dane-tls-expired", 1),
        "certificate-host-mismatch": ("dane-tls-name", 1),
        "tlsa-invalid": ("dane-mismatch", 1)}}
    assert report["policies"][0]["summary"]["total-successful-session-count"] == 1


def test_N17_a_domain_whose_signatures_fail_hears_of_it(reporting):  # noqa: F811
    lab = reporting
    lab.receiver("bank.example", tlsa=True)
    lab.receiver("other.example")
    asks(lab, "bank.example", "mailto:reports@other.example")
    lab.dns.zone_of("bank.example").spoil("bank.example", "MX")
    lab.start()
    send(lab, "anna@bank.example", status="deferred")
    lab.zegel.wait_log(r"to=<anna@bank.example>.*\[dns-bogus\]")
    report = wait_shown(lab, "bank.example", 1)
    assert results(report) == {("tlsa", "bank.example"): {"dnssec-invalid": ("dns-bogus", 1)}}
    assert "receiving-mx-hostname" not in report["policies"][0]["failure-details"][0]
    lab.zegel.command("tlsrpt", "send", "bank.example")
    report = report_of(lab.sink.wait_for("reports@other.example")[0], "bank.example")
    assert results(report) == {("tlsa", "bank.example"): {"dnssec-invalid": ("dns-bogus", 1)}}
