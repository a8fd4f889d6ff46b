"""A host that insecure MX records name may prove who it is, and still not be the domain's: nothing that
the relay says may pass it off as that (RFC 7672 2.2.1)."""
import json
import re

from lab import client

HOST = "mx.host.example"  # signed, with a record that fits


def send(lab, domain):
    recipient = f"anna@{domain}"
    content = client.message("web@shop.example", recipient)
    client.submit(lab.zegel, "web@shop.example", [recipient], content, lab.login)
    lab.zegel.wait_log(rf"to=<{re.escape(recipient)}>.*status=sent")
    return json.loads(lab.zegel.command("--json", "why", recipient).stdout.splitlines()[0])


def test_T13_a_host_of_insecure_mx_records_is_not_called_verified(lab):
    lab.receiver("hosted.plain", host=HOST, tlsa=True)
    lab.zegel.sections["delivery"]["dane-insecure-mx"] = "dane"
    lab.start()
    row = send(lab, "hosted.plain")
    assert row["tls"]["achieved"] == "dane" and row["tls"]["mx_insecure"] is True
    log = lab.zegel.log()
    assert f"Trusted TLS connection established to {HOST}" in log
    assert "Verified TLS connection" not in log
    assert re.search(rf"achieved=dane .*host={re.escape(HOST)} mx=insecure", log)
    shown = lab.zegel.command("queue", "show", row["id"]).stdout
    assert "mx         insecure" in shown, shown


def test_T13_the_same_host_of_secure_mx_records_is(lab):
    lab.receiver("hosted.example", host=HOST, tlsa=True)
    lab.zegel.sections["delivery"]["dane-insecure-mx"] = "dane"
    lab.start()
    row = send(lab, "hosted.example")
    assert row["tls"]["achieved"] == "dane" and row["tls"]["mx_insecure"] is False
    assert f"Verified TLS connection established to {HOST}" in lab.zegel.log()
    assert "mx=insecure" not in lab.zegel.log()
