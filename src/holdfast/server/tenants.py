"""The stores of all tenants whose sessions this node serves."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from holdfast.turns.store import TurnStore

_MOST: Final = 1000
"""Tenants whose store object is kept; another is made where it is needed."""


class Tenants:
    """Over one store, whose own tenant is the default one: that of callers who name none."""

    def __init__(self, store: TurnStore) -> None:
        self._own = store
        self._others: OrderedDict[str, TurnStore] = OrderedDict()

    def of(self, tenant: str) -> TurnStore:
        """The tenant's store. Raises `InvalidId`."""
        if tenant in ("", self._own.settings.tenant):
            return self._own
        store = self._others.get(tenant)
        if store is None:
            store = self._others[tenant] = self._own.for_tenant(tenant)
            if len(self._others) > _MOST:
                self._others.popitem(last=False)
        self._others.move_to_end(tenant)
        return store
