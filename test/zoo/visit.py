"""One message for every animal, and what became of it at the first attempt."""
import concurrent.futures
import dataclasses
import json
import smtplib
import time

from animal import DELIVER, LATER, NEVER, PLAIN
from lab import client
from world import login_of

SESSIONS = 4
PATIENCE_S = 300  # for the first attempt of the slowest


@dataclasses.dataclass
class Finding:
    verdict: str
    reason: str = ""  # the stable name
    host: str = ""  # who took it
    text: str = ""
    evidence: str = ""  # what was required and shown, in the relay's words (relay/evidence.h)
    options: str = ""  # the MAIL command that the host heard


def visit_all(world):
    """{animal's name: Finding}"""
    animals = world.zoo.animals
    refused = _submit_all(world, [a for a in animals if a.is_slow])
    early = [a for a in animals if a.has_prelude]
    if early:
        _submit(world, early, "early")
        _await_attempts(world, [f"early@{a.domain}" for a in early])
        world.become_late()
    refused |= _submit_all(world, [a for a in animals if not a.is_slow])
    _await_attempts(world, [a.recipient for a in animals if a.name not in refused])
    found = _ask(world, [a for a in animals if a.name not in refused])
    return {**refused, **found}


def _submit_all(world, animals):
    """A few sessions with many messages each; who is refused at once is returned."""
    parts = [[] for _ in range(SESSIONS * 2)]
    for i, animal in enumerate(sorted(animals, key=lambda a: a.account)):
        parts[i % len(parts)].append(animal)
    with concurrent.futures.ThreadPoolExecutor(SESSIONS) as pool:
        results = pool.map(lambda part: _submit(world, part), parts)
    return {name: finding for part in results for name, finding in part.items()}


def _submit(world, animals, who="visitor"):
    refused = {}
    session, account = None, None
    for animal in animals:
        if session is None or account != animal.account:
            if session:
                session.quit()
            account = animal.account
            session = client.Client(world.zegel, login=login_of(account))
        sender = login_of(account)[0]
        recipient = f"{who}@{animal.domain}"
        content = client.message(sender, recipient, subject=animal.about or animal.name,
                                 text=f"zegel-canary for {animal.name}\n", **animal.fields)
        try:
            session.sendmail(sender, [recipient], content, mail_options=animal.options)
        except smtplib.SMTPRecipientsRefused as error:
            code, text = error.recipients[recipient]
            refused[animal.name] = _said_no(code, text)
        except smtplib.SMTPResponseException as error:
            refused[animal.name] = _said_no(error.smtp_code, error.smtp_error)
    if session:
        session.quit()
    return refused


def _said_no(code, text):
    text = text.decode() if isinstance(text, bytes) else text
    return Finding(NEVER if code >= 500 else LATER, reason="at submission", text=f"{code} {text}")


def _await_attempts(world, recipients):
    """Until every one has been tried once; what is still under way then is told as such."""
    names = set(recipients)
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        waiting = [e for e in world.zegel.queue() if e["recipient"] in names]
        if all(e["attempts"] > 0 and not e["under_way"] for e in waiting):
            return
        time.sleep(0.5)


def _ask(world, animals):
    waiting = {e["recipient"]: e for e in world.zegel.queue()}
    # recipient: event of the host that took it
    taken = {recipient: event for event in world.events("message")
             for recipient in event["recipients"]}
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        return dict(pool.map(lambda a: (a.name, _ask_one(world, a, waiting, taken)), animals))


def _ask_one(world, animal, waiting, taken):
    entry = waiting.get(animal.recipient)
    if entry is None:
        done = world.zegel.command("--json", "why", animal.recipient, check=False)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        if len(lines) != 1:
            return Finding("lost", text=done.stdout + done.stderr)
        entry = lines[0]
    event = taken.get(animal.recipient)
    finding = Finding("?", entry["reason"], event["host"] if event else entry["host"],
                      entry["reply"], entry["evidence"], event["options"] if event else "")
    state = entry["state"]
    if state == "waiting":
        finding.verdict = LATER if entry["attempts"] > 0 else "not tried in time"
        if event:
            finding.verdict = "taken, and kept"
    elif state == "delivered":
        finding.verdict = "said delivered, and nobody has it" if not event else \
            DELIVER if event["message"] == "tls" else PLAIN
    elif state == "failed":
        finding.verdict = NEVER
    return finding
