"""P15 over HTTP: a hostile id in a path reaches its own session, or none."""

from __future__ import annotations

import random
from urllib.parse import quote

import pytest
from server_kit import served

from hostile_ids import hostile_ids
from store_nodes import SOAK, Figures


@pytest.mark.timeout(400)
async def test_hostile_ids_in_a_path_reach_their_own_session_or_none(rng: random.Random, figures: Figures) -> None:
    ids = hostile_ids(10_000 if SOAK else 2_000, rng)
    own = refused = 0
    async with served() as (node,):
        place = {id_: number for number, id_ in enumerate(ids)}

        async def write(id_: str) -> None:
            await node.store.set(id_, {"n": place[id_]})

        for id_ in ids:
            await write(id_)
        for id_ in ids:
            reply = await node.http.get(f"/v1/sessions/{quote(id_, safe='')}")
            if reply.status_code == 200 and reply.headers["content-type"].startswith("application/json"):
                found = reply.json()
                assert found.get("id", id_) == id_ and found.get("state", {}).get("n", place[id_]) == place[id_], ascii(
                    id_
                )
                own += 1
            else:
                assert 300 <= reply.status_code < 500, (ascii(id_), reply.status_code)
                refused += 1
        for id_ in ids[::20]:
            turn = await node.http.post(f"/v1/sessions/{quote(id_, safe='')}/turns", json={"input": "say x"})
            assert turn.status_code < 500, ascii(id_)
        for id_ in ids:
            assert (await node.store.get(id_))["n"] == place[id_]
    assert own > 0.7 * len(ids)
    figures("P15", "http", hostile_ids=len(ids), own_session=own, refused=refused)


async def test_an_encoded_slash_is_no_slash(rng: random.Random) -> None:
    async with served() as (node,):
        await node.store.run_turn("victim", lambda turn: turn.reply("secret"), input="x", turn_id="t")
        await node.store.set("victim/messages", {"mine": 1})
        for path in ("victim%2fmessages", "victim%2Fmessages", "victim%2Fturns%2Ft", "x%2F..%2Fvictim", "victim%2f"):
            reply = await node.http.get(f"/v1/sessions/{path}")
            assert reply.status_code == 404 and "secret" not in reply.text
