"""Flows: task dialogues in YAML, whose position lives in the session's state.

reading (YAML -> Flow) -> checking (what cannot work) -> program (steps in a row) -> running (one turn of it) -> policy
"""
