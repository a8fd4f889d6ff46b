"""What a day with the zoo would be reported as (RFC 8460), held against a validator made from the RFC."""
import json

from lab import tlsrpt

ORGANIZATION = "The zoo"
FROM = "tls-reports@{home}"


def sections(home):
    """For the relay's configuration: reports to all that ask."""
    return {"send": "all", "from": FROM.format(home=home), "organization": ORGANIZATION}


def judge(place, home):
    """What is wrong with the reports of this day, and how many policies of how many domains they are on.

    Each animal that was spoken to, or should have been, is in one of them.
    """
    said = place.zegel.command("--json", "tlsrpt", "show").stdout
    faults, n_policies, results = [], 0, set()
    rows = [json.loads(line) for line in said.splitlines()]
    for row in rows:
        report = row["report"]
        try:
            tlsrpt.validate(report, ORGANIZATION, FROM.format(home=home))
        except AssertionError as wrong:
            faults.append(f"{row['domain']}: {wrong}")
        n_policies += len(report["policies"])
        results |= {f["result-type"] for p in report["policies"]
                    for f in p.get("failure-details", [])}
    if not rows:
        faults.append("nothing was counted")
    return faults, (f"TLS reports of this day: {len(rows)} domains, {n_policies} policies, "
                    f"{len(results)} kinds of failure, {len(faults)} not as RFC 8460 says")
