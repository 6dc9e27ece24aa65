"""The agent: a model that chooses tools, within bounds that are kept here and not by prompts."""
