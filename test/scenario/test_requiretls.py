"""REQUIRETLS and TLS-Required: No (RFC 8689), from the client's demand on."""
import email
import email.policy
import smtplib

import pytest

from lab.client import Client, Raw, message

FROM = "web@shop.example"


@pytest.fixture
def relay(lab):
    lab.start()
    return lab.zegel


def test_S34_offered_after_TLS_only(relay):
    raw = Raw(relay, tls=False)
    assert "REQUIRETLS" not in raw.ask("EHLO client.example").split("\n")[1:]
    raw = Raw(relay, login=relay_login())
    raw.ask("RSET")
    assert "250-REQUIRETLS" in raw.ask("EHLO client.example").split("\n")
    assert raw.ask(f"MAIL FROM:<{FROM}> REQUIRETLS=1").startswith("501 5.5.4")
    assert raw.ask(f"MAIL FROM:<{FROM}> REQUIRETLS REQUIRETLS").startswith("501 5.5.4")
    assert raw.ask(f"MAIL FROM:<{FROM}> requiretls").startswith("250 ")
    raw.ask("RSET")
    assert raw.ask("HELO client.example").startswith("250 ")
    assert raw.ask(f"MAIL FROM:<{FROM}> REQUIRETLS").startswith("555 5.5.4")


def relay_login():
    return (FROM, "correct horse battery")


def test_the_demand_is_logged(lab):
    lab.start()
    session = Client(lab.zegel, login=lab.login)
    content = message(FROM, "anna@bank.example", TLS_Required="No")
    session.sendmail(FROM, ["anna@bank.example"], content)
    session.sendmail(FROM, ["anna@bank.example"], content, mail_options=["REQUIRETLS"])
    lab.zegel.wait_log(r"zegel/cleanup\[\d+\]: \w+: tls-required=no$")
    lab.zegel.wait_log(r"zegel/smtpd\[\d+\]: \w+: client=.*, sasl_username=\S+, requiretls=yes$")
    lab.zegel.wait_log(r"zegel/cleanup\[\d+\]: \w+: tls-required=no, ignored: .* REQUIRETLS$")
    with pytest.raises(smtplib.SMTPDataError) as refusal:
        session.sendmail(FROM, ["anna@bank.example"], b"TLS-Required: No\r\n" + content)
    assert refusal.value.smtp_code == 554


def test_O2_recipients_have_a_weight_besides_their_number(lab):
    """Ten thousand of the longest addresses are more than is carried at once."""
    lab.zegel.sections["limits"]["recipients"] = 10000
    lab.start()
    raw = Raw(lab.zegel, login=lab.login)
    assert raw.ask(f"MAIL FROM:<{FROM}>").startswith("250 ")
    domain = ".".join(["d" * 60] * 4)
    said = []
    for first in range(0, 3200, 100):
        raw.send("".join(f"RCPT TO:<{'u' * 50}{n}@{domain}>\r\n"
                         for n in range(first, first + 100)))
        said += [raw.reply()[:9] for _ in range(100)]
    assert set(said) == {"250 2.1.5", "452 4.5.3"}
    assert said == sorted(said), "from one on, all are refused"
    raw.ask("RSET")
    assert raw.ask(f"MAIL FROM:<{FROM}>").startswith("250 ")
    assert raw.ask(f"RCPT TO:<u@{domain}>").startswith("250 ")


def receiver(lab, domain, offers=True, **how):
    """A domain in signed DNS whose host may offer REQUIRETLS."""
    host = lab.receiver(domain, **how)
    lab.sink.hosts[host]["requiretls"] = offers
    return host


def send(lab, recipient, demand=True, **fields):
    session = Client(lab.zegel, login=lab.login)
    session.sendmail(FROM, [recipient], message(FROM, recipient, **fields),
                     mail_options=["REQUIRETLS"] if demand else [])
    session.quit()


def options_of(lab, recipient):
    events = [e for e in lab.sink.events("message") if recipient in e["recipients"]]
    return events[-1]["options"]


