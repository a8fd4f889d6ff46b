"""An account sends only as its own addresses: in MAIL FROM, and in the header that people read."""
import pytest

from lab.client import Raw

PERMITTED = "web@shop.example"
LONG = b"X-Filler: " + b"x" * 900 + b"\r\n"

# (case, MAIL FROM, header). Nothing of these leaves; the reply says which rule.
REFUSED = [
    ("P1", "ceo@bank.example", b"From: web@shop.example\r\n"),
    ("P2", "web@x.shop.example", b"From: web@shop.example\r\n"),
    ("P2", PERMITTED, b"From: web@x.shop.example\r\n"),
    ("P10", PERMITTED, b"From: web@shop.example\r\nFrom: ceo@bank.example\r\n"),
    ("P10", PERMITTED, b"From: ceo@bank.example\r\nFrom: web@shop.example\r\n"),
    ("P11", PERMITTED, b"Subject: no author\r\n"),
    ("P12", PERMITTED, b"From: <web@shop.example>, <ceo@bank.example>\r\n"),
    ("P12", PERMITTED, b"From: <web@shop.example>, <ceo@bank.example>\r\n"
                       b"Sender: web@shop.example\r\n"),
    ("P13", PERMITTED, b" From: ceo@bank.example\r\nFrom: web@shop.example\r\n"),
    ("P14", PERMITTED, b"From : ceo@bank.example\r\nFrom: web@shop.example\r\n"),
    ("P15", PERMITTED, b"From\r\n : ceo@bank.example\r\nFrom: web@shop.example\r\n"),
    ("P16", PERMITTED, b"fRoM: ceo@bank.example\r\n"),
    ("P17", PERMITTED, b"From: web@shop.example\r\n" + LONG * 20 + b"From: ceo@bank.example\r\n"),
    ("P18", PERMITTED, b"From: =?utf-8?B?PGNlb0BiYW5rLmV4YW1wbGU+?=, <web@shop.example>\r\n"),
    ("P19", PERMITTED, b"From: <@shop.example,@any.com:ceo@bank.example>\r\n"),
    ("P20", PERMITTED, b"From: <ceo@bank.example>\\, <web@shop.example>\r\n"),
    ("P21", PERMITTED, b"From: ceo@bank.example, <web@shop.example>\r\n"),
    ("P22", PERMITTED, b"From: <web@shop.example>ceo@bank.example\r\n"),
    ("P24", PERMITTED, b"From: g: ceo@bank.example;\r\n"),
    ("P24", PERMITTED, b"From: undisclosed:;\r\n"),
    ("P26", PERMITTED, b"From: web@shop.example\rFrom: ceo@bank.example\r\n"),
    ("P27", PERMITTED, b"From: web@shop.example\nFrom: ceo@bank.example\r\n"),
    ("P28", PERMITTED, b"From: web@shop.example\0@bank.example\r\n"),
    ("P30", PERMITTED, b"From: web@shop.example\r\nSender: ceo@bank.example\r\n"),
    ("P31", PERMITTED, b"From: web@shop.example\r\nSender: web@shop.example\r\n"
                       b"Sender: ceo@bank.example\r\n"),
    ("P32", PERMITTED, "From: web@\u0455hop.example\r\n".encode()),
    ("P34", PERMITTED, b"From: web@[192.0.2.1]\r\n"),
    ("P45", PERMITTED, b"From: ceo@bank.example\r\n"),
    ("P45", "ceo@bank.example", b"From: ceo@bank.example\r\n"),
    ("P4", "(any@bank.example", b"From: web@shop.example\r\n"),
    ("P5", "@bank.example:web@shop.example", b"From: ceo@bank.example\r\n"),
    ("P6", '"web@shop.example"@bank.example', b"From: web@shop.example\r\n"),
    ("P7", "web@shop.example@bank.example", b"From: web@shop.example\r\n"),
    ("P8", "web\\@bank.example@shop.example", b"From: web@shop.example\r\n"),
    ("P9", "", b"From: ceo@bank.example\r\n"),
]

