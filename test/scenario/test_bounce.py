"""What cannot be delivered comes back as a delivery status notification (RFC 3464), signed."""
import email
import email.policy

from lab import client
from lab.place import until
from lab.verify import assert_sealed_twice


def send(lab, *recipients):
    content = client.message("Web Shop <web@shop.example>", list(recipients), "Invoice 18",
                             text="The body of the original.\n")
    client.submit(lab.zegel, "web@shop.example", list(recipients), content, lab.login)
    return content


def notification(lab, n=1):
    return lab.sink.wait_for("web@shop.example", n=n)[-1]


def parts_of(dsn):
    parsed = email.message_from_bytes(dsn, policy=email.policy.SMTP)
    assert parsed.get_content_type() == "multipart/report"
    assert parsed.get_param("report-type") == "delivery-status"
    return parsed, list(parsed.iter_parts())


def test_550_brings_a_signed_notification(lab):
    lab.receiver("bank.example", rules={"gone@bank.example": "550 5.1.1 No such mailbox"})
    lab.receiver("shop.example", tlsa=True)
    lab.start()
    original = send(lab, "gone@bank.example")
    dsn = notification(lab)
    event = lab.sink.events("message")[-1]
    assert event["sender"] in ("", None, "<>"), "a null return path"
    assert_sealed_twice(lab.dns, lab.place, dsn, "shop.example")
    parsed, parts = parts_of(dsn)
    assert parsed["To"] == "web@shop.example" and parsed["Auto-Submitted"] is not None
    assert [p.get_content_type() for p in parts][:2] == [
        "text/plain", "message/delivery-status"]
    assert "gone@bank.example" in parts[0].get_content()
    per_message, per_recipient = parts[1].get_payload()[:2]
    assert "mail.shop.example" in per_message["Reporting-MTA"]
    assert per_recipient["Final-Recipient"] == "rfc822; gone@bank.example" or \
        per_recipient["Final-Recipient"] == "rfc822;gone@bank.example"
    assert per_recipient["Action"] == "failed" and per_recipient["Status"] == "5.1.1"
    assert "No such mailbox" in per_recipient["Diagnostic-Code"]
    assert parts[2].get_content_type() in ("text/rfc822-headers", "message/rfc822-headers",
                                           "message/rfc822")
    message_id = email.message_from_bytes(original)["Message-ID"]
    assert message_id.encode() in dsn
    lab.zegel.wait_log(r"zegel/bounce\[\d+\]: .*notification")


def test_notification_names_only_those_that_failed(lab):
    lab.receiver("bank.example", rules={"gone@bank.example": "550 5.1.1 No such mailbox"})
    lab.receiver("shop.example")
    lab.start()
    send(lab, "gone@bank.example", "there@bank.example")
    dsn = notification(lab)
    _, parts = parts_of(dsn)
    assert len(parts[1].get_payload()) == 2
    assert "there@bank.example" not in parts[0].get_content()


def test_expiry_brings_a_notification(lab):
    """R23: what nobody takes for as long as it may wait comes back once."""
    lab.receiver("bank.example", rules={"busy@bank.example": "450 4.2.1 Come again"})
    lab.receiver("shop.example")
    lab.zegel.sections["retry"] = {"first": "1s", "longest": "1s", "expire": "4s"}
    lab.start()
    send(lab, "busy@bank.example")
    _, parts = parts_of(notification(lab))
    status = parts[1].get_payload()[1]
    assert status["Action"] == "failed" and status["Status"].startswith(("4.", "5.4.7"))
    assert "Come again" in parts[1].as_string() or "Come again" in parts[0].get_content()
    until(lambda: lab.zegel.queue() == [], what="an empty queue")
    assert len(lab.sink.messages("web@shop.example")) == 1


def test_never_a_bounce_of_a_bounce(lab):
    lab.receiver("bank.example", rules={"gone@bank.example": "550 5.1.1 No such mailbox"})
    lab.receiver("shop.example", rules={"web@shop.example": "550 5.1.1 Nor here"})
    lab.start()
    send(lab, "gone@bank.example")
    lab.zegel.wait_log(r"to=<web@shop\.example>.*status=bounced")
    until(lambda: lab.zegel.queue() == [], what="an empty queue")
    assert lab.sink.events("message") == []
    assert len(lab.sink.events("refused")) == 2
