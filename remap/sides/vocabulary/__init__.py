"""What is known of single libraries: names of their classes and attributes, as tables."""
