"""The main job: from a login to a mailbox, over TLS that DANE vouches for, signed twice."""
import email
import email.policy
import re

import pytest

from lab import client
from lab.hostile import Hostile, helpful
from lab.place import until
from lab.verify import assert_sealed_twice, signatures

PDF = b"%PDF-1.4\n" + bytes(range(256)) * 400 + b"\n%%EOF\n"


def send(lab, recipients, sender="web@shop.example", content=None, **how):
    recipients = [recipients] if isinstance(recipients, str) else recipients
    content = content or client.message(sender, recipients)
    client.submit(lab.zegel, sender, recipients, content, lab.login, **how)
    return content


def test_invoice_arrives_sealed_twice_over_dane(lab):
    lab.receiver("bank.example", tlsa=True)
    lab.start()
    content = client.message("Web Shop <web@shop.example>", "anna@bank.example", "Invoice 17",
                             attachment=("invoice.pdf", "application/pdf", PDF))
    send(lab, "anna@bank.example", content=content)
    arrived = lab.sink.wait_for("anna@bank.example")[0]
    assert_sealed_twice(lab.dns, lab.place, arrived, "shop.example")
    parsed = email.message_from_bytes(arrived, policy=email.policy.SMTP)
    attachment = next(parsed.iter_attachments())
    assert attachment.get_content() == PDF
    event = lab.sink.events("message")[0]
    assert event["tls"] == "TLSv1.3" and event["sni"] == "mx.bank.example"
    assert event["sender"] == "web@shop.example" and event["helo"] == "mail.shop.example"
    assert "web@shop.example" not in lab.sink.clear_text("mx.bank.example")
    lab.zegel.wait_log(r"Verified TLS connection established to mx\.bank\.example")
    line = lab.zegel.wait_log(r"to=<anna@bank\.example>.*status=sent")[0]
    assert "dsn=2.0.0" in line
    assert lab.zegel.queue() == []


def test_submission_with_implicit_tls(lab):
    lab.receiver("bank.example")
    lab.start()
    send(lab, "bert@bank.example", implicit=True)
    lab.sink.wait_for("bert@bank.example")


def test_header_that_leaves_is_complete_and_keeps_secrets(lab):
    lab.receiver("bank.example")
    lab.start()
    content = (b"From: web@shop.example\r\nTo: anna@bank.example\r\nBcc: secret@bank.example\r\n"
               b"Return-Path: <someone@shop.example>\r\nSubject: x\r\n\r\nHello\r\n")
    send(lab, ["anna@bank.example", "secret@bank.example"], content=content)
    arrived = lab.sink.wait_for("anna@bank.example")[0]
    parsed = email.message_from_bytes(arrived, policy=email.policy.SMTP)
    assert parsed["Bcc"] is None and parsed["Return-Path"] is None
    assert parsed["Date"] is not None and parsed["Message-ID"].endswith("shop.example>")
    received = parsed.get_all("Received")
    assert len(received) == 1 and "mail.shop.example" in received[0]
    assert "127.0.0.1" not in received[0], "the client's private address leaves"
    assert b"secret" not in arrived
    assert_sealed_twice(lab.dns, lab.place, arrived, "shop.example")
    lab.sink.wait_for("secret@bank.example")


def test_K5_oversigned_fields_cannot_be_added(lab):
    from lab.verify import by_dkimpy
    lab.receiver("bank.example")
    lab.start()
    send(lab, "anna@bank.example")
    arrived = lab.sink.wait_for("anna@bank.example")[0]
    for field in (b"From: ceo@bank.example", b"Subject: other", b"To: all@bank.example",
                  b"Content-Type: text/html", b"Reply-To: x@evil.example", b"Cc: y@evil.example"):
        changed = field + b"\r\n" + arrived
        assert by_dkimpy(lab.dns, changed) == {"rsa-sha256": False, "ed25519-sha256": False}, field
    names = {tags["h"].lower() for tags in signatures(arrived)}
    for field in ("from", "to", "cc", "subject", "date", "message-id", "mime-version",
                  "content-type", "content-transfer-encoding", "reply-to", "in-reply-to",
                  "references"):
        for h in names:
            assert field in h.split(":"), (field, h)


def test_two_recipients_of_one_domain_travel_together(lab):
    lab.receiver("bank.example")
    lab.receiver("clinic.example")
    lab.start()
    send(lab, ["a@bank.example", "b@bank.example", "c@clinic.example"])
    for box in ("a@bank.example", "b@bank.example", "c@clinic.example"):
        lab.sink.wait_for(box)
    events = lab.sink.events("message")
    assert sorted(sorted(e["recipients"]) for e in events) == [
        ["a@bank.example", "b@bank.example"], ["c@clinic.example"]]


def test_S22_same_recipient_often_is_one_delivery(lab):
    lab.receiver("bank.example")
    lab.start()
    send(lab, ["a@bank.example"] * 20)
    until(lambda: lab.zegel.queue() == [] and lab.sink.messages("a@bank.example"))
    assert len(lab.sink.messages("a@bank.example")) == 1


