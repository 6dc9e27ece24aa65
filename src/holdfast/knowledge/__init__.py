"""Knowledge: documents made searchable, passages found for a question, sentences quoted from them.

async with await KnowledgeIndex.open("knowledge.db", write=True) as index:
    await add(index, ["docs/"])
    extract = await answer(index, query_from_turns(user_texts))
"""

from holdfast.knowledge.adding import AddReport, Skipped, add
from holdfast.knowledge.contract import Document, Extracted, Heading, Hit, Knowledge, Passage
from holdfast.knowledge.extractive import Extract, Quote, answer, extract
from holdfast.knowledge.index import KnowledgeIndex
from holdfast.knowledge.query import query_from_turns

__all__ = [
    "AddReport",
    "Document",
    "Extract",
    "Extracted",
    "Heading",
    "Hit",
    "Knowledge",
    "KnowledgeIndex",
    "Passage",
    "Quote",
    "Skipped",
    "add",
    "answer",
    "extract",
    "query_from_turns",
]
