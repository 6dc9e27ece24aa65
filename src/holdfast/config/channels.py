"""``[channels.NAME]``: chat platforms that send messages by webhook."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, StringConstraints, model_validator

from holdfast.config.fields import Seconds, Section

_LEAST_SECRET: Final = 16
_WECHAT: Final = frozenset({"app_id", "app_secret", "app_secret_file", "base_url"})


def _is_http(url: str) -> str:
    parts = urlsplit(url)
    if url and (parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None):
        raise ValueError("is not a URL of the form https://host/path")
    return url


Url = Annotated[str, AfterValidator(_is_http)]
ChannelName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]


class ChannelSection(Section):
    """``[channels.NAME]``, served at ``/v1/channels/webhook/NAME``; see docs/channels.md.

    Attributes:
        kind: ``generic``, ``wechat``, or ``package.module:factory`` of your own.
        secrets: shared with the platform, which signs with one of them; also one a line in ``secrets_file``. WeChat's "Token".
        tolerance: seconds that a signature's time may differ from this node's clock.
        max_body_bytes: larger requests are refused.
        callback_url: where ``generic`` sends replies to.
        app_id, app_secret (or the file that holds it), base_url: of the WeChat account, and of the platform's API.
        tries: how often a reply is sent until its delivery has failed. timeout: seconds for one of them.
        first_pause, longest_pause: seconds between the first two tries, and at most; each is twice the one before.
        options: for an adapter of your own.
    """

    kind: str = "generic"
    secrets: tuple[SecretStr, ...] = ()
    secrets_file: Path | None = None
    tolerance: Seconds = 300.0
    max_body_bytes: int = Field(default=64 * 1024, ge=1024)
    callback_url: Url = Field(default="", repr=False)
    app_id: str = ""
    app_secret: SecretStr | None = None
    app_secret_file: Path | None = None
    base_url: Url = "https://api.weixin.qq.com"
    tries: int = Field(default=12, ge=1, le=100)
    timeout: Seconds = 10.0
    first_pause: Seconds = 2.0
    longest_pause: Seconds = 600.0
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _complete(self) -> ChannelSection:
        secrets = self.all_secrets
        if self.kind == "generic":
            if not secrets or not self.callback_url:
                raise ValueError('kind = "generic" needs secrets (or secrets_file) and callback_url')
            if any(len(secret) < _LEAST_SECRET for secret in secrets):
                raise ValueError(f"a secret has at least {_LEAST_SECRET} characters: `openssl rand -hex 32` makes one")
        if self.kind == "wechat" and not (secrets and self.app_id and self.secret_of_app):
            raise ValueError('kind = "wechat" needs secrets (the Token), app_id and app_secret (or app_secret_file)')
        misplaced = {"callback_url": self.kind == "wechat", **dict.fromkeys(_WECHAT, self.kind == "generic")}
        for name in self.model_fields_set:
            if misplaced.get(name):
                raise ValueError(f'{name} does not belong to kind = "{self.kind}"')
        if self.options and self.kind in ("generic", "wechat"):
            raise ValueError("options are for an adapter of your own, with kind = package.module:factory")
        return self

    @property
    def all_secrets(self) -> tuple[str, ...]:
        """The secrets in clear, those of ``secrets_file`` too."""
        given = tuple(secret.get_secret_value() for secret in self.secrets)
        return given + (_lines("secrets_file", self.secrets_file) if self.secrets_file else ())

    @property
    def secret_of_app(self) -> str:
        """``app_secret`` in clear, or the first line of its file."""
        if self.app_secret is not None:
            return self.app_secret.get_secret_value()
        return next(iter(_lines("app_secret_file", self.app_secret_file)), "") if self.app_secret_file else ""


def _lines(key: str, file: Path) -> tuple[str, ...]:
    try:
        return tuple(line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{key} {str(file)!r} cannot be read: {error}") from None