ALLOWED = [
    ("P3", "web@SHOP.EXAMPLE", b"From: Web@Shop.Example\r\n"),
    ("P16", PERMITTED, b"FROM: web@shop.example\r\n"),
    ("P23", PERMITTED, b'From: "ceo@bank.example" <web@shop.example>\r\n'),
    ("P29", PERMITTED, b"From: Web\r\n Shop\r\n <web@shop.example>\r\n"),
    ("P36", PERMITTED, b'From: "web"@shop.example\r\n'),
    ("P39", PERMITTED, b"From: web@shop.example\r\nContent-Type: message/rfc822\r\n"),
    ("P30", PERMITTED, b"From: web@shop.example\r\nReply-To: ceo@bank.example\r\n"),
]


def attempt(raw, sender, header):
    """The first refusal, or the reply to the whole message."""
    raw.ask("RSET")
    for line in (f"MAIL FROM:<{sender}>", "RCPT TO:<anna@bank.example>", "DATA"):
        answer = raw.ask(line.encode())
        if answer[0] not in "23":
            return answer
    raw.send(header + b"To: anna@bank.example\r\n\r\nFrom: ceo@bank.example\r\n\r\nx\r\n.\r\n")
    return raw.reply()


def session(lab):
    raw = Raw(lab.zegel, login=lab.login)
    raw.ask("EHLO client.shop.example")
    return raw


def test_P_foreign_identities_are_refused_and_nothing_leaves(lab):
    lab.receiver("bank.example")
    lab.zegel.sections["limits"]["errors"] = 1000
    lab.start()
    wrong = []
    for case, sender, header in REFUSED:
        answer = attempt(session(lab), sender, header)
        code, _, text = answer.partition(" ")
        if code not in ("501", "550", "553", "554") or not text.startswith("5."):
            wrong.append((case, sender, header[:80], answer))
    assert wrong == []
    assert lab.zegel.queue() == []
    assert lab.sink.messages("anna@bank.example") == []


def test_P_own_identities_are_taken(lab):
    lab.receiver("bank.example")
    lab.start()
    raw = session(lab)
    wrong = [(case, header, answer) for case, sender, header in ALLOWED
             if not (answer := attempt(raw, sender, header)).startswith("250 ")]
    assert wrong == []
    lab.sink.wait_for("anna@bank.example", n=len(ALLOWED))


def test_refusal_names_the_rule_and_is_logged(lab):
    lab.start()
    answer = attempt(session(lab), "ceo@bank.example", b"From: ceo@bank.example\r\n")
    assert answer[:3] in ("550", "553") and "5.7.1" in answer
    assert "web@shop.example" in answer or "ceo@bank.example" in answer
    answer = attempt(session(lab), PERMITTED, b"From: ceo@bank.example\r\n")
    assert answer.startswith("550 5.7.1") and "ceo@bank.example" in answer
    lab.zegel.wait_log(r"zegel/(smtpd|cleanup)\[\d+\]: .*reject: .*ceo@bank\.example", n=2)


@pytest.mark.parametrize("senders,sender,answer", [
    (["billing@shop.example"], "billing@shop.example", "250"),
    (["billing@shop.example"], "Billing@Shop.Example", None),  # the local part is as written
    (["billing@shop.example"], "web@shop.example", "55"),
    (["billing@shop.example", "@news.example"], "anyone@news.example", "250"),
    (["billing@shop.example", "@news.example"], "anyone@x.news.example", "55"),
])
def test_senders_of_an_account(lab, senders, sender, answer):
    lab.seal("shop.example")
    lab.seal("news.example")
    lab.zegel.add_account(*lab.login, senders=senders)
    lab.receiver("bank.example")
    lab.start()
    said = attempt(session(lab), sender, f"From: <{sender}>\r\n".encode())
    if answer is not None:
        assert said.startswith(answer)
    else:
        assert said[:3] in ("250", "550", "553")


def test_no_key_no_mail(lab):
    """An account may send as a domain that has no key: 451, never unsigned mail."""
    lab.seal("shop.example")
    lab.zegel.add_account(*lab.login, senders=["@shop.example", "@unsealed.example"])
    lab.receiver("bank.example")
    try:
        lab.start()
    except AssertionError:
        # Refused already as a configuration that cannot work: then it must say why.
        assert "unsealed.example" in lab.zegel.told()
        return
    answer = attempt(session(lab), "a@unsealed.example", b"From: a@unsealed.example\r\n")
    assert answer[:3] in ("451", "550"), answer
    assert lab.zegel.queue() == []
