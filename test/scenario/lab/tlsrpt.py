"""TLS reports as RFC 8460 wants them: a validator made from its text, a reader of the mail they come
in, and a place to POST them to."""
import datetime
import email
import email.policy
import gzip
import ipaddress
import json
import re
import time

from .website import Website

PORT = 9443

RESULTS = {  # 4.3
    "starttls-not-supported", "certificate-host-mismatch", "certificate-expired",
    "certificate-not-trusted", "validation-failure", "tlsa-invalid", "dnssec-invalid",
    "dane-required", "sts-policy-fetch-error", "sts-policy-invalid", "sts-webpki-invalid"}
NO_POLICY = {"sts": {"sts-policy-fetch-error", "sts-policy-invalid", "sts-webpki-invalid"},
             "tlsa": {"dnssec-invalid", "dane-required"}}
A_LABELS = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$")
MX_PATTERN = re.compile(r"(\*\.)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")
VERSION, MX_LINE = re.compile(r"version\s*:\s*STSv1\s*"), re.compile(r"mx\s*:\s*(\S+)\s*")
ADDRESS = re.compile(r"[^@\s<>]+@[a-z0-9.-]+$")
TLSA = re.compile(r"\d{1,3} \d{1,3} \d{1,3} ([0-9A-Fa-f]{2})*$")  # 4.5, RFC 6698 2.2


def _known(what, keys, needed, optional=()):
    assert needed <= set(keys), f"{what} lacks {needed - set(keys)}"
    assert set(keys) <= needed | set(optional), f"{what} has {set(keys) - needed - set(optional)}"


def _moment(text):
    """4.4: RFC 3339 5.6."""
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", text), text
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def _count(number):
    assert type(number) is int and 0 <= number < 2 ** 53, number
    return number


def _validate_policy(policy):
    kind = policy["policy-type"]
    assert kind in ("tlsa", "sts", "no-policy-found"), kind
    _known("policy", policy, {"policy-type", "policy-domain"}, ("policy-string", "mx-host"))
    assert A_LABELS.match(policy["policy-domain"]), policy["policy-domain"]
    strings = policy.get("policy-string", [])
    assert isinstance(strings, list) and all(type(s) is str for s in strings), strings
    hosts = policy.get("mx-host", [])
    assert isinstance(hosts, list) and all(MX_PATTERN.match(h) for h in hosts), hosts
    if kind == "tlsa":
        assert all(TLSA.match(s) for s in strings), strings
        assert not hosts
    elif kind == "sts":
        # As its owner wrote it (4.5), and the hosts as they are compared.
        assert not strings or any(VERSION.fullmatch(s) for s in strings), strings
        assert hosts == [m.group(1).lower() for m in map(MX_LINE.fullmatch, strings) if m], hosts
    else:
        assert not strings and not hosts


def _validate_failure(failure):
    _known("failure-details", failure, {"result-type", "failed-session-count"},
           ("sending-mta-ip", "receiving-mx-hostname", "receiving-mx-helo", "receiving-ip",
            "additional-information", "failure-reason-code"))
    assert failure["result-type"] in RESULTS, failure
    for key in ("sending-mta-ip", "receiving-ip"):
        if key in failure:  # RFC 5952 for IPv6: as Python prints it
            assert str(ipaddress.ip_address(failure[key])) == failure[key], failure
    if "receiving-mx-hostname" in failure:
        assert A_LABELS.match(failure["receiving-mx-hostname"]), failure
    if failure["result-type"] in ("validation-failure", "certificate-not-trusted"):
        assert failure.get("failure-reason-code"), failure  # 4.3.1: SHOULD
    return _count(failure["failed-session-count"])


def validate(report, organization, contact):
    """4.4; fails with what is wrong."""
    _known("report", report,
           {"organization-name", "date-range", "contact-info", "report-id", "policies"})
    assert report["organization-name"] == organization
    assert report["contact-info"] == contact and ADDRESS.match(contact)
    assert isinstance(report["report-id"], str) and report["report-id"]
    _known("date-range", report["date-range"], {"start-datetime", "end-datetime"})
    start, end = (_moment(report["date-range"][k]) for k in ("start-datetime", "end-datetime"))
    assert start <= end <= start + datetime.timedelta(days=1), report["date-range"]
    assert isinstance(report["policies"], list) and report["policies"]  # 4: MUST be an array
    for one in report["policies"]:
        _known("policies[]", one, {"policy", "summary"}, ("failure-details",))
        _validate_policy(one["policy"])
        _known("summary", one["summary"],
               {"total-successful-session-count", "total-failure-session-count"})
        _count(one["summary"]["total-successful-session-count"])
        failed = _count(one["summary"]["total-failure-session-count"])
        kind = one["policy"]["policy-type"]
        if kind in NO_POLICY and not one["policy"].get("policy-string"):
            # There is none to show only where it could not be learned, or was missed.
            assert failed and not one["summary"]["total-successful-session-count"], one
            assert {f["result-type"] for f in one["failure-details"]} <= NO_POLICY[kind], one
        assert sum(map(_validate_failure, one.get("failure-details", []))) == failed, one


def loads(text):
    """I-JSON (RFC 7493): UTF-8, and no name twice."""
    def once(pairs):
        names = [name for name, _ in pairs]
        assert len(names) == len(set(names)), names
        return dict(pairs)
    return json.loads(text.decode("utf-8", "strict"), object_pairs_hook=once)


def read_mail(content, domain, submitter, sender):
    """5.3: the report in a mail, when all around it is as it should be."""
    mail = email.message_from_bytes(content, policy=email.policy.default)
    assert mail["From"].addresses[0].addr_spec == sender
    assert mail["TLS-Report-Domain"] == domain and mail["TLS-Report-Submitter"] == submitter
    assert mail["TLS-Required"].lower() == "no"
    assert mail.get_content_type() == "multipart/report"
    assert mail["Content-Type"].params["report-type"] == "tlsrpt"
    subject = re.fullmatch(r"Report\s+Domain:\s+(\S+)\s+Submitter:\s+(\S+)\s+"
                           r"Report-ID:\s+<([^@<>\s]+@[^@<>\s]+)>\s*", str(mail["Subject"]))
    assert subject and subject.group(1, 2) == (domain, submitter), mail["Subject"]
    words, file = mail.iter_parts()
    assert words.get_content_type() == "text/plain"
    assert file.get_content_type() == "application/tlsrpt+gzip"
    report = loads(gzip.decompress(file.get_payload(decode=True)))
    assert report["report-id"] == subject.group(3)
    assert report["contact-info"].partition("@")[2] == submitter
    name = file.get_filename().split("!")  # 5.1
    assert name[:2] == [submitter, domain] and len(name) == 5, name
    moments = [int(_moment(report["date-range"][k]).timestamp())
               for k in ("start-datetime", "end-datetime")]
    assert [int(n) for n in name[2:4]] == moments, name
    assert re.fullmatch(r"[A-Za-z0-9]+\.json\.gz", name[4]), name
    return report


def stay_within_a_day(seconds):
    """What is counted belongs to a day (UTC): if less is left of it, waits for the next."""
    left = 86400 - time.time() % 86400
    if left < seconds:
        time.sleep(left + 1)


class Collector(Website):
    """Takes reports by POST (5.4); answers with a status that may be changed."""

    def __init__(self, place, certificate, port=PORT):
        self.status = 201
        self.posts = []  # (path, type, body)
        super().__init__(place, certificate, port)

    def answer(self, path, headers, body):
        self.posts.append((path, headers["Content-Type"], body))
        return self.status, b""
