"""A host that shows another certificate by another server name: what is judged, and on what."""
from lab import website
from test_cli_probe import names, open_lab, probe
from test_tlsrpt import send, wait_shown


def alias(lab):
    """DANE asks for the name at the alias' end, MTA-STS for the MX host's own (RFC 7672 8.1, 8461 4.2)."""
    own, public = lab.ca.self_signed("real.alias.example"), lab.ca.issue("mx.alias.example")
    nobody = lab.ca.self_signed("nobody.example")
    lab.dns.host("real.alias.example", lab.sink.host("real.alias.example", nobody),
                 tlsa=[own.tlsa()], port=lab.port)
    lab.sink.show_by_name("real.alias.example",
                          **{"real.alias.example": own, "mx.alias.example": public})
    lab.dns.set("mx.alias.example", "CNAME", "real.alias.example.")
    lab.add_mx("alias.example", "mx.alias.example")
    website.publish(lab, "alias.example")


def test_T15_each_rule_is_shown_the_certificate_of_its_own_name(make_lab):
    lab = make_lab()
    alias(lab)
    open_lab(lab)
    said = probe(lab, "alias.example")
    shown = said.address("mx.alias.example")
    assert (shown["evidence"]["achieved"], shown["evidence"]["sni"]) == ("dane", "real.alias.example")
    (watch,) = shown["watches"]
    assert (watch["demand"], watch["passes"], watch["refusal"]) == ("mta-sts", True, None)
    assert watch["sni"] == "mx.alias.example"

    # Where the names are the same there is one connection, and so is what it shows.
    lab.sink.show_by_name("real.alias.example", **{
        "real.alias.example": (own := lab.ca.self_signed("real.alias.example")),
        "mx.alias.example": lab.ca.issue("mx.other.example")})
    lab.dns.tlsa("real.alias.example", own.tlsa(), port=lab.port)
    lab.dns.publish()
    lab.sink.change("real.alias.example")
    (watch,) = probe(lab, "alias.example").address("mx.alias.example")["watches"]
    assert (watch["passes"], watch["refusal"]["name"]) == (False, "sts-tls-name")


def test_T18_a_session_for_another_name_says_nothing_of_mta_sts(make_lab):
    lab = make_lab()
    alias(lab)
    lab.start()
    send(lab, "anna@alias.example")
    (event,) = lab.sink.events("message")
    assert event["sni"] == "real.alias.example"
    report = wait_shown(lab, "alias.example", 1)
    assert [(p["policy"]["policy-type"], p["summary"]["total-successful-session-count"],
             p["summary"]["total-failure-session-count"]) for p in report["policies"]] == [
        ("tlsa", 1, 0)]


def test_what_comes_after_an_exception_without_tls_is_looked_at_in_tls(make_lab):
    lab = make_lab()
    lab.receiver("right.example")
    lab.receiver("wrong.example", certificate=lab.ca.self_signed("mx.wrong.example"))
    lab.zegel.partners = {name: {"tls": "verify", "exception": {
        "until": "2999-01-01", "tls": "none", "reason": "ticket 123"}}
        for name in ("right.example", "wrong.example")}
    open_lab(lab)
    said = probe(lab, "right.example")
    one = said.address("mx.right.example")
    assert one["accepted"] and one["plaintext"]
    assert one["watches"][0]["passes"], one
    assert names(said.domains["right.example"]) == ["exception-unneeded"]
    one = probe(lab, "wrong.example").address("mx.wrong.example")
    assert one["plaintext"] and one["watches"][0]["refusal"]["name"] == "partner-tls-untrusted"
