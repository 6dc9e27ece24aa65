"""Multi-turn assistants whose conversations survive their servers."""
