"""What the administrator's commands say and do of a queue in which mail waits."""
import json

import pytest

from lab import client


@pytest.fixture
def waiting(lab):
    """Two messages that wait for a partner, with three recipients in two domains."""
    for domain in ("bank.example", "clinic.example"):
        lab.receiver(domain, certificate=lab.ca.issue("other.example"))
        lab.zegel.partners[domain] = {"tls": "secure", "mx": [f"*.{domain}"]}
    lab.start()
    for recipients in (["anna@bank.example", "desk@bank.example"], ["carl@clinic.example"]):
        content = client.message("web@shop.example", ", ".join(recipients), text="It waits\n")
        client.submit(lab.zegel, "web@shop.example", recipients, content, lab.login)
        for recipient in recipients:
            lab.zegel.wait_log(rf"to=<{recipient}>.*status=deferred")
    return lab


def rows(lab, *words):
    said = lab.zegel.command("--json", "queue", *words).stdout
    return [json.loads(line) for line in said.splitlines()]


@pytest.mark.parametrize("what, expected", [
    ((), ["anna@bank.example", "carl@clinic.example", "desk@bank.example"]),
    (("anna@bank.example",), ["anna@bank.example"]),
    (("bank.example",), ["anna@bank.example", "desk@bank.example"]),
    (("BANK.example",), ["anna@bank.example", "desk@bank.example"]),
    (("ank.example",), []),
    (("web@shop.example",), ["anna@bank.example", "carl@clinic.example", "desk@bank.example"]),
])
def test_list(waiting, what, expected):
    listed = rows(waiting, "list", *what)
    assert sorted(row["recipient"] for row in listed) == expected
    assert all(row["state"] == "waiting" and row["reason"] == "partner-tls-name" for row in listed)
    plain = waiting.zegel.command("queue", "list", *what).stdout
    assert all(f"to <{recipient}>" in plain for recipient in expected)
    assert ("nothing waits" in plain) == (not expected)


def test_show_and_remove(waiting):
    one = rows(waiting, "list", "carl@clinic.example")[0]
    shown = waiting.zegel.command("queue", "show", one["id"].lower()).stdout
    for part in ("carl@clinic.example", "web@shop.example", one["id"], "partner", "waiting"):
        assert part in shown, shown
    assert waiting.zegel.command("queue", "show", "0" * 15, check=False).returncode == 1
    assert waiting.zegel.command("queue", "show", "../../etc", check=False).returncode == 65
    waiting.zegel.command("queue", "remove", one["id"])
    assert rows(waiting, "list", "clinic.example") == []
    assert "removed" in waiting.zegel.why("carl@clinic.example")
    assert waiting.zegel.command("queue", "remove", one["id"], check=False).returncode == 1
    assert len(rows(waiting, "list")) == 2


def test_retry_of_a_domain_leaves_others(waiting):
    before = {row["recipient"]: row["attempts"] for row in rows(waiting, "list")}
    waiting.sink.change("mx.bank.example", certificate=waiting.ca.issue("mx.bank.example"))
    waiting.zegel.retry("bank.example")
    waiting.sink.wait_for("anna@bank.example")
    waiting.sink.wait_for("desk@bank.example")
    left = rows(waiting, "list", "clinic.example")
    assert [row["attempts"] for row in left] == [before["carl@clinic.example"]]


def test_status_tells_what_waits(waiting):
    status = json.loads(waiting.zegel.command("--json", "status").stdout)
    assert status["messages"] == 2 and status["recipients_waiting"] == 3
    assert status["storage"] == "ok"
    assert {process["role"] for process in status["processes"]} == {
        "intake", "auth", "keeper", "lookup", "delivery", "queue"}
    assert all(process["running"] for process in status["processes"])


def test_C3_commands_are_answered_through_reloads(lab):
    """One queue goes and the next comes: who asks meanwhile waits for it, and meets no error."""
    lab.start()
    for _ in range(8):
        lab.zegel.reload_and_wait()
        for _ in range(3):
            assert lab.zegel.command("queue", "list").returncode == 0
