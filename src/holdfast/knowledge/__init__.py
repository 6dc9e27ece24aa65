"""Knowledge: documents made searchable, passages found for a question, sentences quoted from them.

async with await KnowledgeIndex.open("knowledge.db", write=True) as index:
    await add(index, ["docs/"])
    extract = await answer(index, query_from_turns(user_texts))
"""

from holdfast.knowledge.adding import AddReport, Skipped, add
from holdfast.knowledge.collections import Collection, Collections
from holdfast.knowledge.contract import Document, Extracted, Heading, Hit, Knowledge, Passage, SearchResult
from holdfast.knowledge.embedding import Embedder
from holdfast.knowledge.extractive import Extract, Quote, answer, extract
from holdfast.knowledge.index import KnowledgeIndex
from holdfast.knowledge.openai_embedder import OpenAIEmbedder
from holdfast.knowledge.query import query_from_turns
from holdfast.knowledge.rewriting import Complete, Rewriter, Rewritten

__all__ = [
    "AddReport",
    "Collection",
    "Collections",
    "Complete",
    "Document",
    "Embedder",
    "Extract",
    "Extracted",
    "Heading",
    "Hit",
    "Knowledge",
    "KnowledgeIndex",
    "OpenAIEmbedder",
    "Passage",
    "Quote",
    "Rewriter",
    "Rewritten",
    "SearchResult",
    "Skipped",
    "add",
    "answer",
    "extract",
    "query_from_turns",
]
