"""Connections are kept for the next message, if what they have achieved covers what it requires; and
no failure of a kept one is ever a message's."""
import os
import re
import ssl
import time

import pytest

from lab import client
from lab.hostile import Hostile
from lab.place import until

FROM = "web@shop.example"


@pytest.fixture
def lab(make_lab):
    """What is kept is kept for longer than a busy machine takes to come with the next message."""
    lab = make_lab()
    lab.zegel.sections["delivery"]["idle-timeout"] = "2m"
    return lab


def serve(talk, trouble=None, words=("PIPELINING",)):
    """A good server for any number of messages; talk.mails tells of each: (MAIL, recipients, TLS).

    trouble(talk, verb): True if it has dealt with the command itself, None to go on, False to end.
    """
    talk.mails = []
    mail, recipients = None, []
    talk.say("220 peer.example ESMTP")
    while True:
        line = talk.hear()
        verb = line.split(" ")[0].upper()
        dealt = trouble(talk, verb) if trouble else None
        if dealt is False:
            return
        if dealt:
            continue
        if verb == "EHLO":
            more = ("STARTTLS",) if talk.tls and not talk.secure else ()
            for word in ("peer.example", *words, *more)[:-1]:
                talk.say(f"250-{word}")
            talk.say(f"250 {(*words, *more)[-1]}")
        elif verb == "STARTTLS":
            talk.say("220 2.0.0 Go ahead")
            talk.start_tls()
        elif verb == "MAIL":
            mail, recipients = line, []
            talk.say("250 2.1.0 Fine")
        elif verb == "RCPT":
            recipients.append(re.search("<(.*)>", line)[1])
            talk.say("250 2.1.5 Fine")
        elif verb == "DATA":
            talk.say("354 Go on")
            talk.hear_content()
            talk.mails.append((mail, recipients, talk.secure))
            if trouble and trouble(talk, ".") is not None:
                return
            talk.say("250 2.0.0 Kept")
        elif verb == "QUIT":
            talk.say("221 2.0.0 Bye")
            return
        else:
            talk.say("250 2.0.0 Fine")


def peer(lab, script, certificate=None, tlsa=(), host="mx.bank.example", domains=("bank.example",)):
    """A host that is the MX of some domains; before start()."""
    p = Hostile(lab.place, lab.port, script=script, certificate=certificate)
    lab.dns.host(host, p.address, port=lab.port, tlsa=tlsa)
    for domain in domains:
        lab.dns.mx(domain, host)
    return p


def mails(p):
    return [m for talk in list(p.talks) for m in getattr(talk, "mails", [])]


def recipients_of(p):
    return [r for _, recipients, _ in mails(p) for r in recipients]


def send(lab, to, n=1, login=None, **how):
    with client.Client(lab.zegel, login=login or lab.login) as session:
        for i in range(n):
            session.sendmail(FROM, [to], client.message(FROM, to, subject=f"n{i}", **how))


def send_one_by_one(lab, p, to, n):
    """Each when the one before has been delivered, and recorded."""
    for _ in range(n):
        before = lab.zegel.log().count("status=sent")
        send(lab, to)
        until(lambda: lab.zegel.log().count("status=sent") > before,
              what=f"a message for {to}\n{lab.zegel.told()}")


def nothing_was_deferred(lab):
    assert "status=deferred" not in lab.zegel.log()
    assert "status=bounced" not in lab.zegel.log()
    assert lab.zegel.queue() == []


# ---- how many connections ----

@pytest.mark.parametrize("processes", [1, 2])
def test_a_thousand_messages_over_a_handful_of_connections(lab, processes):
    lab.zegel.sections[""]["processes"] = processes
    certificate = lab.ca.issue("mx.bank.example")
    p = peer(lab, serve, certificate, [certificate.tlsa()])
    lab.start()
    send(lab, "anna@bank.example", n=1000)
    until(lambda: len(mails(p)) >= 1000, what="a thousand messages")
    until(lambda: lab.zegel.queue() == [], what="an empty queue")
    assert len(mails(p)) == 1000
    assert len(p.talks) <= 20  # connections-per-domain
    assert all(secure for _, _, secure in mails(p))
    evidence = [line for line in lab.zegel.log().splitlines() if " achieved=" in line]
    assert len(evidence) == 1000
    assert all("required=dane by=dane achieved=dane" in line for line in evidence)
    assert sum(" reused" in line for line in evidence) == 1000 - len(p.talks)
    nothing_was_deferred(lab)
    p.close()


