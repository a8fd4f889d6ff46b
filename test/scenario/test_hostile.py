"""A receiver that misbehaves at each step: nothing is lost, nothing leaks, the reason is told."""
import re

import pytest

from lab import client
from lab.hostile import STEPS, Hostile, helpful, refuse
from lab.place import until


@pytest.fixture
def against(lab):
    """against(script) starts everything with one hostile MX for bank.example, and submits to it."""
    def begin(script, partner=None, n=1, tlsa=True, extensions=("PIPELINING",), tls=True):
        certificate = lab.ca.issue("mx.bank.example") if tls else None
        peer = Hostile(lab.place, lab.port, script=script, certificate=certificate)
        lab.dns.host("mx.bank.example", peer.address, port=lab.port,
                     tlsa=[certificate.tlsa()] if tlsa and tls else [])
        lab.dns.mx("bank.example", "mx.bank.example")
        lab.zegel.sections["retry"] = {"first": "1h", "longest": "2h"}
        lab.receiver("shop.example")
        lab.start()
        content = client.message("web@shop.example", "anna@bank.example", text="Body.\n")
        for _ in range(n):
            client.submit(lab.zegel, "web@shop.example", ["anna@bank.example"], content, lab.login)
        lab.peer = peer
        return lab
    yield begin
    if hasattr(lab, "peer"):
        lab.peer.close()
        assert lab.peer.errors == []


def outcome(lab):
    return lab.zegel.wait_log(r"to=<anna@bank\.example>.*status=\w+")[-1]


def recovers(lab):
    """The peer comes to its senses: a retry delivers."""
    lab.peer.script = helpful
    lab.zegel.retry("all")
    until(lab.peer.delivered, what="delivery after all")
    until(lambda: lab.zegel.queue() == [], what="an empty queue")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("how", ["close", "reset", "421"])
def test_R8_R9_R10_ends_at_each_step(against, step, how):
    """Closed, reset, or 421: the message waits, and is delivered when the peer is well again."""
    def ends(talk):
        if how == "reset":
            talk.reset()
        elif how == "421":
            talk.say("421 4.3.2 Going down")

    lab = against(lambda talk: helpful(talk, step, instead=ends))
    line = outcome(lab)
    assert "status=deferred" in line and "dsn=4." in line, line
    recovers(lab)
    assert len(lab.peer.delivered()) >= 1


@pytest.mark.parametrize("step", [s for s in STEPS if s not in ("STARTTLS",)])
def test_R3_R13_4xx_at_each_step_waits(against, step):
    def refuses(talk):
        refuse(talk, "451 4.3.0 Not now")

    lab = against(lambda talk: helpful(talk, step, instead=refuses))
    line = outcome(lab)
    assert "status=deferred" in line and "dsn=4.3.0" in line, line
    assert "451 4.3.0 Not now" in line
    recovers(lab)


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "content"])
def test_R15_5xx_to_the_message_is_final(against, step):
    def refuses(talk):
        refuse(talk, "554 5.7.1 Not this one")

    lab = against(lambda talk: helpful(talk, step, instead=refuses))
    line = outcome(lab)
    assert "status=bounced" in line and "dsn=5.7.1" in line and "554 5.7.1 Not this one" in line
    lab.sink.wait_for("web@shop.example")  # the notification


def test_R_5xx_to_STARTTLS_of_a_dane_host_waits(against):
    def refuses(talk):
        refuse(talk, "554 5.7.3 No TLS today")

    lab = against(lambda talk: helpful(talk, "STARTTLS", instead=refuses))
    assert "status=deferred" in outcome(lab)
    assert b"MAIL" not in lab.peer.heard_in_clear()
    recovers(lab)


@pytest.mark.parametrize("banner", [
    b"2200 x\r\n", b"22O x\r\n", b"-220 x\r\n", b"22012345 x\r\n", b"abc\r\n", b"\r\n",
    b"\x00\x01\x02\r\n"], ids=range(7))
