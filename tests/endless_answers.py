#!/usr/bin/env python3
"""Memory and time of `pavlov search` while a server answers without end.

    tests/endless_answers.py target/release/pavlov [--timeout 5] [--only KIND]

A server on 127.0.0.1 answers in one of the ways below, for as long as it is listened to; the program asks it once
(`--tries 1`). Printed for each: the exit code, seconds from the first request to the end of the program, its peak
resident memory in MB, and the last line it printed. The exit status is 1 where more than 200 MB were taken, or the end
came later than two seconds after the timeout. The kind `interrupted` sends SIGINT once, a second after the first
request, to a program that would wait for an hour. Python 3 alone; Linux.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

MB = 1 << 20
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n"
BAD = b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nConnection: close\r\n"
EVENT = b'data: {"choices":[{"delta":{"content":"word word word "}}]}\n\n'


def endless(head, first, part, pause=0.0):
    """An answer of a head, a beginning, and a part that comes again and again."""

    def answer(connection):
        connection.sendall(head + b"\r\n" + first)
        block = part if pause else part * max(1, 65536 // len(part))
        while True:
            connection.sendall(block)
            time.sleep(pause)

    return answer


def headers(connection):
    connection.sendall(OK)
    number = 0
    while True:
        connection.sendall(b"".join(b"X-%d: %s\r\n" % (number + i, b"x" * 100) for i in range(1000)))
        number += 1000


def one_header(connection):
    connection.sendall(OK + b"X-Long: ")
    while True:
        connection.sendall(b"x" * 65536)


def interim(connection):
    while True:
        connection.sendall(b"HTTP/1.1 102 Processing\r\n\r\n" * 1000)


def chunked(connection):
    connection.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")


KINDS = {
    "refusal of JSON": endless(BAD, b'{"error":{"message":"', b"too long "),
    "refusal of nested JSON": endless(BAD, b"", b'{"error":['),
    "good stream": endless(OK, b"", EVENT),
    "an event each half second": endless(OK, b"", EVENT, 0.5),
    "comments each half second": endless(OK, b"", b": alive\n\n", 0.5),
    "one line": endless(OK, b"data: ", b"x"),
    "empty events": endless(OK, b"", b"data:\n\n"),
    "headers": headers,
    "one header": one_header,
    "interim answers": interim,
    "chunks": chunked,
    "said to be gzip": endless(OK + b"Content-Encoding: gzip\r\n", b"\x1f\x8b\x08\0\0\0\0\0\0\x03", b"\xec\xc1\x01\0\0\0\x80\x90\xfe\xaf"),
    "not streamed": endless(OK.replace(b"text/event-stream", b"application/json"), b'{"choices":[{"message":{"content":"', b"word "),
    "HTML page of a failure": endless(BAD.replace(b"400 Bad Request", b"502 Bad Gateway").replace(b"application/json", b"text/html"), b"<html>", b"<p>broken</p>"),
    "one byte each half second": endless(OK, b"", b"d", 0.5),
    "nothing": lambda connection: time.sleep(3600),
    "interrupted": endless(OK, b"", EVENT, 0.5),
}


def serve(answer, asked):
    listener = socket.create_server(("127.0.0.1", 0))

    def each(connection):
        try:
            connection.recv(1 << 20)
            asked.append(time.monotonic())
            answer(connection)
        except OSError:
            pass

    def accept():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=each, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener


def measure(program, kind, timeout):
    asked = []
    listener = serve(KINDS[kind], asked)
    interrupted = kind == "interrupted"
    with tempfile.TemporaryDirectory() as folder:
        command = [os.path.abspath(program), "search", "cartpole_balance", "--out", os.path.join(folder, "search"),
                   "--base-url", f"http://127.0.0.1:{listener.getsockname()[1]}/v1", "--model", "m",
                   "--candidates", "1", "--iterations", "1", "--tries", "1",
                   "--timeout", str(3600 if interrupted else timeout)]
        with open(os.path.join(folder, "printed"), "w+b") as printed:
            process = subprocess.Popen(command, stdout=printed, stderr=subprocess.STDOUT)
            if interrupted:
                while not asked:
                    time.sleep(0.05)
                time.sleep(1.0)
                asked[:] = [time.monotonic()]
                process.send_signal(signal.SIGINT)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            took = time.monotonic() - asked[0] if asked else float("nan")
            printed.seek(0)
            lines = printed.read().decode(errors="replace").strip().splitlines()
    listener.close()
    peak = usage.ru_maxrss * 1024 / MB
    good = peak < 200 and took < (2 if interrupted else timeout + 2)
    last = (lines or [""])[-1]
    print(f"{'ok ' if good else 'BAD'} {kind:28} exit {process.returncode:3}  {took:6.1f} s  {peak:6.1f} MB  {last[:150]}",
          flush=True)
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--timeout", type=float, default=5)
    parser.add_argument("--only")
    args = parser.parse_args()
    kinds = [args.only] if args.only else list(KINDS)
    sys.exit(0 if all([measure(args.program, kind, args.timeout) for kind in kinds]) else 1)


if __name__ == "__main__":
    main()