def test_idle_connections_part_with_QUIT(lab):
    lab.zegel.sections["delivery"]["idle-timeout"] = "1s"
    p = peer(lab, serve)
    lab.start()
    send(lab, "anna@bank.example")
    until(lambda: mails(p))
    until(lambda: p.talks[0].heard[-1][1] == "QUIT", what="QUIT")
    p.close()


@pytest.mark.parametrize("how", ["reload", "stop"])
def test_a_process_that_goes_says_QUIT(lab, how):
    p = peer(lab, serve)
    lab.start()
    send(lab, "anna@bank.example")
    lab.zegel.wait_log("status=sent")
    assert p.talks[0].heard[-1][1] != "QUIT"
    if how == "stop":
        lab.zegel.stop()
    else:
        lab.zegel.reload()
    until(lambda: p.talks[0].heard[-1][1] == "QUIT", what="QUIT")
    if how == "reload":
        until(lambda: len(lab.zegel.roles()["delivery"]) == 1, what="the old delivery has gone")
        send(lab, "anna@bank.example")
        until(lambda: len(mails(p)) == 2)
        assert len(p.talks) == 2
    p.close()


def test_no_connection_is_kept_where_none_is_to_be(lab):
    lab.zegel.sections["delivery"]["idle-connections"] = 0
    p = peer(lab, serve)
    lab.start()
    send_one_by_one(lab, p, "anna@bank.example", 3)
    assert [len(talk.mails) for talk in p.talks] == [1, 1, 1]
    p.close()


def test_R26_LIMITS_MAILMAX(lab):
    p = peer(lab, lambda talk: serve(talk, words=("LIMITS MAILMAX=3", "PIPELINING")))
    lab.zegel.sections["delivery"]["connections-per-domain"] = 2  # without a limit: 10 on each
    lab.start()
    send(lab, "anna@bank.example", n=20)
    until(lambda: len(mails(p)) >= 20)
    assert max(len(talk.mails) for talk in p.talks) in (2, 3)
    nothing_was_deferred(lab)
    p.close()


# ---- mixed demands to one address ----

def test_T26_stricter_mail_never_travels_on_a_laxer_connection(lab):
    """One host for all. Its first connections show a certificate of nobody, the later ones the right
    one: what was made for those who accept anything carries none of those who don't."""
    good = lab.ca.issue("mx.shared.example")
    bad = lab.ca.self_signed("mx.shared.example")
    doors = {"bad": True}

    def script(talk):
        talk.shows = "bad" if doors["bad"] else "good"
        talk.tls = p.contexts[talk.shows]
        serve(talk)

    domains = ("lax.example", "shared.example", "other.example", "floor.example")
    p = peer(lab, script, good, host="mx.shared.example", domains=domains)
    p.contexts = {"good": p.tls, "bad": ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)}
    p.contexts["bad"].load_cert_chain(bad.chain, bad.key)
    lab.zegel.sections["retry"] = {"first": "1s", "longest": "1s"}
    lab.zegel.partners["shared.example"] = {"tls": "secure", "mx": "*.shared.example"}
    lab.zegel.partners["other.example"] = {"tls": "fingerprint", "fingerprint": "ab" * 32}
    strict = ("strict@shop.example", "correct horse battery")
    lab.zegel.add_account(*lab.login, senders=["@shop.example"])
    lab.zegel.add_account(*strict, senders=["@shop.example"], **{"tls-floor": "verify"})
    lab.start()

    send(lab, "anna@lax.example", n=5)
    until(lambda: recipients_of(p).count("anna@lax.example") == 5)
    n_lax = len(p.talks)
    for to, login in (("bert@shared.example", None), ("carl@other.example", None),
                      ("dora@floor.example", strict)):
        send(lab, to, login=login)
        lab.zegel.wait_log(f"to=<{to}>.*status=deferred")
    assert set(recipients_of(p)) == {"anna@lax.example"}

    doors["bad"] = False
    until(lambda: {"bert@shared.example", "dora@floor.example"} <= set(recipients_of(p)),
          what="what the good certificate covers")
    for _ in range(3):
        send(lab, "anna@lax.example")
        send(lab, "bert@shared.example")
        send(lab, "dora@floor.example", login=strict)
        send(lab, "carl@other.example")
    until(lambda: recipients_of(p).count("bert@shared.example") == 4)
    until(lambda: recipients_of(p).count("dora@floor.example") == 4)
    until(lambda: recipients_of(p).count("anna@lax.example") == 8)
    assert "carl@other.example" not in recipients_of(p)
    for talk in p.talks:
        for _, recipients, secure in talk.mails:
            assert secure
            assert talk.shows == "good" or recipients == ["anna@lax.example"]
    assert n_lax < 8
    reused = [line for line in lab.zegel.log().splitlines() if " reused" in line]
    assert any("required=secure by=partner achieved=secure" in line for line in reused)
    assert any("required=verify by=account achieved=verify" in line for line in reused)
    p.close()


