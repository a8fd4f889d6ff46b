"""The house: start, stop, reload, roles that die, and root that is given up."""
import os
import pathlib
import signal
import socket
import time

import pytest

from lab import client
from lab.client import Raw
from lab.place import until


def send(lab, recipient, text="Hello.\n"):
    content = client.message("web@shop.example", recipient, text=text)
    client.submit(lab.zegel, "web@shop.example", [recipient], content, lab.login)


def waiting_receiver(lab, domain="bank.example"):
    """A receiver that defers everything until told otherwise."""
    host = lab.receiver(domain)
    lab.sink.hosts[host]["mail_reply"] = "450 4.3.2 Not yet"
    return host


def test_SIGKILL_of_everything_loses_nothing(lab):
    """D6: accepted mail is delivered after a restart, all of it."""
    host = waiting_receiver(lab)
    lab.start()
    for i in range(30):
        send(lab, f"r{i}@bank.example", text=f"Number {i}\n")
    lab.zegel.kill()
    lab.sink.change(host, mail_reply=None)
    lab.zegel.start()
    lab.zegel.retry("all")
    for i in range(30):
        arrived = lab.sink.wait_for(f"r{i}@bank.example")
        assert len(arrived) == 1 and f"Number {i}\r\n".encode() in arrived[0]
    until(lambda: lab.zegel.queue() == [], what="an empty queue")


@pytest.mark.parametrize("role", ["intake", "auth", "keeper", "lookup", "delivery", "queue"])
def test_a_role_that_dies_is_replaced_alone(lab, role):
    lab.receiver("bank.example", tlsa=True)
    lab.start()
    before = lab.zegel.roles()
    assert set(before) >= {"intake", "auth", "keeper", "lookup", "delivery", "queue"}
    lab.zegel.kill_role(role)
    after = lab.zegel.roles()
    for other in before:
        if other not in (role, "queue") and role != "queue":
            assert set(before[other]) <= set(after[other]), f"{other} was replaced too"

    def sent():
        try:
            send(lab, "anna@bank.example")
            return True
        except (OSError, client.smtplib.SMTPException):
            return False
    until(sent, what="a submission after the role was replaced")
    lab.sink.wait_for("anna@bank.example")


def test_Q20_SIGTERM_ends_soon_and_keeps_what_was_acknowledged(lab):
    """It cuts what is left after nine seconds; a busy machine may take some to notice."""
    host = waiting_receiver(lab)
    lab.start()
    for i in range(5):
        send(lab, f"r{i}@bank.example")
    idle = Raw(lab.zegel, login=lab.login)
    in_data = Raw(lab.zegel, login=lab.login)
    in_data.ask("MAIL FROM:<web@shop.example>")
    in_data.ask("RCPT TO:<half@bank.example>")
    in_data.ask("DATA")
    in_data.send("From: web@shop.example\r\n\r\nhalf")
    started = time.monotonic()
    assert lab.zegel.stop() == 0
    assert time.monotonic() - started < 20
    assert idle.reply().startswith("421 4.3.2")
    in_data.close()
    lab.sink.change(host, mail_reply=None)
    lab.zegel.start()
    lab.zegel.retry("all")
    for i in range(5):
        lab.sink.wait_for(f"r{i}@bank.example")
    until(lambda: lab.zegel.queue() == [], what="an empty queue")
    assert lab.sink.messages("half@bank.example") == []


def test_C9_reload_with_a_broken_configuration_keeps_the_old_one(lab):
    lab.receiver("bank.example")
    lab.start()
    before = lab.zegel.roles()
    lab.zegel.write(lab.zegel.text() + "acount oops { }\n")
    checked = lab.zegel.command("check", check=False)
    assert checked.returncode == 78
    assert "zegel.conf:" in checked.stdout + checked.stderr
    assert "account" in checked.stdout + checked.stderr, "the nearest key is named"
    lab.zegel.reload()
    lab.zegel.wait_log(r"acount")
    send(lab, "anna@bank.example")
    lab.sink.wait_for("anna@bank.example")
    assert lab.zegel.roles() == before


def test_reload_takes_a_new_account_without_dropping_transactions(lab):
    lab.receiver("bank.example")
    lab.start()
    old = Raw(lab.zegel, login=lab.login)
    assert old.ask("MAIL FROM:<web@shop.example>").startswith("250 ")
    before = lab.zegel.roles()["intake"]
    lab.zegel.add_account("news@shop.example", "another long password", ["news@shop.example"])
    lab.zegel.reload()
    until(lambda: set(lab.zegel.roles().get("intake", [])) - set(before), what="a new intake")

    def logs_in():
        try:
            content = client.message("news@shop.example", "anna@bank.example")
            client.submit(lab.zegel, "news@shop.example", ["anna@bank.example"], content,
                          ("news@shop.example", "another long password"))
            return True
        except (OSError, client.smtplib.SMTPException):
            return False
    until(logs_in, what="the new account may log in")
    lab.sink.wait_for("anna@bank.example")
    assert old.ask("RCPT TO:<old@bank.example>").startswith("250 ")
    assert old.ask("DATA").startswith("354 ")
    old.send("From: web@shop.example\r\nSubject: old\r\n\r\nold\r\n.\r\n")
    assert old.reply().startswith("250 ")
    lab.sink.wait_for("old@bank.example")


