"""Listings from the indexes: sessions of a tenant, sessions of a user, overdue turns. Never a walk over all keys.

An index may hold members whose session is gone; each is looked at before it is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from holdfast.backends.records import Listing, Overdue, SessionKey
from holdfast.backends.redis.calls import LARGE_BATCH, Calls
from holdfast.backends.redis.keys import PARTITIONS, Keys, bytes_text, decoded, member_text
from holdfast.backends.redis.packing import Meta, milliseconds
from holdfast.backends.redis.wire import Arg
from holdfast.errors import InvalidInput, UnreadableRecord

_OVERDUE: Final = "o"
_TIES: Final = 50
"""How many members more than needed are read, for those that share the score of the last one shown."""
_CHUNK: Final = 1000
"""So many sessions of a user are sorted exactly by last use."""


async def _now_and_heads(
    calls: Calls, keys: Keys, sessions: Sequence[SessionKey]
) -> tuple[int, list[Meta | UnreadableRecord | None]]:
    names = [keys.session(key) for key in sessions]
    commands: list[tuple[str, tuple[Arg, ...]]] = [("", ("TIME",)), *((name, ("HGET", name, "m")) for name in names)]
    time, *heads = await calls.batch(commands)
    return milliseconds(time), [_head(data) for data in heads]


def _head(data: bytes | None) -> Meta | UnreadableRecord | None:
    try:
        return None if data is None else Meta(data)
    except UnreadableRecord as error:
        return error


# --- scan ----------------------------------------------------------------------------------------------------------


class _Place(NamedTuple):
    """Where a scan goes on: a partition, and the last member seen there by (score, member)."""

    partition: int
    score: float
    member: str


def _read_place(cursor: str) -> _Place:
    if not cursor:
        return _Place(0, float("-inf"), "")
    try:
        partition, score, member = cursor.split(":", 2)
        return _Place(int(partition), float(score), member)
    except ValueError:
        raise InvalidInput(f"not a cursor of this store: {cursor[:40]!r}") from None


async def scan(calls: Calls, keys: Keys, tenant: str, cursor: str, limit: int) -> Listing:
    """One page of a tenant's living sessions, partition by partition.

    Members are scored by when their memory is freed, which only ever rises: one that moves is met again further on.
    """
    place = _read_place(cursor)
    ids: list[str] = []
    width = 32
    while place.partition < PARTITIONS and len(ids) < limit:
        last = min(place.partition + width, PARTITIONS)
        found = await _members(calls, keys, tenant, place, last, limit - len(ids))
        sessions = [SessionKey(tenant, decoded(member)) for _, _, member in found]
        if sessions:
            now, heads = await _now_and_heads(calls, keys, sessions)
            ids += [key.id for key, head in zip(sessions, heads, strict=True) if _shown(head, now)]
        full = len(found) >= limit - len(ids) or len(ids) >= limit
        place = found[-1] if found and full else _Place(last, float("-inf"), "")
        width = LARGE_BATCH
    done = place.partition >= PARTITIONS
    return Listing(ids, "" if done else f"{place.partition}:{place.score!r}:{place.member}")


def _shown(head: Meta | UnreadableRecord | None, now: int) -> bool:
    """A damaged session, or one of a newer release, is listed: whoever opens it gets the error, nobody takes it for gone."""
    return head is not None and (isinstance(head, UnreadableRecord) or head.visible(now))


async def _members(calls: Calls, keys: Keys, tenant: str, place: _Place, last: int, wanted: int) -> list[_Place]:
    """The next ``wanted`` members from ``place`` on, before partition ``last``."""
    if place.score != float("-inf"):
        rest = await _rest_of_partition(calls, keys, tenant, place, wanted)
        if len(rest) >= wanted:
            return rest[:wanted]
    else:
        rest = []
        place = place._replace(partition=place.partition - 1)
    partitions = range(place.partition + 1, last)
    indexes = [keys.sessions(p, tenant) for p in partitions]
    replies = await calls.batch([(index, ("ZRANGE", index, 0, wanted - 1, "WITHSCORES")) for index in indexes])
    for partition, flat in zip(partitions, replies, strict=True):
        rest += _places(partition, flat)
        if len(rest) >= wanted:
            return rest[:wanted]
    return rest


async def _rest_of_partition(calls: Calls, keys: Keys, tenant: str, place: _Place, wanted: int) -> list[_Place]:
    index = keys.sessions(place.partition, tenant)
    count = wanted + _TIES
    while True:
        [flat] = await calls.batch(
            [(index, ("ZRANGEBYSCORE", index, repr(place.score), "+inf", "WITHSCORES", "LIMIT", 0, count))]
        )
        found = _places(place.partition, flat)
        after = [member for member in found if (member.score, member.member) > (place.score, place.member)]
        if len(after) >= wanted or len(found) < count:
            return after
        count *= 4


def _places(partition: int, flat: list[bytes]) -> list[_Place]:
    return [_Place(partition, float(flat[at + 1]), member_text(flat[at])) for at in range(0, len(flat), 2)]


# --- by user -------------------------------------------------------------------------------------------------------


async def by_user(calls: Calls, keys: Keys, tenant: str, user: str, cursor: str, limit: int) -> Listing:
    """One page of a user's living sessions, last used first: exact up to `_CHUNK` sessions, beyond that roughly."""
    bound, after = _read_user_cursor(cursor)
    index = keys.user(tenant, user)
    [flat] = await calls.batch([(index, ("ZREVRANGEBYSCORE", index, bound, "-inf", "WITHSCORES", "LIMIT", 0, _CHUNK))])
    sessions = [SessionKey(tenant, decoded(member_text(member))) for member in flat[::2]]
    now, heads = await _now_and_heads(calls, keys, sessions)
    mine = sorted(
        (-head.used, key.id)
        for key, head in zip(sessions, heads, strict=True)
        if isinstance(head, Meta) and head.user == user and head.visible(now)
    )
    await _forget_foreign(calls, index, flat, heads, user)
    if after is not None:
        mine = [place for place in mine if place > after]
    page = mine[:limit]
    ids = [id_ for _, id_ in page]
    if len(mine) > limit:
        used, id_ = page[-1]
        return Listing(ids, f"{bound}:{used}:{id_}")
    if len(sessions) == _CHUNK:
        return Listing(ids, f"({float(flat[-1])!r}::")
    return Listing(ids, "")


