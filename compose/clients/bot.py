"""A bot, written only from the OpenAPI and the AsyncAPI document: it answers 'echo TEXT' with TEXT.

    bot.py URL USERNAME PASSWORD

It follows public rooms that it finds, and resumes after a disconnect. It stops with an error if the server sends a frame
that the AsyncAPI document does not describe.
"""

import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

import jsonschema
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import connect

RETRY_S = 0.2
SESSION_ENDED = 4001


class Frames:
    """The frames that the server may send on a socket, as the AsyncAPI document describes them."""

    def __init__(self, document, operation):
        def resolve(reference):
            value = document
            for part in reference["$ref"].removeprefix("#/").split("/"):
                value = value[part]
            return resolve(value) if "$ref" in value else value

        messages = [resolve(reference) for reference in document["operations"][operation]["messages"]]
        components = {"components": {"schemas": document["components"]["schemas"]}}
        self.schemas = {
            message["name"]: jsonschema.Draft7Validator({**message["payload"], **components})
            for message in messages
        }

    def parse(self, text):
        frame = json.loads(text)
        if frame["type"] not in self.schemas:
            raise SystemExit(f"bot.py: the AsyncAPI document does not describe {text}")
        self.schemas[frame["type"]].validate(frame)
        return frame


class Bot:
    def __init__(self, url, username, password):
        self.url = url
        self.credentials = {"username": username, "password": password}
        self.frames = Frames(self.call("GET", "/api/asyncapi.json"), "sendAccountFrames")
        self.me = self.token = self.cursor = self.after = None
        self.seen = set()
        # What was sent and not acked, by id.
        self.unacked = {}

    def call(self, method, path, body=None, token=None):
        headers = {"content-type": "application/json"} if body is not None else {}
        if token:
            headers["authorization"] = f"Bearer {token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.loads(response.read() or "null")

    def log_in(self):
        logged_in = self.call("POST", "/api/v1/login", self.credentials)
        self.token, self.me = logged_in["access_token"], logged_in["user"]["id"]

    def join_public_rooms(self):
        page = ""
        while page is not None:
            query = "?" + urllib.parse.urlencode({"cursor": page}) if page else ""
            rooms = self.call("GET", f"/api/v1/rooms/public{query}", token=self.token)
            for room in rooms["items"]:
                self.call("POST", f"/api/v1/rooms/{room['id']}/join", token=self.token)
            page = rooms["next"]

    def run(self):
        self.log_in()
        self.join_public_rooms()
        while True:
            try:
                self.follow()
            except ConnectionClosed as closed:
                code = closed.rcvd and closed.rcvd.code
                if code == SESSION_ENDED:
                    raise SystemExit("bot.py: the session has ended") from closed
                print(f"disconnected ({code})", flush=True)
            except (OSError, InvalidHandshake, EOFError):
                time.sleep(RETRY_S)

    def follow(self):
        """Opens the socket and handles frames until it closes."""
        place = {"cursor": self.cursor, "after": self.after}
        query = urllib.parse.urlencode({name: value for name, value in place.items() if value})
        address = f"{self.url.replace('http', 'ws', 1)}/api/v1/live?{query}"
        with connect(address, additional_headers={"authorization": f"Bearer {self.token}"}) as socket:
            print("resumed" if self.cursor else "connected", flush=True)
            for request in list(self.unacked.values()):
                socket.send(json.dumps(request))
            while True:
                self.handle(self.frames.parse(socket.recv()), socket)

    def handle(self, frame, socket):
        match frame["type"]:
            case "welcome" | "cursor" | "resync":
                self.cursor = frame["cursor"]
            case "ack":
                self.unacked.pop(frame["id"], None)
                self.after = max(self.after or "", frame["pos"])
            case "error":
                print(f"refused: {frame['detail']}", flush=True)
                self.unacked.pop(frame.get("id"), None)
            case "message":
                self.answer(frame["message"], socket)

    def answer(self, message, socket):
        self.after = max(self.after or "", message["pos"])
        word, _, text = message["body"].partition(" ")
        # A resume may bring a message again.
        if message["id"] in self.seen or message["sender"]["id"] == self.me or word != "echo":
            return
        self.seen.add(message["id"])
        socket.send(json.dumps({"type": "typing", "room_id": message["room_id"]}))
        request = {"type": "send", "id": str(uuid.uuid4()), "room_id": message["room_id"]}
        request |= {"body": text, "reply_to": message["id"]}
        self.unacked[request["id"]] = request
        socket.send(json.dumps(request))


if __name__ == "__main__":
    Bot(*sys.argv[1:]).run()
