"""Intents from example sentences: TF-IDF of words and pieces of words, a linear classifier, and a threshold for what is none."""
