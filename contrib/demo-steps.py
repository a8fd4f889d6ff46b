"""The six steps of contrib/demo, on the parts of the tests' laboratory (test/scenario/lab)."""
import os
import re
import signal
import smtplib
import sys
import time

from lab import certs, client
from lab.laboratory import Laboratory
from lab.place import until
from lab.verify import BOTH, by_dkimpy, by_opendkim
from lab.zegel import PORT_STARTTLS, binary

LOGIN = ("web@shop.example", "a password for the web shop")
INVOICE = (b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
           b"2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
           b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 100]>>endobj\n"
           b"trailer<</Root 1 0 R>>\n%%EOF\n")


class Failed(Exception):
    pass


def headline(text):
    print(f"\n{text}", flush=True)


def tell(text):
    print(f"   {text}", flush=True)


def check(happened, what):
    """Shows that something happened, or stops the demonstration."""
    if not happened:
        raise Failed(what)
    print(f"   ok  {what}", flush=True)


def submit(lab, recipient, sender="billing@shop.example", author="Shop <billing@shop.example>",
           subject="Your invoice", **more):
    content = client.message(author, recipient, subject, **more)
    client.submit(lab.zegel, sender, [recipient], content, LOGIN)


def log_line(lab, pattern):
    """A line of Zegel's log, without its date."""
    return re.sub(r"^.*?(?=zegel/)", "", lab.zegel.wait_log(pattern)[-1])


def wait_deferred(lab, recipient):
    return log_line(lab, rf"to=<{re.escape(recipient)}>.*status=deferred")


def furnish(lab):
    """The world: who receives, what each publishes, and what Zegel is told."""
    lab.receiver("customer.example", tlsa=True)
    lab.receiver("shop.example", tlsa=True)
    lab.receiver("bank.example", certificate=lab.ca.issue("somebody-else.example"))
    lab.receiver("forged.example", tlsa=[certs.wrong_tlsa()])
    lab.receiver("small.example", certificate=lab.ca.self_signed("mx.small.example"))
    busy = lab.receiver("busy.example")
    lab.sink.hosts[busy]["mail_reply"] = "450 4.3.2 Busy, come again"
    lab.sink.hosts["mx.customer.example"]["rules"] = {
        "gone@customer.example": "550 5.1.1 There is no such mailbox"}
    lab.zegel.partners["bank.example"] = {"tls": "secure", "mx": ["*.bank.example"]}
    lab.seal("shop.example")
    lab.zegel.add_account(*LOGIN, senders=["billing@shop.example", "web@shop.example"])
    lab.start()
    tell(f"DNS       NSD on {lab.dns.address}, zone \"example\" signed with ldns-signzone")
    tell(f"receivers {len(lab.sink.hosts)} mail hosts (aiosmtpd) on loopback addresses, STARTTLS")
    tell(f"Zegel     {lab.zegel.address} port {PORT_STARTTLS}, "
         f"processes: {', '.join(sorted(lab.zegel.roles()))}")
    tell(f"          its configuration: {lab.zegel.path}")


def invoice(lab):
    headline("1. The web shop logs in and sends an invoice with a PDF")
    submit(lab, "anna@customer.example", attachment=("invoice.pdf", "application/pdf", INVOICE))
    check(True, "STARTTLS, login, and 250: Zegel has it on disk")
    content = lab.sink.wait_for("anna@customer.example")[0]
    tell(log_line(lab, r"TLS connection established to mx\.customer\.example"))
    tell(log_line(lab, r"to=<anna@customer\.example>.*status=sent"))
    event = lab.sink.events("message", "mx.customer.example")[0]
    check(event["tls"] and event["sni"] == "mx.customer.example",
          f"delivered over {event['tls']} to the MX that signed DNS names")
    plan = lab.zegel.command("explain", "customer.example").stdout
    check("dane" in plan.lower(), "its certificate is vouched for by a TLSA record (DANE)")
    check(b"invoice.pdf" in content, "the mailbox file holds it, PDF and all")
    tell(f"    {event['files'][0]}")
    check(by_dkimpy(lab.dns, content) == BOTH, "dkimpy: the RSA and the Ed25519 signature pass")
    check(by_opendkim(lab.dns, lab.place, content) == BOTH, "OpenDKIM says so, too")


def forgery(lab):
    headline("2. The same login tries to write as ceo@bank.example")
    for sender, author, where in (
            ("ceo@bank.example", "ceo@bank.example", "in the envelope (MAIL FROM)"),
            ("billing@shop.example", "The CEO <ceo@bank.example>", "only in the From: field")):
        try:
            submit(lab, "anna@customer.example", sender, author)
        except smtplib.SMTPResponseException as refusal:
            code, text = refusal.smtp_code, refusal.smtp_error.decode()
        except smtplib.SMTPSenderRefused as refusal:
            code, text = refusal.smtp_code, refusal.smtp_error.decode()
        else:
            raise Failed(f"{where}: it was taken")
        tell(f"{code} {' '.join(text.split())}")
        check(code in (550, 553, 554) and "5.7.1" in text, f"refused {where}")
    check(len(lab.sink.messages("anna@customer.example")) == 1, "nothing of it left the house")