def test_one_slow_destination_never_blocks_another(lab):
    """O7, R1: a host that says nothing holds only its own mail."""
    lab.receiver("bank.example")
    stalled = [Hostile(lab.place, lab.port, script=lambda talk: talk.hear_silence())
               for _ in range(2)]
    for i, peer in enumerate(stalled):
        lab.dns.host(f"mx.slow{i}.example", peer.address)
        lab.dns.mx(f"slow{i}.example", f"mx.slow{i}.example")
    lab.start()
    for i in range(10):
        send(lab, [f"x{i}@slow0.example", f"x{i}@slow1.example"])
    send(lab, "anna@bank.example")
    lab.sink.wait_for("anna@bank.example")
    assert len(lab.zegel.queue()) >= 10


def test_receiver_at_an_IPv6_address(make_lab):
    from lab.place import free_port
    lab = make_lab(port=free_port("::1"))
    certificate = lab.ca.issue("mx.six.example")
    peer = Hostile(lab.place, lab.port, script=helpful, certificate=certificate, address="::1")
    lab.dns.host("mx.six.example", "::1", tlsa=[certificate.tlsa()], port=lab.port)
    lab.dns.mx("six.example", "mx.six.example")
    lab.start()
    send(lab, "anna@six.example")
    until(peer.delivered, what="delivery over IPv6")
    assert f"relay=mx.six.example[::1]:{lab.port}" in lab.zegel.wait_log("status=sent")[0]
    assert b"MAIL" not in peer.heard_in_clear()


def test_R30_IPv6_does_not_answer_and_IPv4_is_fine(lab):
    """The AAAA leads nowhere; the A of the same host takes the mail."""
    host = lab.receiver("bank.example")
    # Nobody listens there on the port of a laboratory: who does takes a port of its own.
    lab.dns.set(host, "AAAA", "::1")
    lab.start()
    send(lab, "anna@bank.example")
    lab.sink.wait_for("anna@bank.example")


def test_worse_preference_is_used_when_the_best_host_is_down(lab):
    dead = lab.place.address()
    lab.receiver("bank.example", host="mx2.bank.example", preference=20)
    lab.dns.host("mx1.bank.example", dead)
    lab.add_mx("bank.example", "mx1.bank.example", 10)
    lab.start()
    send(lab, "anna@bank.example")
    lab.sink.wait_for("anna@bank.example")


def test_R27_PIPELINING_and_R13_mixed_replies(lab):
    """Each recipient gets its own result: one delivered, one deferred, one failed."""
    lab.receiver("bank.example", rules={
        "later@bank.example": "450 4.2.1 Greylisted, come again",
        "never@bank.example": "550 5.1.1 Nobody by that name"})
    lab.start()
    send(lab, ["now@bank.example", "later@bank.example", "never@bank.example"])
    lab.sink.wait_for("now@bank.example")
    lab.zegel.wait_log(r"to=<now@bank\.example>.*status=sent")
    lab.zegel.wait_log(r"to=<later@bank\.example>.*dsn=4\.2\.1.*status=deferred.*Greylisted")
    lab.zegel.wait_log(r"to=<never@bank\.example>.*dsn=5\.1\.1.*status=bounced.*Nobody")
    waiting = [q["recipient"] for q in lab.zegel.queue() if q["state"] == "waiting"
               and q["sender"] != ""]
    assert waiting == ["later@bank.example"]


@pytest.mark.parametrize("size", [300_000, 5_000_000])
def test_large_message_has_its_own_segment_and_arrives_whole(lab, size):
    lab.receiver("bank.example")
    lab.start()
    line = b"0123456789" * 7 + b"\r\n"
    body = line * (size // len(line))
    head = client.message("web@shop.example", "big@bank.example", text="").partition(b"\r\n\r\n")[0]
    send(lab, "big@bank.example", content=head + b"\r\n\r\n" + body)
    arrived = lab.sink.wait_for("big@bank.example")[0]
    assert arrived.partition(b"\r\n\r\n")[2] == body
    assert_sealed_twice(lab.dns, lab.place, arrived, "shop.example")


def test_log_line_of_a_delivery_has_the_words_of_Postfix(lab):
    lab.receiver("bank.example")
    lab.start()
    send(lab, "anna@bank.example")
    lab.sink.wait_for("anna@bank.example")
    line = lab.zegel.wait_log(r"status=sent")[0]
    assert re.search(
        r"zegel/smtp\[\d+\]: [0-9A-HJKMNP-TV-Z]{14,16}: to=<anna@bank\.example>, "
        r"relay=mx\.bank\.example\[[0-9.]+\]:2525, delay=[0-9.]+, "
        r"delays=[0-9.]+/[0-9.]+/[0-9.]+/[0-9.]+, dsn=2\.0\.0, status=sent \(250 ", line), line
