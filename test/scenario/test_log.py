"""What is written in Postfix's words is read by what reads Postfix's log."""
import re

from lab import client
from lab.place import run


def test_pflogsumm_reads_the_log(lab):
    lab.receiver("bank.example", rules={"gone@bank.example": "550 5.1.1 No such mailbox",
                                        "later@bank.example": "450 4.2.1 Come again"})
    lab.receiver("shop.example")
    lab.start()
    for recipient in ("anna@bank.example", "bert@bank.example", "gone@bank.example",
                      "later@bank.example"):
        content = client.message("web@shop.example", recipient)
        client.submit(lab.zegel, "web@shop.example", [recipient], content, lab.login)
    lab.sink.wait_for("anna@bank.example")
    lab.sink.wait_for("bert@bank.example")
    lab.sink.wait_for("web@shop.example")
    lab.zegel.wait_log(r"to=<later@bank\.example>.*status=deferred")
    lab.zegel.wait_log(r"to=<web@shop\.example>.*status=sent")
    lab.zegel.stop()
    report = run(["pflogsumm", "--syslog-name=zegel", lab.zegel.log_path]).stdout
    numbers = dict((name, int(n)) for n, name in re.findall(
        r"^\s+(\d+)k?\s+(received|delivered|deferred|bounced|rejected|senders|recipients)\b",
        report, re.M))
    assert numbers["delivered"] == 3, report
    assert numbers["bounced"] == 1 and numbers["deferred"] == 1, report
    assert numbers["received"] >= 4, report
    assert "bank.example" in report and "web@shop.example" in report


def test_log_has_a_tag_and_an_id_at_each_stage(lab):
    lab.receiver("bank.example")
    lab.start()
    content = client.message("web@shop.example", "anna@bank.example")
    client.submit(lab.zegel, "web@shop.example", ["anna@bank.example"], content, lab.login)
    lab.sink.wait_for("anna@bank.example")
    line = lab.zegel.wait_log(r"status=sent")[0]
    queue_id = re.search(r": ([0-9A-Z]{14,16}): to=", line)[1]
    for pattern in (rf"zegel/smtpd\[\d+\]: {queue_id}: client=.*sasl_username=web@shop\.example",
                    rf"zegel/cleanup\[\d+\]: {queue_id}: message-id=<",
                    rf"zegel/qmgr\[\d+\]: {queue_id}: from=<web@shop\.example>, size=\d+, nrcpt=1"):
        lab.zegel.wait_log(pattern)
    # The last that is said of a message is that it has gone.
    lab.zegel.wait_log(rf"zegel/qmgr\[\d+\]: {queue_id}: removed$")
    about = [line for line in lab.zegel.log().splitlines() if f" {queue_id}: " in line]
    assert about[-1].endswith(": removed") and "status=sent" in about[-2], about
    for line in lab.zegel.log().splitlines():
        assert re.match(r"(\w{3} [ \d]\d \d\d:\d\d:\d\d|\d{4}-\d\d-\d\dT\S+) \S+ zegel(/\w+)?\[\d+\]: ",
                        line), line


def test_passwords_are_in_no_log(lab):
    lab.zegel.add_account("web@shop.example", "very-secret-word", ["@shop.example"])
    lab.login = ("web@shop.example", "very-secret-word")
    lab.seal()
    lab.receiver("bank.example")
    lab.start()
    content = client.message("web@shop.example", "anna@bank.example")
    client.submit(lab.zegel, "web@shop.example", ["anna@bank.example"], content, lab.login)
    lab.sink.wait_for("anna@bank.example")
    raw = client.Raw(lab.zegel, tls=False)
    raw.ask("EHLO x")
    raw.ask("AUTH PLAIN AHdlYkBzaG9wLmV4YW1wbGUAdmVyeS1zZWNyZXQtd29yZA==")
    lab.zegel.stop()
    told = lab.zegel.told()
    assert "very-secret-word" not in told and "AHdlYkBzaG9w" not in told
