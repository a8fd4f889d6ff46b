"""Others judge the same hosts: Postfix's posttls-finger, and openssl s_client."""
import concurrent.futures
import dataclasses
import os
import re
import subprocess

from animal import DELIVER, LATER
from lab.place import UNPACKED

FINGER_S, S_CLIENT_S = 60, 30  # the longest that one question may take
AT_ONCE = 6


@dataclasses.dataclass
class Opinion:
    verdict: str
    text: str


def ask_finger(world, animals):
    """{animal's name: Opinion} of posttls-finger at level dane."""
    postfix = world.place.directory("postfix-etc")
    (postfix / "main.cf").write_text(
        "compatibility_level = 3.6\nmail_owner = daemon\nsetgid_group = mail\n"
        "dnssec_probe =\n")
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        opinions = pool.map(lambda a: (a.name, _finger(world, postfix, a)), animals)
        return dict(opinions)


def _finger(world, postfix, animal):
    command = [UNPACKED / "usr/sbin/posttls-finger", "-c", "-l", "dane", "-t", "20", "-T", "20",
               "-L", "summary", "-F", world.ca_file, animal.domain]
    said = _run(command, FINGER_S, MAIL_CONFIG=str(postfix),
                LD_LIBRARY_PATH=str(UNPACKED / "usr/lib/postfix"))
    return Opinion(_meaning_of_finger(said, animal), said)


SILENT = "silent"  # posttls-finger says nothing where a host offers no STARTTLS, needed or not


def _meaning_of_finger(said, animal):
    lines = [line for line in said.splitlines() if ": warning: " not in line]
    established = [line for line in lines if "TLS connection established" in line]
    if not lines[:-1]:  # the last tells how it ended
        return SILENT
    if not established:
        return LATER
    if animal.s_client and animal.s_client[0] == "dane":  # then records demand that it is verified
        return DELIVER if ": Verified TLS" in established[-1] else LATER
    # "server" or "CA certificate verification" was demanded; plain "certificate verification" not.
    return LATER if any(re.search(": (server|CA) certificate verification failed", line)
                        for line in lines) else DELIVER


def ask_s_client(world, animals):
    """{animal's name: Opinion} of openssl s_client, for those animals that name a host for it."""
    asked = [a for a in animals if a.s_client]
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(pool.map(lambda a: (a.name, _s_client(world, *a.s_client)), asked))


def _s_client(world, kind, host):
    command = ["openssl", "s_client", "-starttls", "smtp", "-connect", f"{host.addresses[0]}:25",
               "-servername", host.name, "-verify_return_error", "-brief",
               "-name", "oracle.shop.example"]
    if kind == "dane":
        command += ["-dane_tlsa_domain", host.tlsa_base, "-dane_ee_no_namechecks"]
        for record in host.tlsa:
            command += ["-dane_tlsa_rrdata", record]
    else:
        command += ["-verify_hostname", host.name, "-CAfile", world.ca_file, "-no-CApath",
                    "-no-CAstore"]
    said = _run(command, S_CLIENT_S)
    return Opinion(DELIVER if "Verification: OK" in said else LATER, said)


def _run(command, seconds, **environment):
    try:
        done = subprocess.run(
            [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=seconds, env={**os.environ, **environment})
    except subprocess.TimeoutExpired as late:
        return (late.stdout or b"").decode(errors="replace") + "\nnot within its time: timed out"
    return done.stdout.decode(errors="replace") + f"exit {done.returncode}\n"
