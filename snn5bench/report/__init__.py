"""One `Table` object, and its renderings."""
