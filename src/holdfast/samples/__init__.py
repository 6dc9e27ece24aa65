"""The sample assistant: a config, a tool, and documents, used where no config is given."""
