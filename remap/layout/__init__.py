"""Layout expressions: axes patterns and the strided views that carry them out."""
