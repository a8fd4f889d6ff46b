"""What "why" and "queue show" say of a delivery: what was required, by whom, and what was achieved."""
import hashlib
import json
import ssl

from lab import client


def send(lab, recipient):
    content = client.message("web@shop.example", recipient, text="For the record\n")
    client.submit(lab.zegel, "web@shop.example", [recipient], content, lab.login)


def row(lab, recipient):
    said = lab.zegel.command("--json", "why", recipient).stdout
    return json.loads(said.splitlines()[0])


def test_of_a_delivery_by_dane(lab):
    certificate = lab.ca.issue("mx.bank.example")
    lab.receiver("bank.example", certificate=certificate, tlsa=True)
    lab.start()
    send(lab, "anna@bank.example")
    lab.sink.wait_for("anna@bank.example")
    lab.zegel.wait_log(r"to=<anna@bank\.example>.*status=sent")
    one = row(lab, "anna@bank.example")
    tls = one["tls"]
    der = ssl.PEM_cert_to_DER_cert(certificate.certificate.read_text())
    assert (tls["required"], tls["by"], tls["achieved"]) == ("dane", "dane", "dane")
    assert tls["protocol"].startswith("TLSv1.") and tls["cipher"]
    assert tls["match"].startswith("TLSA 3 1 1 ")
    assert tls["certificate_sha256"] == hashlib.sha256(der).hexdigest()
    assert tls["host"] == "mx.bank.example" and tls["failed"] is None
    words = lab.zegel.why("anna@bank.example")
    assert "TLSA 3 1 1" in words and "required: dane by dane" in words and "=" not in words
    shown = lab.zegel.command("queue", "show", one["id"]).stdout
    for line in ("required   dane by dane", "achieved   dane, TLSv1.", "matched    TLSA 3 1 1 ",
                 f"cert       {tls['certificate_sha256']}"):
        assert line in shown, shown


def test_of_plaintext_and_of_a_partner_that_failed(lab):
    lab.receiver("plain.example", tls=False)
    lab.receiver("bank.example", certificate=lab.ca.issue("other.example"))
    lab.zegel.partners["bank.example"] = {"tls": "secure", "mx": ["*.bank.example"]}
    lab.start()
    for recipient in ("carl@plain.example", "anna@bank.example"):
        send(lab, recipient)
        lab.zegel.wait_log(rf"to=<{recipient}>.*status=")
    tls = row(lab, "carl@plain.example")["tls"]
    assert tls["achieved"] == "none" and tls["protocol"] is None and tls["failed"] is None
    assert "plaintext" in lab.zegel.why("carl@plain.example")
    one = row(lab, "anna@bank.example")
    assert one["state"] == "waiting" and one["tls"]["failed"] == one["reason"]
    assert (one["tls"]["required"], one["tls"]["by"]) == ("secure", "partner")
    shown = lab.zegel.command("queue", "show", one["id"]).stdout
    assert "required   secure by partner" in shown and "nothing was sent" in shown, shown
    listed = json.loads(lab.zegel.command("--json", "queue", "list").stdout.splitlines()[0])
    assert listed["tls"] == one["tls"]
