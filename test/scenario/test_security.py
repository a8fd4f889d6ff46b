"""What must be safe on the way: DANE, partners, and what is done when neither is there."""
import pytest

from lab import client
from lab.certs import Authority, wrong_tlsa
from lab.hostile import Hostile, helpful
from lab.place import until


def send(lab, recipient):
    content = client.message("web@shop.example", recipient, text="Secret-Body\n")
    client.submit(lab.zegel, "web@shop.example", [recipient], content, lab.login)


def refused_for(lab, recipient):
    """Waits until an attempt for this recipient has failed, and returns its line of the log."""
    escaped = recipient.replace(".", r"\.")
    return lab.zegel.wait_log(rf"to=<{escaped}>.*status=deferred")[-1]


def nothing_left(lab, domain, host):
    assert lab.sink.messages(f"anna@{domain}") == []
    clear = lab.sink.clear_text(host)
    assert "MAIL" not in clear and "Secret-Body" not in clear


def test_T24_partner_with_unsuitable_certificate_waits_until_mended(lab):
    """Nothing is sent, `why` says the reason, and after the certificate is mended retry delivers."""
    host = lab.receiver("bank.example", certificate=lab.ca.issue("other.example"))
    lab.zegel.partners["bank.example"] = {"tls": "secure", "mx": ["*.bank.example"]}
    lab.start()
    send(lab, "anna@bank.example")
    refused_for(lab, "anna@bank.example")
    nothing_left(lab, "bank.example", host)
    why = lab.zegel.why("anna@bank.example")
    assert "partner" in why and host in why, why
    assert any("certificate" in line for line in why.splitlines())
    lab.sink.change(host, certificate=lab.ca.issue(host))
    lab.zegel.retry("bank.example")
    lab.sink.wait_for("anna@bank.example")
    until(lambda: lab.zegel.queue() == [], what="an empty queue")


@pytest.mark.parametrize("unsuitable", ["self-signed", "expired", "other authority", "no TLS"])
def test_T24_partner_enforced_never_falls_back(lab, unsuitable):
    host = "mx.bank.example"
    certificate = {
        "self-signed": lambda: lab.ca.self_signed(host),
        "expired": lambda: lab.ca.issue(host, days=-1),
        "other authority": lambda: Authority(lab.place.path / "other").issue(host),
        "no TLS": lambda: None,
    }[unsuitable]()
    lab.receiver("bank.example", certificate=certificate, tls=certificate is not None)
    lab.zegel.partners["bank.example"] = {"tls": "secure", "mx": ["*.bank.example"]}
    lab.start()
    send(lab, "anna@bank.example")
    refused_for(lab, "anna@bank.example")
    nothing_left(lab, "bank.example", host)


def test_T24_spoofed_mx_cannot_change_the_expected_name(lab):
    """The MX points into a foreign domain that has a good certificate for itself."""
    lab.receiver("bank.example", host="mx.evil.example")
    lab.zegel.partners["bank.example"] = {"tls": "secure", "mx": ["*.bank.example"]}
    lab.start()
    send(lab, "anna@bank.example")
    refused_for(lab, "anna@bank.example")
    nothing_left(lab, "bank.example", "mx.evil.example")


@pytest.mark.parametrize("fits", [True, False])
def test_T24_partner_by_fingerprint(lab, fits):
    certificate = lab.ca.self_signed("whatever.example")
    other = lab.ca.self_signed("whatever.example")
    host = lab.receiver("bank.example", certificate=certificate)
    lab.zegel.partners["bank.example"] = {
        "tls": "fingerprint", "fingerprint": [(certificate if fits else other).fingerprint()]}
    lab.start()
    send(lab, "anna@bank.example")
    if fits:
        lab.sink.wait_for("anna@bank.example")
    else:
        refused_for(lab, "anna@bank.example")
        nothing_left(lab, "bank.example", host)


def test_T24_partner_that_demands_dane_without_tlsa_waits(lab):
    host = lab.receiver("clinic.example")
    lab.zegel.partners["clinic.example"] = {"tls": "dane-only"}
    lab.start()
    send(lab, "anna@clinic.example")
    refused_for(lab, "anna@clinic.example")
    nothing_left(lab, "clinic.example", host)
    why = lab.zegel.why("anna@clinic.example")
    assert "TLSA" in why or "DANE" in why, why


