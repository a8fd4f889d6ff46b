"""Real mail servers take mail from Zegel over STARTTLS."""
import pytest

from lab import client, mta
from lab.place import until
from lab.verify import assert_sealed_twice

needs_root = pytest.mark.skipif(not mta.can_have_private_roots(), reason="mounts need root")


@pytest.mark.parametrize("kind", [
    pytest.param(mta.Postfix, marks=needs_root), pytest.param(mta.Exim, marks=needs_root),
    mta.Haraka])
def test_real_server_takes_mail_over_starttls(lab, kind):
    domain = f"{kind.__name__.lower()}.example"
    host = f"mx.{domain}"
    certificate = lab.ca.issue(host)
    server = kind(lab.place, host, domain, certificate, lab.port)
    lab.dns.host(host, server.address, tlsa=[certificate.tlsa()], port=lab.port)
    lab.dns.mx(domain, host)
    server.start()
    lab.start()
    bodies = ["Ordinary.\n", ".\n..\n.a line that begins with a dot\n\n\n", "x" * 900 + "\n" * 50]
    for i, text in enumerate(bodies):
        recipients = [f"anna@{domain}", f"bert@{domain}"] if i == 0 else [f"anna@{domain}"]
        content = client.message("web@shop.example", recipients, f"Number {i}", text)
        client.submit(lab.zegel, "web@shop.example", recipients, content, lab.login)
    # Haraka keeps one file for a message, the others one for each recipient.
    expected = 3 if kind is mta.Haraka else 4
    arrived = server.wait_for(expected)
    assert len(arrived) == expected
    for content in arrived:
        assert_sealed_twice(lab.dns, lab.place, content, "shop.example")
        assert b"TLS" in content.partition(b"\r\n\r\n")[0].upper()
    lab.zegel.wait_log(rf"to=<anna@{domain}>.*status=sent", n=3)
    until(lambda: lab.zegel.queue() == [], what="an empty queue")