def test_it_is_passed_on_to_a_server_that_offers_it(lab):
    receiver(lab, "bank.example", tlsa=True)
    lab.start()
    send(lab, "anna@bank.example", TLS_Required="No")
    content, = lab.sink.wait_for("anna@bank.example")
    assert "REQUIRETLS" in options_of(lab, "anna@bank.example")
    assert b"\r\nTLS-Required: No\r\n" in content, "which counts for nothing beside it"
    assert b"tls-required" in content.partition(b"bh=")[0], "and the seal is over it"
    send(lab, "anna@bank.example", demand=False)
    lab.sink.wait_for("anna@bank.example", n=2)
    assert "REQUIRETLS" not in options_of(lab, "anna@bank.example")


def test_a_notification_demands_as_much(lab):
    host = receiver(lab, "bank.example", offers=False, tlsa=True)
    receiver(lab, "shop.example", tlsa=True)
    lab.start()
    send(lab, "anna@bank.example", subject="A secret matter")
    dsn, = lab.sink.wait_for(FROM)
    event = lab.sink.events("message")[-1]
    assert event["sender"] in ("", None, "<>") and "REQUIRETLS" in event["options"]
    parts = list(email.message_from_bytes(dsn, policy=email.policy.SMTP).iter_parts())
    assert parts[1].get_payload()[1]["Status"] == "5.7.30"
    assert "REQUIRETLS" in parts[0].get_content()
    assert lab.sink.messages("anna@bank.example") == []
    assert "secret" not in lab.sink.clear_text(host)


def test_a_notification_goes_where_it_is_not_offered_but_never_unprotected(lab):
    """RFC 8689 4.2.1, 5: for want of the offer alone it is not lost, for want of TLS it waits."""
    receiver(lab, "bank.example", offers=False, tlsa=True)
    host = receiver(lab, "shop.example", offers=False)
    lab.zegel.sections["delivery"]["idle-connections"] = 0
    lab.start()
    send(lab, "anna@bank.example")
    lab.sink.wait_for(FROM)
    assert "REQUIRETLS" not in options_of(lab, FROM)
    lab.zegel.wait_log(rf"required=verify by=requiretls achieved=verify .*host={host}")
    lab.sink.change(host, lab.ca.issue("other.example"))
    send(lab, "anna@bank.example")
    lab.zegel.wait_log(rf"to=<{FROM}>.*status=deferred")
    assert len(lab.sink.messages(FROM)) == 1


def test_TLS_Required_No_waives_what_the_receiver_asks(lab):
    other = lab.ca.issue("other.example")
    lab.receiver("bank.example", tlsa=[other.tlsa()])
    lab.start()
    send(lab, "held@bank.example", demand=False)
    lab.zegel.wait_log(r"to=<held@bank.example>.*status=deferred .*dane-mismatch")
    send(lab, "anna@bank.example", demand=False, TLS_Required="No")
    lab.sink.wait_for("anna@bank.example")
    lab.zegel.wait_log(r"by=tls-required-no .*host=mx.bank.example")
    assert lab.sink.messages("held@bank.example") == []


def test_TLS_Required_No_does_not_waive_what_the_operator_asks(lab):
    lab.receiver("bank.example", tls=False)
    lab.receiver("club.example", tls=False)
    lab.zegel.partners["bank.example"] = {"tls": "encrypt"}
    lab.start()
    send(lab, "anna@bank.example", demand=False, TLS_Required="No")
    lab.zegel.wait_log(r"to=<anna@bank.example>.*status=deferred")
    lab.zegel.accounts[FROM]["tls-floor"] = "verify"
    lab.zegel.reload_and_wait()
    send(lab, "anna@club.example", demand=False, TLS_Required="No")
    lab.zegel.wait_log(r"to=<anna@club.example>.*status=deferred")
    assert lab.sink.events("message") == []


def test_the_floor_of_an_account_outlives_it(lab):
    """Mail that was taken under a floor keeps it when the account is written no more."""
    host = lab.receiver("club.example", tls=False)
    lab.seal()
    lab.zegel.add_account(*lab.login, senders=["@shop.example"], **{"tls-floor": "encrypt"})
    lab.start()
    send(lab, "anna@club.example", demand=False)
    lab.zegel.wait_log(r"to=<anna@club.example>.*status=deferred")
    del lab.zegel.accounts[FROM]
    lab.zegel.reload_and_wait()
    lab.zegel.retry()
    lab.zegel.wait_log(r"to=<anna@club.example>.*status=deferred", n=2)
    lab.zegel.wait_log(rf"required=encrypt by=account .*host={host}", n=2)
    assert lab.sink.events("message") == []
