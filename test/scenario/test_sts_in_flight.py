"""Policies that are on their way while the processes that fetch them end."""
from lab import client, website
from lab.place import until

FROM = "web@shop.example"


def send(lab, recipient):
    client.submit(lab.zegel, FROM, [recipient], client.message(FROM, recipient), lab.login)


def test_T22_a_policy_on_its_way_is_waited_for(lab):
    """Through a reload, and through lookups that are killed. Who offers no TLS hears nothing in the clear,
    and who does has the message once, by the policy."""
    sites = []
    for domain, tls in (("good.plain", True), ("open.plain", False)):
        lab.receiver(domain, tls=tls)
        sites.append(website.publish(lab, domain))
        sites[-1].may_answer.clear()
    lab.start()
    for domain in ("good.plain", "open.plain"):
        send(lab, f"anna@{domain}")

    def wait_asked(n):
        until(lambda: min(len(site.asked) for site in sites) >= n,
              what=lambda: f"each policy host is asked {n} time(s)\n{lab.zegel.told()}")
    wait_asked(1)
    lab.zegel.reload_and_wait()
    wait_asked(2)
    until(lambda: len(lab.zegel.roles()["lookup"]) == 1, what="the old lookup has gone")
    for n in (3, 4):
        lab.zegel.kill_role("lookup")
        wait_asked(n)
    assert lab.sink.events("message") == []
    for site in sites:
        site.may_answer.set()
    lab.sink.wait_for("anna@good.plain")
    lab.zegel.wait_log(r"to=<anna@good.plain>.*status=sent")
    lab.zegel.wait_log(r"to=<anna@open.plain>.*status=deferred.*\[starttls-missing\]")
    [message] = lab.sink.events("message")
    assert message["tls"] is not None
    text = lab.sink.clear_text("mx.open.plain").upper()
    assert not any(word in text for word in ("MAIL FROM", "RCPT TO", "DATA"))
