"""A value that knows that it is sensitive."""

from __future__ import annotations

from typing import Any, Final


class Sensitive:
    """A text that is shown masked wherever it turns up: ``state["doctor"] = Sensitive("Jane Doe", "name")``.

    It is stored as what it is and comes back as a `Sensitive`. Printing, formatting and logging it show the mask; `reveal` gives
    the text. Two are equal where text and kind are. Nodes of releases before this type cannot read it.

    Attributes:
        kind: the name of a `Kind`, which decides how the mask looks; one that nobody knows masks all of it.
    """

    __slots__ = ("_value", "kind")
    _value: str
    kind: Final[str]  # type: ignore[misc]  # set once, through object.__setattr__

    def __init__(self, value: str, kind: str = "text") -> None:
        if not isinstance(value, str) or not isinstance(kind, str):
            raise TypeError("Sensitive(value, kind) takes two texts; make other values text first")
        object.__setattr__(self, "_value", str.__str__(value))
        object.__setattr__(self, "kind", str.__str__(kind))

    def reveal(self) -> str:
        """The text itself."""
        return self._value

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("a Sensitive cannot be changed; make another one")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("a Sensitive cannot be changed; make another one")

    def __str__(self) -> str:
        from holdfast.sensitive.registry import masked  # what it looks for is compiled only where something is shown

        return masked(self.kind, self._value)

    def __repr__(self) -> str:
        return f"Sensitive({str(self)!r}, {self.kind!r})"

    def __format__(self, how: str) -> str:
        return format(str(self), how)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sensitive):
            return NotImplemented
        return (self._value, self.kind) == (other._value, other.kind)

    def __hash__(self) -> int:
        return hash((self._value, self.kind))

    def __bool__(self) -> bool:
        return bool(self._value)

    def __copy__(self) -> Sensitive:
        return self

    def __deepcopy__(self, memo: Any) -> Sensitive:
        return self

    def __reduce__(self) -> tuple[type[Sensitive], tuple[str, str]]:
        return Sensitive, (self._value, self.kind)
