"""What a session may say: line endings, sizes, limits, and the order of commands."""
import smtplib
import socket
import ssl

import pytest

from lab import client
from lab.client import Raw
from lab.place import PATIENCE_S, until

HEAD = b"From: web@shop.example\r\nTo: anna@bank.example\r\nSubject: %s\r\n\r\n"
SECOND = (b"MAIL FROM:<web@shop.example>\r\nRCPT TO:<smuggled@bank.example>\r\nDATA\r\n"
          + HEAD % b"smuggled" + b"smuggled\r\n.\r\n")

# Every way to end the data that some server takes for the end. Only CRLF.CRLF is one.
FALSE_ENDS = [
    b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\n.\r", b"\r.\n", b"\r.\r\n", b"\r\n.\r",
    b"\r\n\x00.\r\n", b"\r\n.\r\r\n", b"\n\n.\r\n", b"\r\n.\x00\r\n", b"\r\r\n.\r\r\n",
    b"\n.\r\r\n", b"\r\n. \r\n",
]


def begin(lab, recipient="anna@bank.example"):
    raw = Raw(lab.zegel, login=lab.login)
    assert raw.ask("EHLO client.shop.example").startswith("250")
    assert raw.ask("MAIL FROM:<web@shop.example>").startswith("250 ")
    assert raw.ask(f"RCPT TO:<{recipient}>").startswith("250 ")
    assert raw.ask("DATA").startswith("354 ")
    return raw


def test_S6_only_one_sequence_ends_the_data(lab):
    """Each false end is followed by what would be a second message; there is one reply, none splits."""
    lab.receiver("bank.example")
    lab.start()
    wrong = []
    for end in FALSE_ENDS:
        raw = begin(lab)
        raw.send(HEAD % b"first" + b"first" + end + SECOND)
        answers = [raw.reply()]
        raw.send(b"QUIT\r\n")
        answers += raw.replies_until_close()
        # The second message's commands were content, so nothing answers them.
        if len(answers) != 2 or not answers[-1].startswith("221 "):
            wrong.append((end, answers))
        elif end != b"\r\n. \r\n" and not answers[0].startswith("550 5.6.0"):
            wrong.append((end, answers))
    assert wrong == []
    assert lab.sink.messages("smuggled@bank.example") == []


@pytest.mark.parametrize("content", [
    b"bare\rreturn\r\n", b"bare\nfeed\r\n", b"nul\0byte\r\n", b"ends with\r\r\n", b"feed\n\r\n"],
    ids=["CR", "LF", "NUL", "CRCRLF", "LFCRLF"])
def test_bare_CR_LF_and_NUL_are_refused(lab, content):
    lab.start()
    raw = begin(lab)
    raw.send(HEAD % b"x" + content + b".\r\n")
    assert raw.reply().startswith("550 5.6.0")
    assert raw.ask("NOOP").startswith("250 ")
    assert lab.zegel.queue() == []


def test_S7_empty_message(lab):
    lab.start()
    raw = begin(lab)
    raw.send(b".\r\n")
    assert raw.reply().startswith("554 5.6.0")


def test_S8_dots_travel_unharmed(lab):
    lab.receiver("bank.example")
    lab.start()
    raw = begin(lab)
    raw.send(HEAD % b"dots" + b"..\r\n...x\r\n..x\r\n.\r\n")
    assert raw.reply().startswith("250 2.0.0")
    arrived = lab.sink.wait_for("anna@bank.example")[0]
    assert arrived.endswith(b"\r\n\r\n.\r\n..x\r\n.x\r\n")


def test_S9_order_of_commands(lab):
    lab.start()
    raw = Raw(lab.zegel, login=lab.login)
    for line in ("DATA", "RCPT TO:<anna@bank.example>"):
        assert raw.ask(line).startswith("503 5.5.1"), line
    assert raw.ask("MAIL FROM:<web@shop.example>").startswith("250 ")
    assert raw.ask("MAIL FROM:<web@shop.example>").startswith("503 5.5.1")
    assert raw.ask("DATA").startswith(("503 5.5.1", "554 5.5.1"))


