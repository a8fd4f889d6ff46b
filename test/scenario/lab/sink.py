"""A receiving mail server (aiosmtpd) that keeps what it gets, in a process of its own.

Run as a program it serves the hosts of a JSON file, and reads the file again on SIGHUP:
{"directory": DIR, "hosts": [{"address", "port", "name", "chain", "key", "rules": {RECIPIENT: REPLY},
"by_name": {SNI: [CHAIN, KEY]}}]}
A message becomes box/RECIPIENT/NUMBER.eml; what was said about it becomes a line of events.jsonl.
"""
import asyncio
import functools
import itertools
import json
import os
import pathlib
import signal
import ssl
import sys
import warnings

from aiosmtpd.smtp import SMTP


class Receiver:
    """One host: its certificate and rules of the moment, and the hooks aiosmtpd calls."""

    def __init__(self, directory, settings):
        self.directory = directory
        self.events = open(directory / "events.jsonl", "a", buffering=1)
        self.numbers = itertools.count(1)
        self.change(settings)

    def change(self, settings):
        self.settings = settings
        self.tls = None
        if settings.get("chain"):
            self.tls = _context(settings["chain"], settings["key"])
            others = {name: _context(*shown) for name, shown in settings.get("by_name", {}).items()}
            self.tls.sni_callback = functools.partial(_on_sni, others)

    def tell(self, **what):
        self.events.write(json.dumps({"host": self.settings["name"], **what}) + "\n")

    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        session.host_name = hostname
        if self.settings.get("requiretls") and server.is_in_tls():
            responses.insert(-1, "250-REQUIRETLS")
        return responses

    async def handle_MAIL(self, server, session, envelope, address, options):
        refusal = self.settings.get("mail_reply")
        if refusal:
            return refusal
        envelope.mail_from = address
        envelope.mail_options.extend(options + server.demands)
        return "250 2.1.0 Sender taken"

    async def handle_RCPT(self, server, session, envelope, address, options):
        rule = self.settings.get("rules", {}).get(address.lower())
        if rule:
            self.tell(event="refused", recipient=address, reply=rule)
            return rule
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Recipient taken"

    async def handle_DATA(self, server, session, envelope):
        refusal = self.settings.get("data_reply")
        if refusal:
            return refusal
        tls = server.transport.get_extra_info("ssl_object")
        boxes = [self._box(recipient.lower()) for recipient in envelope.rcpt_tos]
        # First what there is to tell: whoever waits for the file reads on at once.
        self.tell(event="message", sender=envelope.mail_from, recipients=envelope.rcpt_tos,
                  options=envelope.mail_options, files=[str(box) for box in boxes],
                  helo=session.host_name, peer=session.peer[0],
                  tls=tls.version() if tls else None,
                  sni=getattr(tls, "shown_sni", None), size=len(envelope.content))
        for box in boxes:
            self._keep(box, envelope.content)
        return "250 2.0.0 Message kept"

    def _box(self, recipient):
        """Where the next message of this recipient will lie."""
        box = self.directory / "box" / recipient.replace("/", "_")
        box.mkdir(parents=True, exist_ok=True)
        return box / f"{next(self.numbers):06d}-{self.settings['name']}.eml"

    def _keep(self, path, content):
        part = path.with_name("." + path.name)
        part.write_bytes(content)
        os.replace(part, path)


def _context(chain, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    return context


def _on_sni(others, connection, name, context):
    connection.shown_sni = name
    connection.context = others.get(name, context)


class Session(SMTP):
    """Counts what comes in the clear: a message that must not leak leaves its trace here."""

    def __init__(self, receiver):
        self.receiver = receiver
        self.clear = b""
        self.demands = []
        super().__init__(receiver, hostname=receiver.settings["name"], ident="sink",
                         tls_context=receiver.tls, data_size_limit=60_000_000,
                         enable_SMTPUTF8=False)

    def data_received(self, data):
        if self.transport is not None and not self.is_in_tls():
            if len(self.clear) < 4096:
                self.clear += data
        super().data_received(data)

    def is_in_tls(self):
        return self.transport.get_extra_info("ssl_object") is not None

    async def smtp_MAIL(self, arg):
        """RFC 8689, which aiosmtpd does not know: the parameter is taken where it was offered."""
        self.demands = []
        before, _, last = (arg or "").rpartition(" ")
        if self.receiver.settings.get("requiretls") and last.upper() == "REQUIRETLS":
            self.demands = ["REQUIRETLS"]
            arg = before
        await super().smtp_MAIL(arg)

    def connection_lost(self, error):
        self.receiver.tell(event="closed", clear=self.clear.decode("latin-1"))
        super().connection_lost(error)


def _read(path):
    with open(path) as f:
        return json.load(f)


async def serve(path):
    settings = _read(path)
    directory = pathlib.Path(settings["directory"])
    (directory / "box").mkdir(exist_ok=True)
    receivers = [Receiver(directory, host) for host in settings["hosts"]]
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()

    def change():
        for receiver, host in zip(receivers, _read(path)["hosts"]):
            receiver.change(host)
            receiver.tell(event="changed")

    loop.add_signal_handler(signal.SIGHUP, change)
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    for receiver in receivers:
        at = receiver.settings
        await loop.create_server(lambda r=receiver: Session(r), at["address"], at["port"],
                                 backlog=512)
    await stopped.wait()


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # aiosmtpd's advice about TLS without AUTH
    asyncio.run(serve(sys.argv[1]))
