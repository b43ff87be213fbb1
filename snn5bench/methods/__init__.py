"""One module per technique; the module is the documentation of the technique."""
