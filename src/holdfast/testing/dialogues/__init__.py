"""Conversations in YAML, played against an assistant and checked: ``holdfast test``.

schema (what a file may say) -> reading -> staging (the assistant, offline) -> playing (a turn's clock, tools and model)
-> running (all dialogues) -> expecting (what differs) -> coverage, junit
"""

from holdfast.testing.dialogues.coverage import Coverage, FlowCoverage
from holdfast.testing.dialogues.reading import Script, read_dialogues
from holdfast.testing.dialogues.running import Report, run_dialogues
from holdfast.testing.dialogues.seen import Failure, Result

__all__ = ["Coverage", "Failure", "FlowCoverage", "Report", "Result", "Script", "read_dialogues", "run_dialogues"]