def test_no_stricter_mail_in_a_plaintext_connection(lab):
    """The host offers TLS to nobody: what needs it waits while the others pass by on a kept one."""
    p = peer(lab, serve, host="mx.shared.example", domains=("lax.example", "bank.example"))
    lab.zegel.partners["bank.example"] = {"tls": "encrypt"}
    strict = ("strict@shop.example", "correct horse battery")
    lab.zegel.add_account(*lab.login, senders=["@shop.example"])
    lab.zegel.add_account(*strict, senders=["@shop.example"], **{"tls-floor": "encrypt"})
    lab.start()
    send_one_by_one(lab, p, "anna@lax.example", 2)
    send(lab, "bert@bank.example")
    send(lab, "anna@lax.example", login=strict)
    lab.zegel.wait_log("to=<bert@bank.example>.*starttls-missing")
    lab.zegel.wait_log("to=<anna@lax.example>.*starttls-missing")
    send_one_by_one(lab, p, "anna@lax.example", 2)
    assert recipients_of(p) == ["anna@lax.example"] * 4
    assert [len(talk.mails) for talk in p.talks].count(4) == 1
    p.close()


def test_a_login_is_said_once_for_each_connection(lab):
    """And a connection that is logged in is for mail to that next hop alone."""
    certificate = lab.ca.issue("mx.smart.example")

    def script(talk):
        def log_in(talk, verb):
            if verb == "AUTH":
                talk.say("235 2.7.0 Welcome")
                return True
            return None
        serve(talk, log_in, words=("PIPELINING", "AUTH PLAIN"))

    p = peer(lab, script, certificate, host="mx.smart.example", domains=("direct.example",))
    lab.zegel.routes["hop.example"] = {"host": "mx.smart.example", "port": lab.port, "tls": "verify",
                                       "login": "relay@provider.example"}
    path = lab.zegel.home / "route-passwords"
    path.write_text("relay@provider.example correct horse\n")
    path.chmod(0o600)
    if lab.zegel.user is not None:
        os.chown(path, lab.zegel.user, lab.zegel.user)
    lab.start()
    send_one_by_one(lab, p, "anna@hop.example", 3)
    send_one_by_one(lab, p, "bert@direct.example", 2)
    send_one_by_one(lab, p, "anna@hop.example", 2)
    used = [talk for talk in p.talks if talk.mails]
    for talk in used:
        logged_in = sum(line.startswith("AUTH ") for _, line in talk.heard)
        to = {r for _, recipients, _ in talk.mails for r in recipients}
        assert (to, logged_in) in (({"anna@hop.example"}, 1), ({"bert@direct.example"}, 0))
    assert len(used) == 2
    p.close()


# ---- what becomes of a kept connection is no affair of the message ----

def silence(talk, verb):
    """Nothing more is said on a connection that has had its message."""
    if verb == "MAIL" and talk.mails:
        talk.hear_silence()
        return False
    return None


def reset(talk, verb):
    if verb == "MAIL" and talk.mails:
        talk.reset()
        return False
    return None


def closes_idle(talk, verb):
    """250, and after a moment the end."""
    if verb != ".":
        return None
    talk.say("250 2.0.0 Kept")
    time.sleep(0.3)
    return False


