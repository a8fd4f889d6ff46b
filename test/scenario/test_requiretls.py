"""REQUIRETLS and TLS-Required: No (RFC 8689), from the client's demand on."""
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
