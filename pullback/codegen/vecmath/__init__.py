"""Elementary functions as our own vector code: placeholder table, filled by the family modules."""
