"""What an administrator meets: the answer says what, where and why, and what to do next."""
import json

from lab import client
from lab.certs import wrong_tlsa
from lab.place import until

PROBLEMS = 1


def send(lab, *recipients):
    client.submit(lab.zegel, "web@shop.example", list(recipients),
                  b"From: web@shop.example\r\n\r\nx\r\n", lab.login)


def wait_for_status(lab, code, words):
    """What "status" prints when it ends so and says these words: the queue is told of the rest a
    moment after the log."""
    def said():
        done = lab.zegel.command("status", check=False)
        return done.returncode == code and words in done.stdout and done.stdout
    return until(said, what=f"status {code}: {words}")


def test_why_of_a_domain_tells_of_all_that_waits_for_it(lab):
    lab.receiver("bank.example", tlsa=[wrong_tlsa()])
    lab.receiver("other.example")
    lab.start()
    send(lab, "anna@bank.example")
    send(lab, "bert@bank.example", "carl@other.example")
    lab.sink.wait_for("carl@other.example")
    lab.zegel.wait_log(r"to=<\w+@bank.example>.*status=deferred", n=2)
    told = until(lambda: (t := lab.zegel.command("why", "Bank.Example.").stdout.splitlines())
                 and all("[dane-mismatch]" in line for line in t) and t)
    assert len(told) == 2
    assert "carl" not in "".join(told)
    # A name with a final dot is the same name, also in the queue.
    listed = lab.zegel.command("queue", "list", "bank.example.").stdout
    assert "2 recipients wait" in listed and "1 attempt, next" in listed
    assert "[dane-mismatch]" in listed
    assert "1 recipient waits" in lab.zegel.command("queue", "list", "anna@Bank.Example.").stdout
    assert "[dane-mismatch]" in lab.zegel.command("why", "anna@bank.example.").stdout
    assert "2 recipients" in lab.zegel.command("queue", "retry", "bank.example.").stdout
    # Nothing at all is not everything.
    for what in ("", "\udcff@bank.example"):
        done = lab.zegel.command("queue", "retry", what, check=False)
        assert done.returncode != 0 and done.stdout == "", done
    # The record has the certificate that was refused, for whoever asks its owner about it.
    row = json.loads(lab.zegel.command("queue", "list", "--json").stdout.splitlines()[0])
    queue_id, tls = row["id"], row["tls"]
    assert (tls["achieved"], tls["failed"], tls["protocol"]) == ("none", "dane-mismatch", "TLSv1.3")
    assert f"(SHA-256 {tls['certificate_sha256']})" in row["reply"]
    # Nor is what begins with the id of a message that message.
    for command, told in (("queue show", "no queue id"), ("queue remove", "no queue id"),
                          ("queue retry", "nothing waits there"), ("why", "no queue id")):
        done = lab.zegel.command(*command.split(), queue_id + "0", check=False)
        assert done.returncode != 0 and done.stdout == "" and told in done.stderr, done
    assert lab.zegel.command("why", queue_id.lower()).returncode == 0
    done = lab.zegel.command("why", "other.example", check=False)
    assert (done.returncode, done.stderr) == (PROBLEMS, "zegel: nothing waits for other.example\n")


def test_observe_says_whether_mail_would_still_go(lab):
    lab.receiver("bank.example", host="mx1.bank.example")
    lab.receiver("bank.example", host="mx2.bank.example", tls=False, preference=20)
    lab.receiver("clear.example", tls=False)
    lab.zegel.partners = {name: {"tls": "verify", "mode": "observe"}
                          for name in ("bank.example", ".example", "clear.example")}
    lab.start(start_zegel=False)
    lab.zegel.write()
    done = lab.zegel.command("partner", "check", "bank.example", check=False)
    assert done.returncode == PROBLEMS and done.stderr == ""
    told = done.stdout.splitlines()
    assert told[0] == "bank.example: partner bank.example, tls=verify, observed, not required"
    assert told[-1] == ("bank.example: 2 of 2 hosts accepted, 1 of them would be refused if partner "
                        "bank.example had mode = require: mail would go by the others alone")
    done = lab.zegel.command("partner", "check", "clear.example", check=False)
    assert done.stdout.splitlines()[-1].endswith("mode = require: no mail would go")
    # The rule that is nearest is named.
    lab.zegel.partners.pop("clear.example")
    lab.zegel.write()
    done = lab.zegel.command("tls", "probe", "clear.example", check=False)
    assert done.stdout.startswith("clear.example: partner .example, tls=verify, observed")


def test_a_host_that_must_not_be_used_is_told_of_once(lab):
    lab.receiver("clinic.example")
    lab.zegel.partners = {"clinic.example": {"tls": "dane-only"}}
    lab.start(start_zegel=False)
    lab.zegel.write()
    done = lab.zegel.command("tls", "probe", "clinic.example", check=False)
    assert done.returncode == PROBLEMS and done.stdout.count("[dane-required]") == 1


def test_mistakes_of_a_reload_are_errors_in_the_log_and_in_status_until_one_succeeds(lab):
    lab.receiver("bank.example")
    lab.zegel.partners = {"bank.example": {"tls": "verify", "exception": {
        "until": "2020-01-01", "tls": "may", "reason": "old"}}}
    lab.start()
    lab.zegel.write(lab.zegel.text() + "partner bank.example { tls = sure }\n")
    lab.zegel.reload()
    lab.zegel.wait_log(r" error: \S+zegel.conf:\d+: partner 'bank.example' is written twice")
    lab.zegel.wait_log(r"reload failed: \S+ has errors .*zegel check.* \[reload-failed\]")
    lab.zegel.wait_log(r" warning: \S+zegel.conf:\d+: until = 2020-01-01: .* is over since")
    assert "warning: warning:" not in lab.zegel.log()
    wait_for_status(lab, PROBLEMS, "reload     FAILED 20")
    # Whoever replaces the queue knows it too.
    lab.zegel.kill_role("queue")
    lab.zegel.wait_log(r"qmgr.*partner-exception-over", n=2)
    wait_for_status(lab, PROBLEMS, "reload     FAILED 20")
    lab.zegel.reload_and_wait()
    lab.zegel.wait_log(r"qmgr.*partner-exception-over", n=3)
    assert "FAILED" not in wait_for_status(lab, 0, "queue")
