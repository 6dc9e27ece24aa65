"""Who sent a request: access keys, tokens of an identity provider, and the signed cookies of the page."""