def test_R4_banner_that_is_none(against, banner):
    def says(talk):
        talk.say(banner)
        talk.hear_silence()

    lab = against(lambda talk: helpful(talk, "banner", instead=says))
    assert "status=deferred" in outcome(lab)
    assert lab.peer.delivered() == []


@pytest.mark.parametrize("flood", [b"250-more\r\n", b"x" * 8192], ids=["lines", "line"])
def test_R6_endless_reply_is_cut(against, flood):
    def endless(talk):
        for _ in range(20000):
            talk.say(flood)

    lab = against(lambda talk: helpful(talk, "EHLO", instead=endless))
    assert "status=deferred" in outcome(lab)
    assert lab.zegel.command("status").returncode == 0


def test_R5_mixed_codes_in_one_reply(against):
    def mixed(talk):
        talk.say("250-first\r\n550 second")
        talk.hear_silence()

    lab = against(lambda talk: helpful(talk, "MAIL", instead=mixed))
    assert "status=deferred" in outcome(lab)


def test_R7_EHLO_500_then_HELO_where_TLS_is_not_demanded(against):
    def script(talk):
        talk.say("220 peer.example")
        while True:
            line = talk.hear()
            if line.startswith("EHLO"):
                talk.say("500 What?")
            elif line.startswith("DATA"):
                talk.say("354 Go on")
                talk.hear_content()
                talk.say("250 Kept")
            else:
                talk.say("250 Fine")

    lab = against(script, tls=False)
    until(lab.peer.delivered, what="delivery with HELO")
    assert "HELO mail.shop.example" in lab.peer.heard()


def test_R7_EHLO_500_where_TLS_is_demanded_is_not_HELO(against):
    def refuses(talk):
        talk.say("500 What?")
        while True:
            talk.hear()
            talk.say("250 Fine")

    lab = against(lambda talk: helpful(talk, "EHLO", instead=refuses))
    assert "status=deferred" in outcome(lab)
    assert b"MAIL" not in lab.peer.heard_in_clear()


def test_R28_bytes_behind_the_220_to_STARTTLS(against):
    """What comes before the handshake is a protocol error, not the first words of a session."""
    def injects(talk):
        talk.say(b"220 Go ahead\r\n250-peer.example\r\n250 AUTH PLAIN\r\n")
        talk.start_tls()
        talk.hear_silence()

    lab = against(lambda talk: helpful(talk, "STARTTLS", instead=injects))
    assert "status=deferred" in outcome(lab)
    assert not any(line.startswith("MAIL") for line in lab.peer.heard())


def test_R11_replies_before_commands(against):
    def early(talk):
        talk.say("220 peer.example\r\n250 peer.example\r\n250 Fine\r\n250 Fine\r\n354 Go\r\n250 Kept")
        talk.hear_silence()

    lab = against(lambda talk: helpful(talk, "banner", instead=early))
    assert "status=deferred" in outcome(lab)


def test_R16_the_basic_code_decides(against):
    def contradicts(talk):
        refuse(talk, "550 4.2.0 Which is it?")

    lab = against(lambda talk: helpful(talk, "RCPT", instead=contradicts))
    assert "status=bounced" in outcome(lab)


@pytest.mark.parametrize("text", [b"\x1b[31mred", b"nul\0nul", b"cr\rcr", b"%n%s%n", b"\xff\xfe",
                                  b"x" * 100_000],
                         ids=["escape", "nul", "cr", "percent", "8bit", "long"])
def test_R17_reply_text_is_tamed_in_the_log(against, text):
    def says(talk):
        refuse(talk, b"450 4.0.0 " + text + b"\r\n")

    lab = against(lambda talk: helpful(talk, "RCPT", instead=says))
    line = outcome(lab)
    assert "status=deferred" in line
    log = lab.zegel.log_path.read_bytes()
    assert not set(log) - set(range(32, 127)) - {10}
    assert len(line) < 4000


