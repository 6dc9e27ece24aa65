"""A session's state knows what was changed, and only that."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.backends.records import Field
from holdfast.errors import InvalidId, LimitExceeded, UnsupportedValue
from holdfast.sessions.codec import Codec
from holdfast.sessions.state import State

codec = Codec()


def state_of(values: dict[str, Any], **options: Any) -> State:
    return State(codec, {name: Field(codec.encode(value), 7) for name, value in values.items()}, **options)


def changed(state: State) -> dict[str, Any]:
    return {name: None if value is None else codec.decode(value) for name, value, _ in state.changes()}


def test_reading_writes_nothing() -> None:
    state = state_of({"a": 1, "cart": {"items": [1, 2]}, "seen": {3, 4}})
    assert dict(state) == {"a": 1, "cart": {"items": [1, 2]}, "seen": {3, 4}}
    assert state.get("missing") is None
    assert state.changes() == []


def test_writing_the_same_value_writes_nothing() -> None:
    state = state_of({"a": 1, "cart": {"items": [1, 2]}})
    state["a"] = 1
    state["cart"] = {"items": [1, 2]}
    assert state.changes() == []


def test_equal_is_not_the_same_type() -> None:
    state = state_of({"a": 1, "b": 0})
    state["a"] = 1.0
    state["b"] = False
    back = changed(state)
    assert [type(back[name]) for name in "ab"] == [float, bool]


def test_a_change_inside_a_value_counts() -> None:
    state = state_of({"cart": {"items": [{"n": 1}]}, "other": [1]})
    state["cart"]["items"][0]["n"] = 2
    assert changed(state) == {"cart": {"items": [{"n": 2}]}}
    assert state.changes()[0].counter == 7


def test_a_change_taken_back_writes_nothing() -> None:
    state = state_of({"cart": [1], "a": 1})
    state["cart"].append(2)
    state["cart"].pop()
    del state["a"]
    state["a"] = 1
    state["new"] = 1
    del state["new"]
    assert state.changes() == []


def test_deletion_counts_once() -> None:
    state = state_of({"a": 1, "b": 2})
    del state["a"]
    assert changed(state) == {"a": None}
    assert "a" not in state
    assert list(state) == ["b"]
    assert len(state) == 1
    with pytest.raises(KeyError):
        state["a"]
    with pytest.raises(KeyError):
        del state["a"]
    assert state.pop("a", "gone") == "gone"


def test_new_keys_are_based_on_absence() -> None:
    state = state_of({})
    state["a"] = None
    assert state.changes()[0].counter == 0
    assert changed(state) == {"a": None}
    assert "a" in state
    assert state["a"] is None


def test_replace_is_exact() -> None:
    state = state_of({"a": 1, "b": 2})
    state.replace({"b": 2, "c": 3})
    assert dict(state) == {"b": 2, "c": 3}
    assert changed(state) == {"a": None, "c": 3}


def test_an_unsupported_value_is_refused_where_it_is_assigned() -> None:
    state = state_of({"a": 1})
    with pytest.raises(UnsupportedValue) as caught:
        state["cart"] = {"items": [object()]}
    assert caught.value.path == "cart.items[0]"
    with pytest.raises(InvalidId):
        state[""] = 1
    assert "cart" not in state
    assert state.changes() == []


def test_an_unsupported_value_put_inside_later_is_refused_at_the_commit() -> None:
    state = state_of({"cart": []})
    state["cart"].append(object())
    with pytest.raises(UnsupportedValue) as caught:
        state.changes()
    assert caught.value.path == "cart[0]"


def test_the_number_of_keys_is_bounded() -> None:
    state = state_of({"a": 1, "b": 1}, max_keys=3)
    state["c"] = 1
    assert len(state.changes()) == 1
    state["d"] = 1
    with pytest.raises(LimitExceeded, match="max_keys"):
        state.changes()


def test_values_do_not_show_in_its_text() -> None:
    assert "secret" not in repr(state_of({"phone": "secret"}))


def test_two_states_of_one_record_share_no_value() -> None:
    fields = {"cart": Field(codec.encode([1]), 1)}
    first, second = State(codec, fields), State(codec, fields)
    first["cart"].append(2)
    assert second["cart"] == [1]


def test_a_container_read_by_a_node_that_compresses_differently_is_unchanged() -> None:
    from holdfast.sessions.codec import CodecLimits

    fields = {"cart": Field(Codec(CodecLimits(compress_from=10)).encode(["x"] * 100), 1)}
    state = State(codec, fields)
    assert len(state["cart"]) == 100
    assert state.changes() == []


names = st.sampled_from("abcd")
small = st.integers(0, 2) | st.lists(st.integers(0, 2), max_size=2)


@given(
    st.dictionaries(names, small),
    st.lists(st.tuples(st.sampled_from(["set", "del", "append", "replace", "read"]), names, small), max_size=12),
)
def test_applying_the_changes_to_the_base_gives_the_state(base: dict[str, Any], steps: list[Any]) -> None:
    state, model = state_of(base), _copy(base)
    for what, name, value in steps:
        if what == "set":
            state[name], model[name] = _copy(value), _copy(value)
        elif what == "del":
            assert (state.pop(name, None) is None) == (model.pop(name, None) is None)
        elif what == "append" and isinstance(model.get(name), list):
            state[name].append(1)
            model[name].append(1)
        elif what == "replace":
            state.replace({name: _copy(value)})
            model = {name: _copy(value)}
        assert dict(state) == model
        assert sorted(state) == sorted(model)
        assert len(state) == len(model)
    result = _copy(base)
    for name, encoded, counter in state.changes():
        assert counter == (7 if name in base else 0)
        if encoded is None:
            del result[name]
        else:
            assert result.get(name) != codec.decode(encoded), "an unchanged value was written"
            result[name] = codec.decode(encoded)
    assert result == model


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _copy(item) for name, item in value.items()}
    return list(value) if isinstance(value, list) else value
