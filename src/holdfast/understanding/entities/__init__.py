"""Values in text: numbers, money, dates, phones, e-mail addresses, patterns and lists."""

from holdfast.understanding.entities.dates import find_dates
from holdfast.understanding.entities.finding import KINDS, find_entities
from holdfast.understanding.entities.found import Found
from holdfast.understanding.entities.lists import ValueList

__all__ = ["KINDS", "Found", "ValueList", "find_dates", "find_entities"]
