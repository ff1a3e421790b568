"""What schemathesis.sh finds on the node that it asks: people who know each other, their rooms and messages.

    schemathesis-world.py URL FOLDER     writes FOLDER/ann.toml and FOLDER/root.toml

Each is the configuration of a run in somebody's name: how to log in (and again, when something ends the login), and the
ids of all that there is, each of which every second request tries wherever an id is wanted.
"""

import json
import sys
import urllib.request

PASSWORD = "correct horse"
ID_IN = ["path.id", "path.user_id", "path.code", "path.room", "path.roomID", "query.roomID", "query.room_id"]
ID_IN += ["body.user_id", "body.message_id", "body.reply_to", "body.invite"]
NAME_IN = ["body.username", "query.username", "query.q"]

url, folder = sys.argv[1:]


def ask(token, path, body=None, method="POST"):
    headers = {"content-type": "application/json"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    body = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url + path, body, headers, method=method)
    with urllib.request.urlopen(request) as response:
        return json.loads(response.read() or "null")


def log_in(name):
    way = "login" if name == "root" else "register"
    entered = ask(None, f"/api/v1/{way}", {"username": name, "password": PASSWORD})
    return entered["access_token"], entered["user"]["id"]


# The administrator is there already.
people = {name: log_in(name) for name in ["ann", "root", "bob", "cat", "dan", "eve"]}
ids = [person for _, person in people.values()]
for name in ["ann", "root"]:
    token, person = people[name]
    ids += [ask(token, "/api/v1/tokens", {"name": "script", "password": PASSWORD})["id"] for _ in range(2)]
    # One whom he asks, one who asks him, and one whom he knows.
    ask(token, "/api/v1/contacts", {"username": "bob"})
    ask(people["cat"][0], "/api/v1/contacts", {"username": name})
    ask(people["dan"][0], "/api/v1/contacts", {"username": name})
    ask(token, f"/api/v1/contacts/{people['dan'][1]}/accept")
    rooms = [ask(token, "/api/v1/direct", {"user_id": people["dan"][1]})["id"]]
    for visibility in ["public", "private", "public"]:
        room = ask(token, "/api/v1/rooms", {"name": "Tea", "visibility": visibility})["id"]
        ask(token, f"/api/v1/rooms/{room}/members", {"user_id": people["dan"][1]})
        ids.append(ask(token, f"/api/v1/rooms/{room}/invites", {})["code"])
        rooms.append(room)
    for room in rooms:
        ids += [ask(token, f"/api/v1/rooms/{room}/messages", {"body": "Hello"})["id"] for _ in range(2)]
    ids += rooms
ids += [ask(None, "/create-room")["roomID"] for _ in range(2)]

for name in ["ann", "root"]:
    lines = [
        "[auth.dynamic.openapi.bearer]",
        'path = "/api/v1/login"',
        f'payload = {{ username = "{name}", password = "{PASSWORD}" }}',
        'extract_selector = "/access_token"',
        "retry_on = [401]",
        "[dictionaries]",
        f"ids = {{ values = {json.dumps(ids)} }}",
        f"names = {{ values = {json.dumps(list(people))} }}",
        "[parameters]",
    ]
    for places, dictionary in [(ID_IN, "ids"), (NAME_IN, "names")]:
        lines += [f'"{place}" = {{ dictionary = "{dictionary}", probability = 0.5 }}' for place in places]
    with open(f"{folder}/{name}.toml", "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
