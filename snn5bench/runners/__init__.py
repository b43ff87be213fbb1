"""Serial and process runners: the same records from each."""
