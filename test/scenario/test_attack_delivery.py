"""The delivery side under attack: slow and lying receivers, roles that die or are replaced between
a receiver's 250 and our record of it, and receivers that try to get mail in plaintext."""
import os
import pathlib
import re
import signal
import threading
import time

import pytest

from lab import client
from lab.dns import Troublemaker
from lab.hostile import Hostile, helpful
from lab.place import PATIENCE_S, until

FROM = "web@shop.example"


def send(lab, *recipients, text="Hello.\n", subject="A message"):
    content = client.message(FROM, list(recipients), text=text, subject=subject)
    client.submit(lab.zegel, FROM, list(recipients), content, lab.login)


def hostile(lab, domain, script, certificate=None, tlsa=(), address=None):
    """A peer that is the MX of a domain; before start()."""
    host = f"mx.{domain}"
    peer = Hostile(lab.place, lab.port, script=script, certificate=certificate, address=address)
    lab.dns.host(host, peer.address, port=lab.port, tlsa=tlsa)
    lab.dns.mx(domain, host)
    return peer


def tarpit(talk):
    """Never says a word."""
    talk.socket.settimeout(600)
    talk.hear_silence()


def rss_kib(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def statuses(lab, recipient):
    return re.findall(rf"to=<{re.escape(recipient)}>.*? status=(\w+)", lab.zegel.log())


# ---- one destination and the others ----

def test_O7_R25_tarpits_leave_others_alone(lab):
    """200 messages for 20 domains that never greet; a mailbox elsewhere gets its mail at once."""
    peer = Hostile(lab.place, lab.port, script=tarpit)
    for i in range(20):
        lab.dns.host(f"mx.t{i}.bank.example", peer.address, port=lab.port)
        lab.dns.mx(f"t{i}.bank.example", f"mx.t{i}.bank.example")
    lab.receiver("good.example")
    lab.start()
    with client.Client(lab.zegel, login=lab.login) as session:
        for n in range(30):
            to = [f"r{n}@t{i}.bank.example" for i in range(20)]
            session.sendmail(FROM, to, client.message(FROM, to))
    until(lambda: len(peer.talks) >= 60, what="the tarpits are busy")
    for n in range(5):
        send(lab, f"anna{n}@good.example")
    for n in range(5):
        lab.sink.wait_for(f"anna{n}@good.example")
    assert not any(talk.is_over for talk in peer.talks), "it had to wait for a tarpit's end"
    peer.close()


# ---- reloads, deaths ----

def only_one_generation(lab):
    until(lambda: {role: len(pids) for role, pids in lab.zegel.roles().items()} == {
        "intake": 1, "auth": 2, "keeper": 1, "lookup": 1, "delivery": 1, "queue": 1},
        what="only the newest generation is left")


def nothing_is_under_way(lab, peer):
    """Neither in the queue nor on a connection: what has not come twice by now never will."""
    until(lambda: lab.zegel.command("--json", "queue", "list", check=False).returncode == 0,
          what="a queue that answers")
    until(lambda: lab.zegel.queue() == [], what="an empty queue")
    until(peer.is_quiet, what="no connection")


def test_reload_in_the_middle_of_a_lookup_defers_nothing(lab):
    """The old lookup answers the old deliveries before it goes."""
    trouble = Troublemaker(lab.place, lab.dns.address)
    answers = threading.Event()
    trouble.rules = [("bank.example", "MX", answers)]
    lab.zegel.stubs["example"] = f"{trouble.address}@{trouble.port}"
    lab.receiver("bank.example")
    lab.start()
    send(lab, "anna@bank.example")
    until(lambda: any(kind == "MX" for _, kind in trouble.asked), what="the question")
    lab.zegel.reload_and_wait()
    answers.set()
    lab.sink.wait_for("anna@bank.example")
    until(lambda: statuses(lab, "anna@bank.example"))
    assert statuses(lab, "anna@bank.example") == ["sent"]
    only_one_generation(lab)
    trouble.close()


def test_lookup_that_dies_is_asked_again(lab):
    trouble = Troublemaker(lab.place, lab.dns.address)
    answers = threading.Event()
    trouble.rules = [("bank.example", "MX", answers)]
    lab.zegel.stubs["example"] = f"{trouble.address}@{trouble.port}"
    lab.receiver("bank.example")
    lab.start()
    send(lab, "anna@bank.example")
    until(lambda: any(kind == "MX" for _, kind in trouble.asked), what="the question")
    lab.zegel.kill_role("lookup")
    answers.set()
    lab.sink.wait_for("anna@bank.example")
    until(lambda: statuses(lab, "anna@bank.example"))
    assert statuses(lab, "anna@bank.example") == ["sent"]
    trouble.close()


def test_twenty_reloads_in_a_flow_of_a_thousand(lab):
    """Exactly one copy of each."""
    lab.receiver("bank.example")
    lab.zegel.sections["retry"] = {"first": "2s", "longest": "4s"}
    lab.start()
    ended = threading.Event()

    def reloads():
        for _ in range(20):
            lab.zegel.reload_and_wait()
        ended.set()
    thread = threading.Thread(target=reloads, daemon=True)
    thread.start()
    session = None
    for n in range(1000):
        while True:
            try:
                session = session or client.Client(lab.zegel, login=lab.login)
                session.sendmail(FROM, ["anna@bank.example"], client.message(
                    FROM, "anna@bank.example", subject=f"n{n:04d}"))
                break
            except Exception as error:  # answered, or closed: this one was not taken
                if getattr(error, "smtp_code", 421) // 100 == 5:
                    raise
                session = None
                time.sleep(0.05)
    lab.sink.wait_for("anna@bank.example", n=1000)
    assert ended.wait(PATIENCE_S)
    until(lambda: lab.zegel.queue() == [], what="an empty queue")
    only_one_generation(lab)  # an older one would have to finish what it is still at
    found = [re.search(rb"Subject: (n\d+)", m)[1] for m in lab.sink.messages("anna@bank.example")]
    assert len(set(found)) == 1000
    assert len(found) == 1000, f"{len(found) - 1000} came twice"
    assert set(statuses(lab, "anna@bank.example")) == {"sent"}


@pytest.mark.parametrize("role", ["delivery", "queue", "both"])
def test_Q3_killed_between_the_250_and_the_record(lab, role):
    """At most one duplicate, and never a loss."""
    begun, killed = threading.Event(), threading.Event()

    def script(talk):
        def answers(talk):
            if not begun.is_set():
                begun.set()
                roles = lab.zegel.roles()
                if role in ("delivery", "both"):
                    talk.say("250 2.0.0 Kept")
                    os.kill(roles["delivery"][0], signal.SIGKILL)
                    if role == "both":
                        os.kill(roles["queue"][0], signal.SIGKILL)
                else:
                    os.kill(roles["queue"][0], signal.SIGKILL)
                    talk.say("250 2.0.0 Kept")
                killed.set()
            else:
                talk.say("250 2.0.0 Kept")
        helpful(talk, "content", instead=answers)

    peer = hostile(lab, "bank.example", script)
    lab.zegel.sections["retry"] = {"first": "2s", "longest": "4s"}
    lab.start()
    send(lab, "anna@bank.example")
    until(killed.is_set)
    nothing_is_under_way(lab, peer)
    n = len(peer.delivered())
    assert 1 <= n <= 2, n
    if role == "queue":
        assert n == 1, "the delivery lived and knew that it had been taken"
    peer.close()
    assert peer.errors == []


# ---- plaintext, whatever the server does ----

def helpful_plain(talk, words=("PIPELINING",), answers=None):
    """A server that takes mail in plaintext; what it says to STARTTLS comes from the test."""
    talk.say("220 peer.example ESMTP")
    while True:
        line = talk.hear()
        verb = line.split(" ")[0].upper()
        if verb == "EHLO":
            for word in ("peer.example",) + words[:-1]:
                talk.say(f"250-{word}")
            talk.say(f"250 {words[-1]}")
        elif verb == "STARTTLS":
            if answers is None:
                talk.say("500 5.5.1 What?")
            elif answers(talk):
                return
        elif verb == "DATA":
            talk.say("354 Go on")
            talk.hear_content()
            talk.say("250 2.0.0 Kept")
        elif verb == "QUIT":
            talk.say("221 Bye")
            return
        else:
            talk.say("250 2.0.0 Fine")


def answer(reply, ends=False):
    def says(talk):
        talk.say(reply)
        return ends
    return says


def garbage_handshake(talk):
    talk.say("220 Go")
    talk.say(b"\x16\x03\x01\x00\x05hello")
    talk.say("250 more")
    return False


def plaintext_after_go(talk):
    """Goes on as if the handshake had been: a stripping relay."""
    talk.say("220 Go")
    return False


OFFERS = ("PIPELINING", "STARTTLS")
STRIPPERS = {
    "not offered": lambda talk: helpful_plain(talk),
    "offered in a word": lambda talk: helpful_plain(talk, ("PIPELINING", "XSTARTTLS")),
    "501": lambda talk: helpful_plain(talk, OFFERS, answer("501 5.5.4 No")),
    "454": lambda talk: helpful_plain(talk, OFFERS, answer("454 4.7.0 No")),
    "250": lambda talk: helpful_plain(talk, OFFERS, answer("250 2.0.0 No need")),
    "354": lambda talk: helpful_plain(talk, OFFERS, answer("354 Go on")),
    "garbage reply": lambda talk: helpful_plain(talk, OFFERS, answer(b"\0\1\2\r\n")),
    "close": lambda talk: helpful_plain(talk, OFFERS, lambda t: True),
    "garbage": lambda talk: helpful_plain(talk, OFFERS, garbage_handshake),
    "plain": lambda talk: helpful_plain(talk, OFFERS, plaintext_after_go),
    "early": lambda talk: helpful_plain(
        talk, OFFERS, answer(b"220 Go\r\n250 2.1.0 Fine\r\n250 2.1.5 Fine\r\n354 Go\r\n")),
    "HELO only": lambda talk: refuse_ehlo(talk),
}


def refuse_ehlo(talk):
    talk.say("220 peer.example")
    while True:
        verb = talk.hear().split(" ")[0].upper()
        if verb == "EHLO":
            talk.say("500 5.5.1 What?")
        elif verb == "DATA":
            talk.say("354 Go on")
            talk.hear_content()
            talk.say("250 Kept")
        else:
            talk.say("250 Fine")


@pytest.mark.parametrize("demand", ["encrypt", "dane", "dane-unusable", "secure", "fingerprint",
                                    "verify", "dane-only"])
def test_no_byte_of_a_message_in_plaintext(make_lab, demand):
    """Every trick, three attempts each: nothing but EHLO, STARTTLS and QUIT is ever said in clear."""
    lab = make_lab()
    peers = {}
    certificate = lab.ca.issue("mx.any.example")
    for i, (name, script) in enumerate(STRIPPERS.items()):
        domain = f"p{i}.bank.example"
        tlsa = [certificate.tlsa()] if demand in ("dane", "dane-only") else \
            ["3 1 1 00ff"] if demand == "dane-unusable" else []
        peers[name] = hostile(lab, domain, script, tlsa=tlsa)
        rule = {"encrypt": {"tls": "encrypt"}, "secure": {"tls": "secure", "mx": "*.bank.example"},
                "verify": {"tls": "verify"}, "dane-only": {"tls": "dane-only"},
                "fingerprint": {"tls": "fingerprint", "fingerprint": "ab" * 32}}.get(demand)
        if rule:
            lab.zegel.partners[domain] = rule
    lab.zegel.sections["retry"] = {"first": "1s", "longest": "1s"}
    lab.start()
    recipients = [f"anna@p{i}.bank.example" for i in range(len(STRIPPERS))]
    send(lab, *recipients, text="A secret.\n")
    until(lambda: all(statuses(lab, r).count("deferred") >= 3 for r in recipients),
          what="three attempts each")
    for name, peer in peers.items():
        clear = peer.heard_in_clear()
        for word in (b"MAIL", b"RCPT", b"DATA", b"secret", b"\nHELO "):
            assert word not in clear, (name, clear)
        said = {line.split(" ")[0] for line in peer.heard()
                if re.fullmatch(r"[\x20-\x7e]*", line)}
        assert name in ("garbage", "plain", "early") or said <= {"EHLO", "STARTTLS", "QUIT"}, name
        peer.close()
        assert peer.errors == [], name
    for r in recipients:  # the reason is one line, or none while it is tried again
        assert len(re.findall(r"waiting|failed", lab.zegel.why(r).strip().split(": ")[0])) <= 1


# ---- verdicts ----

def script_of(replies, taken=None, words=("PIPELINING",)):
    """A server whose answer to a command is replies[verb], or a function of the line."""
    def script(talk):
        talk.say("220 peer.example")
        recipients = []
        while True:
            line = talk.hear()
            verb = line.split(" ")[0].upper()
            reply = replies.get(verb)
            reply = reply(line) if callable(reply) else reply
            if verb == "EHLO" and not reply:
                for word in ("peer.example",) + words[:-1]:
                    talk.say(f"250-{word}")
                reply = f"250 {words[-1]}"
            elif verb == "RCPT":
                reply = reply or "250 2.1.5 Fine"
                if reply.startswith("2"):
                    recipients.append(re.search("<(.*)>", line)[1])
            elif verb == "MAIL":
                recipients = []
            elif verb == "DATA" and not reply:
                if not recipients:
                    talk.say("554 5.5.1 No recipients")
                    continue
                talk.say("354 Go on")
                talk.hear_content()
                reply = replies.get(".", "250 2.0.0 Kept")
                reply = reply(talk.content) if callable(reply) else reply
                if reply.startswith("250") and taken is not None:
                    taken.append(list(recipients))
            elif verb == "QUIT":
                talk.say("221 Bye")
                return
            talk.say(reply or "250 2.0.0 Fine")
    return script


@pytest.mark.parametrize("words", [("PIPELINING",), ("SIZE",)], ids=["group", "lockstep"])
def test_R13_R15_each_recipient_its_own_verdict(lab, words):
    codes = {"fine": "250 2.1.5 Fine", "full": "452 4.2.2 Full", "grey": "450 4.7.1 Greylisted",
             "gone": "550 5.1.1 No such user", "moved": "551 5.1.6 Moved",
             "quota": "552 5.2.2 Quota",
             "param": "555 5.5.4 Param", "never": "521 5.3.2 No mail", "null": "556 5.1.10 No",
             "odd": "299 2.0.0 Odd", "bare": "550"}
    taken = []
    peer = hostile(lab, "bank.example", script_of(
        {"RCPT": lambda line: codes[re.search("<(.*)@", line)[1]]}, taken, words))
    lab.receiver("shop.example")
    lab.start()
    send(lab, *[f"{name}@bank.example" for name in codes])
    for name, reply in codes.items():
        line = lab.zegel.wait_log(rf"to=<{name}@bank\.example>.*status=")[0]
        wanted = {"2": "sent", "4": "deferred", "5": "bounced"}[reply[0]]
        assert f"status={wanted}" in line, line
        if wanted != "sent":
            enhanced = reply.split()[1] if " " in reply else "5.0.0"
            assert reply[:3] in line and f"dsn={enhanced}" in line, line
    assert taken == [["fine@bank.example", "odd@bank.example"]]
    notice = lab.sink.wait_for(FROM)
    assert len(notice) == 1
    told = {name for name in codes
            if f"Final-Recipient: rfc822; {name}@bank.example".encode() in notice[0]}
    assert told == {name for name, reply in codes.items() if reply[0] == "5"}
    until(lambda: {e["recipient"] for e in lab.zegel.queue()} == {
        "full@bank.example", "grey@bank.example"}, what="only these two are left")
    for name in ("full", "grey"):
        told = lab.zegel.why(f"{name}@bank.example")
        assert codes[name][4:].split()[0] in told and codes[name].split(" ", 2)[2] in told, told
    peer.close()
    assert peer.errors == []


def test_thousand_recipients_of_one_domain_in_transactions_of_a_hundred(lab):
    taken = []
    peer = hostile(lab, "bank.example", script_of({}, taken))
    lab.start()
    to = [f"r{i:04d}@bank.example" for i in range(1000)]
    raw = client.Raw(lab.zegel, login=lab.login)
    raw.ask(f"MAIL FROM:<{FROM}>")
    raw.send("".join(f"RCPT TO:<{r}>\r\n" for r in to))
    for _ in to:
        assert raw.reply().startswith("250 ")
    raw.ask("DATA")
    raw.send(f"From: {FROM}\r\n\r\nmany\r\n.\r\n")
    assert raw.reply().startswith("250 ")
    until(lambda: lab.zegel.log().count("status=sent") == 1000, what="all are sent")
    assert sorted(r for t in taken for r in t) == to
    assert [len(t) for t in taken] == [100] * 10
    assert len(peer.talks) == 1
    until(lambda: lab.zegel.queue() == [])
    peer.close()


def test_second_transaction_refused_on_one_connection(lab):
    """A server that takes one transaction a connection: the first hundred are done, others wait."""
    taken, n_mail = [], []

    def mail(line):
        n_mail.append(line)
        return None if len(n_mail) % 2 else "421 4.3.2 One at a time"
    peer = hostile(lab, "bank.example", script_of({"MAIL": mail}, taken))
    lab.zegel.sections["delivery"]["recipients"] = 2
    lab.zegel.sections["retry"] = {"first": "1s", "longest": "1s"}
    lab.start()
    to = [f"r{i}@bank.example" for i in range(6)]
    send(lab, *to)
    until(lambda: lab.zegel.log().count("status=sent") == 6)
    assert sorted(r for t in taken for r in t) == to
    peer.close()


# ---- retries and their end ----

@pytest.mark.parametrize("how", ["refused", "greylisted", "no dns"])
def test_R22_R23_retries_then_one_notification(lab, how):
    """first = 2 s, expire = 10 s: a few tries, then one signed notification."""
    if how == "refused":
        lab.dns.host("mx.bank.example", lab.place.address(), port=lab.port)
        lab.dns.mx("bank.example", "mx.bank.example")
        to = "anna@bank.example"
    elif how == "greylisted":
        peer = hostile(lab, "bank.example", script_of({"RCPT": "450 4.7.1 Greylisted"}))
        to = "anna@bank.example"
    else:
        to = "anna@bank.dead"
    lab.receiver("shop.example")
    lab.zegel.sections["retry"] = {"first": "2s", "longest": "4s", "expire": "10s"}
    lab.start()
    started = time.monotonic()
    send(lab, to)
    notice = lab.sink.wait_for(FROM)
    assert time.monotonic() - started >= 8
    # When the notification has gone too, there is nothing left that another could be of.
    until(lambda: lab.zegel.queue() == [], what="an empty queue")
    assert len(lab.sink.messages(FROM)) == 1
    assert b"DKIM-Signature:" in notice[0] and b"Action: failed" in notice[0]
    said = statuses(lab, to)
    assert 2 <= len(said) <= 7, said
    assert lab.zegel.log().count("status=expired") == 1
    if how == "greylisted":
        assert b"Greylisted" in notice[0]
        peer.close()


def test_R22_taken_on_the_third_try(lab):
    tries = []

    def grey(line):
        tries.append(time.monotonic())
        return "450 4.7.1 Greylisted" if len(tries) < 3 else None
    peer = hostile(lab, "bank.example", script_of({"RCPT": grey}))
    lab.zegel.sections["retry"] = {"first": "2s", "longest": "4s"}
    lab.start()
    send(lab, "anna@bank.example")
    until(peer.delivered)
    assert tries[1] - tries[0] >= 1 and tries[2] - tries[1] >= 2, tries
    assert statuses(lab, "anna@bank.example")[:2] == ["deferred"] * 2
    peer.close()


# ---- slow readers ----

def test_R20_O5_memory_is_flat_with_a_slow_reader_of_25_MB(lab):
    gate = threading.Event()

    def slow(talk):
        def reads(talk):
            talk.say("354 Go on")
            for _ in range(20):  # about a second's worth at a time
                talk._more()
                time.sleep(0.1)
            gate.set()
            talk.hear_content()
            talk.say("250 2.0.0 Kept")
            talk.hear_silence()
        helpful(talk, "DATA", instead=reads)

    peer = hostile(lab, "bank.example", slow)
    lab.zegel.sections["limits"]["message-size"] = "30M"
    # AddressSanitizer keeps what was freed, up to 256 MB of it.
    environment = lab.zegel._environment()
    environment["ASAN_OPTIONS"] += ":quarantine_size_mb=1:thread_local_quarantine_size_kb=64"
    lab.zegel._environment = lambda: environment
    lab.start()
    delivery = lab.zegel.roles()["delivery"][0]
    before = rss_kib(delivery)
    line = "x" * 76 + "\n"
    content = client.message(FROM, "anna@bank.example", text=line * (25_000_000 // 77))
    client.submit(lab.zegel, FROM, ["anna@bank.example"], content, lab.login)
    most = 0
    while not gate.wait(0.05):
        most = max(most, rss_kib(delivery))
    until(lambda: peer.delivered(), every=0.2)
    most = max(most, rss_kib(delivery))
    assert most - before < 12_000, (before, most)
    assert peer.delivered()[0].count(b"x" * 76) == 25_000_000 // 77
    peer.close()


# ---- addresses and names at the edges ----

ODD = ['"a b"@bank.example', '"a\\"b"@bank.example', '"a\\\\b"@bank.example', '"<x>"@bank.example',
       "\"it's\"@bank.example", '"."@bank.example', '".a."@bank.example', "a+b=c@bank.example",
       "!#$%&'*+-/=?^_`{|}~@bank.example", "x@BANK.example", "x@xn--bcher-kva.example",
       '""@bank.example', '"\\a"@bank.example', "a" * 64 + "@bank.example", "postmaster",
       '"a@b"@bank.example', '"\t"@bank.example', "x@[127.0.0.1]", "x@[IPv6:::1]", "x@127.0.0.1",
       "x@localhost", "x@example", "x@_.example", "x@" + "a." * 100 + "example",
       "x@-a.example", "x@a--.example"]


def test_recipients_at_the_edge_do_not_end_the_delivery(lab):
    """Whatever the submission takes, the delivery can say."""
    lab.receiver("bank.example")
    lab.receiver("shop.example")
    lab.start()
    roles = lab.zegel.roles()
    taken = []
    for to in ODD:
        raw = client.Raw(lab.zegel, login=lab.login)
        raw.ask(f"MAIL FROM:<{FROM}>")
        if raw.ask(f"RCPT TO:<{to}>").startswith("250"):
            raw.ask("DATA")
            raw.send(f"From: {FROM}\r\n\r\nx\r\n.\r\n")
            assert raw.reply().startswith("250 ")
            taken.append(to)
        raw.close()
    until(lambda: lab.zegel.log().count("status=") >= len(taken))
    assert lab.zegel.roles() == roles


def test_dead_hosts_do_not_hide_the_good_one(lab):
    """Five addresses that refuse, a host that turns us away, one without TLS; then the good one."""
    lab.dns.host("mx1.bank.example", *[lab.place.address() for _ in range(5)], port=lab.port)
    away = Hostile(lab.place, lab.port, script=lambda talk: talk.say("554 5.3.2 Never"))
    lab.dns.host("mx2.bank.example", away.address, port=lab.port)
    certificate = lab.ca.issue("mx3.bank.example")
    bare = Hostile(lab.place, lab.port, script=helpful_plain)
    lab.dns.host("mx3.bank.example", bare.address, port=lab.port, tlsa=[certificate.tlsa()])
    lab.receiver("bank.example", host="mx4.bank.example", preference=40)
    lab.dns.mx("bank.example", "mx1.bank.example", "mx2.bank.example", "mx3.bank.example",
               "mx4.bank.example")
    lab.start()
    send(lab, "anna@bank.example")
    lab.sink.wait_for("anna@bank.example")
    assert b"MAIL" not in bare.heard_in_clear()
    line = lab.zegel.wait_log("to=<anna@bank.example>.*status=sent")[0]
    assert "relay=mx4.bank.example[" in line
    away.close(), bare.close()


def test_R3_every_MX_says_never(lab):
    """One that might do later makes it wait; all for good, and it fails."""
    never = Hostile(lab.place, lab.port, script=lambda talk: talk.say("554 5.3.2 Never"))
    for n in (1, 2):
        lab.dns.host(f"mx{n}.bank.example", never.address, port=lab.port)
    lab.dns.mx("bank.example", "mx1.bank.example", "mx2.bank.example")
    lab.dns.host("mx3.hope.example", lab.place.address(), port=lab.port)
    lab.dns.mx("hope.example", "mx1.bank.example", "mx3.hope.example")
    lab.receiver("shop.example")
    lab.start()
    send(lab, "anna@bank.example", "bert@hope.example")
    assert "status=bounced" in lab.zegel.wait_log("to=<anna@bank.example>.*status=")[0]
    assert "status=deferred" in lab.zegel.wait_log("to=<bert@hope.example>.*status=")[0]
    never.close()


# ---- the 250 and what the network does with it ----

@pytest.mark.parametrize("end", ["reset", "close", "garbage", "421 too"])
def test_R10_T27_after_the_250_nothing_matters(lab, end):
    def script(talk):
        def ends(talk):
            talk.say("250 2.0.0 Kept" + ("\r\n421 4.3.2 Bye" if end == "421 too" else ""))
            if end == "reset":
                talk.reset()
            elif end == "garbage":
                talk.say(b"\xff" * 100_000)
        helpful(talk, "content", instead=ends)
    certificate = lab.ca.issue("mx.bank.example")
    peer = hostile(lab, "bank.example", script, certificate, tlsa=[certificate.tlsa()])
    plain = hostile(lab, "plain.example", script)
    lab.start()
    send(lab, "anna@bank.example", "bert@plain.example")
    until(lambda: lab.zegel.log().count("status=sent") == 2)
    until(lambda: lab.zegel.queue() == [])
    assert len(peer.delivered()) == len(plain.delivered()) == 1
    peer.close(), plain.close()


def test_R9_closed_after_the_dot_waits_and_is_not_tried_elsewhere(lab):
    first = Hostile(lab.place, lab.port,
                    script=lambda talk: helpful(talk, "content", instead=lambda talk: None))
    other = Hostile(lab.place, lab.port)
    lab.dns.host("mx1.bank.example", first.address, port=lab.port)
    lab.dns.host("mx2.bank.example", other.address, port=lab.port)
    lab.dns.mx("bank.example", "mx1.bank.example", "mx2.bank.example")
    lab.start()
    send(lab, "anna@bank.example")
    line = lab.zegel.wait_log("to=<anna@bank.example>.*status=")[0]
    assert "status=deferred" in line and "may be sent more than once" in line
    assert other.talks == []
    first.close(), other.close()


def test_last_word_of_a_full_server_is_read(lab):
    """552 and a close while 5 MB are on their way: the words are in the log."""
    def script(talk):
        def full(talk):
            talk.say("354 Go on")
            talk.socket.recv(65536)
            talk.say("452 4.3.1 Disk full")
        helpful(talk, "DATA", instead=full)
    peer = hostile(lab, "bank.example", script)
    lab.start()
    send(lab, "anna@bank.example", text=("x" * 70 + "\n") * 70_000)
    line = lab.zegel.wait_log("to=<anna@bank.example>.*status=")[0]
    assert "status=deferred" in line and "Disk full" in line, line
    peer.close()


def judges_after(event):
    def script(talk):
        def answers(talk):
            event.wait(PATIENCE_S)
            talk.say("250 2.0.0 Kept")
        helpful(talk, "content", instead=answers)
    return script


@pytest.mark.parametrize("what", ["reload", "queue", "lookup"])
def test_nothing_comes_twice_while_slow_receivers_judge(lab, what):
    """Reloads, or deaths of the queue, while thirty messages wait for their 250."""
    judges = threading.Event()
    peer = hostile(lab, "bank.example", judges_after(judges))
    lab.zegel.sections["delivery"]["connections-per-domain"] = 30
    lab.zegel.sections["retry"] = {"first": "1s", "longest": "2s"}
    lab.start()
    for n in range(30):
        send(lab, "anna@bank.example", subject=f"n{n:02d}")
    until(lambda: len(peer.delivered()) == 30, what="all thirty wait for their verdicts")
    for _ in range(3):
        if what == "reload":
            lab.zegel.reload_and_wait()
        else:
            lab.zegel.kill_role(what)
            until(lambda: lab.zegel.command("status", check=False).stdout, what="a queue at work")
    judges.set()
    nothing_is_under_way(lab, peer)
    found = [re.search(rb"Subject: (n\d+)", m)[1] for m in peer.delivered()]
    assert sorted(found) == [b"n%02d" % n for n in range(30)]
    peer.close()


def test_N18_N22_dead_name_servers_leave_others_alone(lab):
    """150 domains whose DNS never answers; a mailbox elsewhere gets its mail."""
    trouble = Troublemaker(lab.place, lab.dns.address)
    trouble.rules = [("bank.example", None, "drop")]
    lab.zegel.stubs["example"] = f"{trouble.address}@{trouble.port}"
    lab.receiver("good.example")
    lab.start()
    with client.Client(lab.zegel, login=lab.login) as session:
        to = [f"anna@d{i}.bank.example" for i in range(150)]
        session.sendmail(FROM, to, client.message(FROM, to[:5]))
    until(lambda: len({name for name, kind in trouble.asked if kind == "MX"}) >= 50,
          what="questions for fifty of them")
    send(lab, "anna@good.example")
    lab.sink.wait_for("anna@good.example")
    assert any(e["under_way"] for e in lab.zegel.queue()), "it had to wait for their end"
    lab.zegel.wait_log("d7.bank.example.*status=deferred")
    assert "status=bounced" not in lab.zegel.log()
    trouble.close()