def _read_user_cursor(cursor: str) -> tuple[str, tuple[int, str] | None]:
    if not cursor:
        return "+inf", None
    try:
        bound, used, id_ = cursor.split(":", 2)
        float(bound.removeprefix("("))
        return bound, (int(used), id_) if used else None
    except ValueError:
        raise InvalidInput(f"not a cursor of this store: {cursor[:40]!r}") from None


async def _forget_foreign(
    calls: Calls, index: str, flat: list[bytes], heads: list[Meta | UnreadableRecord | None], user: str
) -> None:
    """Drops entries of sessions that turned out to be another user's. Those without a session may be about to get one."""
    foreign = [
        member
        for member, head in zip(flat[::2], heads, strict=True)
        if isinstance(head, Meta) and head.counter > 0 and head.user != user
    ]
    if foreign:
        await calls.batch([(index, ("ZREM", index, *foreign))], write=True)


# --- overdue -------------------------------------------------------------------------------------------------------


async def overdue(calls: Calls, keys: Keys, limit: int) -> list[Overdue]:
    """Pending turns of all partitions that nobody holds, longest overdue first."""
    [time] = await calls.batch([("", ("TIME",))])
    now = milliseconds(time)
    indexes = [keys.pending(p) for p in range(PARTITIONS)]
    replies = await calls.batch(
        [(index, ("ZRANGEBYSCORE", index, "-inf", now, "WITHSCORES", "LIMIT", 0, limit)) for index in indexes]
    )
    due = sorted(
        (float(flat[at + 1]), flat[at])
        for flat in replies
        for at in range(0, len(flat), 2)
        if flat[at].count(b":") >= 3  # else it is no turn's name
    )
    turns: list[Overdue] = []
    for at in range(0, len(due), limit):
        asked = [_turn_of(member) for _, member in due[at : at + limit]]
        found = await calls.functions(_OVERDUE, [(keys.session(key), (turn,)) for key, turn in asked], write=True)
        for (key, turn), reply in zip(asked, found, strict=True):
            if reply is not None:
                turns.append(_overdue(key, turn, reply))
        if len(turns) >= limit:
            break
    return sorted(turns, key=lambda turn: turn.since_ms)[:limit]


def _turn_of(member: bytes) -> tuple[SessionKey, bytes]:
    _, tenant, id_, turn = member.split(b":", 3)
    return SessionKey(decoded(member_text(tenant)), decoded(member_text(id_))), turn


def _overdue(key: SessionKey, turn: bytes, reply: list[Any]) -> Overdue:
    handler, attempt, since = reply
    return Overdue(key, bytes_text(turn), bytes_text(handler), attempt, int(since))