def test_S10_body_before_354_ends_the_session(lab):
    """A body that does not wait for 354 is never read as commands that are obeyed."""
    lab.receiver("bank.example")
    lab.start()
    raw = Raw(lab.zegel, login=lab.login)
    raw.ask("EHLO client.shop.example")
    raw.send(b"MAIL FROM:<ceo@bank.example>\r\nRCPT TO:<anna@bank.example>\r\nDATA\r\n"
             + HEAD % b"x" + b"x\r\n.\r\nMAIL FROM:<web@shop.example>\r\nQUIT\r\n")
    answers = raw.replies_until_close()
    assert not any(a.startswith("354") for a in answers), answers
    assert lab.sink.messages("anna@bank.example") == []


def test_S13_S14_too_big(lab):
    lab.zegel.sections["limits"]["message-size"] = "100k"
    lab.start()
    raw = Raw(lab.zegel, login=lab.login)
    assert "SIZE 102400" in raw.ask("EHLO client.shop.example")
    assert raw.ask("MAIL FROM:<web@shop.example> SIZE=102401").startswith("552 5.3.4")
    assert raw.ask("MAIL FROM:<web@shop.example> SIZE=99999999999999999999")[:3] in ("501", "552")
    assert raw.ask("MAIL FROM:<web@shop.example> SIZE=10").startswith("250 ")
    raw.ask("RCPT TO:<anna@bank.example>")
    raw.ask("DATA")
    raw.send(HEAD % b"big" + (b"x" * 78 + b"\r\n") * 2000 + b".\r\n")
    assert raw.reply().startswith("552 5.3.4")
    assert raw.ask("NOOP").startswith("250 "), "the session is in step"
    assert lab.zegel.queue() == []


@pytest.mark.parametrize("length,answer", [(998, "250 "), (1_000_000, "55")])
def test_S15_line_length(lab, length, answer):
    lab.receiver("bank.example")
    lab.start()
    raw = begin(lab)
    raw.send(HEAD % b"long" + b"x" * length + b"\r\n.\r\n")
    assert raw.reply().startswith(answer)


@pytest.mark.parametrize("header", [
    b"From: web@shop.example\r\n" + b"X-Long: " + b"y" * 900 + b"\r\n" + b" zzzz" * 180 + b"\r\n"
    + (b"X-More: " + b"m" * 900 + b"\r\n") * 115,  # S16: 102,401 bytes and more
    b"From: web@shop.example\r\n" + b"A:\r\n" * 100_000,  # S17
    b"From: web@shop.example\r\nno colon here\r\n",  # S18
    b" folded first line\r\nFrom: web@shop.example\r\n",
    b"From web@shop.example Mon Jan  1 00:00:00 2024\r\nFrom: web@shop.example\r\n",
    "From: web@shop.example\r\nSubject: gr\u00fc\u00df\r\n".encode(),  # S19
], ids=["S16-bytes", "S17-fields", "S18-no-colon", "S18-folded", "S18-mbox", "S19-8bit"])
def test_S16_to_S19_broken_headers(lab, header):
    lab.start()
    raw = begin(lab)
    raw.send(header + b"\r\nbody\r\n.\r\n")
    answer = raw.reply()
    assert answer[:3] in ("550", "552", "554") and answer[4:6] == "5.", answer
    assert raw.ask("NOOP").startswith("250 ")
    assert lab.zegel.queue() == []