def test_R12_5xx_before_the_body_ends(against):
    def interrupts(talk):
        talk.say("354 Go on\r\n552 5.2.2 Full")
        talk.hear_silence()

    lab = against(lambda talk: helpful(talk, "DATA", instead=interrupts))
    assert re.search("status=(deferred|bounced)", outcome(lab))
    assert lab.peer.delivered() == []


def test_R18_smaller_SIZE_bounces_without_sending(against):
    lab = against(lambda talk: helpful(talk, extensions=("SIZE 100",)))
    line = outcome(lab)
    assert "status=bounced" in line and "dsn=5.3.4" in line
    assert not any(h.startswith("DATA") for h in lab.peer.heard())


def test_R19_8bit_to_a_server_without_8BITMIME_bounces(against, lab):
    lab = against(helpful)
    until(lab.peer.delivered)
    raw = client.Raw(lab.zegel, login=lab.login)
    raw.ask("EHLO client.shop.example")
    raw.ask("MAIL FROM:<web@shop.example> BODY=8BITMIME")
    raw.ask("RCPT TO:<bert@bank.example>")
    raw.ask("DATA")
    raw.send("From: web@shop.example\r\nSubject: x\r\n\r\ngr\u00fc\u00df\r\n.\r\n".encode())
    assert raw.reply().startswith("250 ")
    line = lab.zegel.wait_log(r"to=<bert@bank\.example>.*status=")[0]
    assert "status=bounced" in line and "dsn=5.6." in line
    assert len(lab.peer.delivered()) == 1


def test_T27_close_without_close_notify_after_the_final_250(against):
    def abrupt(talk):
        talk.say("250 2.0.0 Kept")
        talk.reset()

    lab = against(lambda talk: helpful(talk, "content", instead=abrupt))
    assert "status=sent" in outcome(lab)
    assert lab.zegel.queue() == []


def test_R2_R28_stalled_handshake_has_a_deadline(against):
    """T28: the other destinations are not held, and the session ends by itself."""
    def stalls(talk):
        talk.say("220 Go ahead")
        talk.hear_silence()

    lab = against(lambda talk: helpful(talk, "STARTTLS", instead=stalls))
    until(lambda: lab.peer.heard()[-1:] == ["STARTTLS"], what="a handshake that stalls")
    content = client.message("web@shop.example", "web@shop.example")
    client.submit(lab.zegel, "web@shop.example", ["web@shop.example"], content, lab.login)
    lab.sink.wait_for("web@shop.example")
    assert not lab.peer.talks[0].is_over, "it had to wait for that handshake's end"


def test_R14_452_after_some_recipients_sends_the_rest_in_another_transaction(lab):
    """The peer takes three recipients at a time."""
    taken = []

    def three(talk):
        recipients = []
        talk.say("220 peer.example")
        while True:
            line = talk.hear()
            verb = line[:4].upper()
            if verb == "RCPT" and len(recipients) >= 3:
                talk.say("452 4.5.3 Too many recipients")
            elif verb == "RCPT":
                recipients.append(line)
                talk.say("250 2.1.5 Fine")
            elif verb == "DATA":
                talk.say("354 Go on")
                talk.hear_content()
                taken.extend(recipients)
                recipients.clear()
                talk.say("250 2.0.0 Kept")
            elif verb == "QUIT":
                talk.say("221 2.0.0 Bye")
                return
            else:
                talk.say("250 2.0.0 Fine")

    peer = Hostile(lab.place, lab.port, script=three)
    lab.dns.host("mx.bank.example", peer.address)
    lab.dns.mx("bank.example", "mx.bank.example")
    lab.zegel.sections["retry"] = {"first": "1s", "longest": "2s"}
    lab.start()
    recipients = [f"r{i}@bank.example" for i in range(8)]
    content = client.message("web@shop.example", recipients)
    client.submit(lab.zegel, "web@shop.example", recipients, content, lab.login)
    until(lambda: len(taken) >= 8, what="all eight recipients")
    assert len(set(taken)) == 8
    peer.close()
