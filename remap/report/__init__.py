"""What a run tells its user: tables for a terminal, data for machines."""
