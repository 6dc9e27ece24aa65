"""Understanding of users' words, offline, in Chinese and English: which intent, and which values.

A library of its own: it knows no turn and no store, and does no I/O but for the cache of trained models.
"""
