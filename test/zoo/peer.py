"""All mail hosts and policy websites of the zoo, in one process.

Run with a JSON file that says what to serve; tells what happened in events.jsonl beside it. TLS is
done in memory, over plain streams: so every flight of a handshake can be held back, cut to pieces,
or answered with something else. What a client says in the clear is kept and counted.
"""
import asyncio
import functools
import json
import pathlib
import re
import signal
import ssl
import sys
import time

PATIENCE_S = 150  # no visitor stays longer
COUNTED = {b"MAIL": "MAIL", b"RCPT": "RCPT", b"DATA": "DATA", b"BDAT": "DATA"}


class Gone(Exception):
    """The other side closed."""


class Talk:
    """One connection: lines in the clear, later over TLS, and what was heard of each."""

    def __init__(self, house, host, reader, writer):
        self.house = house
        self.host = host
        self.reader, self.writer = reader, writer
        self.tls = None
        self.clear = {"MAIL": 0, "RCPT": 0, "DATA": 0, "content": 0}
        self.secure = dict(self.clear)
        self.clear_bytes = b""
        self.recipients = []
        self.sni = None
        self.options = ""
        self._rest = b""

    # ---- bytes ----

    async def say(self, text):
        await self.say_bytes(text.encode("latin-1") + b"\r\n")

    async def say_bytes(self, data):
        if self.tls:
            record = self.host.get("record", len(data))
            try:
                for i in range(0, len(data), record):
                    self.tls.write(data[i:i + record])
            except ssl.SSLError:
                raise Gone from None
            await self._flush()
        else:
            await self.say_raw(data)

    async def say_raw(self, data):
        """Past TLS, if there is any."""
        try:
            self.writer.write(data)
            await self.writer.drain()
        except OSError:
            raise Gone from None

    async def _flush(self):
        piece = self.host.get("pieces")
        data = self._out.read()
        if not piece:
            await self.say_raw(data)
            return
        for i in range(0, len(data), piece):
            await self.say_raw(data[i:i + piece])
            await asyncio.sleep(0.002)  # so that each piece is a packet of its own

    async def _more_raw(self):
        try:
            data = await self.reader.read(65536)
        except OSError:
            data = b""
        if not data:
            raise Gone
        return data

    async def _more(self):
        if not self.tls:
            data = await self._more_raw()
            self.clear_bytes = (self.clear_bytes + data)[:200000]
            return data
        while True:
            try:
                data = self.tls.read(65536)
                if not data:
                    raise Gone
                return data
            except ssl.SSLWantReadError:
                self._in.write(await self._more_raw())
            except ssl.SSLError:
                raise Gone from None

    async def hear(self):
        """One line, without its end."""
        while b"\n" not in self._rest:
            self._rest += await self._more()
        line, _, self._rest = self._rest.partition(b"\n")
        kind = COUNTED.get(line[:4].upper())
        if kind:
            (self.secure if self.tls else self.clear)[kind] += len(line) + 1
        return line.rstrip(b"\r").decode("latin-1")

    async def hear_content(self):
        data = self._rest
        while not (data.startswith(b".\r\n") or b"\r\n.\r\n" in data):
            data += await self._more()
        content, _, self._rest = data.partition(b"\r\n.\r\n")
        (self.secure if self.tls else self.clear)["content"] += len(content)

    async def hear_silence(self):
        while True:
            await self._more()

    # ---- TLS ----

    async def start_tls(self):
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = self._context()
        tls = context.wrap_bio(self._in, self._out, server_side=True)
        withheld = self.host.get("withhold")  # the flight that never comes: 1 is our first
        flights = 0
        while True:
            try:
                tls.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                done = False
            except ssl.SSLError as error:
                await self._flush()
                raise Gone(str(error)) from None
            if self._out.pending:
                flights += 1
                if flights == withheld:
                    while True:
                        await self._more_raw()
                await self._flush()
            if done:
                break
            self._in.write(await self._more_raw())
        self.tls = tls
        self._rest = b""

    def _context(self):
        host = self.host
        shown = host["chain"], host["key"]
        if self.house.is_late and "later" in host:
            shown = host["later"]
        context = _context_of(*shown, host)

        def choose(connection, name, _):
            self.sni = name
            if name in host["by_name"]:
                connection.context = _context_of(*host["by_name"][name], host)
            if host.get("sni_only") and name != host["sni_only"]:
                return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
            return None

        context.sni_callback = choose
        return context


