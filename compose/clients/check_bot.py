"""Talks with bot.py through a relay, cuts the relay, and checks that the bot resumes and answers once.

    check_bot.py URL
"""

import pathlib
import socket
import subprocess
import sys
import threading
import time
import urllib.parse

from starling_client import AuthenticatedClient, Client
from starling_client.api.accounts import register_account
from starling_client.api.messages import list_messages, post_message
from starling_client.api.rooms import create_room
from starling_client.models import NewRoom, PostMessage, Register, Visibility

[url] = sys.argv[1:]
PASSWORD = "correct horse"
PATIENCE_S = 20


class Relay:
    """A TCP relay to the node that can be cut."""

    def __init__(self, target):
        self.target, self.open, self.sockets = target, True, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            if not self.open:
                client.close()
                continue
            node = socket.create_connection(self.target)
            self.sockets += [client, node]
            for source, sink in [(client, node), (node, client)]:
                threading.Thread(target=self.pump, args=(source, sink), daemon=True).start()

    def pump(self, source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def cut(self):
        self.open = False
        for end in self.sockets:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.sockets.clear()


def wait(what, predicate):
    deadline = time.monotonic() + PATIENCE_S
    while not predicate():
        assert bot.poll() is None, "the bot has ended"
        assert time.monotonic() < deadline, f"not within {PATIENCE_S} s: {what}; the bot said {said}"
        time.sleep(0.05)


def register(username):
    body = Register(username=username, password=PASSWORD)
    return register_account.sync(client=Client(base_url=url), body=body)


ann = AuthenticatedClient(base_url=url, token=register("ann").access_token, raise_on_unexpected_status=True)
robot = register("robot").user.id
room = create_room.sync(client=ann, body=NewRoom(name="Echoes", visibility=Visibility.PUBLIC)).id


def answers():
    return [message.body for message in list_messages.sync(room, client=ann).items if message.sender.id == robot]


def post(text):
    post_message.sync(room, client=ann, body=PostMessage(body=f"echo {text}"))


address = urllib.parse.urlsplit(url)
relay = Relay((address.hostname, address.port))
program = pathlib.Path(__file__).with_name("bot.py")
command = [sys.executable, "-u", program, relay.url, "robot", PASSWORD]
bot = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
said = []
threading.Thread(target=lambda: said.extend(iter(bot.stdout.readline, "")), daemon=True).start()
try:
    wait("the bot connects", lambda: "connected\n" in said)
    post("one")
    wait("the first answer", lambda: answers() == ["one"])
    relay.cut()
    wait("the bot notices", lambda: any(line.startswith("disconnected") for line in said))
    post("two")
    relay.open = True
    wait("the bot resumes", lambda: "resumed\n" in said)
    wait("the answer to what it missed", lambda: answers() == ["two", "one"])
    post("three")
    wait("the answer after the resume", lambda: answers() == ["three", "two", "one"])
finally:
    bot.kill()
    bot.wait()
print("the bot answered, resumed, and answered what it had missed, once")
