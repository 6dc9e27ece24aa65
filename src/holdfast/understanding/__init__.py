"""Understanding of users' words, offline, in Chinese and English: which intent, and which values.

    model = IntentModel.train([("where is my parcel", "tracking"), ("我的包裹到哪了", "tracking"), ...], cache=folder)
    model.predict(["包裹什么时候到"])[0].intent
    find_entities("明天下午三点，两个人", now=datetime.now().astimezone())

A library of its own: it knows no turn and no store, and does no I/O but for the cache of trained models.
"""

from holdfast.understanding.entities import KINDS, Found, ValueList, find_dates, find_entities
from holdfast.understanding.intents.examples import OUT_OF_SCOPE
from holdfast.understanding.intents.model import IntentModel, Prediction

__all__ = [
    "KINDS",
    "OUT_OF_SCOPE",
    "Found",
    "IntentModel",
    "Prediction",
    "ValueList",
    "find_dates",
    "find_entities",
]