def talks_idle(talk, verb):
    if verb != ".":
        return None
    talk.say("250 2.0.0 Kept")
    time.sleep(0.3)
    talk.say("421 4.4.2 Too long")
    talk.hear_silence()
    return False


def lives_once(what, then=False):
    """From the second on each command of a kind is answered so."""
    def trouble(talk, verb):
        if verb != what or not talk.mails:
            return None
        talk.say("421 4.7.0 Enough" if then is False else "451 4.7.0 Enough")
        return then
    return trouble


TROUBLES = {
    "R9 closes while idle": closes_idle,
    "R11 talks while idle": talks_idle,
    "R8 421 to MAIL": lives_once("MAIL"),
    "R8 421 to RCPT": lives_once("RCPT"),
    "R8 421 to DATA": lives_once("DATA"),
    "451 to MAIL": lives_once("MAIL", then=True),
    "451 to DATA": lives_once("DATA", then=True),
    "R10 resets at MAIL": reset,
}


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_R_a_kept_connection_fails_and_no_message_does(lab, trouble, tls):
    certificate = lab.ca.issue("mx.bank.example") if tls else None
    p = peer(lab, lambda talk: serve(talk, trouble), certificate,
             [certificate.tlsa()] if tls else [])
    lab.start()
    send_one_by_one(lab, p, "anna@bank.example", 4)
    if trouble in (closes_idle, talks_idle):
        until(p.is_quiet, what="the end of what was kept")
        send_one_by_one(lab, p, "anna@bank.example", 2)
    send(lab, "anna@bank.example", n=10)
    until(lambda: lab.zegel.log().count("status=sent") >= 14, what="all are delivered")
    until(lambda: lab.zegel.queue() == [])
    nothing_was_deferred(lab)
    assert len(p.talks) > 1
    p.close()
    assert p.errors == []


def test_R1_a_kept_connection_that_falls_silent(lab):
    """No reply to MAIL: after twenty seconds a fresh one takes the message."""
    p = peer(lab, lambda talk: serve(talk, silence))
    lab.start()
    send_one_by_one(lab, p, "anna@bank.example", 2)
    assert [len(talk.mails) for talk in p.talks] == [1, 1]
    nothing_was_deferred(lab)
    p.close()


def test_R9_lost_after_the_dot_of_a_kept_connection_waits(lab):
    """As on a fresh one: the server may have the message, so nobody else is asked."""
    def trouble(talk, verb):
        return False if verb == "." and len(talk.mails) == 2 else None

    p = peer(lab, lambda talk: serve(talk, trouble))
    lab.zegel.sections["retry"] = {"first": "1h", "longest": "2h"}
    lab.start()
    send_one_by_one(lab, p, "anna@bank.example", 1)
    send(lab, "anna@bank.example")
    line = lab.zegel.wait_log("status=deferred")[0]
    assert "may be sent more than once" in line
    assert len(p.talks) == 1
    p.close()


def test_R13_R15_what_a_kept_connection_says_of_the_message_counts(lab):
    def trouble(talk, verb):
        if verb == "RCPT" and "gone" in talk.heard[-1][1]:
            talk.say("550 5.1.1 No such user")
            return True
        if verb == "RCPT" and "grey" in talk.heard[-1][1]:
            talk.say("450 4.7.1 Greylisted")
            return True
        if verb == "DATA" and not re.search("anna", "".join(w for _, w in talk.heard[-2:])):
            talk.say("503 5.5.1 No recipient")
            return True
        return None

    p = peer(lab, lambda talk: serve(talk, trouble))
    lab.receiver("shop.example")
    lab.start()
    send_one_by_one(lab, p, "anna@bank.example", 1)
    send(lab, "gone@bank.example")
    assert "status=bounced" in lab.zegel.wait_log("to=<gone@bank.example>.*status=")[0]
    send(lab, "grey@bank.example")
    assert "status=deferred" in lab.zegel.wait_log("to=<grey@bank.example>.*status=")[0]
    send_one_by_one(lab, p, "anna@bank.example", 1)
    assert [len(talk.mails) for talk in p.talks] == [2]
    assert sum(line == "RSET" for _, line in p.talks[0].heard) == 2
    p.close()
