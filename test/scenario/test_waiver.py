"""TLS-Required: No (RFC 8689 4.2.2) where TLS is offered and does not come: "attempt to negotiate
STARTTLS, but do not fail". Beside it the same receiver's other mail, which waits."""
import re

import pytest

from lab import client
from lab.certs import wrong_tlsa
from lab.hostile import Hostile

FROM = "web@shop.example"
WAIVED, OTHER = "anna@bank.example", "carl@bank.example"


def hangs_up(talk):
    """At STARTTLS; without it, it takes mail."""
    talk.mails = []
    talk.say("220 peer.example ESMTP")
    while True:
        line = talk.hear()
        verb = line.split(" ")[0].upper()
        if verb == "STARTTLS":
            return
        if verb == "EHLO":
            talk.say("250-peer.example")
            talk.say("250 STARTTLS")
        elif verb == "DATA":
            talk.say("354 Go on")
            talk.mails.append(talk.hear_content())
            talk.say("250 2.0.0 Kept")
        else:
            talk.say("250 2.0.0 Fine")
        if verb == "QUIT":
            return


def breaks_off(talk):
    """In the handshake; without it, it takes mail."""
    hear = talk.hear

    def hear_and_lure():
        line = hear()
        if line.upper() == "STARTTLS":
            talk.say("220 2.0.0 Go ahead")
        return line
    talk.hear = hear_and_lure
    hangs_up(talk)


def mails(peer):
    return [m for talk in list(peer.talks) for m in getattr(talk, "mails", [])]


def send(lab, recipient, **fields):
    with client.Client(lab.zegel, login=lab.login) as session:
        session.sendmail(FROM, [recipient], client.message(FROM, recipient, **fields))
    lab.zegel.wait_log(rf"to=<{re.escape(recipient)}>.*status=deferred")


@pytest.mark.parametrize("script", [hangs_up, breaks_off])
def test_it_goes_at_the_second_attempt_and_nothing_else_does(lab, script):
    peer = Hostile(lab.place, lab.port, script=script, certificate=lab.ca.issue("mx.bank.example"))
    lab.dns.host("mx.bank.example", peer.address, port=lab.port, tlsa=[wrong_tlsa()])
    lab.dns.mx("bank.example", "mx.bank.example")
    lab.start()
    send(lab, WAIVED, TLS_Required="No")
    send(lab, OTHER)
    assert mails(peer) == [], "the first attempt never answers with plaintext"
    lab.zegel.retry()
    lab.zegel.wait_log(rf"to=<{re.escape(WAIVED)}>.*status=sent")
    lab.zegel.wait_log(rf"to=<{re.escape(OTHER)}>.*status=deferred", n=2)
    assert len(mails(peer)) == 1 and b"\r\nTLS-Required: No\r\n" in mails(peer)[0]
    assert "[tls-fallback]" in lab.zegel.log(), "and not in silence"
    assert not any(re.match("(MAIL|RCPT).*carl", line) for talk in list(peer.talks)
                   for _, line in talk.heard)
