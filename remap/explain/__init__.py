"""What happens to one tensor or one variable, and why nothing does."""
