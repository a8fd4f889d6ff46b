"""Two verifiers that are not ours: dkimpy, and OpenDKIM's filter. Both read the published keys."""
import re

import dkim

from .place import UNPACKED, run


def signatures(content):
    """The tags of every DKIM-Signature, in order."""
    header = content.partition(b"\r\n\r\n")[0] + b"\r\n"
    fields = re.findall(rb"(?im)^DKIM-Signature:((?:.*\r\n)(?:[ \t].*\r\n)*)", header)
    return [dict(tag.strip().split("=", 1) for tag in
                 re.sub(r"\s+", "", field.decode()).strip(";").split(";")) for field in fields]


def by_dkimpy(dns, content):
    """{algorithm: passes} of each signature, as dkimpy judges it."""
    def published(name, timeout=5):
        return dns.txt(name.decode().rstrip("."))

    results = {}
    for i, tags in enumerate(signatures(content)):
        try:
            passes = dkim.DKIM(content).verify(idx=i, dnsfunc=published)
        except dkim.DKIMException:
            passes = False
        results[tags["a"]] = passes
    return results


def by_opendkim(dns, place, content):
    """The same, as OpenDKIM's filter judges it."""
    scratch = place.directory("opendkim")
    keys = []
    for tags in signatures(content):
        name = f"{tags['s']}._domainkey.{tags['d']}"
        text = dns.txt(name)
        if text is not None:
            keys.append(f"{name} {text.decode()}\n")
    (scratch / "keys").write_text("".join(keys))
    (scratch / "conf").write_text(f"Mode v\nSyslog no\nTestDNSData file:{scratch}/keys\n"
                                  "AlwaysAddARHeader yes\nAuthservID verifier.example\n")
    (scratch / "message").write_bytes(content)
    done = run([UNPACKED / "usr/sbin/opendkim", "-x", scratch / "conf", "-vvv", "-t",
                scratch / "message"], check=False)
    results = {}
    for verdict, algorithm in re.findall(
            r"dkim=(\w+)[^;]*?header\.a=([a-z0-9-]+)", done.stdout + done.stderr):
        results[algorithm] = verdict == "pass"
    return results


BOTH = {"rsa-sha256": True, "ed25519-sha256": True}


def assert_sealed_twice(dns, place, content, domain):
    """Signed by RSA and by Ed25519 for this domain, and both verifiers say both pass."""
    found = signatures(content)
    assert {tags["a"] for tags in found} == set(BOTH), f"signatures: {found}"
    assert {tags["d"] for tags in found} == {domain}
    assert not any("l" in tags for tags in found)
    assert by_dkimpy(dns, content) == BOTH
    assert by_opendkim(dns, place, content) == BOTH
