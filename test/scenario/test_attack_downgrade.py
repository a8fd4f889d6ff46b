"""Somebody on the way, who may say and change whatever is not inside TLS, and an administrator who
makes rules while mail is under way: no byte of it goes unprotected, and none is given up for what
anybody could have said."""
import threading

import pytest

from lab import client
from lab.hostile import Hostile, helpful
from lab.place import PATIENCE_S, until

FROM = "web@shop.example"
SECRET = b"A secret."


def send(lab, *recipients):
    content = client.message(FROM, list(recipients), text="A secret.\n")
    client.submit(lab.zegel, FROM, list(recipients), content, lab.login)


def peer_of(lab, domain, script, certificate=None, tlsa=()):
    """A peer that is the MX of a domain; before start()."""
    peer = Hostile(lab.place, lab.port, script=script, certificate=certificate)
    lab.dns.host(f"mx.{domain}", peer.address, port=lab.port, tlsa=tlsa)
    lab.dns.mx(domain, f"mx.{domain}")
    return peer


def says_at(step, reply):
    """Whoever sits on the way answers here in the place of the server, and hears QUIT."""
    def instead(talk):
        talk.say(reply)
        talk.hear_silence()
    return lambda talk: helpful(talk, step, instead=instead)


WORDS = {
    "banner 554": says_at("banner", "554 5.7.1 Go away"),
    "banner 521": says_at("banner", "521 5.3.2 No mail here"),
    "EHLO 550": says_at("EHLO", "550 5.7.1 Your kind is not served here"),
    "EHLO 554": says_at("EHLO", "554 5.1.1 No such user"),
    "EHLO 500": says_at("EHLO", "500 5.5.1 What?"),
    "STARTTLS 554": says_at("STARTTLS", "554 5.7.3 No TLS"),
    "STARTTLS 550": says_at("STARTTLS", "550 5.1.1 No such user"),
}


@pytest.mark.parametrize("demand", ["dane", "encrypt", "verify", "floor"])
def test_R3_no_word_in_plaintext_ends_mail_that_needs_TLS(lab, demand):
    """A 5xx before the handshake is anybody's: the mail waits, and goes when the server itself speaks."""
    peers = {}
    for i, (name, script) in enumerate(WORDS.items()):
        domain = f"p{i}.bank.example"
        certificate = lab.ca.issue(f"mx.{domain}")
        peers[name] = peer_of(lab, domain, script, certificate,
                              [certificate.tlsa()] if demand == "dane" else [])
        if demand in ("encrypt", "verify"):
            lab.zegel.partners[domain] = {"tls": demand}
    lab.zegel.sections["retry"] = {"first": "1h", "longest": "2h"}
    lab.receiver("shop.example")
    lab.start()
    if demand == "floor":
        lab.zegel.accounts[FROM]["tls-floor"] = "encrypt"
        lab.zegel.reload_and_wait()
    recipients = [f"anna@p{i}.bank.example" for i in range(len(WORDS))]
    send(lab, *recipients)
    for recipient in recipients:
        lines = lab.zegel.wait_log(rf"to=<{recipient}>.*status=\w+")
        assert len(lines) == 1 and "status=deferred" in lines[0] and "dsn=4.7." in lines[0], lines
    for peer in peers.values():
        assert b"MAIL" not in peer.heard_in_clear()
        peer.script = helpful
    lab.zegel.retry("all")
    for name, peer in peers.items():
        until(peer.delivered, what=f"delivery after {name}")
        assert SECRET not in peer.heard_in_clear()
        peer.close()
        assert peer.errors == [], name
    assert lab.sink.messages(FROM) == []


def test_a_rule_holds_for_mail_that_is_under_way(lab):
    """What was planned before the rule was made is planned again, wherever it is at, until content goes."""
    go = threading.Event()

    def waits_at(step):
        def script(talk):
            def waits(talk):
                go.wait(PATIENCE_S)
                if step == "banner":
                    talk.say("220 peer.example ESMTP")
                elif step == "EHLO":
                    talk.say("250 peer.example")
                elif step in ("MAIL", "RCPT"):
                    talk.say("250 2.1.0 Fine")
                elif step == "DATA":
                    talk.say("354 Go on")
                    talk.hear_content()
                    talk.say("250 2.0.0 Kept")
                helpful_rest(talk)
            return helpful(talk, step, instead=waits, extensions=())
        return script

    def helpful_rest(talk):
        while True:
            verb = talk.hear().split(" ")[0].upper()
            if verb == "DATA":
                talk.say("354 Go on")
                talk.hear_content()
            talk.say("250 2.0.0 Fine")

    steps = ("banner", "EHLO", "MAIL", "RCPT", "DATA")
    peers = [peer_of(lab, f"p{i}.bank.example", waits_at(step)) for i, step in enumerate(steps)]
    lab.zegel.sections["retry"] = {"first": "1h", "longest": "2h"}
    lab.start()
    recipients = [f"anna@p{i}.bank.example" for i in range(len(steps))]
    send(lab, *recipients)
    for step, peer in zip(steps, peers):
        until(lambda: peer.talks and (step == "banner" or
                                      any(line.startswith(step) for line in peer.heard())),
              what=f"{step} at the peer")
    lab.zegel.partners[".bank.example"] = {"tls": "encrypt"}
    lab.zegel.reload_and_wait()
    until(lambda: len(lab.zegel.roles()["delivery"]) == 1, what="only the new delivery")
    go.set()
    for recipient in recipients:
        lines = lab.zegel.wait_log(rf"to=<{recipient}>.*status=\w+")
        assert len(lines) == 1 and "status=deferred" in lines[0], lines
        assert "by partner" in lines[0] or "starttls-missing" in lab.zegel.why(recipient), lines
    for step, peer in zip(steps, peers):
        assert SECRET not in peer.heard_in_clear(), step
        peer.close()
        assert peer.errors == [], step
    assert len(lab.zegel.queue()) == len(steps)


def test_a_reload_lets_content_go_to_its_end(lab):
    """Cut off there, it would arrive twice."""
    go = threading.Event()

    def script(talk):
        def waits(talk):
            go.wait(PATIENCE_S)
            talk.say("250 2.0.0 Kept")
        return helpful(talk, "content", instead=waits)

    peer = peer_of(lab, "bank.example", script)
    lab.start()
    send(lab, "anna@bank.example")
    until(peer.delivered, what="content")
    lab.zegel.partners["bank.example"] = {"tls": "encrypt"}
    lab.zegel.reload_and_wait()
    go.set()
    lines = lab.zegel.wait_log(r"to=<anna@bank\.example>.*status=\w+")
    assert len(lines) == 1 and "status=sent" in lines[0], lines
    until(lambda: lab.zegel.queue() == [], what="an empty queue")
    assert len(peer.delivered()) == 1
    peer.close()
    assert peer.errors == []


def test_a_notification_keeps_the_floor_of_its_account(lab):
    """It holds the header of the mail: whoever makes mail fail would otherwise read that."""
    lab.receiver("bank.example", rules={"anna@bank.example": "550 5.1.1 Nobody"})
    home = lab.receiver("shop.example", tls=False)
    lab.start()
    lab.zegel.accounts[FROM]["tls-floor"] = "encrypt"
    lab.zegel.reload_and_wait()
    send(lab, "anna@bank.example")
    lab.zegel.wait_log(r"to=<anna@bank\.example>.*status=bounced")
    lines = lab.zegel.wait_log(rf"to=<{FROM}>.*status=\w+")
    assert "status=deferred" in lines[0] and "starttls-missing" in lines[0], lines
    assert "MAIL" not in lab.sink.clear_text(home)