def partner(lab):
    headline("3. A partner with whom only verified TLS will do shows a wrong certificate")
    submit(lab, "desk@bank.example")
    wait_deferred(lab, "desk@bank.example")
    clear = lab.sink.clear_text("mx.bank.example")
    check(lab.sink.messages("desk@bank.example") == [] and "MAIL" not in clear,
          "nothing is sent; the message waits")
    tell("$ zegel why desk@bank.example")
    why = lab.zegel.why("desk@bank.example").strip()
    for line in why.splitlines():
        tell(line.strip())
    check("certificate" in why and "mx.bank.example" in why, "one line says why")
    lab.sink.change("mx.bank.example", certificate=lab.ca.issue("mx.bank.example"))
    tell("the partner mends its certificate")
    tell("$ zegel queue retry bank.example")
    lab.zegel.retry("bank.example")
    lab.sink.wait_for("desk@bank.example")
    check(True, "delivered")


def dane(lab):
    headline("4. DANE is never bypassed; a small host without it still gets encryption")
    submit(lab, "clerk@forged.example")
    tell(wait_deferred(lab, "clerk@forged.example"))
    clear = lab.sink.clear_text("mx.forged.example")
    check(lab.sink.messages("clerk@forged.example") == [] and "MAIL" not in clear,
          "a TLSA record that does not match: not delivered, not downgraded")
    submit(lab, "hans@small.example")
    lab.sink.wait_for("hans@small.example")
    event = lab.sink.events("message", "mx.small.example")[0]
    tell(log_line(lab, r"Untrusted TLS connection established to mx\.small\.example"))
    check(event["tls"] and "MAIL" not in lab.sink.clear_text("mx.small.example"),
          "no TLSA and a self-signed certificate: delivered encrypted, and logged as untrusted")


def power_cut(lab):
    headline("5. Zegel is killed (SIGKILL) while it holds accepted mail")
    for i in range(20):
        submit(lab, f"customer{i}@busy.example", subject=f"Number {i}")
    for i in range(20):
        wait_deferred(lab, f"customer{i}@busy.example")
    os.killpg(lab.zegel.process.pid, signal.SIGKILL)
    lab.zegel.kill()
    check(lab.zegel.process.returncode == -signal.SIGKILL, "20 messages accepted; all killed")
    lab.sink.change("mx.busy.example", mail_reply=None)
    lab.zegel.start()
    tell("started again, and told to try everything now")
    lab.zegel.retry("all")
    for i in range(20):
        lab.sink.wait_for(f"customer{i}@busy.example")
    check(True, "all 20 are delivered")


def no_such_mailbox(lab):
    headline("6. A mailbox refuses with 550")
    submit(lab, "gone@customer.example", subject="Your invoice 19")
    tell(log_line(lab, r"to=<gone@customer\.example>.*status=bounced"))
    dsn = lab.sink.wait_for("billing@shop.example")[0]
    check(b"report-type" in dsn and b"message/delivery-status" in dsn,
          "the shop gets a delivery status notification (RFC 3464)")
    check(by_dkimpy(lab.dns, dsn) == BOTH and by_opendkim(lab.dns, lab.place, dsn) == BOTH,
          "it is signed twice as well; both verifiers say so")


def write_stop(lab):
    stop = lab.place.path / "stop"
    pids = " ".join(f"-{p.pid}" for p in reversed(lab.place.processes))
    stop.write_text(f"#!/bin/bash\nkill -TERM -- {pids}\nsleep 2\nrm -rf '{lab.place.path}'\n")
    stop.chmod(0o755)
    return stop


def main():
    keep = "--keep" in sys.argv[1:]
    started = time.monotonic()
    lab = Laboratory("demo", keep=keep, as_root=os.geteuid() == 0)
    status = 1
    try:
        headline(f"In {lab.place.path}, on loopback addresses only:")
        furnish(lab)
        for step in (invoice, forgery, partner, dane, power_cut, no_such_mailbox):
            step(lab)
        print(f"\nAll six happened, in {time.monotonic() - started:.0f} seconds.")
        if not keep:
            print("Everything has been stopped and its directory removed; --keep leaves it up.")
        status = 0
    except (Failed, AssertionError) as failure:
        print(f"\nFAILED: {failure}\n\nWhat Zegel said:\n{lab.zegel.told()[-6000:]}")
    except KeyboardInterrupt:
        print("\nStopped.")
    finally:
        if keep and lab.zegel.process is not None:
            print(f"\nIt is still running. Log in at {lab.zegel.address} port {PORT_STARTTLS} as "
                  f"{LOGIN[0]}, \"{LOGIN[1]}\".\nLook:  {binary()} -c {lab.zegel.path} status\n"
                  f"Stop:  {write_stop(lab)}")
        lab.close()
    return status


if __name__ == "__main__":
    sys.exit(main())
