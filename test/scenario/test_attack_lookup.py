"""Domains whose name servers say which hosts they have, and then nothing more: others' mail goes on."""
import selectors
import socket
import threading
import time

import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset

from lab import client
from lab.dns import PORT
from lab.place import until

FROM = "web@shop.example"
N_DOMAINS, N_HOSTS = 60, 20


class TarPits:
    """Domains "d.tar0", "d.tar1" ..., each with a name server of its own that answers about MX alone."""

    def __init__(self, place, n):
        self.n_dropped = 0
        self.stubs = {}
        self._sockets = selectors.DefaultSelector()
        for i in range(n):
            address = place.address()
            one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            one.bind((address, PORT))
            one.setblocking(False)
            self._sockets.register(one, selectors.EVENT_READ)
            self.stubs[f"tar{i}"] = f"{address}@{PORT}"
        self._is_open = True
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self):
        self._is_open = False
        self._thread.join()
        for key in list(self._sockets.get_map().values()):
            key.fileobj.close()

    def _serve(self):
        while self._is_open:
            for key, _ in self._sockets.select(0.2):
                data, back = key.fileobj.recvfrom(65535)
                answer = self._answer(dns.message.from_wire(data))
                if answer is None:
                    self.n_dropped += 1
                else:
                    key.fileobj.sendto(answer.to_wire(), back)

    @staticmethod
    def _answer(question):
        asked = question.question[0]
        name = asked.name.to_text().lower()
        labels = name.rstrip(".").split(".")
        if len(labels) > 2:
            return None
        answer = dns.message.make_response(question)
        answer.flags |= dns.flags.AA
        if labels[0] == "d" and asked.rdtype == dns.rdatatype.MX:
            answer.answer.append(dns.rrset.from_text_list(
                asked.name, 60, "IN", "MX", [f"10 m{i}.h.{name}" for i in range(N_HOSTS)]))
        else:
            answer.authority.append(dns.rrset.from_text(
                f"{labels[-1]}.", 60, "IN", "SOA", f"ns.{labels[-1]}. x.{labels[-1]}. 1 2 3 4 60"))
        return answer


def send(lab, *recipients):
    client.submit(lab.zegel, FROM, list(recipients), client.message(FROM, recipients[0]), lab.login)


def test_O7_R25_name_servers_that_do_not_answer_delay_only_their_own_mail(lab):
    tar = TarPits(lab.place, N_DOMAINS)
    lab.zegel.stubs.update(tar.stubs)
    lab.receiver("bank.example", tlsa=True)
    lab.start()
    try:
        send(lab, *[f"nobody@d.tar{i}" for i in range(N_DOMAINS)])
        until(lambda: tar.n_dropped > 5 * N_DOMAINS, what="they are asked for their hosts")
        for i in range(3):
            before = time.monotonic()
            send(lab, f"anna{i}@bank.example")
            assert lab.sink.wait_for(f"anna{i}@bank.example")
            assert time.monotonic() - before < 25
        lab.zegel.wait_log(r"to=<nobody@d.tar\d+>.*status=deferred", n=N_DOMAINS)
    finally:
        tar.close()
