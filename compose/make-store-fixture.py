#!/usr/bin/env python3
"""Fills the store of an old Starling through its public interface and packs it with what it listed at the end.
Usage: make-store-fixture.py BINARY OUT.tar.gz [STARTS]. With a program that writes as many starts would, the last event is
a read mark that is too long, with which that version doesn't start again. Called by make-store-fixtures.sh."""
import base64
import http.client
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
import uuid

PASSWORD = "correct horse battery"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Node:
    def __init__(self, binary, data):
        self.port = free_port()
        listen = f"127.0.0.1:{self.port}"
        self.process = subprocess.Popen([binary, "serve", "--listen", listen, "--data-dir", data])
        for _ in range(600):
            try:
                if self.request("GET", "/readyz")[0] == 200:
                    return
            except OSError:
                pass
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        self.process.kill()
        sys.exit(f"{binary} does not become ready")

    def request(self, method, path, body=None, token=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {}
        if token:
            headers["authorization"] = f"Bearer {token}"
        if body is not None:
            headers["content-type"] = "application/json"
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read()
        try:
            return answer.status, json.loads(text) if text else None
        except ValueError:
            return answer.status, None

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait(60) != 0:
            sys.exit("the node does not stop")


class Guest:
    """A guest of a quick room, over a WebSocket."""

    def __init__(self, node, room, name):
        self.socket = socket.create_connection(("127.0.0.1", node.port), 30)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET /ws?roomID={room}&username={name} HTTP/1.1\r\nhost: 127.0.0.1:{node.port}\r\n"
            f"upgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-version: 13\r\n"
            f"sec-websocket-key: {key}\r\n\r\n".encode()
        )
        self.file = self.socket.makefile("rb")
        if b" 101 " not in self.file.readline():
            sys.exit("no WebSocket")
        while self.file.readline() != b"\r\n":
            pass

    def frame(self):
        first, length = self.file.read(2)
        length &= 0x7F
        if length == 126:
            (length,) = struct.unpack(">H", self.file.read(2))
        elif length == 127:
            (length,) = struct.unpack(">Q", self.file.read(8))
        payload = self.file.read(length)
        return json.loads(payload) if first & 0x0F == 1 else {}

    def post(self, body):
        message = str(uuid.uuid4())
        payload = json.dumps({"id": message, "body": body}).encode()
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
        assert len(payload) < 65536
        self.socket.sendall(struct.pack(">BBH", 0x81, 0x80 | 126, len(payload)) + mask + masked)
        while True:
            frame = self.frame()
            if frame.get("type") == "error":
                sys.exit(f"refused: {frame}")
            if frame.get("type") == "ack" and frame["id"] == message:
                return


def in_quick_rooms(node):
    rooms = []
    for number in range(2):
        status, made = node.request("POST", "/create-room")
        assert status == 201, status
        room = made["roomID"]
        ann, bob = Guest(node, room, "Ann"), Guest(node, room, "Bob")
        for n in range(6):
            (ann if n % 2 else bob).post(f"message {n} of room {number} 🐦")
        rooms.append({"id": room, "messages": quick_messages(node, room)})
    return rooms


def quick_messages(node, room):
    status, page = node.request("GET", f"/room-messages?roomID={room}&limit=200")
    assert status == 200, status
    return [{key: item[key] for key in ("id", "username", "guest", "body")} for item in page["items"]]


class User:
    def __init__(self, node, name):
        self.node = node
        body = {"username": name, "password": PASSWORD, "display_name": name.title()}
        status, made = node.request("POST", "/api/v1/register", body)
        assert status == 201, (status, made)
        self.id, self.name, self.token = made["user"]["id"], name, made["access_token"]

    def call(self, method, path, body=None, may_lack=False):
        status, answer = self.node.request(method, f"/api/v1{path}", body, self.token)
        if status >= 300 and not (may_lack and status in (404, 405)):
            sys.exit(f"{method} {path}: {status} {answer}")
        return answer


