"""What a user writes, checked once at the door: `schema` says what is allowed, `load` reads it."""
