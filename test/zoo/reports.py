"""The relay's own account of the day, as it would be sent to each domain (RFC 8460): is every report
valid, and does it say of each animal what happened?"""
import json
import time

from lab import tlsrpt

FROM, CONTACT, ORGANIZATION = "tls-reports@shop.example", "tls@shop.example", "The Zoo"
SECTION = {"send": "all", "from": FROM, "contact": CONTACT, "organization": ORGANIZATION}
PATIENCE_S = 180  # a session is told a moment after its delivery


def read(world):
    """{domain: report}, when every animal that must be in one is."""
    wanted = {a.domain for a in world.zoo.animals if a.reported}
    end = time.monotonic() + PATIENCE_S
    while True:
        said = world.zegel.command("--json", "tlsrpt", "show").stdout
        reports = {line["domain"]: line["report"] for line in map(json.loads, said.splitlines())}
        if wanted <= set(reports) or time.monotonic() > end:
            return reports
        time.sleep(0.5)


def summary(reports):
    policies = [policy for report in reports.values() for policy in report["policies"]]
    kinds = {result for report in reports.values() for _, result in _results(report)}
    return (f"TLS reports of this day: {len(reports)} domains, {len(policies)} policies, "
            f"{len(kinds - {'success'})} kinds of failure, "
            f"{sum(bool(_invalid(report)) for report in reports.values())} not as RFC 8460 says")


def faults(animal, report):
    """What is wrong with the report to this animal's domain, in words."""
    if report is None:
        return ["there is none"] if animal.reported else []
    wrong = _invalid(report)
    if wrong:
        return [f"not as RFC 8460 says: {wrong}"]
    found = [f"{kind}: {result}" for kind, result in _results(report)]
    return [f"it says {', '.join(found)}, and not {kind}: {wanted}"
            for kind, wanted in animal.reported.items()
            if not any(_fits(kind, wanted, result) for result in _results(report))]


def _invalid(report):
    try:
        tlsrpt.validate(report, ORGANIZATION, CONTACT)
    except (AssertionError, LookupError, TypeError, ValueError) as error:
        return f"{error!r} in {json.dumps(report['policies'])}"
    return ""


def _results(report):
    for policy in report["policies"]:
        kind = policy["policy"]["policy-type"]
        if policy["summary"]["total-successful-session-count"]:
            yield kind, "success"
        for failure in policy.get("failure-details", []):
            yield kind, failure["result-type"]


def _fits(kind, wanted, result):
    """"failure" is any that is none; kind "any" leaves open whose policy it counts against."""
    return kind in ("any", result[0]) and (
        wanted == result[1] or wanted == "failure" and result[1] != "success")
