"""What it costs to know who asks, by each way; and whether the time tells how near a wrong key was."""

from __future__ import annotations

import json
import random
import statistics
import string
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from bench.figures import Figure, at_most, figure
from bench.setting import Setting
from holdfast import open_store
from holdfast.config import Config
from holdfast.server.callers import Caller
from holdfast.server.identities.cookies import visitors_token
from holdfast.server.identities.identifying import Identities
from holdfast.server.identities.keys import AccessKeys, Known, digest_of, hash_of, new_key

_TOPIC: Final = "identities"
_SECRET: Final = "s" * 40


async def measure(setting: Setting) -> list[Figure]:
    """Microseconds of one look at a request's headers, and the timing of wrong keys."""
    found = [
        await _cost(setting, way, count) for way, count in (("key", 1), ("key", 1000), ("cookie", 1), ("token", 1))
    ]
    return [*found, _timing(setting)]


async def _cost(setting: Setting, way: str, count: int) -> Figure:
    setting.say(f"identities: {way}, {count}")
    keys = [new_key() for _ in range(count)]
    access: dict[str, Any] = {
        "keys": [{"name": f"k{number}", "hash": hash_of(key), "user": "u"} for number, key in enumerate(keys)],
        "visitors": True,
        "secret": _SECRET,
    }
    signed, file = _signed(setting.folder)
    access["jwt"] = {"issuer": "https://issuer", "audience": "holdfast", "jwks_file": str(file)}
    async with open_store("memory:") as store:
        identities = Identities(Config(store="memory:", access=access), store)  # type: ignore[arg-type]  # as a file has it
        assert identities.signer is not None
        cookie = f"{identities.signer.cookie}={identities.signer.sign(visitors_token('', 600))}"
        sent = {
            "key": ("authorization", f"Bearer {keys[-1]}"),
            "cookie": ("cookie", cookie),
            "token": ("authorization", f"Bearer {signed}"),
        }[way]
        scope = {"method": "GET", "headers": [tuple(part.encode() for part in sent)]}
        times = await _micros(lambda: identities.identify(scope), setting.pick(3000, 20))
    what = f"{way}, one of {count}" if count > 1 else way
    return figure(_TOPIC, f"who asks: by {what}", times, unit="us")


async def _micros(work: Callable[[], Awaitable[Any]], times: int) -> float:
    rounds = []
    for _ in range(5):
        started = time.perf_counter()
        for _ in range(times // 5):
            await work()
        rounds.append((time.perf_counter() - started) / (times // 5) * 1e6)
    return statistics.median(rounds)


def _signed(folder: Path) -> tuple[str, Path]:
    import jwt
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 2048)
    jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
    file = folder / "identity-keys.json"
    file.write_text(json.dumps({"keys": [{**jwk, "kid": "one"}]}))
    claims = {"iss": "https://issuer", "aud": "holdfast", "sub": "ann", "exp": int(time.time()) + 3600}
    return jwt.encode(claims, key, algorithm="RS256", headers={"kid": "one"}), file


def _timing(setting: Setting) -> Figure:
    """The difference in time between keys that share all but the last character with a good one, and keys that share nothing
    with it."""
    good = new_key()
    known = AccessKeys([Known(digest_of(good.encode()), Caller())])
    letters = string.ascii_letters.replace(good[-1], "")
    pools = [[(good[:-1] + letter).encode() for letter in letters], [new_key().encode() for _ in letters]]
    blocks = [_block(known, pools, setting.pick(5_000, 20)) for _ in range(40)]
    found, error = statistics.fmean(blocks), statistics.stdev(blocks) / len(blocks) ** 0.5
    note = f"{found:+.1f} ns, give or take {error:.1f}; compared byte by byte, in clear: 2358 ns"
    return figure(_TOPIC, "wrong keys, near and far: difference", abs(found), unit="ns", target=at_most(20), note=note)


def _block(known: AccessKeys, pools: list[list[bytes]], pairs: int) -> float:
    """The mean difference of pairs in random order, without the outer fifths: those are the machine's, not the code's."""
    found = []
    for _ in range(pairs):
        times = [0, 0]
        first = random.getrandbits(1)
        for side in (first, 1 - first):
            sent = random.choice(pools[side])
            started = time.perf_counter_ns()
            known.find(sent)
            times[side] = time.perf_counter_ns() - started
        found.append(times[0] - times[1])
    found.sort()
    return statistics.fmean(found[pairs // 5 : pairs - pairs // 5])
