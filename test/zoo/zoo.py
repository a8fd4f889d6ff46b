"""The zoo's keeper: opens it, lets the relay and the oracles visit, prints what they found."""
import concurrent.futures
import fnmatch
import os
import signal
import sys
import time

import animal
import oracle
import reports
import table
import visit
import world
from lab import tlsrpt
from lab.zegel import PORT_STARTTLS, binary


def main(words):
    if not world.is_inside():
        print("zoo: start it with test/zoo/run", file=sys.stderr)
        return 64
    if words and words[0] == "--table":
        return show_table(words[1:])
    if words:
        print("zoo: run [--table [NAME...]]", file=sys.stderr)
        return 64
    return stay_open()


def choose(names):
    zoo = animal.furnish()
    if names:
        zoo.animals = [a for a in zoo.animals
                       if any(fnmatch.fnmatch(a.name, name) for name in names)]
    if not zoo.animals:
        raise SystemExit("zoo: there is no such animal")
    return zoo


def show_table(names):
    tlsrpt.stay_within_a_day(600)
    began = time.monotonic()
    place = world.World(choose(names))
    try:
        place.start()
        took = [("opening", time.monotonic() - began)]
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            asked = [pool.submit(_timed, took, name, ask, *words) for name, ask, *words in (
                ("zegel", visit.visit_all, place),
                ("posttls-finger", oracle.ask_finger, place, place.zoo.animals),
                ("s_client", oracle.ask_s_client, place, place.zoo.animals))]
            found = [one.result() for one in asked]
        told = reports.read(place)
        place.end_visits()
        lines = table.judge_all(place, told, *found)
        errors = place.host_errors()
    finally:
        findings = place.close()
    status = table.print_all(lines, told, errors + findings)
    print(f"in {time.monotonic() - began:.0f} s: "
          + ", ".join(f"{name} {seconds:.0f}" for name, seconds in took))
    return status


def _timed(took, name, ask, *words):
    began = time.monotonic()
    try:
        return ask(*words)
    finally:
        took.append((name, time.monotonic() - began))


def stay_open():
    place = world.World(choose([]))
    try:
        place.start()
        print(HELP.format(pid=os.getpid(), zegel=binary(), conf=place.zegel.path,
                          place=place.place.path, n=len(place.zoo.animals),
                          address=f"{place.zegel.address}:{PORT_STARTTLS}",
                          login=" ".join(world.login_of("keeper"))), flush=True)
        signal.pause()
    except KeyboardInterrupt:
        pass
    finally:
        place.close()
    return 0


HELP = """\
The zoo is open: {n} animals, each a domain NAME.zoo.example (or .open.example, not signed;
.rogue.example, whose name server makes trouble). test/zoo/run --table lists them. Go in with

    nsenter --target {pid} --net --mount bash

and there, for instance

    drill -D _25._tcp.mx.u311-good.zoo.example TLSA
    {zegel} -c {conf} explain u311-good.zoo.example
    {zegel} -c {conf} tls probe u311-wrong-data.zoo.example

Mail is submitted at {address}, with STARTTLS, as {login}.
What the hosts hear stands in {place}/peers/events.jsonl.
Ctrl-C closes the zoo.
"""

if __name__ == "__main__":
    # SIGTERM is an exception, as SIGINT: so that everything is closed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main(sys.argv[1:]))
