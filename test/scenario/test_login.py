"""Who may submit: mechanisms, refusals, and what is said to a stranger."""
import base64
import os
import select
import signal
import smtplib
import time

import pytest

from lab.client import Client, Raw, message, submit


def token(*parts):
    return base64.b64encode(b"\0".join(p.encode() for p in parts)).decode()


@pytest.fixture
def relay(lab):
    lab.start()
    return lab.zegel


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "SCRAM-SHA-256"])
@pytest.mark.parametrize("implicit", [False, True])
def test_login(lab, mechanism, implicit):
    lab.receiver("bank.example")
    lab.start()
    content = message("web@shop.example", "anna@bank.example")
    submit(lab.zegel, "web@shop.example", ["anna@bank.example"], content, lab.login,
           mechanism=mechanism, implicit=implicit)
    lab.sink.wait_for("anna@bank.example")


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "SCRAM-SHA-256"])
def test_wrong_login_is_535_in_the_same_words_as_an_unknown_user(relay, mechanism):
    said = set()
    for user in ("web@shop.example", "nobody@shop.example"):
        client = Client(relay)
        with pytest.raises(smtplib.SMTPAuthenticationError) as refusal:
            client.log_in(user, "wrong", mechanism)
        said.add((refusal.value.smtp_code, refusal.value.smtp_error))
    assert len(said) == 1
    code, text = said.pop()
    assert code == 535 and text.startswith(b"5.7.8")


def test_right_password_after_a_wrong_one(relay):
    client = Client(relay)
    with pytest.raises(smtplib.SMTPAuthenticationError):
        client.log_in("web@shop.example", "wrong")
    assert client.log_in("web@shop.example", "correct horse battery")[0] == 235


def test_A1_no_login_without_TLS(relay):
    raw = Raw(relay, tls=False)
    greeting = raw.ask("EHLO client.example")
    assert "STARTTLS" in greeting and "AUTH" not in greeting
    assert raw.ask("AUTH PLAIN " + token("", "web@shop.example", "x"))[:4] in ("538 ", "530 ")
    assert raw.ask("MAIL FROM:<web@shop.example>").startswith("530 5.7.0")


def test_nothing_without_login(relay):
    raw = Raw(relay)
    assert "AUTH PLAIN LOGIN SCRAM-SHA-256" in raw.ask("EHLO client.example")
    assert raw.ask("MAIL FROM:<web@shop.example>").startswith("530 5.7.0")


def test_A2_plain_without_initial_response(relay):
    raw = Raw(relay)
    raw.ask("EHLO client.example")
    assert raw.ask("AUTH PLAIN").startswith("334")
    answer = raw.ask(token("", "web@shop.example", "correct horse battery"))
    assert answer.startswith("235 2.7.0")


def test_A4_cancel_leaves_the_session_usable(relay):
    raw = Raw(relay)
    raw.ask("EHLO client.example")
    assert raw.ask("AUTH LOGIN").startswith("334")
    assert raw.ask("*").startswith("501 ")
    assert raw.ask("AUTH PLAIN " + token("", "web@shop.example", "correct horse battery")) \
        .startswith("235 ")


@pytest.mark.parametrize("response", ["====", "AAA", "A?==", "!!!!", "QUJD\tREVG"])
def test_A5_bad_base64(relay, response):
    raw = Raw(relay)
    raw.ask("EHLO client.example")
    assert raw.ask(f"AUTH PLAIN {response}")[:3] in ("501", "535")
    assert raw.ask("NOOP").startswith("250 ")


@pytest.mark.parametrize("response", [
    token("other@shop.example", "web@shop.example", "correct horse battery"),  # A6
    token("web@shop.example"),  # A7: too few parts
    token("", "web@shop.example", "correct horse battery", ""),  # too many
    token("", "web@shop.example", ""),  # A12: an empty password
    token("", "", "correct horse battery"),
    "=",  # A3
])
def test_A6_A7_A12_responses_that_do_not_log_in(relay, response):
    raw = Raw(relay)
    raw.ask("EHLO client.example")
    assert raw.ask(f"AUTH PLAIN {response}")[:3] in ("535", "501")
    assert raw.ask("MAIL FROM:<web@shop.example>").startswith("530")


def test_A9_failures_end_the_session(relay):
    raw = Raw(relay)
    raw.ask("EHLO client.example")
    answers = []
    for _ in range(3):
        answers.append(raw.ask("AUTH PLAIN " + token("", "web@shop.example", "wrong")))
    answers += raw.replies_until_close()
    assert any(a.startswith("421 ") for a in answers), answers


def test_A10_second_login_and_login_in_a_transaction(relay):
    raw = Raw(relay, login=("web@shop.example", "correct horse battery"))
    assert raw.ask("AUTH PLAIN " + token("", "web@shop.example", "x")).startswith("503 ")


@pytest.mark.parametrize("mechanism", ["ANONYMOUS", "NTLM", "DIGEST-MD5", "EXTERNAL", "GSSAPI",
                                       "CRAM-MD5", "SCRAM-SHA-1", "OAUTHBEARER"])
def test_A17_other_mechanisms(relay, mechanism):
    raw = Raw(relay)
    raw.ask("EHLO client.example")
    assert raw.ask(f"AUTH {mechanism}").startswith("504 5.5.4")


def test_A15_the_case_of_a_login_does_not_matter(relay):
    raw = Raw(relay)
    raw.ask("EHLO client.example")
    assert raw.ask("AUTH PLAIN " + token("", "WEB@Shop.Example", "correct horse battery")) \
        .startswith("235 ")


def test_A18_unknown_users_take_as_long_as_known_ones(lab):
    """Interleaved, and each from an address that has not failed before (A9 delays those). What else
    the machine does only adds to a time: the shortest are compared."""
    lab.start()
    took = {"web@shop.example": [], "nobody@shop.example": []}
    for _ in range(12):
        for user in took:
            raw = Raw(lab.zegel, source=lab.place.address())
            raw.ask("EHLO client.example")
            started = time.monotonic()
            assert raw.ask("AUTH PLAIN " + token("", user, "wrong")).startswith("535 ")
            took[user].append(time.monotonic() - started)
            raw.close()
    known, unknown = (min(times) for times in took.values())
    assert 0.6 < known / unknown < 1.6, took


def test_A13_logins_that_cannot_be_checked_are_neither_right_nor_wrong(relay):
    """The auth processes are stopped: 454 in the end, and the rest of the relay goes on."""
    stopped = relay.roles()["auth"]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        raw = Raw(relay)
        raw.ask("EHLO client.example")
        other = Raw(relay)
        raw.send("AUTH PLAIN " + token("", "web@shop.example", "correct horse battery") + "\r\n")
        assert other.ask("EHLO client.example").startswith("250")
        assert raw.reply().startswith("454 4.7.0")
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)


def test_O7_A14_a_slow_login_does_not_hold_sessions(relay):
    """While many check their passwords at once, a command of another session is answered."""
    busy = [Raw(relay) for _ in range(20)]
    other = Raw(relay)
    for raw in busy:
        raw.ask("EHLO client.example")
    for raw in busy:
        raw.send("AUTH PLAIN " + token("", "web@shop.example", "wrong") + "\r\n")
    assert other.ask("EHLO client.example").startswith("250")
    answered, _, _ = select.select([raw.socket for raw in busy], [], [], 0)
    assert len(answered) < len(busy), "it had to wait for them"
    assert all(raw.reply().startswith("535 ") for raw in busy)
