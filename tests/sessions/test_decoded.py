"""What is kept decoded never differs from what decoding anew would give."""

from __future__ import annotations

import random

from holdfast import open_store
from holdfast.sessions.codec import Codec
from holdfast.sessions.decoded import DecodedTail
from holdfast.sessions.message import Message, MessageCodec, ToolCall


class Counting(MessageCodec):
    """Counts what is decoded."""

    def __init__(self) -> None:
        super().__init__(Codec())
        self.count = 0

    def decode_all(self, entries: object, turn_id: str = "") -> list[Message]:
        messages = super().decode_all(entries, turn_id)  # type: ignore[arg-type]  # passed on as it came
        self.count += len(messages)
        return messages


def turn(codec: MessageCodec, name: str, *messages: Message) -> list[bytes]:
    return [codec.encode(message, name, follows=number > 0) for number, message in enumerate(messages)]


def asked(number: int, replies: int = 1) -> list[Message]:
    return [Message.user(f"question {number}"), *[Message.assistant(f"answer {number}") for _ in range(replies)]]


def test_only_new_messages_are_decoded_in_a_growing_session() -> None:
    codec, tail = Counting(), DecodedTail()
    log = [entry for number in range(10) for entry in turn(codec, f"t{number}", *asked(number))]
    assert tail.read(codec, log) == codec.decode_all(log)
    log = log[2:] + turn(codec, "t10", *asked(10))
    codec.count = 0
    found = tail.read(codec, log)
    assert codec.count <= 3
    assert found == codec.decode_all(log)


def test_every_way_of_growing_and_cutting_gives_what_decoding_anew_gives() -> None:
    dice = random.Random(7)
    codec = MessageCodec(Codec())
    for _ in range(60):
        tail, log = DecodedTail(), list[bytes]()
        for number in range(25):
            said = asked(number, dice.randrange(4))
            if dice.random() < 0.1:
                said.append(Message.assistant("x" * 5000))  # compressed
            if dice.random() < 0.1:
                said.append(Message("assistant", tool_calls=(ToolCall("c", "find", {"a": [1]}),), metadata={"n": 1}))
            same = [] if dice.random() < 0.8 else turn(codec, "", Message.user("outside a turn"))
            log = log + turn(codec, f"t{number}", *said) + same
            page = log[-dice.choice((1, 2, 3, 5, 20, 200)) :]
            if dice.random() < 0.1:
                page = [bytes(bytearray(entry)) for entry in page]  # read anew from the store: equal, not the same
            assert tail.read(codec, page) == codec.decode_all(page)


def test_a_reader_that_changes_what_it_was_given_spoils_nobody_elses() -> None:
    codec, tail = MessageCodec(Codec()), DecodedTail()
    log = turn(codec, "t", *asked(1), Message.assistant("found", source={"page": 1}))
    found = tail.read(codec, log)
    found[0].metadata["mine"] = True
    found[2].metadata["source"]["page"] = 2
    assert [message.metadata for message in tail.read(codec, log)] == [{}, {}, {"source": {"page": 1}}]


async def test_a_cached_turn_sees_the_messages_that_the_store_holds() -> None:
    async with open_store("memory:", tail=5) as store:
        seen: list[list[Message]] = []
        for number in range(8):
            async with store.turn("s-1", input=f"question {number}", turn_id=f"t{number}") as running:
                seen.append(list(running.messages))
                for _ in range(number % 3):
                    running.reply("a reply")
        log = [message async for message in store.messages("s-1")]
        ends = [index for index, message in enumerate(log) if message.role == "user"]
        for messages, end in zip(seen, ends, strict=True):
            assert [message.content for message in messages] == [message.content for message in log[:end][-5:]]
