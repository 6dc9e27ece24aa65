"""Tokens of an identity provider that answers on a socket: which are taken, and what is asked of the provider."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jwt
import pytest
from access_kit import site
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from provider_kit import AUDIENCE, EC_1, RSA_1, RSA_2, RSA_SHORT, Provider, provider, public_jwk
from server_kit import kind

from holdfast.config.access import JwtSection
from holdfast.errors import ConfigError
from holdfast.server.callers import Caller
from holdfast.server.identities import provider_keys
from holdfast.server.identities.provider_tokens import ProviderTokens
from holdfast.server.problems import Refused


@pytest.fixture
def issuer() -> Iterator[Provider]:
    with provider() as issuer:
        yield issuer


def tokens(provider: Provider, **more: Any) -> ProviderTokens:
    given = {"issuer": provider.url, "audience": AUDIENCE, "jwks_url": f"{provider.url}/keys", **more}
    return ProviderTokens(JwtSection.model_validate(given))


async def test_a_good_token_is_its_user(issuer: Provider) -> None:
    issuer.keys.append(public_jwk(EC_1, "ec"))
    checks = tokens(issuer)
    assert await checks.caller(issuer.token()) == Caller("", "ann", "user", name="ann")
    assert await checks.caller(issuer.token(EC_1, "ec", "ES256", aud=["other", AUDIENCE])) is not None
    assert await checks.caller(issuer.token(header={"typ": "at+jwt"})) is not None
    assert issuer.asked == ["/keys"]


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": int(time.time()) - 61},
        {"exp": None},
        {"exp": "soon"},
        {"nbf": int(time.time()) + 3600},
        {"iss": "http://elsewhere"},
        {"iss": None},
        {"aud": "another"},
        {"aud": None},
        {"aud": []},
        {"sub": None},
        {"sub": ""},
        {"sub": "a\x1fb"},
        {"sub": "x" * 201},
        {"header": {"typ": "secevent+jwt"}},
        {"header": {"crit": ["b64"]}},
        {"kid": "two"},
        {"kid": "one", "key": RSA_2},
    ],
    ids="-".join,
)
async def test_a_token_that_is_not_good_is_nobodys(issuer: Provider, claims: dict[str, Any]) -> None:
    assert await tokens(issuer).caller(issuer.token(**claims)) is None


@pytest.mark.parametrize(("late", "taken"), [(50, True), (70, False)])
async def test_clocks_may_differ_by_the_leeway(issuer: Provider, late: int, taken: bool) -> None:
    now, checks = int(time.time()), tokens(issuer)
    assert (await checks.caller(issuer.token(exp=now - late)) is not None) is taken
    assert (await checks.caller(issuer.token(nbf=now + late)) is not None) is taken


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


async def test_the_algorithm_is_ours_to_choose(issuer: Provider) -> None:
    issuer.keys = [public_jwk(RSA_1, "one"), public_jwk(RSA_SHORT, "short"), public_jwk(RSA_2, "ps", alg="PS256")]
    checks, claims = tokens(issuer), issuer.claims()
    public = RSA_1.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    none = f"{part({'alg': 'none', 'kid': 'one'})}.{part(claims)}."
    secret = _hmac_with(public, claims)
    for token in (none, none.replace("none", "None"), secret, issuer.token(alg="RS512"), issuer.token(alg="PS256")):
        assert await checks.caller(token) is None
    assert await checks.caller(issuer.token(RSA_2, "ps")) is None  # a key for another algorithm
    with pytest.warns(jwt.warnings.InsecureKeyLengthWarning):
        weak = issuer.token(RSA_SHORT, "short")
    assert await checks.caller(weak) is None
    assert await checks.caller(issuer.token()) is not None


def _hmac_with(public: bytes, claims: dict[str, Any]) -> str:
    """The public key as the secret of an HMAC: taken by whoever lets the token choose."""
    import hashlib
    import hmac

    text = f"{part({'alg': 'HS256', 'kid': 'one'})}.{part(claims)}"
    mac = hmac.new(public, text.encode(), hashlib.sha256).digest()
    return f"{text}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


async def test_keys_change_at_the_provider(issuer: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=1000.0)
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr(provider_keys, "time", clock)
    checks = tokens(issuer, unknown_key_pause=30)
    assert await checks.caller(issuer.token()) is not None
    issuer.keys = [public_jwk(RSA_2, "two")]
    assert await checks.caller(issuer.token(RSA_2, "two")) is None  # asked a moment ago
    clock.now += 31
    assert await checks.caller(issuer.token(RSA_2, "two")) is not None
    assert await checks.caller(issuer.token()) is None  # the old key is not good any more
    assert len(issuer.asked) == 2
    clock.now += 3601
    assert await checks.caller(issuer.token(RSA_2, "two")) is not None
    assert len(issuer.asked) == 3  # they were old


async def test_unknown_keys_do_not_flood_the_provider(issuer: Provider) -> None:
    checks = tokens(issuer)
    assert await checks.caller(issuer.token()) is not None
    made = [issuer.token(RSA_2, f"k{number}") for number in range(50)]
    assert await asyncio.gather(*map(checks.caller, made)) == [None] * 50
    assert len(issuer.asked) == 1
    cold = tokens(issuer)
    assert None not in await asyncio.gather(*[cold.caller(issuer.token()) for _ in range(20)])
    assert len(issuer.asked) == 2


@pytest.mark.parametrize(
    "answer",
    [(500, b""), (302, b""), (200, b"no json"), (200, b"[]"), (200, b'{"keys": 1}'), (200, b" " * 300_000)],
    ids=["500", "redirect", "text", "list", "keys", "huge"],
)
async def test_a_provider_that_does_not_answer(issuer: Provider, answer: tuple[int, bytes]) -> None:
    checks = tokens(issuer, refresh=0.05, unknown_key_pause=0.05)
    token, issuer.answer = issuer.token(), answer
    with pytest.raises(Refused) as refused:
        await checks.caller(token)
    assert refused.value.kind.slug == "provider-silent"
    await asyncio.sleep(0.06)
    issuer.answer = None
    assert await checks.caller(token) is not None
    issuer.answer = answer
    await asyncio.sleep(0.06)
    assert await checks.caller(token) is not None  # by the keys of before
    assert "/elsewhere" not in issuer.asked


async def test_a_slow_provider_holds_nobody_for_long(issuer: Provider) -> None:
    issuer.pause = 1.0
    started = time.perf_counter()
    with pytest.raises(Refused):
        await tokens(issuer, timeout=0.2).caller(issuer.token())
    assert time.perf_counter() - started < 0.9


async def test_discovery(issuer: Provider) -> None:
    checks = tokens(issuer, jwks_url=None)
    assert await checks.caller(issuer.token()) is not None
    assert issuer.asked == ["/.well-known/openid-configuration", "/keys"]
    for wrong in ({"issuer": "http://elsewhere"}, {"jwks_uri": "http://192.0.2.1/keys"}, {"jwks_uri": 1}):
        issuer.about = wrong
        with pytest.raises(Refused):
            await tokens(issuer, jwks_url=None).caller(issuer.token())


async def test_keys_in_a_file(issuer: Provider, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"keys": [public_jwk(RSA_1, "one")]}))
    checks = tokens(issuer, jwks_url=None, jwks_file=file)
    assert await checks.caller(issuer.token()) is not None
    assert await checks.caller(issuer.token(kid=None)) is not None  # the only one
    assert await checks.caller(issuer.token(kid="two")) is None
    assert issuer.asked == []
    file.write_text("{")
    with pytest.raises(ConfigError, match="jwks_file"):
        tokens(issuer, jwks_url=None, jwks_file=file)


async def test_roles_and_tenants_are_claims(issuer: Provider) -> None:
    roles = {"help": "operator", "boss": "admin"}
    checks = tokens(
        issuer, tenant_claim="org", roles_claim="realm.roles", roles=roles, default_role="", user_claim="email"
    )

    async def caller(**claims: Any) -> Caller | None:
        return await checks.caller(issuer.token(**{"email": "ann@bank", "org": "bank", **claims}))

    assert await caller(realm={"roles": ["help"]}) == Caller("bank", "ann@bank", "operator", name="ann@bank")
    found = await caller(realm={"roles": ["help", "boss", 1]})
    assert found is not None and found.role == "admin"
    for wrong in (
        {},
        {"realm": {"roles": ["admin"]}},
        {"realm": ["help"]},
        {"realm": {"roles": ["help"]}, "org": None},
        {"realm": {"roles": ["help"]}, "org": ""},
        {"realm": {"roles": ["help"]}, "org": "bank\x1ffailed"},
        {"realm": {"roles": ["help"]}, "org": ["bank"]},
        {"realm": {"roles": ["help"]}, "email": None},
    ):
        assert await caller(**wrong) is None


@pytest.mark.parametrize("size", [8_193, 100_000])
async def test_a_huge_token_is_not_even_looked_at(issuer: Provider, size: int) -> None:
    checks = tokens(issuer)
    assert await checks.caller(issuer.token(filler="x" * size)) is None
    assert await checks.caller("." * size) is None
    assert issuer.asked == []


@pytest.mark.parametrize("token", ["..", "a.b.c", "é.é.é", f"{part([])}.e30.e30", f"{part({'alg': 1})}.e30.AA"])
async def test_what_is_no_token_at_all(issuer: Provider, token: str) -> None:
    assert await tokens(issuer).caller(token) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"algorithms": ["HS256"]},
        {"algorithms": ["none"]},
        {"algorithms": []},
        {"jwks_url": "http://elsewhere/keys"},
        {"jwks_url": None, "issuer": "http://elsewhere"},
        {"jwks_file": "keys.json"},
    ],
    ids=repr,
)
def test_what_would_let_anybody_in_is_no_setting(issuer: Provider, wrong: dict[str, Any]) -> None:
    given = {"issuer": issuer.url, "audience": AUDIENCE, "jwks_url": f"{issuer.url}/keys"}
    with pytest.raises(ValueError, match=r"jwks_url|issuer|algorithms|https"):
        ProviderTokens(JwtSection.model_validate({**given, **wrong}))


async def test_the_server_takes_tokens_beside_keys(issuer: Provider) -> None:
    section = {"issuer": issuer.url, "audience": AUDIENCE, "jwks_url": f"{issuer.url}/keys", "tenant": "bank"}
    async with site({"jwt": section}) as server:
        headers = {"Authorization": f"Bearer {issuer.token()}"}
        session = (await server.http.post("/v1/sessions", json={}, headers=headers)).json()
        assert session["user"] == "ann"
        assert (await server.store.for_tenant("bank").load(session["id"])) is not None
        other = {"Authorization": f"Bearer {issuer.token(sub='bob')}"}
        reply = await server.http.get(f"/v1/sessions/{session['id']}", headers=other)
        assert kind(reply) == "session-not-found"
        late = {"Authorization": f"Bearer {issuer.token(exp=1)}"}
        assert kind(await server.http.get("/v1/me", headers=late)) == "unauthorized"
