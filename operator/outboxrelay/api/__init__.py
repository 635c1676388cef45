"""What users write and read, and what the two processes exchange. Values only: nothing here does I/O."""
