"""One part of each kind for Holdfast, each a file; the README says what a part has to keep to."""