@pytest.mark.parametrize("usage,selector,matching", [
    (3, 0, 0), (3, 0, 1), (3, 0, 2), (3, 1, 0), (3, 1, 1), (3, 1, 2),
    (2, 0, 0), (2, 0, 1), (2, 0, 2), (2, 1, 0), (2, 1, 1), (2, 1, 2)])
def test_T1_every_usable_tlsa_that_matches_delivers(lab, usage, selector, matching):
    certificate = lab.ca.issue("mx.bank.example")
    vouched = certificate if usage == 3 else lab.ca
    lab.receiver("bank.example", certificate=certificate,
                 tlsa=[vouched.tlsa(usage, selector, matching)])
    lab.start()
    send(lab, "anna@bank.example")
    lab.sink.wait_for("anna@bank.example")


def test_T2_wrong_tlsa_neither_delivers_nor_downgrades(lab):
    """Twelve domains, each with a well-formed record that nothing satisfies."""
    domains = []
    stranger = lab.ca.self_signed("stranger.example")
    for usage in (2, 3):
        for selector in (0, 1):
            for matching in (0, 1, 2):
                domain = f"w{usage}{selector}{matching}.example"
                lab.receiver(domain, tlsa=[stranger.tlsa(usage, selector, matching)])
                domains.append(domain)
    lab.start()
    for domain in domains:
        send(lab, f"anna@{domain}")
    for domain in domains:
        refused_for(lab, f"anna@{domain}")
        nothing_left(lab, domain, f"mx.{domain}")


def test_T2_wrong_tlsa_sends_no_byte_of_the_message(lab):
    """The peer counts: before the handshake only EHLO and STARTTLS, inside it nothing at all."""
    certificate = lab.ca.issue("mx.bank.example")
    peer = Hostile(lab.place, lab.port, certificate=certificate)
    lab.dns.host("mx.bank.example", peer.address, tlsa=[wrong_tlsa()], port=lab.port)
    lab.dns.mx("bank.example", "mx.bank.example")
    lab.start()
    send(lab, "anna@bank.example")
    refused_for(lab, "anna@bank.example")
    assert set(peer.heard_in_clear().split(b"\r\n")) <= {
        b"EHLO mail.shop.example", b"STARTTLS", b"QUIT", b""}
    assert peer.delivered() == []
    assert not any(line.startswith(("MAIL", "RCPT", "DATA")) for line in peer.heard())


def test_T7_dane_ee_ignores_name_and_date(lab):
    certificate = lab.ca.issue("other.example", days=-1)
    lab.receiver("bank.example", certificate=certificate, tlsa=True)
    lab.start()
    send(lab, "anna@bank.example")
    lab.sink.wait_for("anna@bank.example")


def test_T8_dane_ta_wants_the_name(lab):
    certificate = lab.ca.issue("other.example")
    host = lab.receiver("bank.example", certificate=certificate, tlsa=[lab.ca.tlsa(2, 0, 1)])
    lab.start()
    send(lab, "anna@bank.example")
    refused_for(lab, "anna@bank.example")
    nothing_left(lab, "bank.example", host)


def test_T6_one_wrong_record_beside_a_right_one(lab):
    certificate = lab.ca.issue("mx.bank.example")
    lab.receiver("bank.example", certificate=certificate,
                 tlsa=[wrong_tlsa(3, 1, 1), "0 0 1 " + "00" * 32, lab.ca.tlsa(2, 0, 1)])
    lab.start()
    send(lab, "anna@bank.example")
    lab.sink.wait_for("anna@bank.example")


@pytest.mark.parametrize("record", ["0 0 1 " + "11" * 32, "1 1 1 " + "11" * 32,
                                    "3 7 1 " + "11" * 32, "3 1 9 " + "11" * 32,
                                    "3 1 1 " + "11" * 19])
