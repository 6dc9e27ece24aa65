"""Accepting, running, journaling and committing turns over a session store."""