def test_K12_reload_with_a_missing_key_keeps_the_old_one(lab):
    lab.receiver("bank.example")
    lab.start()
    for path in (lab.zegel.home / "dkim/shop.example").glob("*.pem"):
        path.rename(path.with_suffix(".gone"))
    lab.zegel.reload()
    lab.zegel.wait_log(r"(?i)dkim|\.pem")
    send(lab, "anna@bank.example")
    lab.sink.wait_for("anna@bank.example")


def test_D11_second_daemon_on_one_spool_refuses(lab):
    lab.start()
    lab.zegel.listens = []
    text = lab.zegel.text() + (f"listen {{ address = {lab.place.address()}\n port = 1587\n"
                               " tls = starttls }\n")
    other = lab.zegel.home / "other.conf"
    other.write_text(text)
    done = lab.zegel.command("-c", other, "serve", check=False)
    assert done.returncode != 0
    assert "spool" in done.stdout + done.stderr + lab.zegel.log()
    assert lab.zegel.process.poll() is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up root")
def test_root_is_given_up(make_lab):
    lab = make_lab(as_root=True)
    lab.receiver("bank.example")
    lab.start()
    for role, pids in lab.zegel.roles().items():
        for pid in pids:
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
            fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
            assert fields["Uid"].split() == ["65534"] * 4, role
            assert fields["NoNewPrivs"].strip() == "1", role
            limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
            core = next(line for line in limits.splitlines() if line.startswith("Max core"))
            assert core.split()[4:6] == ["0", "0"], role
    send(lab, "anna@bank.example")
    lab.sink.wait_for("anna@bank.example")
    lab.zegel.reload()
    lab.zegel.kill_role("keeper")


@pytest.mark.parametrize("mistake,meant", [
    ("hostnam = x", "hostname"), ("delivery { prt = 25 }", "port"),
    ("account a@shop.example { sender = {\"@shop.example\"} }", "senders"),
    ("partner x.example { tls = secur }", "secure"),
    ("domain shop.example { dkim = {lab-rsa} }", "twice"),
    ("retry { first = many }", "first")])
def test_check_reports_file_line_and_what_was_meant(lab, mistake, meant):
    lab.seal()
    lab.zegel.add_account(*lab.login, senders=["@shop.example"])
    text = lab.zegel.text()
    lab.zegel.write(text + mistake + "\n")
    line = text.count("\n") + 1
    done = lab.zegel.command("check", check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 78
    assert f"zegel.conf:{line}" in said and meant in said, said
    assert lab.zegel.command("serve", check=False).returncode == 78


def test_status_tells_processes_and_queue(lab):
    lab.start()
    said = lab.zegel.command("status").stdout
    for role in ("intake", "auth", "keeper", "lookup", "delivery", "queue"):
        assert role in said


def test_C2_control_socket_survives_nonsense(lab):
    lab.start()
    path = str(lab.zegel.spool / "control")
    for junk in (b"\0" * 1000, b"{" * 5000, b"\xff\xff\xff\xff" * 100, b"{}\n" * 50,
                 b'{"command":"list","id":"../../etc/passwd"}\n', b"A" * 2_000_000):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(1)  # an answer, or none: it is no request
            s.connect(path)
            try:
                s.sendall(junk)
                s.recv(4096)
            except OSError:
                pass
    assert lab.zegel.queue() == []


def test_C8_stale_control_socket_after_SIGKILL_is_reclaimed(lab):
    lab.start()
    lab.zegel.kill()
    lab.zegel.start()
    assert lab.zegel.command("status").returncode == 0


def test_queue_show_remove_and_unknown_ids(lab):
    waiting_receiver(lab)
    lab.start()
    send(lab, "anna@bank.example")
    entry = lab.zegel.queue()[0]
    shown = lab.zegel.command("queue", "show", entry["id"]).stdout
    assert "anna@bank.example" in shown and entry["id"] in shown
    for unknown in ("../../etc/passwd", "*", "", "X" * 10000):
        done = lab.zegel.command("queue", "show", unknown, check=False)
        assert done.returncode not in (0, -signal.SIGSEGV, -signal.SIGABRT)
    lab.zegel.command("queue", "remove", entry["id"])
    until(lambda: lab.zegel.queue() == [], what="an empty queue")
    assert lab.sink.messages("web@shop.example") == []