def test_T3_T4_T5_published_but_unusable_makes_tls_mandatory(lab, record):
    """With TLS it is delivered, to whomever; without TLS it is not delivered at all."""
    lab.receiver("bank.example", certificate=lab.ca.self_signed("x.example"), tlsa=[record])
    host = lab.receiver("clear.example", tls=False, tlsa=[record])
    lab.start()
    send(lab, "anna@bank.example")
    send(lab, "anna@clear.example")
    lab.sink.wait_for("anna@bank.example")
    refused_for(lab, "anna@clear.example")
    nothing_left(lab, "clear.example", host)


def test_T16_usable_tlsa_and_no_starttls_is_not_delivered(lab):
    certificate = lab.ca.issue("mx.bank.example")
    host = lab.receiver("bank.example", tls=False, tlsa=[certificate.tlsa()])
    lab.start()
    send(lab, "anna@bank.example")
    refused_for(lab, "anna@bank.example")
    nothing_left(lab, "bank.example", host)


def test_self_signed_without_tlsa_is_delivered_encrypted_and_logged_as_such(lab):
    host = lab.receiver("bank.example", certificate=lab.ca.self_signed("mx.bank.example"))
    lab.start()
    send(lab, "anna@bank.example")
    lab.sink.wait_for("anna@bank.example")
    assert lab.sink.events("message")[0]["tls"] is not None
    assert "MAIL" not in lab.sink.clear_text(host)
    lab.zegel.wait_log(r"Untrusted TLS connection established to mx\.bank\.example")


def test_no_tls_offered_and_nobody_demands_it(lab):
    lab.receiver("bank.example", tls=False)
    lab.start()
    send(lab, "anna@bank.example")
    lab.sink.wait_for("anna@bank.example")
    assert lab.sink.events("message")[0]["tls"] is None


def test_T12_insecure_address_is_not_asked_for_tlsa(lab):
    from lab.dns import PORT, Troublemaker
    lab.receiver("bank.plain", tlsa=[wrong_tlsa()])
    trouble = Troublemaker(lab.place, lab.dns.address)
    lab.zegel.stubs["plain"] = f"{trouble.address}@{PORT}"
    lab.start()
    send(lab, "anna@bank.plain")
    lab.sink.wait_for("anna@bank.plain")
    assert "TLSA" not in {kind for _, kind in trouble.asked}
    trouble.close()


def test_T17_dane_at_a_worse_host_is_not_preferred(lab):
    lab.receiver("bank.example", host="mx1.bank.example", preference=10)
    lab.receiver("bank.example", host="mx2.bank.example", preference=20, tlsa=True)
    lab.start()
    send(lab, "anna@bank.example")
    lab.sink.wait_for("anna@bank.example")
    assert lab.sink.events("message")[0]["host"] == "mx1.bank.example"


def test_first_host_unfit_second_host_fit(lab):
    lab.receiver("bank.example", host="mx1.bank.example", preference=10, tlsa=[wrong_tlsa()])
    lab.receiver("bank.example", host="mx2.bank.example", preference=20, tlsa=True)
    lab.start()
    send(lab, "anna@bank.example")
    lab.sink.wait_for("anna@bank.example")
    assert [e["host"] for e in lab.sink.events("message")] == ["mx2.bank.example"]
    assert "MAIL" not in lab.sink.clear_text("mx1.bank.example")


def test_T25_speaks_plain_after_220(lab):
    """R28, R29: what comes instead of a handshake is no reason to go on in the clear."""
    def plain(talk):
        talk.say("220 Ready")
        talk.say("250 peer.example: never mind TLS")
        talk.hear_silence()

    certificate = lab.ca.issue("mx.bank.example")
    peer = Hostile(lab.place, lab.port, certificate=certificate,
                   script=lambda talk: helpful(talk, "STARTTLS", instead=plain))
    lab.dns.host("mx.bank.example", peer.address, tlsa=[certificate.tlsa()], port=lab.port)
    lab.dns.mx("bank.example", "mx.bank.example")
    lab.start()
    send(lab, "anna@bank.example")
    refused_for(lab, "anna@bank.example")
    assert b"MAIL" not in peer.heard_in_clear()
