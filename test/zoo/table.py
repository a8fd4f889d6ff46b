"""Verdicts side by side: the expected with its rule, Zegel's, and what the oracles say."""
import dataclasses
import zlib

import reports
from animal import DELIVER, LATER, NEVER
from lab.place import CACHE, TOP
from oracle import SILENT

OPINIONS = CACHE / f"zoo-{zlib.crc32(str(TOP).encode())}.txt"  # one for each tree


@dataclasses.dataclass
class Line:
    animal: object
    finding: object
    finger: object
    s_client: object
    remarks: list = dataclasses.field(default_factory=list)  # why an oracle may differ
    faults: list = dataclasses.field(default_factory=list)  # what must not be
    clear_bytes: int = 0  # at hosts whose plan enforces TLS
    rightly_clear_bytes: int = 0


def judge_all(world, told, findings, fingers, clients):
    """told: {domain: its TLS report}"""
    lines = []
    clear = _clear_bytes(world)
    for animal in world.zoo.animals:
        line = Line(animal, findings.get(animal.name), fingers.get(animal.name),
                    clients.get(animal.name))
        for host in animal.hosts:
            if must_be_mute(animal, host):
                line.clear_bytes += clear.get(host.name, 0)
            else:
                line.rightly_clear_bytes += clear.get(host.name, 0)
        _judge(line)
        line.faults += [f"TLS report: {fault}"
                        for fault in reports.faults(animal, told.get(animal.domain))]
        lines.append(line)
    return lines


def must_be_mute(animal, host):
    """Must it hear nothing of the message in the clear? Another host than the right one neither."""
    return animal.enforces or (animal.at is not None and host is not animal.at)


def _clear_bytes(world):
    """{host: bytes of MAIL, RCPT, DATA and content that came in the clear}"""
    heard = {}
    for event in world.events("closed"):
        heard[event["closed"]] = heard.get(event["closed"], 0) + sum(event["clear"].values()) \
            + event["canary"]
    return heard


def _judge(line):
    animal, finding = line.animal, line.finding
    if finding.verdict != animal.verdict:
        line.faults.append(f"zegel: {finding.verdict} [{finding.reason}] {finding.text}")
    if animal.at is not None and finding.host.partition("[")[0] != animal.at.name:
        line.faults.append(f"zegel: delivered to {finding.host}, not {animal.at.name}")
    if animal.reason is not None and finding.reason != animal.reason:
        line.faults.append(f"zegel: for [{finding.reason}], not for [{animal.reason}]: "
                           f"{finding.text}")
    for words in animal.shows:
        if finding.verdict == animal.verdict and words not in finding.evidence:
            line.faults.append(f"zegel: no {words} in its evidence: {finding.evidence}")
    if line.clear_bytes:
        line.faults.append(f"{line.clear_bytes} bytes of the message in the clear")
    if animal.told is not None and finding.verdict == DELIVER and \
            ("REQUIRETLS" in finding.options.upper()) != bool(animal.told):
        line.faults.append(f"zegel: said {finding.options}")
    if animal.finger_unknowing:
        if line.finger.verdict != SILENT \
                and _coarse(line.finger.verdict) != _coarse(animal.verdict):
            line.remarks.append(f"posttls-finger: {animal.finger_unknowing}")
    else:
        _judge_oracle(line, "posttls-finger", line.finger, animal.finger)
    _judge_oracle(line, "s_client", line.s_client, animal.s_client_differs)


def _judge_oracle(line, name, opinion, differs):
    if opinion is None or opinion.verdict == SILENT:
        return
    expected = differs.verdict if differs else line.animal.verdict
    if _coarse(opinion.verdict) != _coarse(expected):
        said = opinion.text.strip().splitlines()
        line.faults.append(f"{name}: {opinion.verdict}, not {_coarse(expected)}: "
                           + (said[-1] if said else "said nothing"))
    elif differs:
        line.remarks.append(f"{name}: {differs.why}")


def _coarse(verdict):
    """An oracle does not say for how long it refuses."""
    return "refuse" if verdict in (LATER, NEVER) else verdict


def print_all(lines, told, errors):
    _write_opinions(lines)
    print(f"{'animal':34} {'expected':20} {'zegel':20} {'posttls-finger':15} {'s_client':9} rule")
    for line in lines:
        animal = line.animal
        mark = "DIFFERS" if line.faults else ""
        print(f"{animal.name:34} {animal.verdict:20} {line.finding.verdict:20} "
              f"{_said(line.finger):15} {_said(line.s_client):9} {animal.rule} {mark}".rstrip())
        for remark in line.remarks:
            print(f"    {remark}")
        for fault in line.faults:
            print(f"    DIFFERS {fault}")
    return _print_end(lines, told, errors)


def _write_opinions(lines):
    with open(OPINIONS, "w", encoding="utf-8") as out:
        for line in lines:
            out.write(f"== {line.animal.name}: {line.animal.about}\n{line.finding.verdict} "
                      f"[{line.finding.reason}] {line.finding.host}: {line.finding.text}\n"
                      f"{line.finding.evidence}\n")
            for opinion in (line.finger, line.s_client):
                out.write(f"-- {opinion.verdict}\n{opinion.text}\n" if opinion else "")


def _said(opinion):
    return _coarse(opinion.verdict) if opinion and opinion.verdict != SILENT else "-"


def _print_end(lines, told, errors):
    hosts = [(a, host) for a in (line.animal for line in lines) for host in a.hosts]
    mute = sum(must_be_mute(*one) for one in hosts)
    print(f"\nbytes of MAIL, RCPT, DATA and content in the clear at the {mute} hosts where the "
          f"plan demands TLS: {sum(line.clear_bytes for line in lines)}")
    print(f"at the {len(hosts) - mute} others: {sum(line.rightly_clear_bytes for line in lines)}")
    if errors:
        print(errors)
    n = sum(bool(line.faults) for line in lines)
    print(reports.summary(told))
    print(f"{sum(bool(line.animal.reported) for line in lines)} animals are held against what theirs "
          "must say")
    fingers = sum(_said(line.finger) != "-" for line in lines)
    clients = sum(_said(line.s_client) != "-" for line in lines)
    print(f"judged besides: {fingers} by posttls-finger, {clients} by openssl s_client; "
          f"{sum(bool(line.remarks) for line in lines)} differences explained")
    print(f"{len(lines)} animals, {n} lines differ")
    print(f"what each said in full: {OPINIONS}")
    return 1 if n or errors else 0