def test_S21_too_many_recipients(lab):
    lab.zegel.sections["limits"]["recipients"] = 100
    lab.receiver("bank.example")
    lab.start()
    raw = Raw(lab.zegel, login=lab.login)
    raw.ask("MAIL FROM:<web@shop.example>")
    for i in range(100):
        assert raw.ask(f"RCPT TO:<r{i}@bank.example>").startswith("250 ")
    assert raw.ask("RCPT TO:<one-more@bank.example>").startswith("452 4.5.3")
    raw.ask("DATA")
    raw.send(HEAD % b"many" + b".\r\n")
    assert raw.reply().startswith("250 ")
    lab.sink.wait_for("r99@bank.example")


def test_S23_client_gone_before_the_end_leaves_nothing(lab):
    lab.receiver("bank.example")
    lab.start()
    for tail in (b"half a mess", b"half a message\r\n", b"half a message\r\n."):
        raw = begin(lab)
        raw.send(HEAD % b"half" + tail)
        raw.abort()
    # A whole one afterwards: what is queued before it would arrive before it.
    raw = begin(lab)
    raw.send(HEAD % b"whole" + b".\r\n")
    assert raw.reply().startswith("250 ")
    lab.sink.wait_for("anna@bank.example")
    assert len(lab.sink.messages("anna@bank.example")) == 1


def test_S25_S32_commands_that_are_not_offered(lab):
    lab.start()
    raw = Raw(lab.zegel, login=lab.login)
    raw.ask("EHLO client.shop.example")
    for line, answer in (("VRFY web", "252 "), ("EXPN all", "502 "), ("ETRN x", "50"),
                         ("TURN", "50"), ("XCLIENT ADDR=1.2.3.4", "500 "), ("NONSENSE", "500 "),
                         ("MAIL FROM:<web@shop.example> FOO=BAR", "555 "),
                         ("STARTTLS", "503 ")):
        said = raw.ask(line)
        assert said.startswith(answer), (line, said)
        assert said[4:6] in ("2.", "5."), f"no enhanced code: {said}"


def test_S24_junk_is_not_endless(lab):
    lab.zegel.sections["limits"]["errors"] = 10
    lab.start()
    raw = Raw(lab.zegel, login=lab.login)
    answers = []
    for _ in range(12):
        raw.send("NONSENSE\r\n")
        answers.append(raw.reply())
        if answers[-1] == "" or answers[-1].startswith("421 "):
            break
    assert any(a.startswith("421 4.7.0") for a in answers), answers


def test_S27_S28_commands_injected_behind_starttls_are_dropped(lab):
    lab.start()
    with socket.create_connection((lab.zegel.address, 1587), timeout=PATIENCE_S) as plain:
        stream = plain.makefile("rb")
        stream.readline()
        plain.sendall(b"EHLO client.example\r\n")
        while stream.readline()[3:4] == b"-":
            pass
        plain.sendall(b"STARTTLS\r\nEHLO injected.example\r\nNOOP\r\n")
        assert stream.readline().startswith(b"220 ")
        secure = lab.zegel.client_tls.wrap_socket(plain, server_hostname=lab.zegel.hostname)
        secure.sendall(b"MAIL FROM:<web@shop.example>\r\n")
        # Had the injected EHLO or NOOP been obeyed, the first reply would be 250.
        assert not secure.recv(4096).startswith(b"250")
        secure.close()


def test_S11_S29_not_smtp(lab):
    lab.start()
    with socket.create_connection((lab.zegel.address, 1587), timeout=PATIENCE_S) as plain:
        plain.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\nMAIL FROM:<a@b>\r\n")
        said = b""
        while chunk := plain.recv(4096):
            said += chunk
        assert b"\r\n250" not in said and not said.startswith(b"250")


def test_S30_tls_cut_inside_the_data_is_no_message(lab):
    """No close_notify: the end may be somebody else's."""
    lab.receiver("bank.example")
    lab.start()
    raw = begin(lab)
    raw.send(HEAD % b"cut" + b"cut\r\n")
    raw.abort()
    # A whole one afterwards: what is queued before it would arrive before it.
    raw = begin(lab)
    raw.send(HEAD % b"whole" + b".\r\n")
    assert raw.reply().startswith("250 ")
    lab.sink.wait_for("anna@bank.example")
    assert len(lab.sink.messages("anna@bank.example")) == 1