VERSIONS = {"1.0": ssl.TLSVersion.TLSv1, "1.1": ssl.TLSVersion.TLSv1_1,
            "1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def _context_of(chain, key, host):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers(host.get("ciphers", "DEFAULT:@SECLEVEL=0"))
    if "version" in host:
        version = VERSIONS[host["version"]]
        # In the order in which there is always a range.
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.maximum_version = version
        context.minimum_version = version
    if "dh" in host:
        context.load_dh_params(host["dh"])
    context.load_cert_chain(chain, key)
    return context


# ---- scripts: what a host does with a visitor ----

async def serve(talk, greeting=True, at=None, instead=None):
    """A correct server, up to the step `at`; then instead(talk) takes over."""
    host = talk.host
    if greeting:
        await talk.say(f"220 {host['name']} ESMTP")
    while True:
        line = await talk.hear()
        verb = line.split(" ")[0].upper()
        if verb == at and not talk.tls:
            return await instead(talk)
        refusal = host.get("replies", {}).get(verb)
        if refusal:
            await talk.say(refusal)
        elif verb == "EHLO":
            words = [host["name"], "PIPELINING", "8BITMIME", "SIZE 50000000", *_extensions(talk)]
            for word in words[:-1]:
                await talk.say(f"250-{word}")
            await talk.say(f"250 {words[-1]}")
        elif verb == "STARTTLS" and host.get("chain") and not talk.tls:
            await talk.say("220 2.0.0 Go ahead")
            await talk.start_tls()
        elif verb == "MAIL":
            talk.options, talk.recipients = line, []
            await talk.say("250 2.1.0 Fine")
        elif verb == "RCPT":
            talk.recipients.append(re.sub(r"(?i)^rcpt to:\s*<([^>]*)>.*", r"\1", line))
            await talk.say("250 2.1.5 Fine")
        elif verb == "DATA":
            await talk.say("354 Go on")
            await talk.hear_content()
            talk.house.tell(message="tls" if talk.tls else "clear", host=host["name"],
                            recipients=talk.recipients, options=talk.options)
            await talk.say("250 2.0.0 Kept")
            if host.get("cuts_after_message"):
                return
        elif verb == "QUIT":
            await talk.say("221 2.0.0 Bye")
            return
        elif verb in ("HELO", "RSET", "NOOP"):
            await talk.say("250 2.0.0 Fine")
        else:
            await talk.say("500 5.5.1 What?")


def _extensions(talk):
    host = talk.host
    if not talk.tls:
        return ["STARTTLS"] * bool(host.get("chain") and not host.get("hides_starttls")) \
            + host.get("extensions_in_clear", [])
    return host.get("extensions", [])


def _instead_of_starttls(act):
    @functools.wraps(act)
    async def script(talk):
        await serve(talk, at="STARTTLS", instead=act)
    return script


@_instead_of_starttls
async def junk_after_220(talk):
    """Bytes behind the 220, in the clear, that pretend to come over TLS."""
    await talk.say_bytes(b"220 2.0.0 Go ahead\r\n250 2.0.0 Injected\r\n")
    await talk.start_tls()
    await serve(talk, greeting=False)


@_instead_of_starttls
async def plain_after_220(talk):
    await talk.say("220 2.0.0 Go ahead")
    await talk._more()
    talk._rest = b""
    await talk.say("250-still in the clear")
    await talk.say("250 PIPELINING")
    await serve(talk, greeting=False)


@_instead_of_starttls
async def alert(talk):
    await talk.say("220 2.0.0 Go ahead")
    await talk._more()
    await talk.say_raw(b"\x15\x03\x03\x00\x02\x02\x28")


@_instead_of_starttls
async def alert_then_plain(talk):
    """An alert, then SMTP as if nothing had been (R29)."""
    await talk.say("220 2.0.0 Go ahead")
    await talk._more()
    await talk.say_raw(b"\x15\x03\x03\x00\x02\x02\x28")
    talk._rest = b""
    await talk.say("220 let us go on in the clear")
    await serve(talk, greeting=False)


@_instead_of_starttls
async def close_after_220(talk):
    await talk.say("220 2.0.0 Go ahead")


@_instead_of_starttls
async def close_at_starttls(talk):
    pass


@_instead_of_starttls
async def noise_after_220(talk):
    await talk.say("220 2.0.0 Go ahead")
    await talk._more()
    await talk.say_raw(bytes(range(256)) * 4)


@_instead_of_starttls
async def mute_after_220(talk):
    """No flight at all comes back."""
    await talk.say("220 2.0.0 Go ahead")
    await talk.hear_silence()


async def refuse_all(talk):
    await talk.say("554 5.7.1 Nobody is welcome")


SCRIPTS = {f.__name__: f for f in (
    serve, junk_after_220, plain_after_220, alert, alert_then_plain, close_after_220,
    close_at_starttls, noise_after_220, mute_after_220, refuse_all)}


# ---- the process ----

class House:
    def __init__(self, directory):
        self.events = open(directory / "events.jsonl", "a", buffering=1)
        self.is_late = False  # the first messages have been: what is to change then has changed

    def become_late(self):
        self.is_late = True
        self.tell(late=True)

    def tell(self, **what):
        self.events.write(json.dumps({"at": round(time.time(), 3), **what}) + "\n")

    async def visit(self, host, reader, writer):
        talk = Talk(self, host, reader, writer)
        ended = ""
        try:
            await asyncio.wait_for(SCRIPTS[host["script"]](talk), PATIENCE_S)
        except Gone as gone:
            ended = str(gone)
        except asyncio.TimeoutError:
            ended = "stayed too long"
        finally:
            self.tell(closed=host["name"], address=_address(writer, "sockname"), client=_address(writer, "peername"),
                      tls=talk.tls.version() if talk.tls else None, sni=talk.sni,
                      clear=talk.clear, secure=talk.secure, ended=ended,
                      canary=talk.clear_bytes.count(b"zegel-canary"))
            writer.close()

    async def answer(self, site, reader, writer):
        """One HTTP request."""
        line = b""
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
            line = head.split(b"\r\n")[0]
            answer = site["later"] if self.is_late and site["later"] else site["answer"]
            body = answer["body"].encode()
            if line.split(b" ")[1:2] != [b"/.well-known/mta-sts.txt"]:
                answer, body = {"status": "404 Not Found"}, b"not here\n"
            await asyncio.sleep(answer.get("delay", 0))
            headers = [f"HTTP/1.1 {answer.get('status', '200 OK')}",
                       f"Content-Length: {len(body)}", "Connection: close"]
            kind = answer.get("type", "text/plain")
            headers += [f"Content-Type: {kind}"] * bool(kind) + answer.get("headers", [])
            writer.write("\r\n".join(headers).encode() + b"\r\n\r\n" + body)
            await writer.drain()
        except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError):
            pass
        finally:
            self.tell(site=site["name"], request=line.decode("latin-1"),
                      client=_address(writer, "peername"))
            writer.close()


def _address(writer, which):
    name = writer.get_extra_info(which)  # None, once the other side has gone
    return name[0] if name else None


async def main(path):
    with open(path) as f:
        settings = json.load(f)
    directory = pathlib.Path(path).parent
    house = House(directory)
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    loop.add_signal_handler(signal.SIGUSR1, house.become_late)
    loop.set_exception_handler(_say_error)
    for host in settings["hosts"]:
        for address in host["addresses"]:
            await asyncio.start_server(lambda r, w, h=host: house.visit(h, r, w), address, 25,
                                       backlog=100)
    for site in settings["sites"]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(site["chain"], site["key"])
        await asyncio.start_server(lambda r, w, s=site: house.answer(s, r, w), site["address"], 443,
                                   ssl=context, backlog=100)
    house.tell(ready=True)
    await stopped.wait()


def _say_error(loop, context):
    # A client that refuses our certificate, or breaks off, is no news.
    if not isinstance(context.get("exception"), (OSError, ssl.SSLError)):
        loop.default_exception_handler(context)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