def with_accounts(node):
    """People, contacts, rooms and all that is done with messages; nothing where the version has no accounts."""
    if node.request("GET", "/api/v1/me")[0] == 404:
        return []
    ann, bob, cy = (User(node, name) for name in ("ann", "bob", "cyd"))
    ann.call("POST", "/contacts", {"username": "bob"})
    bob.call("POST", f"/contacts/{ann.id}/accept")
    bob.call("POST", f"/contacts/{cy.id}/block")
    direct = ann.call("POST", "/direct", {"user_id": bob.id})["id"]
    den = ann.call("POST", "/rooms", {"name": "den", "topic": "tea", "visibility": "public"})["id"]
    gone = ann.call("POST", "/rooms", {"name": "gone", "visibility": "private"})["id"]
    for user in (bob, cy):
        user.call("POST", f"/rooms/{den}/join")
    bob.call("PUT", f"/rooms/{den}/notify", {"level": "mentions"})
    sent = []
    for n in range(12):
        user = (ann, bob, cy)[n % 3]
        body = f"message {n}, hello @{(bob, ann, ann)[n % 3].name}"
        post = {"body": body, **({"reply_to": sent[-1]} if n > 8 else {})}
        sent.append(user.call("POST", f"/rooms/{den}/messages", post)["id"])
    for n in range(3):
        ann.call("POST", f"/rooms/{direct}/messages", {"body": f"for bob alone {n}"})
        ann.call("POST", f"/rooms/{gone}/messages", {"body": f"to be deleted {n}"})
    ann.call("PATCH", f"/messages/{sent[0]}", {"body": "edited"}, may_lack=True)
    bob.call("DELETE", f"/messages/{sent[1]}", may_lack=True)
    for user, emoji in ((ann, "%F0%9F%91%8D"), (bob, "%F0%9F%91%8D"), (bob, "%E2%9D%A4")):
        user.call("PUT", f"/messages/{sent[3]}/reactions/{emoji}")
    bob.call("DELETE", f"/messages/{sent[3]}/reactions/%F0%9F%91%8D")
    bob.call("PUT", f"/rooms/{den}/read", {"message_id": sent[5]})
    bob.call("PATCH", "/me", {"display_name": "Bob the Second"})
    bob.call("PATCH", "/me/settings", {"language": "de"}, may_lack=True)
    ann.call("POST", f"/rooms/{den}/invites", {"max_uses": 2})
    ann.call("PATCH", f"/rooms/{den}/members/{bob.id}", {"role": "moderator"})
    ann.call("DELETE", f"/rooms/{den}/members/{cy.id}?ban=true")
    ann.call("DELETE", f"/rooms/{gone}")
    cy.call("DELETE", "/me", {"password": PASSWORD})
    return [listed(user) for user in (ann, bob)]


def listed(user):
    rooms = []
    for room in user.call("GET", "/rooms")["items"]:
        messages = user.call("GET", f"/rooms/{room['id']}/messages?limit=200")["items"]
        kept = ("id", "body", "deleted", "reactions", "reply_to")
        rooms.append(
            {
                **{key: room.get(key) for key in ("id", "name", "topic", "role", "member_count", "unread", "mentions")},
                "messages": [{key: message.get(key) for key in kept} for message in messages],
            }
        )
    contacts = [(contact["user"]["username"], contact["state"]) for contact in user.call("GET", "/contacts")["items"]]
    me = user.call("GET", "/me")
    return {
        "username": user.name,
        "password": PASSWORD,
        "display_name": me["display_name"],
        "contacts": contacts,
        "rooms": sorted(rooms, key=lambda room: room["id"]),
    }


def bricked(binary, data, starts):
    """The store of a node that was started often, and has a read mark of all these starts."""
    node = Node(binary, data)
    ann = User(node, "ann")
    room = ann.call("POST", "/rooms", {"name": "den", "visibility": "private"})["id"]
    node.stop()
    store = os.path.join(data, "starling.redb")
    subprocess.run([starts, store, ann.id, room, "5300"], check=True)
    node = Node(binary, data)
    ann.node = node
    last = ann.call("GET", f"/rooms/{room}/messages?limit=1")["items"][0]["id"]
    users = [listed(ann)]
    # With this mark it can't even list her rooms.
    ann.call("PUT", f"/rooms/{room}/read", {"message_id": last})
    node.stop()
    again = subprocess.run([binary, "serve", "--listen", "127.0.0.1:0", "--data-dir", data], timeout=60)
    assert again.returncode != 0, "it starts again"
    return [], users


def filled(binary, data):
    node = Node(binary, data)
    try:
        listing = in_quick_rooms(node), with_accounts(node)
        node.stop()
        return listing
    finally:
        node.process.kill()


def main(binary, out, starts=None):
    with tempfile.TemporaryDirectory() as folder:
        data = os.path.join(folder, "data")
        quick, users = bricked(binary, data, starts) if starts else filled(binary, data)
        with open(os.path.join(data, "expected.json"), "w", encoding="utf-8") as file:
            json.dump({"quick_rooms": quick, "users": users}, file, indent=1)
        with tarfile.open(out, "w:gz", compresslevel=9) as tar:
            for name in ("expected.json", "node.json", "starling.redb"):
                tar.add(os.path.join(data, name), name)


main(*sys.argv[1:])