def test_8BITMIME_goes_as_it_is_to_a_server_that_knows_it(lab):
    lab.receiver("bank.example")
    lab.start()
    body = "Gr\u00fc\u00dfe\r\n".encode()
    raw = Raw(lab.zegel, login=lab.login)
    assert "8BITMIME" in raw.ask("EHLO client.shop.example")
    raw.ask("MAIL FROM:<web@shop.example> BODY=8BITMIME")
    raw.ask("RCPT TO:<anna@bank.example>")
    raw.ask("DATA")
    raw.send(HEAD.replace(b"\r\n\r\n", b"\r\nMIME-Version: 1.0\r\nContent-Type: text/plain;"
                          b" charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n") % b"8bit"
             + body + b".\r\n")
    assert raw.reply().startswith("250 ")
    arrived = lab.sink.wait_for("anna@bank.example")[0]
    assert arrived.endswith(b"\r\n\r\n" + body)
    assert "BODY=8BITMIME" in lab.sink.events("message")[0]["options"]


def test_O1_one_session_too_many_is_told_so_and_the_others_go_on(lab):
    lab.zegel.sections["limits"].update({"sessions-per-client": 10, "sessions": 12})
    lab.receiver("bank.example")
    lab.start()
    open_ones = [Raw(lab.zegel, login=lab.login) for _ in range(10)]
    late = Raw(lab.zegel, tls=False)
    assert late.banner.startswith("421 4.3.2") or late.banner.startswith("421 4.7.0"), late.banner
    for raw in open_ones:
        assert raw.ask("NOOP").startswith("250 ")
    others = [Raw(lab.zegel, tls=False, source=lab.place.address()) for _ in range(2)]
    assert all(raw.banner.startswith("220 ") for raw in others)
    late = Raw(lab.zegel, tls=False, source=lab.place.address())
    assert late.banner.startswith("421 4.3.2"), late.banner
    for raw in others + open_ones[1:]:
        raw.close()
    until(lambda: Raw(lab.zegel, tls=False).banner.startswith("220 "), what="a session again")
    raw = open_ones[0]
    raw.ask("MAIL FROM:<web@shop.example>")
    raw.ask("RCPT TO:<anna@bank.example>")
    raw.ask("DATA")
    raw.send(HEAD % b"x" + b".\r\n")
    assert raw.reply().startswith("250 ")


def test_O3_full_queue_is_told_to_come_again(lab):
    lab.zegel.sections["limits"]["queue-messages"] = 3
    lab.start()  # nobody answers for bank.example: what is taken stays
    content = client.message("web@shop.example", "anna@bank.example")
    codes = []
    for _ in range(5):
        try:
            client.submit(lab.zegel, "web@shop.example", ["anna@x.dead"], content, lab.login)
            codes.append(250)
        except smtplib.SMTPResponseException as refusal:
            codes.append(refusal.smtp_code)
        except smtplib.SMTPRecipientsRefused as refusal:
            codes.append(next(iter(refusal.recipients.values()))[0])
    assert codes == [250, 250, 250, 452, 452]


def test_D5_full_disk_is_told_early(lab):
    lab.zegel.sections["limits"]["free-space"] = "100000G"
    lab.start()
    raw = Raw(lab.zegel, login=lab.login)
    assert raw.ask("MAIL FROM:<web@shop.example> SIZE=1000").startswith("452 4.3.1")


def test_TLS_is_modern(lab):
    """T25: neither TLS 1.0 nor 1.1."""
    lab.start()
    for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.minimum_version = context.maximum_version = version
        context.set_ciphers("ALL:@SECLEVEL=0")
        with socket.create_connection((lab.zegel.address, 1465), timeout=PATIENCE_S) as plain:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                context.wrap_socket(plain)
