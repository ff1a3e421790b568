"""Uses the generated Python client: registers, logs in, makes a room, posts, lists the messages.

    python_program.py URL
"""

import sys

from starling_client import AuthenticatedClient, Client
from starling_client.api.accounts import get_me, log_in_user, register_account
from starling_client.api.messages import list_messages, post_message
from starling_client.api.rooms import create_room, get_room
from starling_client.models import (
    ErrorCode,
    ListMessage,
    LoggedIn,
    Login,
    Me,
    Message,
    NewRoom,
    PostMessage,
    Problem,
    Register,
    Room,
    Visibility,
)

[url] = sys.argv[1:]
PASSWORD = "correct horse"


def expect(kind, answer):
    assert isinstance(answer, kind), answer
    return answer


anyone = Client(base_url=url, raise_on_unexpected_status=True)
expect(LoggedIn, register_account.sync(client=anyone, body=Register(username="paula", password=PASSWORD)))
wrong = expect(Problem, log_in_user.sync(client=anyone, body=Login(username="paula", password="wrong horse")))
assert wrong.code is ErrorCode.BAD_CREDENTIALS, wrong
logged_in = expect(LoggedIn, log_in_user.sync(client=anyone, body=Login(username="paula", password=PASSWORD)))

paula = AuthenticatedClient(base_url=url, token=logged_in.access_token, raise_on_unexpected_status=True)
me = expect(Me, get_me.sync(client=paula))
assert me.username == "paula" and me.created_at.tzinfo is not None, me
room = expect(Room, create_room.sync(client=paula, body=NewRoom(name="Tea", visibility=Visibility.PRIVATE)))
posted = expect(Message, post_message.sync(room.id, client=paula, body=PostMessage(body="Hello")))
answer = PostMessage(body="And hello again", reply_to=posted.id)
answered = expect(Message, post_message.sync(room.id, client=paula, body=answer))
page = expect(ListMessage, list_messages.sync(room.id, client=paula, limit=1))
assert [message.id for message in page.items] == [answered.id] and page.next_, page
before = expect(ListMessage, list_messages.sync(room.id, client=paula, before=answered.id))
assert [message.body for message in before.items] == ["Hello"], before
unknown = expect(Problem, get_room.sync("no-such-room", client=paula))
assert unknown.code is ErrorCode.NOT_FOUND, unknown
print(f"{me.username} posted {len(page.items) + len(before.items)} messages in {room.name}")
