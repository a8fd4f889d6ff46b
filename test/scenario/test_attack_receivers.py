"""Receivers with DANE that say what no server should: what they take is delivered once, what they did
not take waits, and whatever they say the next mail goes."""
import time

import pytest

from lab.hostile import helpful
from test_hostile import against, outcome, recovers  # noqa: F401 (against is a fixture)


def says(reply, then_tls=False):
    def instead(talk):
        talk.say(reply)
        if then_tls:
            talk.start_tls()
            rest(talk)
    return instead


def rest(talk):
    """From EHLO over TLS on, correctly, until QUIT."""
    while True:
        verb = talk.hear().split(" ")[0].upper()
        if verb == "DATA":
            talk.say("354 Go on")
            talk.hear_content()
        talk.say("221 Bye" if verb == "QUIT" else "250 2.0.0 Fine")
        if verb == "QUIT":
            return


def drip(talk):
    """Each byte of what is said is a packet, and a record, of its own."""
    whole = talk.say

    def slowly(text):
        data = text if isinstance(text, bytes) else text.encode("latin-1") + b"\r\n"
        for i in range(len(data)):
            whole(data[i:i + 1])
            time.sleep(0.001)
    talk.say = slowly
    return helpful(talk)


def early_acceptance(talk):
    """Takes the content before it has come, and goes."""
    talk.say("354 Go on\r\n250 2.0.0 Kept")
    talk.hear_silence()


def plaintext_in_tls(talk):
    """Ends TLS in the middle, and goes on as if there had been none."""
    talk.socket = talk.socket.unwrap()
    talk.say("250 2.0.0 Fine")
    talk.hear_silence()


TAKEN = {
    "STARTTLS: 220 in many lines, with NULs": (
        "STARTTLS", says(b"220-go\0\0\r\n" * 50 + b"220 \x1b[2Jgo\0\r\n", then_tls=True)),
    "STARTTLS: a bare 220": ("STARTTLS", says(b"220\r\n", then_tls=True)),
    "MAIL: an enhanced code of the other class": ("MAIL", lambda talk: (
        talk.say("250 5.7.1 Fine"), rest(talk))),
}


@pytest.mark.parametrize("how", TAKEN)
def test_R17_R28_odd_words_of_a_server_that_takes_it(against, how):
    step, instead = TAKEN[how]
    lab = against(lambda talk: helpful(talk, step, instead=instead))
    line = outcome(lab)
    assert "status=sent" in line, line
    assert len(lab.peer.delivered()) == 1
    assert b"MAIL" not in lab.peer.heard_in_clear()


def test_R2_every_byte_by_itself(against):
    lab = against(drip)
    assert "status=sent" in outcome(lab)
    assert len(lab.peer.delivered()) == 1


WAITS = {
    "EHLO: ten thousand lines": ("EHLO", says(b"250-WORD\r\n" * 10000 + b"250 STARTTLS\r\n")),
    "EHLO over TLS: ten thousand lines": (
        "EHLO over TLS", says(b"250-WORD\r\n" * 10000 + b"250 PIPELINING\r\n")),
    "banner: without an end": ("banner", says(b"220-" + b"x" * 200000)),
    "banner: two": ("banner", says("220 one\r\n220 two")),
    "STARTTLS: with what would be the answer over TLS": (
        "STARTTLS", says(b"220 go\r\n250-mx\r\n250 PIPELINING\r\n", then_tls=True)),
    "EHLO over TLS: two replies": ("EHLO over TLS", says("250 mx\r\n250 2.1.0 Fine")),
    "MAIL: two replies": ("MAIL", says("250 2.1.0 Fine\r\n250 2.1.5 Fine\r\n250 2.0.0 Kept")),
    "DATA: taken before it came": ("DATA", early_acceptance),
    "MAIL: plaintext after TLS": ("MAIL", plaintext_in_tls),
    "DATA: 250": ("DATA", says("250 2.0.0 Kept")),
    "content: 354 once more": ("content", says("354 More")),
}


@pytest.mark.parametrize("how", WAITS)
def test_R4_R5_R6_R11_R12_what_no_server_says_is_no_acceptance(against, how):
    step, instead = WAITS[how]
    lab = against(lambda talk: helpful(talk, step, instead=instead))
    line = outcome(lab)
    assert "status=deferred" in line and "dsn=4." in line, line
    clear = lab.peer.heard_in_clear()
    assert b"MAIL" not in clear and b"Body." not in clear
    recovers(lab)
