"""Many more dead destinations than connections: mail for the living goes at once all the same."""
import socket
import time

from lab import client
from lab.place import listens, until

FROM = "web@shop.example"
N_DEAD = 300
AT_ONCE = 25  # seconds; it is one or two, and behind the dead it would be more than a minute


class Deaf:
    """An address that answers nobody who connects: its listener takes no more than it has."""

    def __init__(self, place, port):
        self.address = place.address()
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((self.address, port))
        self.listener.listen(0)
        self.full = []
        for _ in range(3):
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex((self.address, port))
            self.full.append(s)
        until(lambda: not listens(self.address, port), what="no room for another")

    def close(self):
        for s in (*self.full, self.listener):
            s.close()


def send(lab, *recipients):
    content = client.message(FROM, list(recipients), text="Hello.\n")
    client.submit(lab.zegel, FROM, list(recipients), content, lab.login)


def seconds_until_it_arrives(lab, recipient):
    started = time.monotonic()
    send(lab, recipient)
    lab.sink.wait_for(recipient)
    return time.monotonic() - started


def test_O7_O8_dead_destinations_leave_the_living_alone(lab):
    """300 of them and 20 connections: while they are tried first, and when they are tried again."""
    lab.zegel.sections["delivery"]["connections"] = 20
    lab.zegel.sections["retry"] = {"first": "5s", "longest": "10s"}
    deaf = Deaf(lab.place, lab.port)
    for i in range(N_DEAD):
        lab.dns.host(f"mx.d{i}.bank.example", deaf.address, port=lab.port)
        lab.dns.mx(f"d{i}.bank.example", f"mx.d{i}.bank.example")
    for i in range(12):
        lab.receiver(f"good{i}.example")
    lab.start()
    with client.Client(lab.zegel, login=lab.login) as session:
        for at in range(0, N_DEAD, 100):
            to = [f"r@d{i}.bank.example" for i in range(at, at + 100)]
            session.sendmail(FROM, to, client.message(FROM, to))
    took = []
    for i in range(6):
        took.append(seconds_until_it_arrives(lab, f"anna@good{i}.example"))
    until(lambda: lab.zegel.log().count("status=deferred") >= N_DEAD, what="all were tried")
    again = []
    for i in range(6, 12):
        again.append(seconds_until_it_arrives(lab, f"anna@good{i}.example"))
        time.sleep(1)
    assert max(took) < AT_ONCE and max(again) < AT_ONCE, (took, again)
    deaf.close()
