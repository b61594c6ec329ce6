"""Results: the record, the store that holds records, and queries over it."""
